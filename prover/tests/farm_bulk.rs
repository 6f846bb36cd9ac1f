//! Bulk scorers take part where they win, and the answers are the CPU's.

mod common;
mod farming;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use farming::bulk::{Habit, Knobs, boxed, check_same, farm_with_fake, scorers, search_until};
use farming::{COLUMN, HandClock, OddDisks, challenges, check_full, folder_of, full, options, paths_in, plot_path};
use spacetime_kernels::Target;
use spacetime_prover::farm::{Aside, Clock, Ended, MAX_SCORERS, Missed, Scorers, ScorersError, SystemDisks};
use spacetime_prover::{Farm, FarmOptions, SearchOptions, SearchReport, Strategy};

const MS: Duration = Duration::from_millis(1);

/// Blocks of 128 cells, and none smaller.
const EVEN: [(u64, u64); 2] = [(4096, 1024), (2048, 2048)];

/// Whether the fake scored any of it.
fn has_share(report: &SearchReport) -> bool {
    report.scorers[0].leaves > 0
}

#[test]
fn a_fast_one_is_used_and_every_strategy_finds_the_same() {
    let folder = folder_of(&[(3000, 1024), (37, 8), (1000, 1024)]);
    let clock = HandClock::new();
    let alone = Farm::open([folder.path()], FarmOptions { block_bytes: 4096, ..FarmOptions::default() });
    let alone = alone.expect("good options");
    let sample = |rows| Strategy::Sample(NonZeroU64::new(rows).expect("rows"));
    for strategy in [Strategy::Full, Strategy::Adaptive, sample(1), sample(700), sample(2000)] {
        let options = options(strategy);
        let expected = alone.search(COLUMN, &challenges(2), None, None, &options).expect("a search");
        assert!(expected.scorers.is_empty());
        let knobs = Knobs::new(Habit::Honest, 0);
        let farm = farm_with_fake(folder.path(), &clock, &knobs);
        let check = |report: &SearchReport| check_same(report, &expected).unwrap_or_else(|error| panic!("{error}"));
        let report = search_until(&farm, &options, check, has_share);
        let scorer = &report.scorers[0];
        assert_eq!((&*scorer.name, &scorer.aside), ("fake:0", &None));
        assert!(scorer.leaves <= report.leaves() && knobs.blocks().len() >= 2);
    }
}

#[test]
fn the_check_of_equal_reports_can_fail() {
    let folder = folder_of(&[(200, 64), (37, 8)]);
    let farm = Farm::open([folder.path()], FarmOptions::default()).expect("good options");
    let report = farm.search(COLUMN, &challenges(2), None, None, &full()).expect("a search");
    check_same(&report, &report).expect("the control");
    let refuted = |change: fn(&mut SearchReport)| {
        let mut wrong = report.clone();
        change(&mut wrong);
        check_same(&wrong, &report).expect_err("a wrong report");
    };
    refuted(|wrong| wrong.ended = Ended::Deadline);
    refuted(|wrong| wrong.plots.truncate(1));
    refuted(|wrong| wrong.plots[1].leaves -= 1);
    refuted(|wrong| wrong.plots[0].bytes += 4096);
    refuted(|wrong| wrong.plots[0].best[1] = None);
    refuted(|wrong| wrong.plots[0].missed = Some(Missed::Deadline));
}

#[test]
fn several_share_a_search() {
    let folder = folder_of(&EVEN);
    let knobs = [(); 3].map(|()| Knobs::new(Habit::Honest, 0));
    let options = FarmOptions { block_bytes: 4096, ..FarmOptions::default() };
    let farm = Farm::open(
        [folder.path()],
        FarmOptions { scorers: scorers(&knobs.each_ref()), clock: HandClock::new(), ..options },
    );
    let farm = farm.expect("good options");
    let paths = paths_in(folder.path(), EVEN.len());
    let check = |report: &SearchReport| check_full(report, &paths).unwrap_or_else(|error| panic!("{error}"));
    for at in 0..3 {
        search_until(&farm, &full(), check, |report| report.scorers[at].leaves > 0);
    }
}

#[test]
fn a_slow_one_steps_aside_and_is_tried_again_later() {
    let folder = folder_of(&EVEN);
    let paths = paths_in(folder.path(), EVEN.len());
    let knobs = Knobs::new(Habit::Honest, 0);
    knobs.set_takes(2 * MS, 2 * MS);
    let farm = farm_with_fake(folder.path(), &HandClock::with_cpu(MS), &knobs);
    let check = |report: &SearchReport| {
        check_full(report, &paths).unwrap_or_else(|error| panic!("{error}"));
        assert!(!has_share(report), "it is measured, not used");
    };
    let slow = Some(Aside::Slow { cells: 128, bulk: 2 * MS, cpu: MS });
    let stepped_aside = |report: &SearchReport| report.scorers[0].aside == slow;
    search_until(&farm, &full(), check, stepped_aside);
    assert_eq!(knobs.blocks(), [128; 3], "it may warm up, then that is enough");
    // The verdict may have come after a search, which makes this the second that it stays aside.
    for _ in 0..31 {
        let report = search_until(&farm, &full(), check, |_| true);
        assert!(stepped_aside(&report) && knobs.blocks().len() == 3);
    }
    search_until(&farm, &full(), check, |_| knobs.blocks().len() > 3);
    // The control: a machine that changed is noticed.
    knobs.set_takes(MS / 2, MS / 2);
    let check = |report: &SearchReport| check_full(report, &paths).unwrap_or_else(|error| panic!("{error}"));
    search_until(&farm, &full(), check, has_share);
    // The other way round too.
    knobs.set_takes(2 * MS, 2 * MS);
    let report = search_until(&farm, &full(), check, |report| stepped_aside(report) && !has_share(report));
    check(&report);
}

