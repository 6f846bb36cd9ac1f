//! Names that are taken, links, pipes, and files that change places meanwhile.
#![cfg(unix)]

mod made;

use std::os::unix::fs::symlink;
use std::process::Command;

use made::{Maker, params};
use spacetime_plotter::{CreateError, CreateOptions, Event, create, remove_stillborn, resume};

/// A plot interrupted in its middle.
fn interrupted(maker: &Maker, name: &str, rows: u64, force: bool) {
    let stopping = Maker { memory: Some(10 << 20), ..Maker::new() };
    let stop = |event| {
        if matches!(event, Event::Done { .. }) {
            stopping.control.stop();
        }
    };
    let options = CreateOptions { force, events: &stop, ..stopping.options() };
    let error = create(&params(6, 1, rows, Some(64)), &maker.path(name), &options).expect_err("stopped");
    assert!(error.is_stopped(), "{error}");
}

#[test]
fn an_interrupted_overwriting_is_resumed() {
    let maker = Maker::new();
    let old = maker.create("x", &params(6, 1, 10, None)).expect("a plot");
    interrupted(&maker, "x", 8000, true);
    assert_eq!(std::fs::metadata(&old.path).expect("the old plot").len(), old.bytes, "the old one is there until then");
    let new = maker.resume("x").expect("resumed").expect("a plot");
    assert_eq!(new.header.rows, 8000);
    assert_eq!(maker.files(), ["x.plot"]);
}

#[test]
fn a_name_taken_meanwhile_is_seen_before_anything_is_grown() {
    let maker = Maker::new();
    interrupted(&maker, "x", 8000, false);
    maker.create("y", &params(6, 1, 10, None)).expect("a plot");
    std::fs::rename(maker.path("y"), maker.path("x")).expect("our file");
    let grown = std::sync::Mutex::new(0);
    let count = |event| {
        if let Event::Grown(rows) = event {
            *grown.lock().expect("no panic") += rows;
        }
    };
    let options = CreateOptions { events: &count, ..maker.options() };
    let error = resume(&maker.path("x"), &options).expect_err("a taken name");
    assert!(matches!(error, CreateError::Waiting { .. }), "{error}");
    assert_eq!(*grown.lock().expect("no panic"), 0);
    // The control: by force it is finished over the other.
    let forced = Maker { force: true, folder: maker.folder, ..Maker::new() };
    assert_eq!(forced.resume("x").expect("resumed").expect("a plot").header.rows, 8000);
    assert_eq!(forced.files(), ["x.plot"]);
}

#[test]
fn links_and_pipes_are_not_followed() {
    let maker = Maker::new();
    let precious = maker.folder.path().join("precious");
    std::fs::write(&precious, "precious").expect("a small file");
    let small = params(4, 1, 20, None);
    let new = maker.folder.path().join("x.plot.tmp.new");
    symlink(&precious, &new).expect("a link");
    assert!(matches!(maker.create("x", &small), Err(CreateError::Io { .. })));
    std::fs::remove_file(&new).expect("our link");
    std::fs::hard_link(&precious, &new).expect("a link");
    assert!(matches!(maker.create("x", &small), Err(CreateError::Io { .. })));
    std::fs::remove_file(&new).expect("our link");
    assert_eq!(std::fs::read(&precious).expect("our file"), b"precious");

    assert!(Command::new("mkfifo").arg(&new).status().expect("mkfifo runs").success());
    remove_stillborn(&new).expect_err("a pipe is not waited for");
    assert!(matches!(maker.create("x", &small), Err(CreateError::Io { .. })));
    std::fs::remove_file(&new).expect("our pipe");

    // A link that leads nowhere takes the name all the same, and a folder is not overwritten by force either.
    symlink("nowhere", maker.path("x")).expect("a link");
    assert!(matches!(maker.create("x", &small), Err(CreateError::Exists(_))));
    std::fs::remove_file(maker.path("x")).expect("our link");
    std::fs::create_dir(maker.path("x")).expect("a folder");
    let forced = Maker { force: true, folder: maker.folder, ..Maker::new() };
    assert!(matches!(forced.create("x", &small), Err(CreateError::Plot(_))));
    std::fs::remove_dir(forced.path("x")).expect("our folder");
    assert_eq!(forced.files(), ["precious"]);
    forced.create("x", &small).expect("the control");
}

#[test]
fn a_file_that_was_moved_away_is_not_published_under_its_name() {
    let maker = Maker::new();
    let tmp = maker.folder.path().join("x.plot.tmp");
    let aside = maker.folder.path().join("aside");
    let swap = |event| {
        if matches!(event, Event::Done { rows_done: 64 }) {
            std::fs::rename(&tmp, &aside).expect("our file");
            std::fs::write(&tmp, "somebody else's").expect("a small file");
        }
    };
    let options = CreateOptions { events: &swap, ..maker.options() };
    let error = create(&params(4, 1, 64, None), &maker.path("x"), &options).expect_err("another file");
    assert!(matches!(error, CreateError::Replaced(_)), "{error}");
    assert_eq!(std::fs::read(&tmp).expect("the other file"), b"somebody else's");
    assert_eq!(maker.files(), ["aside", "x.plot.tmp"]);
}

#[test]
fn what_died_at_birth_takes_no_space_and_makes_way() {
    let maker = Maker::new();
    let new = maker.folder.path().join("x.plot.tmp.new");
    std::fs::write(&new, [1; 1000]).expect("a small file");
    maker.create("x", &params(4, 1, 20, None)).expect("a plot");
    std::fs::write(&new, [1; 1000]).expect("a small file");
    remove_stillborn(&new).expect("removed");
    assert_eq!(maker.files(), ["x.plot"]);
}
