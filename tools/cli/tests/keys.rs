//! `spacetime keys`, from the outside.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use support::{command, run, run_with_input};
use tempfile::TempDir;

/// The secret key and public key of the Ethereum BLS test suite's first
/// signature case (ethereum/bls12-381-tests, sign).
const SECRET: &str = "263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3";
const PUBLIC: &str = "a491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20f\
                      d6e10c1b77654d067c0618f6e5a7f79a";
/// The order of the group: the least number that is no secret key.
const ORDER: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";

fn folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("right"), "correct horse\n").expect("written");
    fs::write(folder.path().join("wrong"), "battery staple\n").expect("written");
    folder
}

fn import(dir: &Path, protection: &[&str]) -> String {
    let mut arguments = vec!["keys", "import", "--out", "key.json"];
    arguments.extend(protection);
    run_with_input(dir, &arguments, &format!("{SECRET}\n")).expect(0, &[]).stdout
}

fn document(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("key.json")).expect("readable")).expect("JSON")
}

#[test]
fn a_new_key_can_be_shown_exported_and_imported() {
    let dir = folder();
    let dir = dir.path();
    let made = run(dir, &["keys", "new", "--out", "key.json", "--passphrase-file", "right"]).expect(0, &[]).stdout;
    assert_eq!(made.trim().len(), 96);
    assert_eq!(run(dir, &["keys", "show", "key.json"]).expect(0, &[]).stdout, made);
    let secret = run(dir, &["keys", "export", "key.json", "--passphrase-file", "right"]).expect(0, &[]).stdout;
    assert_eq!(secret.trim().len(), 64);
    fs::write(dir.join("secret"), &secret).expect("written");
    let again = ["keys", "import", "--out", "again.json", "--secret-file", "secret", "--passphrase-file", "wrong"];
    assert_eq!(run(dir, &again).expect(0, &[]).stdout, made);
    // Another key every time.
    let other = run(dir, &["keys", "new", "--out", "other.json", "--passphrase-file", "right"]).expect(0, &[]).stdout;
    assert_ne!(other, made);
}

#[test]
fn an_imported_secret_has_the_public_key_that_others_compute() {
    let dir = folder();
    assert_eq!(import(dir.path(), &["--passphrase-file", "right"]).trim(), PUBLIC);
    let shown = run(dir.path(), &["keys", "show", "key.json", "--json"]).expect(0, &[]).stdout;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown, json!({"path": "key.json", "public_key": PUBLIC, "encrypted": true}));
    let text = fs::read_to_string(dir.path().join("key.json")).expect("readable");
    assert!(!text.contains(SECRET), "the secret is encrypted");
}

#[test]
fn insecure_stores_the_secret_as_it_is_and_says_so() {
    let dir = folder();
    let arguments = ["-q", "keys", "import", "--insecure", "--json", "--out", "key.json"];
    let made = run_with_input(dir.path(), &arguments, SECRET).expect(0, &["WARNING", "UNENCRYPTED", "key.json"]);
    let made: Value = serde_json::from_str(&made.stdout).expect("JSON");
    assert_eq!(made, json!({"path": "key.json", "public_key": PUBLIC, "encrypted": false}));
    assert_eq!(run(dir.path(), &["keys", "export", "key.json"]).expect(0, &[]).stdout, format!("{SECRET}\n"));
}

