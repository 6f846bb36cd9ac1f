//! Plots on disks answer as plots in memory do.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use spacetime_kernels::Backend;
use spacetime_node::chain::Hash;
use spacetime_node::miner::farm::{Field, SweepEnd, SweepReport};
use spacetime_node::miner::io::{OpeningsOrder, ProofOrder, SweepId, SweepOrder};
use spacetime_node::miner::{DiskField, Stop};
use spacetime_node::testing::{MemoryField, MemoryPlot};
use spacetime_prover::farm::{Cancel, Disks, FarmPlot, SystemDisks};
use spacetime_prover::{Farm, FarmOptions, Plot, PlotError};
use tempfile::TempDir;

use crate::world::{EASY, challenge, key, parameters};

fn fields() -> (TempDir, DiskField, MemoryField) {
    let folder = tempfile::tempdir().unwrap();
    let plots: Vec<_> = [(1, 16), (2, 37), (3, 100)]
        .map(|(seed, rows)| MemoryPlot::grow(&parameters(), key(1), [seed; 32], rows))
        .into();
    for (plot, name) in plots.iter().zip(["a.plot", "b.plot", "c.plot"]) {
        fs::write(folder.path().join(name), plot.file(&parameters(), 32)).unwrap();
    }
    let farm = Farm::open([folder.path()], FarmOptions::default()).unwrap();
    (folder, DiskField::new(farm, Backend::fastest(), 2), MemoryField::new(&parameters(), plots))
}

fn order(deadline_ms: u64) -> SweepOrder {
    let challenges = (0..8).map(|number| challenge(0, number)).collect();
    SweepOrder { id: SweepId(1), column: 11, challenges, due_ms: vec![deadline_ms; 8] }
}

#[test]
fn sweeps_proofs_and_openings_are_the_same() {
    let (_folder, disks, memory) = fields();
    let (on_disk, in_memory) = (disks.look(), memory.look());
    assert!(on_disk.refused.is_empty());
    for (found, expected) in on_disk.plots.iter().zip(&in_memory.plots) {
        assert!(found.name.ends_with(".plot"));
        let name = expected.name.clone();
        assert_eq!(spacetime_node::miner::farm::PlotInfo { name, ..found.clone() }, *expected);
    }
    let (found, expected) = (
        disks.sweep(&order(u64::MAX), &Cancel::new(), &mut |_, _| {}).unwrap(),
        memory.sweep(&order(0), &Cancel::new(), &mut |_, _| {}).unwrap(),
    );
    assert_eq!(found.rankings, expected.rankings);
    assert_eq!((found.end, found.plots, found.leaves, found.troubles.len()), (SweepEnd::Swept, 3, 153, 0));
    assert!(found.bytes >= 153 * 32);
    for (ranking, challenge) in found.rankings.iter().zip(order(0).challenges) {
        for leaf in ranking {
            let order = ProofOrder {
                epoch: spacetime_node::chain::Epoch(4),
                challenge,
                column: 11,
                plot: leaf.plot,
                row: leaf.row,
                score: leaf.score,
                target: EASY,
            };
            assert_eq!(disks.prove(&order), memory.prove(&order));
            assert!(disks.prove(&order).is_ok());
            assert!(disks.prove(&ProofOrder { target: Hash::ZERO, ..order }).is_err());
        }
    }
    for plot in &on_disk.plots {
        let order = OpeningsOrder { plot: plot.id, mix: Hash([5; 32]), count: 6 };
        assert_eq!(disks.open(&order), memory.open(&order));
        assert_eq!(disks.open(&order).unwrap().len(), 6);
    }
}

/// Reads of one plot wait until they may go on.
#[derive(Debug)]
struct Held(String, Stop);

impl Disks for Held {
    fn disk_of(&self, plot: &FarmPlot) -> u64 {
        u64::from(plot.path().ends_with(&self.0))
    }

    fn open(&self, path: &Path) -> Result<Plot, PlotError> {
        SystemDisks.open(path)
    }

    fn read(&self, plot: &FarmPlot, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        if plot.path().ends_with(&self.0) {
            while !self.1.wait(Duration::from_secs(60)) {}
        }
        SystemDisks.read(plot, buffer, offset_bytes)
    }
}

