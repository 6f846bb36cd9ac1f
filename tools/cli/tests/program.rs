//! What every verb shares: exit codes, one-line errors, closed outputs.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::{command, run};

#[test]
fn help_and_version_are_results() {
    let here = Path::new(".");
    assert!(run(here, &["--help"]).expect(0, &[]).stdout.contains("keys"));
    assert!(run(here, &["--version"]).expect(0, &[]).stdout.starts_with("spacetime "));
    assert!(run(here, &["keys", "new", "--help"]).expect(0, &[]).stdout.contains("--insecure"));
}

#[test]
fn wrong_usage_is_one_line_and_2() {
    let here = Path::new(".");
    run(here, &["fly"]).expect(2, &["fly"]);
    run(here, &["keys", "new"]).expect(2, &["--out <FILE>"]);
    run(here, &["keys", "new", "--output", "x"]).expect(2, &["--output", "--out"]);
    run(here, &["-v", "-q", "man"]).expect(2, &["--verbose", "--quiet"]);
    run(here, &["completions", "tcsh"]).expect(2, &["tcsh", "bash"]);
    // Nothing at all shows the help, as an error.
    let bare = run(here, &[]);
    assert_eq!((bare.code, bare.stdout.as_str()), (Some(2), ""));
    assert!(bare.stderr.contains("Usage:"));
}

#[test]
fn completions_and_manual_pages_name_the_verbs() {
    let here = Path::new(".");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(here, &["completions", shell]).expect(0, &[]).stdout.contains("import"), "{shell}");
    }
    assert!(run(here, &["man"]).expect(0, &[]).stdout.contains(".TH spacetime 1"));
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    run(folder.path(), &["man", "--out", "pages/man1"]).expect(0, &[]);
    for page in ["spacetime.1", "spacetime-keys.1", "spacetime-keys-new.1"] {
        assert!(folder.path().join("pages/man1").join(page).is_file(), "{page}");
    }
    std::fs::write(folder.path().join("taken"), "").expect("written");
    run(folder.path(), &["man", "--out", "taken"]).expect(1, &["taken"]);
}

#[test]
fn a_reader_that_leaves_is_no_panic() {
    for arguments in [["completions", "bash"].as_slice(), &["man"], &["--help"]] {
        let mut child = command(Path::new("."), arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the program ends");
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_1() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        println!("SKIPPED: no /dev/full here");
        return;
    };
    let output = command(Path::new("."), &["man"]).stdout(full).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.starts_with("error: cannot write to standard output"), "{message}");
}

#[test]
fn closed_outputs_are_no_panic() {
    let program = env!("CARGO_BIN_EXE_spacetime");
    for script in ["\"$0\" fly 2>&-", "\"$0\" man >&-", "\"$0\" man >&- 2>&-"] {
        let status = Command::new("sh").args(["-c", script, program]).stdin(Stdio::null()).status();
        assert!(matches!(status.expect("a shell").code(), Some(0..=2)), "{script}");
    }
}
