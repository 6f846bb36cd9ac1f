//! Deadlines, calling off, disks that hang and plots that fail. Time is turned
//! by hand, and what has to happen first is awaited.

mod common;
mod farming;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use farming::{
    COLUMN, Fault, HandClock, LONG, OddDisks, challenges, check_full, farm_stalling, folder_of, full, options,
    paths_in, plot_path, write,
};
use spacetime_kernels::Target;
use spacetime_prover::farm::{Cancel, Clock, Ended, FoundLeaf, Looks, Missed, SystemDisks};
use spacetime_prover::{Farm, FarmOptions, LayoutError, PlotError, SearchOptions, SearchReport, Strategy};

const SECOND: Duration = Duration::from_secs(1);

struct Scene {
    clock: Arc<HandClock>,
    disks: Arc<OddDisks>,
    farm: Farm,
}

fn scene(folder: &Path, a_read_takes: Duration, one_disk: bool) -> Scene {
    scene_stalling(folder, LONG, a_read_takes, one_disk)
}

/// A disk is given up that finishes nothing for as long.
fn scene_stalling(folder: &Path, stall_limit: Duration, a_read_takes: Duration, one_disk: bool) -> Scene {
    let clock = HandClock::new();
    let disks = Arc::new(OddDisks::new(&clock, a_read_takes, one_disk));
    let farm = farm_stalling(folder, stall_limit, Arc::clone(&disks) as _, Arc::clone(&clock) as _);
    Scene { clock, disks, farm }
}

impl Scene {
    fn search(&self, deadline: Option<Duration>, options: &SearchOptions) -> SearchReport {
        let deadline = deadline.map(|after| self.clock.now() + after);
        self.farm.search(COLUMN, &challenges(2), None, deadline, options).expect("a search")
    }

    /// Searches without a deadline beside `meanwhile`, and calls it off where it does not end.
    fn search_beside(&self, meanwhile: impl FnOnce()) -> SearchReport {
        let options = SearchOptions { cancel: Cancel::new(), ..full() };
        std::thread::scope(|scope| {
            let (to, found) = bounded(1);
            let options = &options;
            scope.spawn(move || to.send(self.search(None, options)).expect("it is awaited"));
            meanwhile();
            let in_time = found.recv_timeout(60 * SECOND);
            options.cancel.cancel();
            in_time.unwrap_or_else(|_| found.recv().expect("a search"))
        })
    }
}

/// Whether nothing is known of a plot because its disk hangs.
fn hung(report: &SearchReport, plot: usize) -> bool {
    let why = report.plots[plot].missed.as_ref().map(ToString::to_string).unwrap_or_default();
    why.ends_with(&format!("{plot}.plot: cannot read: the disk hangs: no read finished within 5 s"))
}

#[test]
fn disks_are_read_in_ascending_order() {
    let folder = folder_of(&[(1000, 256), (300, 128)]);
    let Scene { disks, farm, .. } = &scene(folder.path(), Duration::ZERO, true);
    let report = farm.search(COLUMN, &challenges(1), None, None, &full()).expect("a search");
    check_full(&report, &paths_in(folder.path(), 2)).expect("every row");
    let reads = disks.take_reads();
    // Strips of 8192, 8192, 8192 and, across page bounds, 7424 bytes; of 4096, 4096 and 1408.
    assert_eq!(reads.len(), (2 + 2 + 2 + 3) + (1 + 1 + 1));
    assert!(reads.is_sorted() && reads.iter().all(|(_, offset)| offset % 4096 == 0), "{reads:?}");
}

#[test]
fn a_deadline_in_the_past_reads_nothing() {
    let folder = folder_of(&[(37, 8), (5, 4)]);
    let scene = scene(folder.path(), SECOND, false);
    for strategy in [Strategy::Full, Strategy::Adaptive] {
        let report = scene.search(Some(Duration::ZERO), &options(strategy));
        assert_eq!((report.ended, report.leaves(), report.best(0)), (Ended::Deadline, 0, None));
        assert!(report.plots.iter().all(|plot| matches!(plot.missed, Some(Missed::Deadline))));
        assert!(scene.disks.take_reads().is_empty());
    }
    // The control: a later one does.
    check_full(&scene.search(Some(100 * SECOND), &full()), &paths_in(folder.path(), 2)).expect("every row");
}

