//! Bad files, bad values, bad proofs: one clear line and the right exit code.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{MINER_KEY, Ran, run, run_with_input};

/// `out/x.plot`: 100 rows of 64 columns, segments of 32 rows.
fn make_plot(folder: &Path) {
    create(folder, &["--rows", "100", "--segment-rows", "32"]).expect(0, &[]);
}

fn create(folder: &Path, more: &[&str]) -> Ran {
    let miner_key = if more.contains(&"--miner-key") { vec![] } else { vec!["--miner-key", MINER_KEY] };
    let arguments = ["-q", "plot", "create", "--network", "local", "--out", "out", "--name", "x", "--threads", "1"];
    run(folder, &[&arguments[..], &miner_key, more].concat())
}

/// Every verb that reads a plot says the same of a bad one.
fn refused_by_all(folder: &Path, code: i32, words: &[&str]) {
    let challenge = "00".repeat(32);
    for verb in [
        vec!["plot", "info", "out/x.plot"],
        vec!["plot", "check", "out/x.plot"],
        vec!["plot", "scrub", "out/x.plot"],
        vec!["plot", "scrub", "--repair", "out/x.plot"],
        vec!["plot", "compact", "--out", "compacted", "out/x.plot"],
        vec!["plot", "merge", "--out", "merged.plot", "out/x.plot"],
        vec!["prove", "--column", "0", "--challenge", &challenge, "out/x.plot"],
        vec!["verify", "proof.json", "--plot", "out/x.plot"],
    ] {
        let ran = run(folder, &[&["-q"], &verb[..]].concat());
        assert_eq!(ran.code, Some(code), "{verb:?}: {ran:#?}");
        assert!(ran.stderr.starts_with("error: "), "{verb:?}: {ran:#?}");
        for word in words {
            assert!(ran.stderr.contains(word), "{verb:?}: no {word:?} in {ran:#?}");
        }
    }
    assert!(folder.join("out/x.plot").exists(), "nothing was removed");
    assert!(!folder.join("merged.plot").exists() && !folder.join("merged.plot.tmp").exists(), "nothing half-written");
}

/// Writes the proof of some leaf to `proof.json` and returns it.
fn make_proof(folder: &Path) -> Value {
    let challenge = "ab".repeat(32);
    let proved = run(folder, &["-q", "prove", "--column", "5", "--challenge", &challenge, "out/x.plot", "--json"]);
    let proved = proved.expect(0, &[]);
    std::fs::write(folder.join("proof.json"), &proved.stdout).expect("a small file");
    serde_json::from_str(&proved.stdout).expect("one object")
}

#[test]
fn bad_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    make_plot(folder);
    make_proof(folder);
    let path = folder.join("out/x.plot");
    let good = std::fs::read(&path).expect("a plot");
    let write = |bytes: &[u8]| std::fs::write(&path, bytes).expect("a small file");
    // The header with `bytes` at `at` and a checksum that fits.
    let changed = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        let checksum = Sha256::digest(&bad[..4064]);
        bad[4064..4096].copy_from_slice(&checksum);
        write(&bad);
    };

    let remove = || run(folder, &["plot", "remove", "--yes", "out/x.plot"]);
    for no_plot in [&b""[..], &[7; 10_000]] {
        write(no_plot);
        refused_by_all(folder, 3, &["out/x.plot", "not a plot"]);
        remove().expect(3, &["out/x.plot", "not a plot"]);
        assert!(path.exists(), "what is no plot is not removed");
    }
    changed(8, &[9]);
    refused_by_all(folder, 3, &["out/x.plot", "version is 9"]);
    // What begins as a plot may be removed, however bad it is.
    remove().expect(0, &[]);
    for truncated in [&good[..100], &good[..5000]] {
        write(truncated);
        remove().expect(0, &[]);
    }
    assert!(!path.exists());
    let mut bad = good.clone();
    bad[140] ^= 1;
    write(&bad);
    refused_by_all(folder, 3, &["out/x.plot", "checksum"]);
    changed(136, &0u64.to_le_bytes());
    refused_by_all(folder, 3, &["out/x.plot", "rows are 0"]);
    changed(128, &[3]);
    refused_by_all(folder, 3, &["out/x.plot", "log2 of columns is 3"]);
    changed(129, &[0]);
    refused_by_all(folder, 3, &["out/x.plot", "rounds are 0"]);
    changed(144, &33u64.to_le_bytes());
    refused_by_all(folder, 3, &["out/x.plot", "rows per segment are 33"]);
    changed(168, &4096u64.to_le_bytes());
    refused_by_all(folder, 3, &["out/x.plot", "roots offset is 4096"]);
    changed(168, &(1u64 << 40).to_le_bytes());
    refused_by_all(folder, 3, &["out/x.plot", "truncated"]);
    write(&good[..good.len() - 1]);
    refused_by_all(folder, 3, &["out/x.plot", "truncated"]);
    write(&good[..5000]);
    refused_by_all(folder, 3, &["out/x.plot", "truncated"]);

    // The control: the file itself is good.
    write(&good);
    run(folder, &["plot", "info", "out/x.plot"]).expect(0, &[]);
    run(folder, &["verify", "proof.json", "--plot", "out/x.plot"]).expect(0, &[]);
}

