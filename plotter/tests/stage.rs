//! Staged plots against plots made in place.

#[path = "../../prover/tests/common/mod.rs"]
mod common;
mod made;

use std::path::{Path, PathBuf};

use made::{Maker, params};
use spacetime_plotter::{
    Control, CopyError, CopyOptions, CreateError, CreateOptions, Event, PlotParams, Resumed, Staged, Step,
    create_staged, resume, resume_staged,
};
use spacetime_prover::{Plot, PlotHeader};

/// A staging folder beside the maker's own, in which the plot ends.
struct Stage {
    maker: Maker,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self { maker: Maker::new(), folder: tempfile::tempdir().expect("a folder") }
    }

    fn staging(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.plot"))
    }

    fn create(&self, name: &str, params: &PlotParams, options: &CreateOptions<'_>) -> Result<Staged, CreateError> {
        create_staged(params, &self.staging(name), &self.maker.path(name), options)
    }

    fn staged_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder is there");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
    }

    /// Sees that only the plot is left, and that it is the one made in place.
    fn check(&self, name: &str, params: &PlotParams) {
        assert_eq!(self.staged_files(), Vec::<String>::new());
        assert_eq!(self.maker.files(), [format!("{name}.plot")]);
        let elsewhere = Maker::new();
        let expected = elsewhere.create("x", params).expect("a plot");
        assert!(read(&self.maker.path(name)) == read(&expected.path), "{params:?}");
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the plot")
}

#[test]
fn staged_plots_are_those_made_in_place() {
    for (rows, rows_per_segment) in [(1, None), (20, Some(8)), (100, Some(1024)), (100, Some(1)), (3000, None)] {
        for first_row in [None, Some(2 * rows_per_segment.unwrap_or(0))] {
            let stage = Stage::new();
            let params = PlotParams { first_row, ..params(4, 1, rows, rows_per_segment) };
            let staged = stage.create("x", &params, &stage.maker.options()).expect("a plot");
            assert_eq!(stage.staged_files(), ["x.plot.tmp"]);
            assert_eq!(staged.destination(), stage.maker.path("x"));
            let created = staged.finish(&stage.maker.copy_options()).expect("a plot");
            assert_eq!((created.rows_grown, &created.path), (rows, &stage.maker.path("x")));
            assert_eq!(created.header, *Plot::open_any(&created.path).expect("a plot").header());
            stage.check("x", &params);
        }
    }
}

#[test]
fn one_is_moved_while_the_next_grows() {
    let stage = Stage::new();
    let params = |seed| PlotParams { seed: [seed; 32], ..params(5, 2, 300, Some(64)) };
    let first = stage.create("first", &params(1), &stage.maker.options()).expect("a plot");
    let second = std::thread::scope(|scope| {
        let moving = scope.spawn(|| first.finish(&stage.maker.copy_options()));
        let second = stage.create("second", &params(2), &stage.maker.options()).expect("a plot");
        moving.join().expect("no panic").expect("a plot");
        second
    });
    second.finish(&stage.maker.copy_options()).expect("a plot");
    assert_eq!(stage.maker.files(), ["first.plot", "second.plot"]);
    assert_eq!(stage.staged_files(), Vec::<String>::new());
}

