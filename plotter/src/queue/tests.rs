use super::*;

fn queue(plot_rows: u64, window: usize) -> Queue {
    Queue::new(Bounds { rows_done: 0, plot_rows, batch_rows: 16, window })
}

fn piece(start: u64, rows: u64) -> Piece {
    Piece { start, rows }
}

#[test]
fn pieces_are_aligned_and_only_the_last_is_odd() {
    for (free, wanted) in [(0..100, 1000), (48..100, 1000), (0..100, 40), (5..77, 1000), (5..77, 30), (96..100, 3)] {
        let pieces = cut(&free, wanted, usize::MAX, 16, free.end);
        let mut next = free.start;
        for Piece { start, rows } in &pieces {
            assert_eq!(*start, next);
            assert!(start.is_multiple_of(rows.next_power_of_two()) && *rows <= 16, "{pieces:?}");
            assert!(rows.is_power_of_two() || start + rows == free.end, "{pieces:?}");
            next += rows;
        }
        assert_eq!(next, free.end.min(free.start + wanted));
    }
    assert_eq!(cut(&(0..100), 100, 2, 16, 100), [piece(0, 16), piece(16, 16)]);
    // Rows that were given back do not end with the plot.
    assert_eq!(cut(&(32..45), 13, 9, 16, 100), [piece(32, 8), piece(40, 4), piece(44, 1)]);
}

#[test]
fn lots_are_multiples_of_their_grain() {
    for (most, batch_rows, expected) in [(1, 16, 1), (5, 16, 4), (500, 16, 16), (500, 1024, 16), (65_536, 4096, 256)] {
        assert_eq!(grain(most, batch_rows), expected);
    }
}

#[test]
fn the_window_bounds_what_is_ahead() {
    let queue = queue(1000, 4);
    let (first, second) = (queue.join(Kind::Card, 32, false), queue.join(Kind::Card, 320, false));
    assert_eq!(queue.take(first, 32), Some(vec![piece(0, 16), piece(16, 16)]));
    assert_eq!(queue.take(second, 320), Some(vec![piece(32, 16), piece(48, 16)]), "no more than the window holds");
    assert_eq!(queue.take(first, 32), None);
    // Written, but behind a gap: the two wait as one subtree.
    queue.written(0, 1);
    queue.written(0, 1);
    assert_eq!(queue.take(second, 320), Some(vec![piece(64, 16)]));
    assert_eq!(queue.take(second, 320), None);
    queue.written(16, 1);
    queue.written(64, 0);
    assert_eq!(queue.take(second, 320).map(|pieces| pieces.len()), Some(3));
}

#[test]
fn what_is_given_back_comes_first_even_if_the_window_is_full() {
    let queue = queue(1000, 4);
    let (lost, other) = (queue.join(Kind::Card, 32, false), queue.join(Kind::Card, 320, false));
    let held = queue.take(lost, 32).expect("rows");
    assert_eq!(queue.take(other, 320).map(|pieces| pieces.len()), Some(2));
    queue.written(0, 4);
    queue.written(0, 4);
    queue.lost(lost, held);
    assert_eq!(queue.take(other, 320), Some(vec![piece(0, 16)]), "everything waits for it");
    assert_eq!(queue.take(other, 320), None);
    queue.written(16, 4);
    assert_eq!(queue.take(other, 320), Some(vec![piece(16, 16)]));
}

#[test]
fn nobody_waits_for_a_queue_that_is_closed() {
    let queue = queue(16, 4);
    let who = queue.join(Kind::Card, 32, true);
    assert_eq!(queue.take(who, 32), None, "it is being measured");
    queue.measured(who, Some(Duration::from_secs(1)));
    assert!(queue.wait_for(who, 32));
    assert_eq!(queue.wait_and_take(who, 32), Some(vec![piece(0, 16)]));
    queue.written(16, 0);
    assert!(queue.is_closed() && !queue.wait_for(who, 32));
}