#[test]
fn a_deadline_ends_a_slow_sweep() {
    // 100 reads of a second each.
    let folder = folder_of(&[(6400, 8192), (6400, 8192)]);
    let scene = scene(folder.path(), SECOND, true);
    let report = scene.search(Some(60 * SECOND), &full());
    assert_eq!(report.ended, Ended::Deadline);
    assert_eq!((scene.disks.take_reads().len(), report.took), (60, 60 * SECOND));
    assert!(report.leaves() <= 60 * 128);
    assert!(report.plots.iter().all(|plot| plot.leaves < plot.planned || plot.missed.is_none()));
    assert!(matches!(report.plots[1].missed, Some(Missed::Deadline)));
    check_full(&scene.search(Some(101 * SECOND), &full()), &paths_in(folder.path(), 2)).expect("every row");
}

#[test]
fn what_was_found_so_far_is_told_on_the_way() {
    // 100 reads of a second each.
    let folder = folder_of(&[(6400, 8192), (6400, 8192)]);
    let scene = scene(folder.path(), SECOND, true);
    let at: Vec<_> = (1..10).map(|number| scene.clock.now() + 10 * number * SECOND).collect();
    let mut told: Vec<SearchReport> = Vec::new();
    let mut tell = |place, report| {
        assert_eq!(place, told.len());
        told.push(report);
    };
    let looks = Looks { at: &at, tell: &mut tell };
    let found = scene.farm.search_and_tell(COLUMN, &challenges(2), None, None, &full(), looks).expect("a search");
    check_full(&found, &paths_in(folder.path(), 2)).expect("every row");
    // Those that lie behind the end do not come.
    assert!((8..=9).contains(&told.len()), "{} looks", told.len());
    assert!(told.last().is_some_and(|last| last.leaves() > 50 * 128), "most was read long before");
    assert!(told.iter().is_sorted_by_key(SearchReport::leaves));
    for report in &told {
        assert_eq!(report.ended, Ended::Deadline);
        for plot in &report.plots {
            assert_eq!(matches!(plot.missed, Some(Missed::Deadline)), plot.leaves < plot.planned);
        }
        for challenge in 0..2 {
            let better = |so_far: FoundLeaf| found.best(challenge).is_some_and(|best| best.score <= so_far.score);
            assert!(report.best(challenge).is_none_or(better));
        }
    }
}

#[test]
fn a_hanging_disk_does_not_keep_from_telling() {
    let folder = folder_of(&[(37, 8), (200, 64)]);
    let paths = paths_in(folder.path(), 2);
    let scene = scene(folder.path(), Duration::ZERO, false);
    let (began, release) = scene.disks.hang(&paths[0]);
    let mut release = Some(release);
    let at = [scene.clock.now() + SECOND];
    let found = std::thread::scope(|scope| {
        let search = scope.spawn(|| {
            let mut tell = |_, report: SearchReport| {
                assert_eq!(report.plots[0].leaves, 0);
                assert!(matches!(report.plots[0].missed, Some(Missed::Deadline)));
                scene.disks.set_fault(&paths[0], None);
                drop(release.take());
            };
            let looks = Looks { at: &at, tell: &mut tell };
            scene.farm.search_and_tell(COLUMN, &challenges(2), None, None, &full(), looks).expect("a search")
        });
        began.recv().expect("a read begins");
        scene.clock.turn(SECOND);
        search.join().expect("a search")
    });
    // It goes on all the same.
    check_full(&found, &paths).expect("every row");
}

#[test]
fn a_hanging_disk_does_not_hold_up_the_others() {
    let folder = folder_of(&[(37, 8), (200, 64)]);
    let paths = paths_in(folder.path(), 2);
    let scene = scene(folder.path(), Duration::ZERO, false);
    let (began, release) = scene.disks.hang(&paths[0]);
    let search = |alone: bool| {
        let report = std::thread::scope(|scope| {
            let search = scope.spawn(|| scene.search(Some(SECOND), &full()));
            if !alone {
                began.recv().expect("a read begins");
            }
            // The other disk is not held up: it is read before the time runs out.
            scene.disks.await_read(&paths[1]);
            scene.disks.take_reads();
            scene.clock.turn(SECOND);
            search.join().expect("a search")
        });
        assert_eq!(report.ended, Ended::Deadline);
        assert!(matches!(report.plots[0].missed, Some(Missed::Deadline)));
        assert_eq!(report.plots[0].leaves, 0);
    };
    search(false);
    // Its one read is still out, so no second one piles up on the disk.
    search(true);
    assert!(began.is_empty(), "a disk that hangs is not asked again");
    scene.disks.set_fault(&paths[0], None);
    drop(release);
    check_full(&scene.search(None, &full()), &paths).expect("every row");
}