#[test]
fn a_set_variable_names_the_passphrase_file_and_the_flag_wins() {
    let dir = folder();
    import(dir.path(), &["--passphrase-file", "right"]);
    let export = |variable: &str, flag: &[&str]| {
        let arguments = [&["keys", "export", "key.json"], flag].concat();
        let output = command(dir.path(), &arguments).env("SPACETIME_PASSPHRASE_FILE", variable).output();
        output.expect("the program starts").status.code()
    };
    assert_eq!(export("right", &[]), Some(0));
    assert_eq!(export("wrong", &[]), Some(1));
    assert_eq!(export("wrong", &["--passphrase-file", "right"]), Some(0));
    // Insecure keys are made whatever the variable says; with the flag it is a contradiction.
    let insecure = command(dir.path(), &["keys", "new", "--insecure", "--out", "plain.json"])
        .env("SPACETIME_PASSPHRASE_FILE", "missing")
        .output();
    assert!(insecure.expect("the program starts").status.success());
    run(dir.path(), &["keys", "new", "--insecure", "--passphrase-file", "right", "--out", "x.json"])
        .expect(2, &["--insecure", "--passphrase-file"]);
}

#[test]
fn a_wrong_or_missing_passphrase_fails_with_1() {
    let dir = folder();
    let dir = dir.path();
    import(dir, &["--passphrase-file", "right"]);
    run(dir, &["keys", "export", "key.json", "--passphrase-file", "wrong"])
        .expect(1, &["key.json", "wrong passphrase"]);
    run(dir, &["keys", "export", "key.json"]).expect(1, &["no terminal", "--passphrase-file"]);
    run(dir, &["keys", "new", "--out", "new.json"]).expect(1, &["no terminal"]);
    run(dir, &["keys", "new", "--out", "new.json", "--passphrase-file", "missing"]).expect(1, &["missing"]);
    fs::write(dir.join("empty"), "\n").expect("written");
    run(dir, &["keys", "new", "--out", "new.json", "--passphrase-file", "empty"]).expect(1, &["empty"]);
    fs::write(dir.join("long"), "x".repeat(5000)).expect("written");
    run(dir, &["keys", "new", "--out", "new.json", "--passphrase-file", "long"]).expect(1, &["4096 bytes"]);
    assert!(!dir.join("new.json").exists());
}

#[test]
fn only_the_last_line_break_is_no_part_of_the_passphrase() {
    let dir = folder();
    import(dir.path(), &["--passphrase-file", "right"]);
    for (text, code) in
        [("correct horse", 0), ("correct horse\r\n", 0), ("correct horse\n\n", 1), ("correct horse ", 1)]
    {
        fs::write(dir.path().join("typed"), text).expect("written");
        run(dir.path(), &["keys", "export", "key.json", "--passphrase-file", "typed"]).expect(code, &[]);
    }
}

#[test]
fn only_the_owner_may_read_a_keystore() {
    let dir = folder();
    let path = dir.path().join("key.json");
    fs::write(&path, "").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("changed");
    import(dir.path(), &["--insecure", "--force"]);
    assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o7777, 0o600);
}

#[test]
fn an_existing_file_is_replaced_by_force_alone() {
    let dir = folder();
    let dir = dir.path();
    let before = run(dir, &["keys", "new", "--insecure", "--out", "key.json"]).expect(0, &[]).stdout;
    run(dir, &["keys", "new", "--insecure", "--out", "key.json"]).expect(1, &["key.json", "--force"]);
    run_with_input(dir, &["keys", "import", "--insecure", "--out", "key.json"], SECRET).expect(1, &["--force"]);
    assert_eq!(run(dir, &["keys", "show", "key.json"]).expect(0, &[]).stdout, before);
    run(dir, &["keys", "new", "--insecure", "--out", "key.json", "--force"]).expect(0, &[]);
    assert_ne!(run(dir, &["keys", "show", "key.json"]).expect(0, &[]).stdout, before);
    // A folder is not replaced, a missing one is named, and nothing is left behind.
    fs::create_dir(dir.join("folder")).expect("made");
    run_with_input(dir, &["keys", "import", "--insecure", "--force", "--out", "folder"], SECRET);
    assert!(dir.join("folder").is_dir());
    let missing = ["keys", "import", "--insecure", "--out", "no/key.json"];
    let refused = run_with_input(dir, &missing, SECRET);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("cannot write no/key.json"), "{refused:?}");
    let mut left: Vec<_> =
        fs::read_dir(dir).expect("readable").map(|entry| entry.expect("there").file_name()).collect();
    left.sort();
    assert_eq!(left, ["folder", "key.json", "right", "wrong"]);
}

