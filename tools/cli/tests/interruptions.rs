//! SIGKILL, Ctrl-C, a second process, and disks that fill up.

mod support;

use std::time::{Duration, Instant};

use support::{MINER_KEY, Running, Tmpfs, names_in, run};

/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A plot that is grown in many batches: little memory, small segments.
fn create<'a>(out: &'a str, rows: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["-q", "plot", "create", "--network", "local", "--miner-key", MINER_KEY, "--seed"];
    arguments.push("5555555555555555555555555555555555555555555555555555555555555555");
    arguments.extend(["--log2-columns", "7", "--rounds", "3", "--rows", rows, "--segment-rows", "512"]);
    arguments.extend(["--memory", "16MiB", "--threads", "2", "--name", "x", "--out", out]);
    arguments.extend(more);
    arguments
}

/// Waits until `holds`, or fails the test.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// A pseudo-random number that differs from run to run, printed so that a failure can be told apart.
fn draws() -> impl Iterator<Item = f64> {
    let mut state =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    println!("seed of the moments: {state}");
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    })
}

#[test]
fn twenty_kills_at_random_moments_end_in_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = "16384";
    let began = Instant::now();
    run(folder.path(), &create("whole", rows, &[])).expect(0, &[]);
    let whole_time = began.elapsed();
    let whole = std::fs::read(folder.path().join("whole/x.plot")).expect("a plot");

    let mut draws = draws();
    let (mut kills, mut killed_while_growing) = (0, 0);
    while kills < 20 {
        let out = folder.path().join("killed");
        std::fs::create_dir_all(&out).expect("a folder");
        let arguments = create("killed", rows, &[]);
        // Killed once, and its resuming killed too, now and then.
        let mut arguments: Vec<&str> = arguments;
        loop {
            let mut running = Running::start(folder.path(), &arguments);
            let moment = whole_time.mul_f64(1.1 * draws.next().expect("draws do not end"));
            std::thread::sleep(moment); // the moment is what is random here; there is nothing to wait for
            running.0.kill().expect("a process of ours");
            running.0.wait().expect("it ends");
            kills += 1;
            if !out.join("x.plot.tmp").exists() {
                break;
            }
            killed_while_growing += 1;
            arguments = vec!["plot", "resume", "killed", "--memory", "24MiB"];
            if draws.next().expect("draws do not end") < 0.7 {
                break;
            }
        }
        run(folder.path(), &["plot", "resume", "killed"]).expect(0, &[]);
        if !out.join("x.plot").exists() {
            // Killed before the plot had its name: there is nothing, and nothing is in the way.
            assert_eq!(names_in(&out), Vec::<String>::new());
            run(folder.path(), &create("killed", rows, &[])).expect(0, &[]);
        }
        assert_eq!(names_in(&out), ["x.plot"], "the plot alone remains");
        assert!(std::fs::read(out.join("x.plot")).expect("a plot") == whole, "the bytes are the uninterrupted ones");
        run(folder.path(), &["plot", "resume", "killed"]).expect(0, &[]);
        std::fs::remove_dir_all(&out).expect("a folder of ours");
    }
    assert!(killed_while_growing > 0, "some of the kills came while it grew");
}