#[test]
fn a_slow_disk_is_not_waited_for_where_an_answer_is_due() {
    let (folder, _, memory) = fields();
    let go_on = Stop::new();
    let disks = Arc::new(Held("b.plot".into(), go_on.clone()));
    let options = FarmOptions { disks, ..FarmOptions::default() };
    let farm = Farm::open([folder.path()], options).unwrap();
    let field = DiskField::new(farm, Backend::fastest(), 2);
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64 + 200;
    let mut order = order(u64::MAX);
    order.due_ms[1..4].fill(soon);
    let mut told = Vec::new();
    let mut tell = |due_ms, report: SweepReport| {
        told.push(due_ms);
        assert_eq!((report.end, report.rankings.len()), (SweepEnd::Deadline, 8));
        let slow = field.look().plots.iter().find(|plot| plot.name.contains("b.plot")).unwrap().id;
        assert!(report.rankings.iter().flatten().all(|leaf| leaf.plot != slow));
        assert!(report.troubles.iter().any(|trouble| trouble.name.contains("b.plot")));
        go_on.set();
    };
    let found = field.sweep(&order, &Cancel::new(), &mut tell).unwrap();
    assert_eq!(told, [soon], "once for all that is due then");
    assert_eq!(found.rankings, memory.sweep(&order, &Cancel::new(), &mut |_, _| {}).unwrap().rankings);
    assert_eq!(found.end, SweepEnd::Swept);
}

#[test]
fn a_damaged_file_is_named_and_costs_itself_alone() {
    let (folder, disks, _) = fields();
    let path = folder.path().join("b.plot");
    let mut bytes = fs::read(&path).unwrap();
    // Every strip of the first segment, so that whatever is asked for is hit.
    bytes[4096..4096 + 64 * 32 * 32].fill(7);
    fs::write(&path, bytes).unwrap();
    let view = disks.look();
    let report = disks.sweep(&order(u64::MAX), &Cancel::new(), &mut |_, _| {}).unwrap();
    let damaged = view.plots.iter().find(|plot| plot.name.contains("b.plot")).unwrap().id;
    let mut failed = 0;
    for (ranking, challenge) in report.rankings.iter().zip(order(0).challenges) {
        for leaf in ranking {
            let (plot, row, score) = (leaf.plot, leaf.row, leaf.score);
            let epoch = spacetime_node::chain::Epoch(4);
            let result = disks.prove(&ProofOrder { epoch, challenge, column: 11, plot, row, score, target: EASY });
            if plot == damaged && row < 32 {
                failed += 1;
                assert!(result.unwrap_err().contains("b.plot"));
            } else if plot != damaged {
                result.expect("a proof");
            }
        }
    }
    assert!(failed > 0);
    let error = disks.open(&OpeningsOrder { plot: damaged, mix: Hash([5; 32]), count: 6 }).unwrap_err();
    assert!(error.contains("b.plot"), "{error}");
}

#[test]
fn what_comes_and_goes_is_seen() {
    let (folder, disks, _) = fields();
    fs::remove_file(folder.path().join("a.plot")).unwrap();
    fs::write(folder.path().join("d.plot"), "no plot").unwrap();
    let view = disks.look();
    assert_eq!((view.plots.len(), view.refused.len()), (2, 1));
    assert!(view.refused[0].error.contains("d.plot"));
    let gone = OpeningsOrder { plot: spacetime_node::chain::PlotId([1; 32]), mix: Hash::ZERO, count: 1 };
    assert!(disks.open(&gone).is_err());
}

#[test]
fn a_sweep_ends_at_its_deadline_and_when_it_is_called_off() {
    let (_folder, disks, _) = fields();
    let report = disks.sweep(&order(0), &Cancel::new(), &mut |_, _| {}).unwrap();
    assert_eq!((report.end, report.rankings.len()), (SweepEnd::Deadline, 8));
    assert_eq!(report.troubles.len(), 3);
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(disks.sweep(&order(u64::MAX), &cancel, &mut |_, _| {}).unwrap().end, SweepEnd::Cancelled);
}
