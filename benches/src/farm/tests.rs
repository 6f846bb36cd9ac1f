use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};
use spacetime_kernels::{Shape, network_tag};
use spacetime_plotter::{Control, Cpu, CreateOptions, PlotParams, create};
use spacetime_prover::FarmOptions;
use spacetime_prover::farm::{Clock, Disks, FarmPlot, SystemDisks};

use super::*;

/// Dropped when its time comes, which closes the channel.
type Alarm = (Instant, Sender<Instant>);

/// A clock that only reads turn, and disks whose reads take their time by it.
#[derive(Debug)]
struct SlowDisks {
    began: Instant,
    a_read_takes: Duration,
    hands: Mutex<(Duration, Vec<Alarm>)>,
}

impl SlowDisks {
    fn turn(&self, by: Duration) {
        let mut hands = self.hands.lock().expect("no test panics with this lock");
        hands.0 += by;
        let now = self.began + hands.0;
        hands.1.retain(|(at, _)| *at > now);
    }
}

impl Clock for SlowDisks {
    fn now(&self) -> Instant {
        self.began + self.hands.lock().expect("no test panics with this lock").0
    }

    fn alarm(&self, at: Instant) -> Receiver<Instant> {
        let (sender, receiver) = bounded(0);
        self.hands.lock().expect("no test panics with this lock").1.push((at, sender));
        self.turn(Duration::ZERO);
        receiver
    }
}

impl Disks for SlowDisks {
    fn disk_of(&self, plot: &FarmPlot) -> u64 {
        u64::from(plot.plot().header().seed[0])
    }

    fn read(&self, plot: &FarmPlot, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        self.turn(self.a_read_takes);
        SystemDisks.read(plot, buffer, offset_bytes)
    }
}

fn plot(folder: &Path, seed: u8) {
    let params = PlotParams {
        miner_key: [7; 48],
        seed: [seed; 32],
        network: network_tag("bench"),
        shape: Shape::new(4, 1).expect("a shape"),
        rows: 512,
        rows_per_segment: Some(128),
        first_row: None,
    };
    let (engine, control) = (Cpu(Backend::PORTABLE), Control::default());
    let options = CreateOptions {
        engine: &engine,
        growers: &[],
        cpu_grows: true,
        threads: 1,
        memory: None,
        force: false,
        preallocate: true,
        control: &control,
        events: &|_| (),
    };
    create(&params, &folder.join(format!("{seed}.plot")), &options).expect("a small plot");
}

/// Rehearses three windows on two disks; a column is four reads on each.
fn rehearsal(window: Duration, budget: Duration, a_read_takes: Duration) -> Rehearsal {
    let folder = tempfile::tempdir().expect("a folder");
    (1..=2).for_each(|seed| plot(folder.path(), seed));
    let slow = Arc::new(SlowDisks { began: Instant::now(), a_read_takes, hands: Mutex::default() });
    let disks = TimedDisks::new(Arc::clone(&slow) as _, Arc::clone(&slow) as _);
    let options = FarmOptions {
        queue_depth: 1,
        block_bytes: 4096,
        disks: Arc::clone(&disks) as _,
        clock: Arc::clone(&slow) as _,
        // Slow as they are, they do not hang.
        stall_limit: 3600 * SECOND,
        ..FarmOptions::default()
    };
    let farm = Farm::open([folder.path()], options).expect("good options");
    let options = Options {
        window,
        windows: 3,
        challenges: 2,
        budget,
        backend: Backend::PORTABLE,
        threads: 2,
        cancel: Cancel::new(),
    };
    rehearse(&farm, &disks, &options).expect("good options")
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_generous_window_is_not_missed() {
    let found = rehearsal(60 * SECOND, 3600 * SECOND, SECOND);
    assert_eq!((found.windows(), found.missed, found.disks.len(), found.cancelled), (3, 0, 2, false));
    for disk in &found.disks {
        assert_eq!((disk.plots, disk.rows, disk.plots_bytes, disk.missed), (1, 512, 512 * 512, 0));
        // Both disks turn the one clock, so that each takes four seconds to eight.
        assert!(disk.answers_ms.iter().all(|answer| (4000.0..=8000.0).contains(answer)), "{disk:?}");
        let served = disk.served().expect("three rounds");
        assert!((32768.0..=65536.0).contains(&served), "512 rows of 512 bytes in 4 to 8 s: {served}");
    }
}

#[test]
fn a_window_that_is_too_short_is_missed() {
    let found = rehearsal(3 * SECOND, 3600 * SECOND, SECOND);
    assert_eq!((found.windows(), found.missed), (3, 3));
    assert!(found.disks.iter().all(|disk| disk.missed == 3 && disk.answers_ms.len() == 3), "{found:?}");
}

#[test]
fn slow_disks_are_cut_off_in_time() {
    // The first window is cut off after ten seconds, long after it was missed.
    let found = rehearsal(3 * SECOND, 10 * SECOND, 4 * SECOND);
    assert_eq!((found.windows(), found.missed), (1, 1));
    assert!(found.disks.iter().any(|disk| disk.missed == 1), "{found:?}");
    // Time for one round and not for two: no window is cut off.
    let found = rehearsal(60 * SECOND, 30 * SECOND, SECOND);
    assert_eq!((found.windows(), found.missed), (1, 0));
}

#[test]
fn called_off_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    plot(folder.path(), 1);
    let disks = TimedDisks::system();
    let options = FarmOptions { disks: Arc::clone(&disks) as _, ..FarmOptions::default() };
    let farm = Farm::open([folder.path()], options).expect("good options");
    let options = Options {
        window: SECOND,
        windows: 3,
        challenges: 8,
        budget: SECOND,
        backend: Backend::fastest(),
        threads: 1,
        cancel: Cancel::new(),
    };
    options.cancel.cancel();
    let found = rehearse(&farm, &disks, &options).expect("good options");
    assert!(found.cancelled && found.windows() == 0, "{found:?}");
}

#[test]
fn challenges_are_not_alike() {
    let drawn: std::collections::HashSet<_> = (0..100).map(|_| random_challenge()).collect();
    assert_eq!(drawn.len(), 100);
}