#[test]
fn a_disk_that_hangs_costs_its_own_plots_alone() {
    // Ten reads of a second each, and what hangs meanwhile.
    let folder = folder_of(&[(37, 8), (1280, 2048)]);
    let paths = paths_in(folder.path(), 2);
    let scene = scene_stalling(folder.path(), 5 * SECOND, SECOND, false);
    let ((began, release), (ready, go)) = (scene.disks.hang(&paths[0]), scene.disks.hang(&paths[1]));
    let report = scene.search_beside(|| {
        began.recv().expect("a read begins");
        ready.recv().expect("a read begins");
        drop(go);
    });
    assert_eq!((report.ended, report.plots[0].leaves), (Ended::Swept, 0));
    assert!(hung(&report, 0), "{:?}", report.plots[0]);
    assert!(report.plots[1].missed.is_none() && report.plots[1].leaves == 1280, "{:?}", report.plots[1]);
    // It is left alone as long as nothing comes back from it.
    scene.disks.take_reads();
    let report = scene.search_beside(|| ());
    assert_eq!(report.ended, Ended::Swept);
    assert!(hung(&report, 0) && report.plots[1].leaves == 1280);
    assert!(began.is_empty() && scene.disks.take_reads().iter().all(|(path, _)| *path != paths[0]));
    scene.disks.set_fault(&paths[0], None);
    scene.disks.make_fast();
    drop(release);
    while scene.farm.plots()[0].disk_hangs() {
        std::thread::yield_now();
    }
    check_full(&scene.search_beside(|| ()), &paths).expect("every row");
}

#[test]
fn a_plot_that_cannot_be_opened_anew_in_time_holds_up_nobody() {
    let folder = folder_of(&[(37, 8), (200, 64)]);
    let paths = paths_in(folder.path(), 2);
    let scene = scene_stalling(folder.path(), 5 * SECOND, Duration::ZERO, false);
    scene.disks.set_fault(&paths[0], Some(Fault::Fails));
    scene.search(None, &full());
    let ((began, release), before) = (scene.disks.hang(&paths[0]), scene.clock.alarms_set());
    let report = scene.search_beside(|| {
        began.recv().expect("it is opened");
        scene.clock.await_alarm(before);
        scene.clock.turn(5 * SECOND);
    });
    assert_eq!((report.ended, report.plots[1].leaves), (Ended::Swept, 200));
    assert!(hung(&report, 0), "{:?}", report.plots[0]);
    scene.disks.set_fault(&paths[0], None);
    drop(release);
    check_full(&scene.search_beside(|| ()), &paths).expect("every row");
}

#[test]
fn a_call_that_hangs_is_left_behind() {
    let folder = folder_of(&[(37, 8), (200, 64)]);
    let scene = scene_stalling(folder.path(), 5 * SECOND, Duration::ZERO, false);
    let (hanging, healthy) = (&scene.farm.plots()[0], &scene.farm.plots()[1]);
    let (release, released) = bounded::<()>(0);
    let call = || {
        let released = released.clone();
        scene.farm.call(hanging, move |_| released.recv().is_err())
    };
    for _ in 0..4 {
        std::thread::scope(|scope| {
            let before = scene.clock.alarms_set();
            let call = scope.spawn(call);
            scene.clock.await_alarm(before);
            scene.clock.turn(5 * SECOND);
            let error = call.join().expect("a call").expect_err("it hangs");
            assert_eq!(error.to_string(), "the disk hangs: no read finished within 5 s");
        });
    }
    assert!(call().is_err(), "no more pile up");
    assert_eq!(scene.farm.call(healthy, |plot| plot.plot_id()).expect("an answer"), healthy.plot_id());
    drop(release);
    while call().is_err() {}
}

