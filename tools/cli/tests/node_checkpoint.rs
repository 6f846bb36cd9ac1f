//! `spacetime node checkpoint`, from one folder to another.

#![cfg(feature = "node")]

#[path = "support/chain.rs"]
mod chain;
mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Ran, names_in, run};

/// `node AREA VERB` on the chain in `chain.toml`, leaving next to nothing free.
fn node(folder: &Path, area: &str, verb: &str, data: &str, more: &[&str]) -> Ran {
    let mut arguments = vec!["node", area, verb, "--chain", "chain.toml", "--data", data];
    if verb == "import" {
        arguments.extend(["--free-space", "1MiB"]);
    }
    arguments.extend(more);
    run(folder, &arguments)
}

/// The last line of standard output, as JSON.
fn last(ran: &Ran) -> Value {
    serde_json::from_str(ran.stdout.lines().last().expect("a line")).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

#[test]
fn a_state_travels_from_one_folder_to_another_and_the_chain_goes_on_from_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    chain::make(folder, 160, 4);
    let imported = last(&node(folder, "db", "import", "a", &["chain.blocks", "--json"]).expect(0, &[]));
    let tip = imported["height"].as_u64().expect("a number");

    // By default of the last block that no fork can take away.
    let written = last(&node(folder, "checkpoint", "export", "a", &["--out", "state", "--json"]).expect(0, &[]));
    assert_eq!(written["height"], tip - 50);
    let trust = text(&written["checkpoint"]).to_owned();
    assert_eq!(trust, format!("{}:{}", tip - 50, text(&written["id"])));
    node(folder, "checkpoint", "export", "a", &["--out", "state"]).expect(1, &["state", "--force"]);
    let words = node(folder, "checkpoint", "export", "a", &["--out", "state", "--force"]).expect(0, &[]).stdout;
    assert!(words.contains(&trust), "{words}");

    // Nobody is trusted unasked.
    node(folder, "checkpoint", "import", "b", &["state"]).expect(2, &["state", "--trust", &trust]);
    let other = format!("{}:{}", tip - 50, "00".repeat(32));
    node(folder, "checkpoint", "import", "b", &["state", "--trust", &other]).expect(2, &["trusted is", &other]);
    node(folder, "checkpoint", "import", "b", &["state", "--trust", "7"]).expect(2, &["HEIGHT:ID"]);
    let begun =
        last(&node(folder, "checkpoint", "import", "b", &["state", "--trust", &trust, "--json"]).expect(0, &[]));
    assert_eq!((&begun["height"], &begun["tip"]), (&written["height"], &written["id"]));
    assert_eq!(begun["values"], written["values"]);
    let sound = last(&node(folder, "db", "check", "b", &["--json"]).expect(0, &[]));
    assert_eq!((&sound["outcome"], &sound["bodies"]), (&"sound".into(), &0.into()));
    node(folder, "checkpoint", "import", "b", &["state", "--trust", &trust]).expect(1, &["b/chain", "a store already"]);

    let rest = last(&node(folder, "db", "import", "b", &["chain.blocks", "--json"]).expect(0, &[]));
    assert_eq!((&rest["tip"], &rest["state_root"]), (&imported["tip"], &imported["state_root"]));
    assert_eq!(last(&node(folder, "db", "check", "b", &["--json"]).expect(0, &[]))["outcome"], "sound");

    // What the specification names needs nobody's word.
    let mut specification = fs::read_to_string(folder.join("chain.toml")).expect("it was made");
    let (height, id) = (&written["height"], text(&written["id"]));
    specification.push_str(&format!("\n[[checkpoints]]\nheight = {height}\nid = \"{id}\"\n"));
    fs::write(folder.join("chain.toml"), specification).expect("a small file");
    node(folder, "checkpoint", "import", "c", &["state"]).expect(0, &[]);
}

#[test]
fn a_damaged_file_is_3_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    chain::make(folder, 90, 5);
    node(folder, "db", "import", "a", &["chain.blocks"]).expect(0, &[]);
    let written = last(&node(folder, "checkpoint", "export", "a", &["--out", "state", "--json"]).expect(0, &[]));
    let trust = text(&written["checkpoint"]);
    let good = fs::read(folder.join("state")).expect("it was written");
    let import = || node(folder, "checkpoint", "import", "b", &["bad", "--trust", trust]);
    // A head that is damaged makes no database; the rest leaves an empty one.
    for (place, left) in
        [(100, "there is none"), (good.len() / 2, "nothing is in it"), (good.len() - 1, "nothing is in it")]
    {
        let mut bad = good.clone();
        bad[place] ^= 4;
        fs::write(folder.join("bad"), bad).expect("room");
        import().expect(3, &["bad: ", "at byte "]);
        node(folder, "db", "check", "b", &[]).expect(1, &[left]);
    }
    fs::write(folder.join("bad"), &good[..good.len() / 3]).expect("room");
    import().expect(3, &["bad: ends at byte "]);
    fs::write(folder.join("bad"), &good).expect("room");
    import().expect(0, &[]);
    node(folder, "checkpoint", "export", "a", &["--out", "x", "--height", "9999"]).expect(2, &["height 9999"]);
    node(folder, "checkpoint", "export", "a", &["--out", "x", "--height", "0"]).expect(2, &["height 0"]);
    assert!(!names_in(folder).iter().any(|name| name.starts_with('x')), "nothing is left of it");
}