#[test]
fn what_is_known_of_one_number_of_challenges_says_nothing_of_another() {
    let folder = folder_of(&EVEN);
    let paths = paths_in(folder.path(), EVEN.len());
    let knobs = Knobs::new(Habit::Honest, 0);
    knobs.set_takes(2 * MS, 2 * MS);
    let farm = farm_with_fake(folder.path(), &HandClock::with_cpu(MS), &knobs);
    let is_slow = |report: &SearchReport| matches!(report.scorers[0].aside, Some(Aside::Slow { .. }));
    search_until(&farm, &full(), |_| (), is_slow);
    knobs.set_takes(Duration::ZERO, Duration::ZERO);
    let search = |count| {
        let report = farm.search(COLUMN, &challenges(count), None, None, &full()).expect("a search");
        check_full(&report, &paths).unwrap_or_else(|error| panic!("{error}"));
        report
    };
    assert!((0..10_000).any(|_| has_share(&search(8))));
    assert!(is_slow(&search(2)), "the control");
    let nothing = farm.read_only(COLUMN, None, &full()).expect("a search");
    assert!(nothing.scorers.is_empty(), "there is nothing to score");
}

#[test]
fn small_blocks_stay_on_the_cpu() {
    // Of 128 cells and of one.
    let folder = folder_of(&[(2048, 2048), (60, 1), (2048, 2048)]);
    let paths = paths_in(folder.path(), 3);
    let knobs = Knobs::new(Habit::Honest, 0);
    knobs.set_takes(10 * MS, MS / 2);
    let farm = farm_with_fake(folder.path(), &HandClock::with_cpu(MS), &knobs);
    let check = |report: &SearchReport| check_full(report, &paths).unwrap_or_else(|error| panic!("{error}"));
    search_until(&farm, &full(), check, has_share);
    for _ in 0..20 {
        search_until(&farm, &full(), check, |_| true);
    }
    let blocks = knobs.blocks();
    let first_large = blocks.iter().position(|&cells| cells == 128).expect("it had a share");
    assert!(blocks[first_large..].iter().all(|&cells| cells == 128), "{blocks:?}");
}

#[test]
fn near_the_deadline_the_cpu_is_on_its_own() {
    let folder = folder_of(&EVEN);
    let paths = paths_in(folder.path(), EVEN.len());
    let clock = HandClock::new();
    let knobs = Knobs::new(Habit::Honest, 0);
    let farm = farm_with_fake(folder.path(), &clock, &knobs);
    let search = |left: Duration| {
        let deadline = clock.now() + left;
        let report = farm.search(COLUMN, &challenges(2), None, Some(deadline), &full()).expect("a search");
        check_full(&report, &paths).unwrap_or_else(|error| panic!("{error}"));
        report
    };
    let refused = || search(19 * MS).scorers[0].aside == Some(Aside::Deadline);
    assert!((0..10_000).any(|_| refused()), "it is offered a block some time");
    assert!(knobs.blocks().is_empty());
    // The control: with more time it has a share.
    assert!((0..10_000).any(|_| has_share(&search(1000 * MS))));
    let before = knobs.blocks().len();
    assert!((0..10_000).any(|_| refused()));
    assert_eq!(knobs.blocks().len(), before);
}

#[test]
fn a_winner_that_a_bulk_scorer_finds_ends_the_search() {
    // The first has one block with one winner; the second hangs, so nothing else ends the search.
    let folder = folder_of(&[(128, 128), (128, 128)]);
    let clock = HandClock::new();
    let disks = Arc::new(OddDisks::new(&clock, Duration::ZERO, false));
    let knobs = Knobs::new(Habit::Honest, 0);
    let options = FarmOptions { queue_depth: 1, block_bytes: 4096, ..FarmOptions::default() };
    let options = FarmOptions { disks: Arc::clone(&disks) as _, clock, scorers: scorers(&[&knobs]), ..options };
    let farm = Farm::open([folder.path()], options).expect("good options");
    let known = search_until(&farm, &full(), |_| (), has_share);
    let mut target = known.plots[0].best[1].expect("a leaf").score;
    *target.0.last_mut().expect("a byte") += 1;
    let (_began, release) = disks.hang(&plot_path(folder.path(), 1));
    let first = SearchOptions { stop_at_first_winner: true, ..full() };
    let search = || {
        let report = farm.search(COLUMN, &challenges(2), Some(Target(target.0)), None, &first).expect("a search");
        assert_eq!(report.ended, Ended::FirstWinner);
        assert_eq!(report.plots[0].best, known.plots[0].best);
        report.scorers[0].leaves == 128
    };
    assert!((0..10_000).any(|_| search()), "it has the winner some time");
    drop(release);
}

#[test]
fn there_is_a_bound_on_scorers() {
    let knobs = Knobs::new(Habit::Honest, 0);
    let most = [&knobs; MAX_SCORERS];
    let folder = folder_of(&[(37, 8)]);
    let (disks, clock) = (Arc::new(SystemDisks), HandClock::new());
    let options = FarmOptions { disks, clock, scorers: scorers(&most), ..FarmOptions::default() };
    let farm = Farm::open([folder.path()], options).expect("good options");
    let report = farm.search(COLUMN, &challenges(1), None, None, &full()).expect("a search");
    assert_eq!(report.scorers.len(), MAX_SCORERS);
    check_full(&report, &paths_in(folder.path(), 1)).expect("every row");
    let too_many = boxed(&[&knobs; MAX_SCORERS + 1]);
    assert!(matches!(Scorers::start(too_many), Err(ScorersError::TooMany(17))));
}
