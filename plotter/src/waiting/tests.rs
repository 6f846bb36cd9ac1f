use proptest::prelude::*;
use spacetime_prover::tree;

use super::*;

fn pieces(rows: u64, piece_rows: u64) -> Vec<(u64, u64)> {
    (0..rows).step_by(piece_rows as usize).map(|start| (start, rows.min(start + piece_rows))).collect()
}

proptest! {
    /// In any order the same stack and the same segment roots come out as from the plain tree.
    #[test]
    fn order_does_not_matter(
        rows in 1u64..200,
        log2_piece in 0u32..4,
        segment_level in 4u32..7,
        order in Just((0..200usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let backend = Backend::PORTABLE;
        let cells: Vec<Cell> = (0..rows).map(|row| [row as u8 + 1; 32]).collect();
        let pieces = pieces(rows, 1 << log2_piece);
        let (mut waiting, mut progress) = (Waiting::default(), Progress::default());
        let mut segments = BTreeMap::new();
        for (start, end) in order.into_iter().filter_map(|at| pieces.get(at)) {
            let level = tree::ceil_log2(end - start);
            let roots = vec![tree::root(backend, &cells[*start as usize..*end as usize], 0, level)];
            let leaf = Leaf { start: *start, level, roots };
            waiting.add(backend, leaf, *end, &mut progress, segment_level, |row, roots| {
                assert!(segments.insert(row >> segment_level, roots.to_vec()).is_none(), "each segment once");
            });
        }
        prop_assert_eq!(waiting.len(), 0);
        prop_assert_eq!(progress.rows_done, rows);
        let last = pieces.last().copied().expect("a row");
        prop_assert_eq!((progress.last_start, progress.rows_done), last);
        let depth = tree::ceil_log2(rows).max(segment_level);
        let root = progress.stack.finish(backend, depth, segment_level, |roots: &[Cell]| {
            segments.insert((rows - 1) >> segment_level, roots.to_vec());
        });
        prop_assert_eq!(root, vec![tree::root(backend, &cells, 0, depth)]);
        let expected: Vec<_> = cells
            .chunks(1 << segment_level)
            .map(|segment| vec![tree::root(backend, segment, 0, segment_level)])
            .collect();
        prop_assert_eq!(segments.into_values().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_waits_grows_together() {
    let (mut waiting, mut progress) = (Waiting::default(), Progress::default());
    for start in 8..16 {
        let leaf = Leaf { start, level: 0, roots: vec![[start as u8; 32]] };
        waiting.add(Backend::PORTABLE, leaf, start + 1, &mut progress, 9, |_, _| panic!("no segment is whole"));
    }
    assert_eq!((waiting.len(), progress.rows_done), (1, 0));
}