#[test]
fn ctrl_c_leaves_a_plot_that_resume_finishes() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &create("whole", "2048", &[])).expect(0, &[]);
    for signal in ["-INT", "-TERM"] {
        std::fs::write(folder.path().join("pause"), "").expect("a file");
        let mut running = Running::start(folder.path(), &create("out", "2048", &["--pause-file", "pause"]));
        wait_until("the plot begins", || folder.path().join("out/x.plot.tmp").exists());
        running.signal(signal);
        let status = running.0.wait().expect("it ends");
        assert_eq!(status.code(), Some(130));
        assert_eq!(names_in(&folder.path().join("out")), ["x.plot.tmp"]);
        std::fs::remove_file(folder.path().join("pause")).expect("our file");
        let resumed = run(folder.path(), &["plot", "resume", "out/x.plot.tmp", "--json"]).expect(0, &[]);
        assert!(resumed.stdout.lines().last().is_some_and(|line| line.contains("\"plot_id\"")), "{resumed:#?}");
        let finished_name = |line: &str| line.contains("\"path\":\"out/x.plot\"");
        assert!(resumed.stdout.lines().all(finished_name), "one path in one stream: {resumed:#?}");
        let read = |name: &str| std::fs::read(folder.path().join(name)).expect("a plot");
        assert!(read("out/x.plot") == read("whole/x.plot"));
        std::fs::remove_dir_all(folder.path().join("out")).expect("a folder of ours");
    }
}

#[test]
fn a_plot_being_made_is_left_alone_by_others() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("pause"), "").expect("a file");
    let mut running = Running::start(folder.path(), &create("out", "2048", &["--pause-file", "pause"]));
    wait_until("the plot begins", || folder.path().join("out/x.plot.tmp").exists());
    let holder = format!("process {} (spacetime)", running.0.id());
    run(folder.path(), &create("out", "2048", &[])).expect(1, &["x.plot.tmp", &holder]);
    run(folder.path(), &create("out", "2048", &["--force"])).expect(1, &["x.plot.tmp", &holder]);
    run(folder.path(), &["plot", "resume", "out"]).expect(1, &["x.plot.tmp", &holder]);
    run(folder.path(), &["plot", "remove", "--yes", "out/x.plot.tmp"]).expect(1, &["x.plot.tmp"]);
    std::fs::remove_file(folder.path().join("pause")).expect("our file");
    assert_eq!(running.0.wait().expect("it ends").code(), Some(0), "the first is not disturbed");
    assert_eq!(names_in(&folder.path().join("out")), ["x.plot"]);
    // The control: nobody is at work any more.
    run(folder.path(), &["plot", "resume", "out"]).expect(0, &[]);
    run(folder.path(), &["plot", "remove", "--yes", "out/x.plot"]).expect(0, &[]);
}

#[test]
fn full_disks_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Tmpfs::mount(&folder.path().join("disk"), "size=48m") else {
        eprintln!("SKIPPED: full_disks_lose_nothing: mounting a tmpfs is not allowed here");
        return;
    };
    // At the start: 32768 rows are 128 MiB. Nothing is left behind, not even half a name.
    run(folder.path(), &create("disk", "32768", &[])).expect(1, &["disk/x.plot", "no space"]);
    assert_eq!(names_in(&disk.0), Vec::<String>::new());

    // In the middle: the space that was there at the start is taken by another file before it is written to.
    std::fs::write(folder.path().join("pause"), "").expect("a file");
    let more = ["--pause-file", "pause", "--no-preallocate"];
    let mut running = Running::start(folder.path(), &create("disk", "8192", &more));
    wait_until("the plot begins", || disk.0.join("x.plot.tmp").exists());
    std::fs::write(disk.0.join("other"), vec![1; 30 << 20]).expect("there is room for it still");
    std::fs::remove_file(folder.path().join("pause")).expect("our file");
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut running.0.stderr.take().expect("a pipe"), &mut stderr).expect("UTF-8");
    assert_eq!(running.0.wait().expect("it ends").code(), Some(1), "{stderr}");
    assert!(stderr.contains("x.plot.tmp") && stderr.contains("No space left"), "{stderr}");
    assert_eq!(names_in(&disk.0), ["other", "x.plot.tmp"]);

    std::fs::remove_file(disk.0.join("other")).expect("our file");
    run(folder.path(), &["plot", "resume", "disk"]).expect(0, &[]);
    run(folder.path(), &create("whole", "8192", &[])).expect(0, &[]);
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("a plot");
    assert!(read("disk/x.plot") == read("whole/x.plot"));
}
