//! Several plots at once, staging, parts and merges, compaction.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{MINER_KEY, Ran, names_in, run};

fn create(folder: &Path, more: &[&str]) -> Ran {
    let arguments = ["-q", "plot", "create", "--network", "local", "--miner-key", MINER_KEY, "--memory", "64MiB"];
    run(folder, &[&arguments[..], more].concat())
}

/// The finished plots that a run told of.
fn done(ran: &Ran) -> Vec<Value> {
    let lines = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object a line"));
    lines.filter(|line| line["event"] == "done").collect()
}

#[test]
fn several_folders_are_filled_each_plot_with_a_seed_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let made = create(folder, &["--rows", "40", "--out", "a", "b", "--name", "x", "--count", "5", "--json"]);
    let done = done(&made.expect(0, &[]));
    assert_eq!(done.len(), 5);
    let all = [names_in(&folder.join("a")), names_in(&folder.join("b"))].concat();
    assert_eq!(all.len(), 5, "{all:?}");
    let distinct = |field: &str| {
        let mut values: Vec<_> = done.iter().map(|plot| plot[field].as_str().expect("a string")).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    assert_eq!([distinct("seed"), distinct("plot_id"), distinct("root"), distinct("path")], [5; 4]);
    run(folder, &["plot", "check", "a", "b"]).expect(0, &[]);
    // Without a count each folder gets one.
    create(folder, &["--rows", "40", "--out", "c", "--out", "d"]).expect(0, &[]);
    assert_eq!([names_in(&folder.join("c")).len(), names_in(&folder.join("d")).len()], [1, 1]);
}

#[test]
fn staged_plots_are_those_made_in_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let seed = "07".repeat(32);
    let same = ["--rows", "300", "--segment-rows", "64", "--name", "x", "--seed", &seed];
    create(folder, &[&same[..], &["--out", "straight"]].concat()).expect(0, &[]);
    create(folder, &[&same[..], &["--out", "final", "--staging", "fast"]].concat()).expect(0, &[]);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a plot");
    assert!(read("straight/x.plot") == read("final/x.plot"));
    assert_eq!(names_in(&folder.join("final")), ["x.plot"]);
    assert_eq!(names_in(&folder.join("fast")), Vec::<String>::new(), "nothing stays in the staging folder");
    create(folder, &["--rows", "40", "--out", "many", "more", "--staging", "fast", "--count", "4"]).expect(0, &[]);
    assert_eq!(names_in(&folder.join("many")).len() + names_in(&folder.join("more")).len(), 4);
    assert_eq!(names_in(&folder.join("fast")), Vec::<String>::new());
    create(folder, &["--rows", "40", "--out", "fast", "--staging", "fast"]).expect(2, &["fast"]);
}

