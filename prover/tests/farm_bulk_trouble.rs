//! Bulk scorers that fail, panic, lie or hang: each costs itself only.

mod common;
mod farming;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{bounded, select};
use farming::bulk::{Habit, Knobs, farm_with_fake, lost, search_until};
use farming::{COLUMN, HandClock, challenges, check_full, folder_of, full, paths_in};
use spacetime_prover::farm::{Aside, Clock, Ended, Wrong};
use spacetime_prover::{Farm, SearchReport};
use tempfile::TempDir;

const MS: Duration = Duration::from_millis(1);

const SHAPES: [(u64, u64); 3] = [(3000, 1024), (37, 8), (1, 1)];

struct Scene {
    _folder: TempDir,
    paths: Vec<PathBuf>,
    clock: Arc<HandClock>,
    knobs: Arc<Knobs>,
    farm: Farm,
}

fn scene(habit: Habit, honest_blocks: usize) -> Scene {
    scene_of(&SHAPES, habit, honest_blocks)
}

fn scene_of(shapes: &[(u64, u64)], habit: Habit, honest_blocks: usize) -> Scene {
    let folder = folder_of(shapes);
    let (clock, knobs) = (HandClock::new(), Knobs::new(habit, honest_blocks));
    let farm = farm_with_fake(folder.path(), &clock, &knobs);
    Scene { paths: paths_in(folder.path(), shapes.len()), _folder: folder, clock, knobs, farm }
}

impl Scene {
    fn check(&self, report: &SearchReport) {
        check_full(report, &self.paths).unwrap_or_else(|error| panic!("{:?}: {error}", self.knobs));
        assert_eq!(report.ended, Ended::Swept);
    }

    fn search_until(&self, enough: impl Fn(&SearchReport) -> bool) -> SearchReport {
        search_until(&self.farm, &full(), |report| self.check(report), enough)
    }

    /// Searches until the scorer is put out, and returns why.
    fn put_out(&self) -> Aside {
        let is_out = |report: &SearchReport| {
            matches!(report.scorers[0].aside, Some(Aside::Failed(_) | Aside::Panicked | Aside::Wrong(_)))
        };
        let why = self.search_until(is_out).scorers[0].aside.clone().expect("it is out");
        let blocks = self.knobs.blocks().len();
        for _ in 0..10 {
            let report = self.search_until(|_| true);
            assert_eq!((report.scorers[0].leaves, &report.scorers[0].aside), (0, &Some(why.clone())));
        }
        assert_eq!(self.knobs.blocks().len(), blocks, "it is not asked again");
        why
    }
}

#[test]
fn one_that_goes_wrong_is_not_used_any_more_and_its_block_is_scored() {
    // At once, as soon as it is trusted, and after a while.
    for honest_blocks in [0, 1, 20] {
        assert_eq!(scene(Habit::Fails, honest_blocks).put_out(), Aside::Failed(lost()));
        assert_eq!(scene(Habit::Panics, honest_blocks).put_out(), Aside::Panicked);
        let why = scene(Habit::LiesAboutScore, honest_blocks).put_out();
        assert!(matches!(&why, Aside::Wrong(Wrong::Score { challenge: 1, .. })), "{why}");
        let why = scene(Habit::LeavesTheBlock, honest_blocks).put_out();
        assert!(matches!(&why, Aside::Wrong(Wrong::Row { challenge: 1, .. })), "{why}");
        let why = scene(Habit::FindsNothing, honest_blocks).put_out();
        assert!(matches!(&why, Aside::Wrong(Wrong::NoLeaf { challenge: 1 })), "{why}");
        let why = scene(Habit::LiesAboutRow, honest_blocks).put_out();
        assert!(
            matches!(&why, Aside::Wrong(Wrong::Score { challenge: 1, row, said, score }) if said != score && *row < 3000)
        );
    }
}