#[test]
fn what_is_no_readable_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    make_plot(folder);
    make_proof(folder);
    std::fs::rename(folder.join("out/x.plot"), folder.join("kept")).expect("our file");
    run(folder, &["plot", "info", "out/x.plot"]).expect(1, &["out/x.plot", "No such file"]);
    run(folder, &["plot", "resume", "out/x.plot"]).expect(1, &["out/x.plot", "No such file"]);
    run(folder, &["verify", "absent.json", "--plot", "kept"]).expect(1, &["absent.json", "No such file"]);
    run(folder, &["verify", "proof.json", "--plot", "out"]).expect(3, &["out", "not a regular file"]);
    run(folder, &["verify", "out", "--plot", "kept"]).expect(3, &["out", "folder"]);
    run(folder, &["plot", "remove", "--yes", "out"]).expect(3, &["out", "not a regular file"]);
    std::fs::write(folder.join("file"), "").expect("a small file");
    let taken =
        ["-q", "plot", "create", "--network", "local", "--miner-key", MINER_KEY, "--rows", "16", "--out", "file/x"];
    run(folder, &taken).expect(1, &["file"]);

    // Root may read and write everything, so this holds for others only.
    std::fs::set_permissions(folder.join("kept"), PermissionsExt::from_mode(0o000)).expect("our file");
    if std::fs::File::open(folder.join("kept")).is_err() {
        run(folder, &["plot", "info", "kept"]).expect(1, &["kept", "Permission denied"]);
        std::fs::set_permissions(folder.join("out"), PermissionsExt::from_mode(0o500)).expect("our folder");
        create(folder, &["--rows", "16"]).expect(1, &["x.plot", "Permission denied"]);
        std::fs::set_permissions(folder.join("out"), PermissionsExt::from_mode(0o700)).expect("our folder");
    } else {
        eprintln!("SKIPPED: permission denied: this user may read and write everything");
    }
}

