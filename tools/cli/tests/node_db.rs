//! `spacetime node db`, from one folder to another.

#![cfg(feature = "node")]

#[path = "support/chain.rs"]
mod chain;
mod support;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use spacetime_node::chain::{Block, Hash};
use spacetime_node::testing::{Fabric, Made, Random};
use support::{Ran, Running, Tmpfs, names_in, run};

/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// `node db VERB` on the chain in `chain.toml`, leaving next to nothing free.
fn db(folder: &Path, verb: &str, data: &str, more: &[&str]) -> Ran {
    run(folder, &arguments(verb, data, more))
}

fn arguments<'a>(verb: &'a str, data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["node", "db", verb, "--chain", "chain.toml", "--data", data];
    if (verb == "import" || verb == "rewind") && !more.contains(&"--free-space") {
        arguments.extend(["--free-space", "1MiB"]);
    }
    arguments.extend(more);
    arguments
}

/// The last line of standard output, as JSON.
fn last(ran: &Ran) -> Value {
    serde_json::from_str(ran.stdout.lines().last().expect("a line")).expect("JSON")
}

fn import(folder: &Path, data: &str, more: &[&str]) -> Value {
    let more = [&["chain.blocks", "--json"][..], more].concat();
    last(&db(folder, "import", data, &more).expect(0, &[]))
}

fn check(folder: &Path, data: &str) -> Value {
    last(&db(folder, "check", data, &["--json"]).expect(0, &[]))
}

#[test]
fn a_chain_travels_from_one_folder_to_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let fabric = chain::make(folder, 220, 1);
    let imported = import(folder, "a", &[]);
    assert_eq!(imported["blocks"], fabric.all().len() as u64 - 1);
    assert_eq!((&imported["refused"], &imported["waiting"]), (&0.into(), &0.into()));
    assert!(imported["reorganisations"].as_u64() > Some(0), "{imported}");
    let checked = check(folder, "a");
    assert_eq!(checked["outcome"], "sound");
    assert_eq!(checked["tip"], imported["tip"]);

    let stats = last(&db(folder, "stats", "a", &["--json"]).expect(0, &[]));
    assert_eq!((&stats["tip"], &stats["height"]), (&imported["tip"], &imported["height"]));
    assert_eq!(stats["columns"].as_array().map(Vec::len), Some(10));
    let words = db(folder, "stats", "a", &[]).expect(0, &[]).stdout;
    assert!(words.contains("by_height") && words.contains(imported["tip"].as_str().expect("hex")), "{words}");

    // Only the best chain is exported, and it is all that is needed.
    db(folder, "export", "a", &["--out", "best.blocks"]).expect(0, &[]);
    db(folder, "export", "a", &["--out", "best.blocks"]).expect(1, &["best.blocks", "--force"]);
    db(folder, "export", "a", &["--out", "best.blocks", "--force"]).expect(0, &[]);
    let again = last(&db(folder, "import", "b", &["best.blocks", "--json"]).expect(0, &[]));
    assert_eq!((&again["tip"], &again["state_root"]), (&imported["tip"], &imported["state_root"]));
    assert_eq!((&again["connected"], &again["reorganisations"]), (&imported["height"], &0.into()));
    let known = last(&db(folder, "import", "b", &["best.blocks", "--json"]).expect(0, &[]));
    assert_eq!((&known["connected"], &known["known"]), (&0.into(), &imported["height"]));

    // Back, and forth again.
    let height = imported["height"].as_u64().expect("a number");
    let to = (height - 30).to_string();
    let back = last(&db(folder, "rewind", "a", &["--to", &to, "--json"]).expect(0, &[]));
    assert_eq!((&back["height"], &back["blocks_removed"]), (&(height - 30).into(), &30.into()));
    assert_eq!(check(folder, "a")["height"], height - 30);
    assert_eq!(import(folder, "a", &[])["state_root"], imported["state_root"]);
    assert_eq!(check(folder, "a")["tip"], imported["tip"]);

    let compacted = last(&db(folder, "compact", "a", &["--json"]).expect(0, &[]));
    assert!(compacted["bytes"].as_u64() > Some(0), "{compacted}");
    assert_eq!(check(folder, "a")["tip"], imported["tip"]);
    assert!(db(folder, "check", "a", &[]).expect(0, &[]).stdout.starts_with("sound: height "));

    // In parts, with few bodies.
    let middle = (height / 2).to_string();
    db(folder, "export", "a", &["--out", "low", "--to", &middle]).expect(0, &[]);
    let after = (height / 2 + 1).to_string();
    db(folder, "export", "a", &["--out", "high", "--from", &after]).expect(0, &[]);
    db(folder, "import", "c", &["high"]).expect(1, &["high", "wait for a parent"]);
    db(folder, "import", "c", &["low", "--keep-bodies", "50"]).expect(0, &[]);
    let parts = last(&db(folder, "import", "c", &["high", "--keep-bodies", "50", "--json"]).expect(0, &[]));
    assert_eq!((&parts["tip"], &parts["state_root"]), (&imported["tip"], &imported["state_root"]));
    assert_eq!(check(folder, "c")["bodies"], 51);
    db(folder, "export", "c", &["--out", "new"]).expect(2, &["pruned"]);
    assert!(!names_in(folder).iter().any(|name| name.starts_with("new")), "nothing is left of it");
}