#[test]
fn one_that_misses_the_best_is_found_out_by_comparison() {
    // Each block has more than one cell, so there is always a second best.
    let scene = |honest_blocks| scene_of(&[(4096, 1024)], Habit::MissesTheBest, honest_blocks);
    let why = scene(0).put_out();
    assert!(matches!(&why, Aside::Wrong(Wrong::Missed { challenge: 1, said, best }) if best.beats(said)), "{why}");
    // Trusted before: what it says is a leaf of the block, so only the next comparison tells.
    let scene = scene(1);
    let is_wrong = |report: &SearchReport| matches!(report.scorers[0].aside, Some(Aside::Wrong(Wrong::Missed { .. })));
    search_until(&scene.farm, &full(), |_| (), is_wrong);
    assert!((2..=1 + 64 + 1).contains(&scene.knobs.blocks().len()), "{:?}", scene.knobs);
    scene.put_out();
}

#[test]
fn one_that_goes_wrong_says_why() {
    let messages =
        [(Habit::Fails, "fake:0 was lost: unplugged"), (Habit::FindsNothing, "no best leaf for challenge 1")];
    for (habit, message) in messages {
        assert_eq!(scene(habit, 0).put_out().to_string(), message);
    }
}

#[test]
fn nobody_waits_for_one_that_hangs_while_it_is_compared() {
    let (habit, began, release) = Habit::hangs();
    let scene = scene(habit, 0);
    // The clock stands still, and the searches end.
    scene.search_until(|_| began.try_recv().is_ok());
    for _ in 0..20 {
        let report = scene.search_until(|_| true);
        assert_eq!((report.scorers[0].leaves, &report.scorers[0].aside), (0, &Some(Aside::Busy)));
    }
    assert_eq!(scene.knobs.blocks().len(), 1);
    // Once it answers it has its share.
    drop(release);
    scene.search_until(|report| {
        began.try_iter().for_each(drop);
        report.scorers[0].leaves > 0
    });
}

#[test]
fn the_cpu_takes_over_what_a_hanging_one_holds() {
    let (habit, began, release) = Habit::hangs();
    let scene = scene(habit, 1);
    let (clock, farm) = (&scene.clock, &scene.farm);
    // A search that it hangs in, and how much of its time was left when it was over.
    let search = || {
        let deadline = clock.now() + 1000 * MS;
        let (to, over) = bounded(1);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let report = farm.search(COLUMN, &challenges(2), None, Some(deadline), &full()).expect("a search");
                to.send(report).expect("the test listens");
            });
            let hangs = select! {
                recv(over) -> report => return (report.expect("a search"), false),
                recv(began) -> began => began.is_ok(),
            };
            assert!(over.is_empty(), "its block is missing");
            // All other blocks may be scored; patience ends long before the deadline.
            clock.turn(20 * MS);
            (over.recv().expect("a search"), hangs)
        })
    };
    let report = loop {
        let (report, hangs) = search();
        scene.check(&report);
        if hangs {
            break report;
        }
    };
    let aside = &report.scorers[0].aside;
    assert!(matches!(aside, Some(Aside::Late { waited, .. }) if *waited == 20 * MS), "{aside:?}");
    assert_eq!((report.scorers[0].leaves, report.ended), (0, Ended::Swept));
    // It hangs past the deadline and into later searches, which do without it.
    clock.turn(5000 * MS);
    for _ in 0..20 {
        let (report, _) = search();
        scene.check(&report);
        assert_eq!(report.scorers[0].aside, Some(Aside::Busy));
    }
    assert_eq!(scene.knobs.blocks().len(), 2);
    // Its late answer is not believed, nor held against it for ever.
    drop(release);
    scene.search_until(|report| {
        began.try_iter().for_each(drop);
        report.scorers[0].leaves > 0
    });
}

#[test]
fn a_farm_lets_go_of_scorers_that_hang() {
    let (habit, began, release) = Habit::hangs();
    let scene = scene(habit, 0);
    scene.search_until(|_| began.try_recv().is_ok());
    let knobs = Arc::downgrade(&scene.knobs);
    drop(scene);
    assert!(knobs.upgrade().is_some(), "its thread is still there");
    drop(release);
    // Its thread ends with the farm, and with it the scorer: what it tells with is gone then.
    assert!(began.recv().is_err());
}