#[test]
fn bad_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    create(folder, &["--rows", "0"]).expect(2, &["rows are 0"]);
    create(folder, &["--rows", "2000000000000"]).expect(2, &["rows are 2000000000000"]);
    create(folder, &["--rows", "-1"]).expect(2, &["--rows"]);
    create(folder, &["--size", "2047"]).expect(2, &["--size", "2048"]);
    create(folder, &["--size", "12parsecs"]).expect(2, &["--size", "12parsecs"]);
    create(folder, &["--rows", "5", "--size", "1GiB"]).expect(2, &["--size", "--rows"]);
    create(folder, &[]).expect(2, &["--rows"]);
    for p in ["3", "21"] {
        create(folder, &["--rows", "5", "--log2-columns", p]).expect(2, &["log2 of columns is", p]);
    }
    create(folder, &["--rows", "5", "--rounds", "0"]).expect(2, &["--rounds", "0", "1..=255"]);
    create(folder, &["--rows", "5", "--rounds", "256"]).expect(2, &["--rounds", "256"]);
    for rows in ["0", "3", "100", "4398046511104"] {
        create(folder, &["--rows", "5", "--segment-rows", rows]).expect(2, &["rows per segment are", rows]);
    }
    create(folder, &["--rows", "5", "--first-row", "3", "--segment-rows", "2"]).expect(2, &["first row is 3"]);
    create(folder, &["--rows", "5", "--memory", "1MiB"]).expect(2, &["memory", "1048576"]);
    create(folder, &["--rows", "5", "--memory", "900PB"]).expect(1, &["memory"]);
    create(folder, &["--rows", "5", "--backend", "gpu:"]).expect(2, &["--backend"]);
    create(folder, &["--rows", "5", "--backend", "cpu:abacus"]).expect(2, &["--backend", "abacus"]);
    create(folder, &["--rows", "5", "--seed", "abcd"]).expect(2, &["--seed", "64 hex digits, found 4"]);
    create(folder, &["--rows", "5", "--name", "../x"]).expect(2, &["--name"]);
    create(folder, &["--rows", "5", "--count", "2", "--seed", &"00".repeat(32)]).expect(2, &["--seed"]);
    // The vectors' miner key: random bytes, no point of the group.
    let vectors: Value =
        serde_json::from_str(include_str!("../../../kernels/tests/data/spacetime.json")).expect("JSON");
    let random = vectors["plots"][0]["miner_key"].as_str().expect("hex");
    create(folder, &["--rows", "5", "--miner-key", random]).expect(2, &["--miner-key"]);
    create(folder, &["--rows", "5", "--miner-key", &format!("c0{}", "0".repeat(94))])
        .expect(2, &["--miner-key", "infinity"]);
    assert!(!folder.join("out").exists(), "nothing was made");

    make_plot(folder);
    let good = std::fs::read(folder.join("out/x.plot")).expect("a plot");
    create(folder, &["--rows", "5"]).expect(1, &["out/x.plot", "exists"]);
    assert!(std::fs::read(folder.join("out/x.plot")).expect("a plot") == good, "it is as it was");
    create(folder, &["--rows", "5", "--force"]).expect(0, &[]);
    make_plot_again(folder);

    let challenge = "ab".repeat(32);
    let prove = |more: &[&str]| run(folder, &[&["-q", "prove"], more, &["out/x.plot"]].concat());
    prove(&["--column", "64", "--challenge", &challenge]).expect(2, &["column", "64"]);
    prove(&["--column", "1", "--challenge", "ab"]).expect(2, &["--challenge", "64 hex digits, found 2"]);
    let nine = [challenge.as_str(); 9].join(",");
    prove(&["--column", "1", "--challenge", &nine]).expect(2, &["--challenge", "9"]);
    prove(&["--column", "1", "--challenge", &challenge, "--strategy", "sample:0"]).expect(2, &["--strategy"]);
    prove(&["--column", "1", "--challenge", &challenge, "--deadline", "60"]).expect(2, &["--deadline"]);
}

fn make_plot_again(folder: &Path) {
    create(folder, &["--rows", "100", "--segment-rows", "32", "--force"]).expect(0, &[]);
}