#[test]
fn wrong_usage_is_2_and_what_is_not_there_is_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    chain::make(folder, 30, 2);
    import(folder, "a", &[]);
    db(folder, "check", "b", &[]).expect(1, &["b/chain", "there is none"]);
    assert!(!folder.join("b").exists(), "looking makes nothing");
    db(folder, "import", "b", &["absent"]).expect(1, &["absent"]);
    db(folder, "rewind", "a", &["--to", "1000"]).expect(2, &["height 1000", "tip"]);
    db(folder, "export", "a", &["--out", "x", "--from", "0"]).expect(2, &["genesis"]);
    db(folder, "import", "a", &["chain.blocks", "--keep-bodies", "3"]).expect(2, &["3 blocks", "reorg limit"]);
    run(folder, &["node", "db", "check", "--data", "a", "--network", "local"])
        .expect(2, &["holds the chain", "a/chain"]);
    run(folder, &["node", "db", "check", "--data", "a", "--network", "moon"]).expect(2, &["moon", "local"]);
    run(folder, &["node", "db", "import", "--data", "n", "--network", "local", "chain.blocks"])
        .expect(2, &["chain.blocks", "expected"]);
    let both = ["--network", "local", "--chain", "chain.toml"];
    run(folder, &[&["node", "db", "check", "--data", "a"][..], &both].concat()).expect(2, &["--network", "--chain"]);
    run(folder, &["node", "db", "check", "--data", "a", "--chain", "absent"]).expect(1, &["absent"]);
    fs::write(folder.join("bad.toml"), "[genesis]\nmoon = 1\n").expect("a small file");
    run(folder, &["node", "db", "check", "--data", "a", "--chain", "bad.toml"]).expect(3, &["bad.toml", "moon"]);
    db(folder, "import", "a", &["chain.blocks", "--free-space", "0"]).expect(2, &["--free-space"]);
}

#[test]
fn a_store_is_held_by_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    chain::make(folder, 400, 3);
    let running = Running::start(folder, &arguments("import", "a", &["chain.blocks"]));
    let holder = format!("process {} holds it since 2", running.0.id());
    let pid = format!("pid {} ", running.0.id());
    wait_until("the folder is held", || {
        fs::read_to_string(folder.join("a/lock")).is_ok_and(|text| text.contains(&pid))
    });
    for verb in ["stats", "check", "compact"] {
        db(folder, verb, "a", &[]).expect(1, &["a: ", &holder]);
    }
    db(folder, "import", "a", &["chain.blocks"]).expect(1, &["a: ", &holder]);
    drop(running);
    import(folder, "a", &[]);
    check(folder, "a");
}

#[test]
fn files_of_blocks_that_are_not_whole_or_not_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let fabric = chain::make(folder, 60, 4);
    let whole = import(folder, "a", &[]);
    let bytes = fs::read(folder.join("chain.blocks")).expect("ours");
    fs::write(folder.join("cut"), &bytes[..bytes.len() / 2]).expect("there is room");
    let offset = (bytes.len() / 2).to_string();
    db(folder, "import", "b", &["cut"]).expect(3, &["cut", "ends at byte", &offset]);
    let half = last(&db(folder, "stats", "b", &["--json"]).expect(0, &[]));
    assert!(half["height"].as_u64() > Some(10), "what is whole was taken: {half}");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 16;
    fs::write(folder.join("flipped"), flipped).expect("there is room");
    db(folder, "import", "b", &["flipped"]).expect(3, &["flipped", "damaged", "byte"]);
    fs::write(
        folder.join("other"),
        "no blocks at all, but some text that is long enough to be a head of them; \
        and a bit more",
    )
    .expect("there is room");
    db(folder, "import", "b", &["other"]).expect(3, &["other", "no archive of blocks"]);
    let rest = import(folder, "b", &[]);
    assert_eq!((&rest["tip"], &rest["state_root"]), (&whole["tip"], &whole["state_root"]));

    // A block that breaks a rule, in an archive that is as it was written.
    let bad = |block: &mut Block| block.header.state_root = Hash([7; 32]);
    let mut broken: Vec<Made> = fabric.all()[1..].to_vec();
    let place = broken.len() - 1;
    bad(&mut broken[place].block);
    broken[place].block = fabric.reseal(broken[place].block.clone());
    chain::write(folder, &fabric, &broken.iter().collect::<Vec<_>>());
    db(folder, "import", "c", &["chain.blocks"]).expect(3, &["chain.blocks", "refused", "state root"]);
    check(folder, "c");
}