#[test]
fn parts_merge_to_the_whole_and_compact_to_one_sweep() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let seed = "09".repeat(32);
    let same = ["--segment-rows", "128", "--seed", &seed, "--out", "out"];
    let make =
        |name: &str, more: &[&str]| create(folder, &[&same[..], &["--name", name], more].concat()).expect(0, &[]);
    make("whole", &["--rows", "600"]);
    make("first", &["--rows", "256", "--first-row", "0"]);
    make("second", &["--rows", "344", "--first-row", "256"]);
    let merge = |out: &str, parts: &[&str]| run(folder, &[&["plot", "merge", "--out", out], parts].concat());
    merge("new/merged.plot", &["out/second.plot", "out/first.plot"]).expect(0, &[]);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a plot");
    assert!(read("new/merged.plot") == read("out/whole.plot"));
    merge("new/merged.plot", &["out/second.plot", "out/first.plot"]).expect(1, &["new/merged.plot", "exists"]);
    merge("gap.plot", &["out/second.plot"]).expect(3, &["out/second.plot", "256"]);
    merge("twice.plot", &["out/first.plot", "out/first.plot"]).expect(3, &["out/first.plot"]);
    merge("no-part.plot", &["out/first.plot", "out/whole.plot"]).expect(3, &["out/whole.plot"]);
    // A damaged part makes no plot.
    let mut damaged = read("out/first.plot");
    damaged[9000] ^= 1;
    std::fs::write(folder.join("out/damaged.plot"), damaged).expect("a small file");
    merge("damaged.plot", &["out/damaged.plot", "out/second.plot"])
        .expect(3, &["out/damaged.plot", "segment 0, column 1"]);
    for name in ["gap.plot", "twice.plot", "no-part.plot", "damaged.plot"] {
        assert!(!folder.join(name).exists() && !folder.join(format!("{name}.tmp")).exists(), "{name}");
    }

    run(folder, &["plot", "compact", "--out", "compacted", "out/whole.plot"]).expect(0, &[]);
    let one = ["--rows", "600", "--segment-rows", "1024", "--seed", &seed, "--out", "out", "--name", "one-segment"];
    create(folder, &one).expect(0, &[]);
    assert!(read("compacted/whole.plot") == read("out/one-segment.plot"));
    run(folder, &["plot", "compact", "--out", "out", "out/whole.plot"]).expect(2, &["out/whole.plot"]);
    assert!(read("new/merged.plot") == read("out/whole.plot"), "sources are as they were");
}

#[test]
fn fill_ends_when_the_disk_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=20m", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: fill_ends_when_the_disk_is_full: mounting a tmpfs is not allowed here");
        return;
    }
    // 2048 rows of 64 columns are 4 MiB; four of them and the margin fit.
    let filled = create(folder.path(), &["--rows", "2048", "--out", "disk", "--fill", "--json"]);
    let nothing_fits = create(folder.path(), &["--rows", "20480", "--out", "disk", "--fill"]);
    let too_many = create(folder.path(), &["--rows", "2048", "--out", "disk/a", "disk/b", "--count", "3", "--json"]);
    let (names, checked) = (names_in(&disk), run(folder.path(), &["plot", "check", "disk"]));
    assert!(Command::new("umount").arg(&disk).status().is_ok_and(|status| status.success()));
    let filled = filled.expect(0, &[]);
    assert_eq!((done(&filled).len(), names.len()), (4, 4), "{filled:#?}");
    checked.expect(0, &[]);
    assert_eq!(too_many.stdout, "", "all are refused, not the last");
    too_many.expect(1, &["no space"]);
    nothing_fits.expect(1, &["no space"]);
}

#[test]
fn staging_keeps_to_the_space_of_both_disks() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let disks = ["small", "large"].map(|name| folder.join(name));
    let mut mounted = Vec::new();
    for (disk, size) in disks.iter().zip(["size=7m", "size=20m"]) {
        std::fs::create_dir(disk).expect("a folder");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(disk).stderr(Stdio::null()).status();
        if mount.is_ok_and(|status| status.success()) {
            mounted.push(disk);
        }
    }
    // The small disk stages one plot of 4 MiB at a time, the large one holds four.
    let filled = (mounted.len() == 2).then(|| {
        let filled = create(folder, &["--rows", "2048", "--out", "large", "--staging", "small", "--fill", "--json"]);
        (filled, names_in(&disks[0]), names_in(&disks[1]), run(folder, &["plot", "check", "large"]))
    });
    for disk in mounted {
        assert!(Command::new("umount").arg(disk).status().is_ok_and(|status| status.success()));
    }
    let Some((filled, staged, made, checked)) = filled else {
        eprintln!("SKIPPED: staging_keeps_to_the_space_of_both_disks: mounting a tmpfs is not allowed here");
        return;
    };
    let filled = filled.expect(0, &[]);
    assert_eq!((done(&filled).len(), made.len()), (4, 4), "{filled:#?}");
    assert_eq!(staged, Vec::<String>::new(), "no plot is grown that has no place");
    checked.expect(0, &[]);
}