#[test]
fn resuming_finishes_the_job_from_anywhere() {
    let params = params(4, 1, 5000, Some(256));
    // While it grows.
    let stage = Stage::new();
    let control = Control::default();
    let stop = |event| {
        if matches!(event, Event::Done { .. }) {
            control.stop();
        }
    };
    let options = CreateOptions { control: &control, events: &stop, ..stage.maker.options() };
    let error = stage.create("x", &params, &options).expect_err("stopped");
    assert!(error.is_stopped(), "{error}");
    assert!(stage.maker.files().is_empty());
    let created = resume(&stage.staging("x"), &stage.maker.options()).expect("a plot").expect("work to do");
    assert!((1..5000).contains(&created.rows_grown));
    stage.check("x", &params);

    // Complete, but not moved.
    let stage = Stage::new();
    drop(stage.create("x", &params, &stage.maker.options()).expect("a plot"));
    let created = resume(&stage.staging("x"), &stage.maker.options()).expect("a plot").expect("work to do");
    assert_eq!((created.rows_grown, created.path), (0, stage.maker.path("x")));
    stage.check("x", &params);

    // While it is moved.
    let stage = Stage::new();
    let staged = stage.create("x", &params, &stage.maker.options()).expect("a plot");
    let whole = read(staged.staged());
    let control = Control::default();
    let stop = |step| {
        if matches!(step, Step::Advanced(_)) {
            control.stop();
        }
    };
    let options = CopyOptions { control: &control, steps: &stop, memory: Some(4 << 20), ..stage.maker.copy_options() };
    let error = staged.finish(&options).expect_err("stopped");
    assert!(error.is_stopped(), "{error}");
    assert!(read(&stage.staging("x").with_extension("plot.tmp")) == whole);
    let Resumed::Staged(staged) = resume_staged(&stage.staging("x"), &stage.maker.options()).expect("a plot") else {
        panic!("it is staged")
    };
    // While somebody is at it nobody else is.
    let refused = resume(&stage.staging("x"), &stage.maker.options()).expect_err("it is locked");
    assert!(matches!(refused, CreateError::Locked { .. }), "{refused}");
    staged.finish(&stage.maker.copy_options()).expect("a plot");
    stage.check("x", &params);

    // Moved, but the staged file is there yet.
    std::fs::write(stage.staging("x").with_extension("plot.tmp"), &whole).expect("a small file");
    let before = std::fs::metadata(stage.maker.path("x")).expect("the plot").modified().expect("a time");
    resume(&stage.staging("x"), &stage.maker.options()).expect("a plot").expect("work to do");
    let after = std::fs::metadata(stage.maker.path("x")).expect("the plot").modified().expect("a time");
    assert_eq!(before, after, "it is not copied again");
    stage.check("x", &params);
    // Another plot of that name stays.
    let (_, other) = common::plot_bytes(&common::header(9, 4, 1, 20, 32));
    std::fs::write(stage.maker.path("x"), &other).expect("a small file");
    std::fs::write(stage.staging("x").with_extension("plot.tmp"), &whole).expect("a small file");
    let refused = resume(&stage.staging("x"), &stage.maker.options()).expect_err("a taken name");
    assert!(
        matches!(&refused, CreateError::Move(error) if matches!(**error, CopyError::Create(CreateError::Exists(_)))),
        "{refused}"
    );
    assert!(read(&stage.maker.path("x")) == other);
    assert!(read(&stage.staging("x").with_extension("plot.tmp")) == whole);
}

#[test]
fn damage_in_the_staging_folder_is_not_moved() {
    let stage = Stage::new();
    let params = params(4, 1, 100, Some(16));
    let staged = stage.create("x", &params, &stage.maker.options()).expect("a plot");
    let mut bytes = read(staged.staged());
    let data_offset = PlotHeader::decode(bytes[..4096].try_into().expect("a header")).expect("a header").data_offset;
    bytes[data_offset as usize + 32 * 300] ^= 1;
    std::fs::write(staged.staged(), &bytes).expect("a small file");
    let error = staged.finish(&stage.maker.copy_options()).expect_err("damage");
    assert!(matches!(error, CopyError::Plot(_)), "{error}");
    assert!(stage.maker.files().is_empty());
    assert_eq!(stage.staged_files(), ["x.plot.tmp"]);
}

#[test]
fn what_cannot_be_moved_is_not_grown() {
    let stage = Stage::new();
    let small = params(4, 1, 20, Some(8));
    let refused = |params: &PlotParams| stage.create("x", params, &stage.maker.options()).expect_err("it cannot end");
    std::fs::write(stage.maker.path("x"), b"something").expect("a small file");
    assert!(matches!(refused(&small), CreateError::Exists(path) if path == stage.maker.path("x")));
    std::fs::remove_file(stage.maker.path("x")).expect("the file is ours");
    let tmp = stage.maker.path("x").with_extension("plot.tmp");
    std::fs::write(&tmp, b"something").expect("a small file");
    assert!(matches!(refused(&small), CreateError::Unfinished(path) if path == tmp));
    std::fs::remove_file(&tmp).expect("the file is ours");
    assert!(matches!(refused(&params(10, 1, 1 << 36, None)), CreateError::NoSpace { .. }));
    assert!(matches!(refused(&params(4, 1, 0, None)), CreateError::Params(_)));
    assert!(matches!(refused(&params(4, 1, 5, Some(3))), CreateError::Params(_)));
    let in_place = create_staged(&small, &stage.maker.path("y"), &stage.maker.path("x"), &stage.maker.options());
    assert!(matches!(in_place, Err(CreateError::StagedInPlace(_))));
    let mut deep = stage.folder.path().join("deep");
    while deep.as_os_str().len() < 3800 {
        deep.push("d".repeat(200));
    }
    let too_long = create_staged(&small, &stage.staging("x"), &deep.join("x.plot"), &stage.maker.options());
    assert!(matches!(too_long, Err(CreateError::DestinationPath(_))), "{:?}", too_long.err());
    std::fs::remove_dir_all(stage.folder.path().join("deep")).expect("the folders are ours");
    assert!(stage.maker.files().is_empty() && stage.staged_files().is_empty(), "nothing is left behind");
}