#[test]
fn a_search_is_called_off_from_another_thread() {
    let folder = folder_of(&[(37, 8), (200, 64)]);
    let scene = scene(folder.path(), Duration::ZERO, true);
    let (began, release) = scene.disks.hang(&plot_path(folder.path(), 0));
    let cancel = Cancel::new();
    let options = SearchOptions { cancel: cancel.clone(), ..full() };
    let report = std::thread::scope(|scope| {
        let search = scope.spawn(|| scene.search(None, &options));
        began.recv().expect("a read begins");
        assert!(!cancel.is_cancelled());
        cancel.cancel();
        search.join().expect("a search")
    });
    assert_eq!((report.ended, report.leaves()), (Ended::Cancelled, 0));
    assert!(report.plots.iter().all(|plot| matches!(plot.missed, Some(Missed::Cancelled))));
    drop(release);
    // Once used, a token calls off what is still to come; another one does not.
    assert_eq!(scene.search(None, &options).ended, Ended::Cancelled);
    scene.disks.set_fault(&plot_path(folder.path(), 0), None);
    check_full(&scene.search(None, &full()), &paths_in(folder.path(), 2)).expect("every row");
}

#[test]
fn the_first_winner_is_enough_if_asked() {
    let folder = folder_of(&[(200, 64), (37, 8)]);
    let scene = scene(folder.path(), Duration::ZERO, false);
    let (began, release) = scene.disks.hang(&plot_path(folder.path(), 1));
    let options = SearchOptions { stop_at_first_winner: true, ..full() };
    let search = |target, options: &SearchOptions| {
        scene.farm.search(COLUMN, &challenges(2), Some(target), None, options).expect("a search")
    };
    // The other plot hangs, so only a winner can end this search.
    let report = search(Target::MAX, &options);
    assert_eq!(report.ended, Ended::FirstWinner);
    assert!(report.wins(&report.best(0).expect("a leaf")));
    assert!(matches!(report.plots[1].missed, Some(Missed::FirstWinner)));
    scene.disks.set_fault(&plot_path(folder.path(), 1), None);
    drop((began, release));
    // The controls: nothing wins, and nobody asked.
    assert_eq!(search(Target([0; 32]), &options).ended, Ended::Swept);
    check_full(&search(Target::MAX, &full()), &paths_in(folder.path(), 2)).expect("every row");
}

#[test]
fn a_plot_that_fails_costs_itself_only() {
    let folder = folder_of(&[(1000, 1024), (200, 64), (37, 8)]);
    let paths = paths_in(folder.path(), 3);
    for one_disk in [false, true] {
        let scene = scene(folder.path(), Duration::ZERO, one_disk);
        scene.disks.set_fault(&paths[1], Some(Fault::Fails));
        let report = scene.search(None, &full());
        assert_eq!(report.ended, Ended::Swept);
        let Some(Missed::Read(error)) = &report.plots[1].missed else { panic!("{:?}", report.plots[1]) };
        assert!(error.to_string().ends_with("1.plot: cannot read: the disk is broken"), "{error}");
        assert_eq!(report.plots[1].leaves, 0);
        assert!(Arc::ptr_eq(&scene.farm.plots()[1].read_error().expect("it is kept"), error));
        assert_eq!((report.plots[0].leaves, report.plots[2].leaves), (1000, 37));
        // It is read again next time, and its error goes when it can be.
        scene.disks.set_fault(&paths[1], None);
        check_full(&scene.search(None, &full()), &paths).expect("every row");
        assert!(scene.farm.plots()[1].read_error().is_none());
    }
}

#[test]
fn what_was_found_before_a_plot_failed_still_counts() {
    let folder = folder_of(&[(1024, 1024)]);
    let scene = scene(folder.path(), Duration::ZERO, true);
    let plot = &scene.farm.plots()[0];
    let bad = plot.plot().layout().strip(0, COLUMN).offset_bytes + 8192;
    scene.disks.set_fault(plot.path(), Some(Fault::FailsFrom(bad)));
    let report = scene.search(None, &full());
    assert!(matches!(report.plots[0].missed, Some(Missed::Read(_))));
    assert_eq!((report.plots[0].leaves, report.best(1).expect("a leaf").row < 256), (256, true));
}