#[test]
fn ctrl_c_stops_an_import_that_goes_on_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    chain::make(folder, 600, 5);
    let whole = import(folder, "whole", &[]);
    for signal in ["-INT", "-TERM"] {
        let mut running = Running::start(folder, &arguments("import", "a", &["chain.blocks"]));
        wait_until("the store is there", || folder.join("a/chain/CURRENT").exists());
        wait_until("it writes", || log_bytes(&folder.join("a/chain")) > 100_000);
        running.signal(signal);
        let mut stderr = String::new();
        running.0.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
        assert_eq!(running.0.wait().expect("it ends").code(), Some(130), "{stderr}");
        assert!(stderr.contains("the same command goes on"), "{stderr}");
        check(folder, "a");
        let rest = import(folder, "a", &[]);
        assert_eq!((&rest["tip"], &rest["state_root"]), (&whole["tip"], &whole["state_root"]));
        fs::remove_dir_all(folder.join("a")).expect("ours");
    }
}

/// Bytes of the database's logs.
fn log_bytes(database: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(database) else { return 0 };
    let logs = entries.flatten().filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log"));
    logs.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

/// The database's tables, largest first.
fn tables(database: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(database).expect("a database").map(|entry| entry.expect("an entry").path());
    let mut tables: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect();
    tables.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).expect("ours").len()));
    tables
}

#[test]
fn a_flipped_byte_in_a_table_is_named_again_and_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    chain::make(folder, 120, 6);
    let whole = import(folder, "a", &[]);
    db(folder, "compact", "a", &[]).expect(0, &[]);
    let tables = tables(&folder.join("a/chain"));
    assert!(tables.len() >= 5, "{tables:?}");
    let mut random = Random::new(8);
    for table in tables {
        let bytes = fs::read(&table).expect("ours");
        let mut flipped = bytes.clone();
        let place = random.below(bytes.len() as u64 / 2) as usize;
        flipped[place] ^= 1 << random.below(8);
        fs::write(&table, flipped).expect("there is room");
        let name = table.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        for _ in 0..2 {
            let ran = db(folder, "check", "a", &[]);
            assert_eq!(ran.code, Some(3), "{name}, byte {place}: {ran:#?}");
            assert!(format!("{}{}", ran.stdout, ran.stderr).contains(name), "{name}, byte {place}: {ran:#?}");
            assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
        }
        // Whoever needs what is damaged says so, nobody panics.
        for (verb, more) in [("stats", &[][..]), ("export", &["--out", "x", "--force"]), ("import", &["chain.blocks"])]
        {
            let ran = db(folder, verb, "a", more);
            assert!(matches!(ran.code, Some(0 | 3)), "{name}, byte {place}: {ran:#?}");
        }
        // Nothing of it was rewritten: whole again, it is the store that it was.
        fs::write(&table, bytes).expect("there is room");
        assert_eq!(check(folder, "a")["tip"], whole["tip"]);
    }
}

#[test]
fn an_import_stops_before_the_disk_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    chain::make(folder, 700, 7);
    let whole = import(folder, "whole", &[]);
    let Some(disk) = Tmpfs::mount(&folder.join("disk"), "size=256m") else {
        eprintln!("SKIPPED: an_import_stops_before_the_disk_is_full: mounting a tmpfs is not allowed here");
        return;
    };
    let stopped = ["disk/chain", "are kept free: stopped before the disk is full"];
    // As if it were for main, which a disk of this size is not.
    let default = ["node", "db", "import", "--chain", "chain.toml", "--data", "disk", "chain.blocks"];
    run(folder, &default).expect(1, &stopped);
    db(folder, "check", "disk", &[]).expect(1, &["disk/chain", "nothing is in it yet"]);
    // While blocks are taken in somebody else fills the disk.
    let arguments = arguments("import", "disk", &["chain.blocks", "--free-space", "128MiB"]);
    let mut running = Running::start(folder, &arguments);
    wait_until("it writes", || log_bytes(&disk.0.join("chain")) > 100_000);
    fs::write(disk.0.join("other"), vec![1; 160 << 20]).expect("there is room for it");
    let mut stderr = String::new();
    running.0.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("UTF-8");
    assert_eq!(running.0.wait().expect("it ends").code(), Some(1), "{stderr}");
    assert!(stopped.iter().all(|words| stderr.contains(words)) && stderr.lines().count() == 1, "{stderr}");
    let half = check(folder, "disk");
    assert!(half["height"].as_u64() > Some(0) && half["tip"] != whole["tip"], "{half}");
    fs::remove_file(disk.0.join("other")).expect("ours");
    let rest = import(folder, "disk", &[]);
    assert_eq!((&rest["tip"], &rest["state_root"]), (&whole["tip"], &whole["state_root"]));
    check(folder, "disk");
}

/// Waits until `holds`, or fails the test.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

#[test]
fn the_kit_makes_forks() {
    // The control of all the others: without forks and blocks out of order they would show little.
    let folder = tempfile::tempdir().expect("a folder");
    let fabric: Fabric = chain::make(folder.path(), 100, 9);
    let highest = fabric.all().iter().map(|made| made.lineage.height.0).max().expect("genesis at least");
    assert!((fabric.all().len() as u64) > highest + 5, "{highest}");
}