#[test]
fn every_changed_byte_of_a_keystore_is_found() {
    let dir = folder();
    import(dir.path(), &["--insecure"]);
    let path = dir.path().join("key.json");
    let good = fs::read(&path).expect("readable");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        // A break between members may become another blank: the same keystore.
        if good[at].is_ascii_whitespace() && bad[at].is_ascii_whitespace() {
            continue;
        }
        fs::write(&path, &bad).expect("written");
        run(dir.path(), &["keys", "show", "key.json"]).expect(3, &["key.json"]);
    }
    for length in [0, 1, good.len() / 2, good.len() - 2] {
        fs::write(&path, &good[..length]).expect("written");
        run(dir.path(), &["keys", "show", "key.json"]).expect(3, &["key.json"]);
    }
    // The negative control: nothing but those changes was refused.
    fs::write(&path, &good).expect("written");
    run(dir.path(), &["keys", "show", "key.json"]).expect(0, &[]);
}

#[test]
fn other_documents_are_refused_by_name() {
    let dir = folder();
    let dir = dir.path();
    import(dir, &["--passphrase-file", "right"]);
    let good = document(dir);
    let refused = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let mut bad = good.clone();
        change(&mut bad);
        fs::write(dir.join("key.json"), bad.to_string()).expect("written");
        run(dir, &["keys", "show", "key.json"]).expect(3, words);
    };
    refused(&|bad| bad["comment"] = json!("mine"), &["unknown field", "comment"]);
    refused(&|bad| bad["secret"]["encrypted"]["pepper"] = json!(1), &["unknown field", "pepper"]);
    refused(&|bad| bad["version"] = json!(2), &["version: 2", "reads 1"]);
    refused(&|bad| bad["format"] = json!("wallet"), &["format", "wallet"]);
    refused(&|bad| bad["public_key"] = json!("00"), &["expected 96 hex digits, found 2"]);
    refused(&|bad| bad["public_key"] = json!("a4".repeat(48)), &["checksum"]);
    refused(&|bad| bad["secret"]["encrypted"]["kdf"] = json!("md5"), &["unknown variant", "md5"]);
    refused(&|bad| bad["secret"] = json!({}), &["not a keystore"]);
    refused(&|bad| *bad = json!([]), &["not a keystore"]);
    fs::write(dir.join("key.json"), vec![b' '; 1 << 20]).expect("written");
    run(dir, &["keys", "show", "key.json"]).expect(3, &["larger than"]);
    run(dir, &["keys", "show", "missing.json"]).expect(1, &["cannot open missing.json"]);
    run(dir, &["keys", "show", "."]).expect(1, &["cannot read ."]);
}

#[test]
fn a_bad_secret_is_refused_and_not_repeated() {
    let dir = folder();
    for (secret, word) in [
        ("", "expected 64 hex digits, found 0"),
        ("12345", "expected 64 hex digits, found 5"),
        (&SECRET.replace('d', "x"), "character 4 is no hex digit"),
        (&"00".repeat(32), "zero"),
        (ORDER, "order"),
        (&"f".repeat(4000), "64 hex digits"),
    ] {
        let arguments = ["keys", "import", "--passphrase-file", "right", "--out", "key.json"];
        let refused = run_with_input(dir.path(), &arguments, secret).expect(3, &["standard input: secret key", word]);
        assert!(secret.is_empty() || !refused.stderr.contains(secret), "{refused:?}");
        assert!(!dir.path().join("key.json").exists());
    }
    // The control: one below the order is a secret key.
    let greatest = ORDER.replace("00000001", "00000000");
    run_with_input(dir.path(), &["keys", "import", "--insecure", "--out", "key.json"], &greatest).expect(0, &[]);
}