#[test]
fn a_file_cut_short_after_opening_is_missed_until_it_is_whole() {
    let folder = folder_of(&[(1000, 1024), (200, 64)]);
    let (path, paths) = (plot_path(folder.path(), 0), paths_in(folder.path(), 2));
    let whole = fs::read(&path).expect("a file");
    // With direct reads and, as a test may run where there are none, whatever there is.
    let farm = Farm::open([folder.path()], FarmOptions { disks: Arc::new(SystemDisks), ..FarmOptions::default() });
    let farm = farm.expect("good options");
    let search = || farm.search(COLUMN, &challenges(1), None, None, &full()).expect("a search");
    check_full(&search(), &paths).expect("every row");
    let strip = farm.plots()[0].plot().layout().strip(0, COLUMN);
    for cut in [0, strip.offset_bytes, strip.offset_bytes + 5000, strip.offset_bytes + 8192] {
        File::options().write(true).open(&path).and_then(|file| file.set_len(cut)).expect("a file");
        let report = search();
        assert!(matches!(&report.plots[0].missed, Some(Missed::Read(_))), "cut to {cut}: {:?}", report.plots[0]);
        assert_eq!(report.plots[1].leaves, 200);
        // Opened anew, its size does not fit.
        let again = search();
        let Some(Missed::Read(error)) = &again.plots[0].missed else { panic!("cut to {cut}") };
        let truncated = matches!(**error, PlotError::Layout { source: LayoutError::Truncated { .. }, .. });
        assert!(truncated || matches!(**error, PlotError::Short { found: 0, .. }), "{error}");
        fs::write(&path, &whole).expect("a file");
        check_full(&search(), &paths).expect("every row");
    }
    // Another plot in its place is not searched under the old name.
    File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("a file");
    search();
    fs::rename(write(folder.path(), 7, 37, 8), &path).expect("a rename");
    assert!(matches!(search().plots[0].missed, Some(Missed::Replaced)));
    assert_eq!(farm.refresh().replaced, [path]);
    check_full(&search(), &paths).expect("every row");
}

#[test]
fn adaptive_reads_all_where_it_fits_and_a_sample_where_not() {
    // 100 reads of a second each, in two plots.
    let folder = folder_of(&[(9600, 16_384), (3200, 4096)]);
    let paths = paths_in(folder.path(), 2);
    let scene = scene(folder.path(), SECOND, true);
    let adaptive = options(Strategy::Adaptive);
    let sampled = |report: &SearchReport, reads: std::ops::Range<usize>| {
        assert_eq!(report.ended, Ended::Swept, "a sample that fits ends before the deadline");
        let took = scene.disks.take_reads().len();
        assert!(reads.contains(&took), "{took} reads");
        for plot in &report.plots {
            assert!(plot.missed.is_none() && plot.leaves == plot.planned && plot.leaves >= 128, "{plot:?}");
        }
        // Each has its share, up to what measured the rate in the first.
        assert!(report.plots[0].leaves > 2 * report.plots[1].leaves);
    };
    // Nothing is known: a few reads show the rate, then the rest is cut to fit.
    sampled(&scene.search(Some(50 * SECOND), &adaptive), 20..51);
    // Now the rate is known.
    sampled(&scene.search(Some(50 * SECOND), &adaptive), 30..51);
    sampled(&scene.search(Some(20 * SECOND), &adaptive), 10..21);
    // With time enough every row is read, whether the rate is known or not.
    check_full(&scene.search(Some(200 * SECOND), &adaptive), &paths).expect("every row");
    let fresh = self::scene(folder.path(), SECOND, true);
    check_full(&fresh.search(Some(200 * SECOND), &adaptive), &paths).expect("every row");
}

#[test]
fn the_real_clock_ends_a_search_too() {
    let folder = folder_of(&[(37, 8)]);
    let clock = HandClock::new();
    let disks = Arc::new(OddDisks::new(&clock, Duration::ZERO, true));
    let (_began, release) = disks.hang(&plot_path(folder.path(), 0));
    let farm = Farm::open([folder.path()], FarmOptions { disks, ..FarmOptions::default() }).expect("good options");
    let deadline = Instant::now() + Duration::from_millis(50);
    let report = farm.search(COLUMN, &challenges(1), None, Some(deadline), &full()).expect("a search");
    assert!(report.ended == Ended::Deadline && Instant::now() >= deadline);
    drop(release);
}