#[test]
fn bad_proofs() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    make_plot(folder);
    let good = make_proof(folder);
    let verify = |proof: &str| run_with_input(folder, &["-q", "verify", "-", "--plot", "out/x.plot"], proof);
    verify(&good.to_string()).expect(0, &[]);
    // Two at once, one of them bad: both are judged.
    let mut bad = good.clone();
    bad["row"] = json!(good["row"].as_u64().expect("a row") ^ 1);
    let judged = verify(&format!("{good}\n{bad}\n")).expect(3, &["proof 2", "row"]);
    assert!(judged.stdout.contains("proof 1: valid"), "{judged:#?}");

    let changed = |field: &str, value: Value, words: &[&str]| {
        let mut bad = good.clone();
        bad[field] = value;
        verify(&bad.to_string()).expect(3, words);
    };
    let siblings = good["siblings"].as_array().expect("a list").clone();
    changed("siblings", json!(siblings[1..]), &["12 siblings, expected 13"]);
    changed("siblings", json!([&siblings[..], &siblings[..1]].concat()), &["14 siblings, expected 13"]);
    changed("siblings", json!(vec!["00".repeat(32); 61]), &["more than 60 siblings"]);
    // 100 rows make 7 levels; row 101 of column 5.
    changed("leaf_index", json!((5 << 7) | 101), &["row 101", "100 rows"]);
    changed("leaf_index", json!((6 << 7) | 1), &["column"]);
    changed("rows", json!(0), &["rows are 0"]);
    changed("rows", json!(u64::MAX), &["rows are"]);
    changed("rows", json!(101), &["plot id"]);
    changed("score", json!("00".repeat(32)), &["score"]);
    changed("plot_id", json!("00".repeat(32)), &["plot id"]);
    changed("root", json!("00".repeat(32)), &["plot id"]);
    changed("leaf", json!("00".repeat(32)), &["score"]);
    for (field, value) in [
        ("leaf", json!("zz".repeat(32))),
        ("seed", json!("00")),
        ("root", json!(7)),
        ("rows", json!(-1)),
        ("column", json!(1u64 << 32)),
    ] {
        changed(field, value, &["not a proof"]);
    }
    for field in ["challenge", "column", "seed", "rows", "leaf", "leaf_index", "siblings", "root"] {
        let mut bad = good.clone();
        bad.as_object_mut().expect("an object").remove(field);
        verify(&bad.to_string()).expect(3, &["not a proof", field]);
    }
    changed("colour", json!("blue"), &["not a proof", "colour"]);
    verify("").expect(3, &["no proof"]);
    verify("{").expect(3, &["not a proof"]);
    verify("[1]").expect(3, &["not a proof"]);
    // All values in the right order, and still no object.
    let values: Vec<_> = ["challenge", "column", "seed", "rows", "leaf", "leaf_index", "siblings", "root"]
        .map(|field| good[field].clone())
        .into();
    verify(&json!(values).to_string()).expect(3, &["not a proof", "object"]);
    let twice = good.to_string().replacen('{', "{\"rows\":1,", 1);
    verify(&twice).expect(3, &["not a proof", "rows"]);
    changed("leaf", json!("ab".repeat(31)), &["leaf: ", "62"]);
    changed("root", json!(7), &["root: "]);
    let mut wrong = siblings.clone();
    wrong[3] = json!("zz");
    changed("siblings", json!(wrong), &["siblings[3]: "]);

    // What was asked for counts, not what the proof says of itself.
    let asked = |more: &[&str]| run(folder, &[&["-q", "verify", "proof.json", "--plot", "out/x.plot"], more].concat());
    asked(&["--column", "5"]).expect(0, &[]);
    asked(&["--column", "6"]).expect(3, &["column is 5, expected 6"]);
    asked(&["--challenge", &"ac".repeat(32)]).expect(3, &["challenge"]);
    asked(&["--target", &"00".repeat(32)]).expect(3, &["target"]);
    asked(&["--target", &"ff".repeat(32)]).expect(0, &[]);
    // Without the plot.
    let id = good["plot_id"].as_str().expect("hex");
    let alone = ["-q", "verify", "proof.json", "--network", "local", "--miner-key", MINER_KEY, "--plot-id", id];
    run(folder, &alone).expect(0, &[]);
    run(folder, &[&alone[..], &["--log2-columns", "6", "--rounds", "5"]].concat()).expect(0, &[]);
    run(folder, &[&alone[..], &["--rounds", "6"]].concat()).expect(3, &["plot id"]);
    run(folder, &["-q", "verify", "proof.json", "--miner-key", MINER_KEY]).expect(2, &["--plot-id"]);
}
