//! Slots and plans that nobody of ours wrote.

use std::fs::File;

use spacetime_kernels::{Shape, network_tag};

use super::*;
use crate::params::PlotParams;

fn plan() -> Plan {
    let params = PlotParams {
        miner_key: [7; 48],
        seed: [1; 32],
        network: network_tag("local"),
        shape: Shape::new(4, 1).expect("a shape"),
        rows: 100,
        rows_per_segment: Some(32),
        first_row: None,
    };
    let (header, state) = params.header().expect("good parameters");
    Plan { header, state, kind: PlanKind::Grown, replace: false, destination: None }
}

fn begun(plan: &Plan) -> (File, Trailer) {
    let trailer = Trailer::new(&plan.layout().expect("a layout"));
    let file = tempfile::tempfile().expect("a file");
    file.set_len(trailer.end()).expect("a length");
    trailer.write_plan(&file, plan).expect("a plan");
    (file, trailer)
}

/// Changes the page at `at` and makes its checksum, over itself and `nodes` behind it, fit again.
fn change(file: &File, at: u64, nodes: usize, change: impl FnOnce(&mut [u8; PAGE])) {
    let mut page = [0; PAGE];
    file.read_at(&mut page, at).expect("a page");
    change(&mut page);
    let mut behind = vec![0; nodes];
    file.read_at(&mut behind, at + PAGE as u64).expect("nodes");
    let mut hasher = Sha256::new_with_prefix(&page[..AT_CHECKSUM]);
    hasher.update(&behind);
    page[AT_CHECKSUM..].copy_from_slice(&hasher.finalize());
    file.write_at(&page, at).expect("a page");
}

#[test]
fn slots_out_of_range_count_for_nothing() {
    let plan = plan();
    let entry = |level| (level, vec![[level as u8; 32]; 16]);
    let progress = Progress {
        rows_done: 80,
        last_start: 64,
        last_level: 4,
        last_roots: vec![[9; 32]; 16],
        stack: RootStack { entries: vec![entry(6), entry(4)] },
    };
    let read = |at: usize, byte: u8| {
        let (file, mut trailer) = begun(&plan);
        trailer.write_progress(&file, &progress).expect("a slot");
        let slot = trailer.slots_offset + trailer.slot_bytes;
        change(&file, slot, 3 * 16 * 32, |page| page[at..at + if at == 8 { 8 } else { 1 }].fill(byte));
        trailer.read_progress(&file).expect("a file that reads")
    };
    let good = read(32, 4);
    assert_eq!((good.len(), &good[0].1), (1, &progress), "the control");
    for (at, byte) in [(32, 8), (32, 255), (34, 8), (34, 255), (35, 6), (35, 7), (33, 43), (33, 255), (8, 255)] {
        assert!(read(at, byte).is_empty(), "byte {at} = {byte}");
    }
}

#[test]
fn the_slot_that_is_not_gone_on_from_is_written_next() {
    let plan = plan();
    let (file, mut trailer) = begun(&plan);
    let progress = |rows_done| Progress { rows_done, last_roots: vec![[0; 32]; 16], ..Progress::default() };
    for rows_done in [16, 32] {
        trailer.write_progress(&file, &progress(rows_done)).expect("a slot");
    }
    let (_, mut trailer) = Trailer::read_plan(&file).expect("a plan");
    let slots = trailer.read_progress(&file).expect("slots");
    assert_eq!(slots.iter().map(|(_, slot)| slot.rows_done).collect::<Vec<_>>(), [32, 16]);
    // The newer one turned out to be bad.
    trailer.go_on_from(slots[1].0);
    trailer.write_progress(&file, &progress(48)).expect("a slot");
    let slots = trailer.read_progress(&file).expect("slots");
    assert_eq!(slots.iter().map(|(_, slot)| slot.rows_done).collect::<Vec<_>>(), [48, 16]);
}

#[test]
fn plans_that_we_do_not_write_are_refused() {
    let staged = Destination { path: "/somewhere/x.plot".into(), rows_per_segment: 8 };
    let plan = Plan { destination: Some(staged), ..plan() };
    let read = |make: &dyn Fn(&mut [u8; PAGE])| {
        let (file, trailer) = begun(&plan);
        change(&file, trailer.end() - PAGE as u64, 0, make);
        Trailer::read_plan(&file).map(|(plan, _)| plan)
    };
    assert_eq!(read(&|_| ()).expect("the control"), plan);
    let refused = |make: &dyn Fn(&mut [u8; PAGE])| read(make).expect_err("a plan that is not ours");
    assert!(matches!(refused(&|page| page[8] = 2), TrailerError::Version(2)));
    assert!(matches!(refused(&|page| page[12] = 0), TrailerError::State(0)));
    assert!(matches!(refused(&|page| page[13] = 2), TrailerError::Kind(2)));
    for at in [14, 15, AT_PATH + 100] {
        assert!(matches!(refused(&|page| page[at] = 2), TrailerError::Foreign), "byte {at}");
    }
    // Neither a relative path nor another kind of file is where a plot goes.
    assert!(matches!(refused(&|page| page[AT_PATH] = b'x'), TrailerError::Foreign));
    assert!(matches!(refused(&|page| page[AT_PATH + 16] = b'x'), TrailerError::Foreign));
    assert!(matches!(refused(&|page| page[20] = 1), TrailerError::Size(_)));
}
