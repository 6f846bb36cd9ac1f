//! Finding plots: what is taken, what is refused and why, what a refresh notices.

mod common;
mod farming;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{header, plot_bytes};
use farming::{COLUMN, challenges, check_full, folder_of, full, paths_in, plot_path, write};
use spacetime_prover::farm::{Changes, Refusal};
use spacetime_prover::{Farm, FarmOptions, HeaderError, LayoutError, PlotError};

fn open(paths: &[&Path]) -> Farm {
    Farm::open(paths.iter().copied(), FarmOptions::default()).expect("good options")
}

fn used(farm: &Farm) -> Vec<PathBuf> {
    farm.plots().iter().map(|plot| plot.path().to_owned()).collect()
}

fn why(farm: &Farm, path: &Path) -> Arc<Refusal> {
    let refused = farm.refused();
    let named: Vec<_> = refused.iter().filter(|refused| refused.path == path).collect();
    assert_eq!(named.len(), 1, "{} in {refused:?}", path.display());
    let why = Arc::clone(&named[0].why);
    assert!(why.to_string().contains(&path.display().to_string()), "the message names the path: {why}");
    why
}

#[test]
fn folders_and_files_are_opened_in_order() {
    let (one, two) = (folder_of(&[(5, 4), (6, 4)]), tempfile::tempdir().expect("a folder"));
    let odd_name = two.path().join("a plot of another name");
    fs::rename(write(two.path(), 7, 9, 8), &odd_name).expect("a rename");
    // What is not a plot by name is passed over in silence, and folders below are not entered.
    fs::write(one.path().join("2.plot.tmp"), "being made").expect("a file");
    fs::write(one.path().join("notes.txt"), "notes").expect("a file");
    fs::create_dir(one.path().join("below")).expect("a folder");
    write(&one.path().join("below"), 8, 5, 4);
    let farm = open(&[&odd_name, one.path(), two.path()]);
    assert_eq!(used(&farm), [odd_name.clone(), plot_path(one.path(), 0), plot_path(one.path(), 1)]);
    assert!(farm.refused().is_empty(), "{:?}", farm.refused());
    // The control: named, a plot being made is refused.
    let tmp = one.path().join("2.plot.tmp");
    assert!(matches!(*why(&open(&[&tmp]), &tmp), Refusal::Plot(PlotError::Short { .. })));
}

#[test]
fn what_is_no_plot_is_refused_by_its_rule() {
    let folder = folder_of(&[(37, 8)]);
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    let (good_header, good) = plot_bytes(&header(1, 4, 1, 37, 8));
    let mut damaged = good.clone();
    damaged[100] ^= 1;
    let mut building = good_header.clone();
    (building.state, building.root, building.plot_id) = (spacetime_prover::PlotState::Building, [0; 32], [0; 32]);
    let mut unfinished = good.clone();
    unfinished[..4096].copy_from_slice(&building.encode());
    let empty = file("empty.plot", b"");
    let other = file("other.plot", &[7; 5000]);
    let damaged = file("damaged.plot", &damaged);
    let cut = file("cut.plot", &good[..good.len() - 1]);
    let unfinished = file("unfinished.plot", &unfinished);
    let subfolder = folder.path().join("folder.plot");
    fs::create_dir(&subfolder).expect("a folder");
    let missing = folder.path().join("nowhere");

    let farm = open(&[folder.path(), &missing]);
    assert_eq!(used(&farm), [plot_path(folder.path(), 0)]);
    assert_eq!(farm.refused().len(), 7);
    assert!(matches!(*why(&farm, &empty), Refusal::Plot(PlotError::Short { found: 0, .. })));
    assert!(matches!(*why(&farm, &other), Refusal::Plot(PlotError::Header { source: HeaderError::Magic, .. })));
    assert!(matches!(*why(&farm, &damaged), Refusal::Plot(PlotError::Header { source: HeaderError::Checksum, .. })));
    let cut_why = why(&farm, &cut);
    assert!(matches!(*cut_why, Refusal::Plot(PlotError::Layout { source: LayoutError::Truncated { .. }, .. })));
    assert!(matches!(*why(&farm, &unfinished), Refusal::Plot(PlotError::NotComplete { .. })));
    assert!(matches!(*why(&farm, &subfolder), Refusal::Plot(PlotError::NotAFile(_))));
    assert!(matches!(*why(&farm, &missing), Refusal::Plot(PlotError::Io { .. })));

    // Mended, it is taken at the next refresh; the rest stays refused.
    fs::write(&cut, &good).expect("a file");
    assert_eq!(farm.refresh(), Changes { added: vec![cut], ..Changes::default() });
    assert_eq!((farm.plots().len(), farm.refused().len()), (2, 6));
}

#[cfg(unix)]
#[test]
fn loops_pipes_and_devices_do_not_hold_it_up() {
    use std::os::unix::fs::symlink;
    let folder = folder_of(&[(5, 4)]);
    let link = |to: &Path, name: &str| {
        let path = folder.path().join(name);
        symlink(to, &path).expect("a link");
        path
    };
    let around = link(folder.path(), "around.plot");
    let itself = link(&folder.path().join("itself.plot"), "itself.plot");
    let device = link(Path::new("/dev/zero"), "device.plot");
    let pipe = folder.path().join("pipe.plot");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is everywhere");
    assert!(made.success());
    let farm = open(&[folder.path(), Path::new("/dev/null")]);
    assert_eq!(used(&farm), [plot_path(folder.path(), 0)]);
    for path in [around, device, pipe, PathBuf::from("/dev/null")] {
        assert!(matches!(*why(&farm, &path), Refusal::Plot(PlotError::NotAFile(_))), "{}", path.display());
    }
    assert!(matches!(*why(&farm, &itself), Refusal::Plot(PlotError::Io { .. })));
}

#[test]
fn the_same_plot_is_used_once() {
    let folder = folder_of(&[(37, 8), (5, 4)]);
    let (first, copy) = (plot_path(folder.path(), 0), folder.path().join("copy.plot"));
    fs::copy(&first, &copy).expect("a copy");
    let hard = folder.path().join("hard.plot");
    fs::hard_link(&first, &hard).expect("a link");
    let farm = open(&[folder.path(), &first]);
    assert_eq!(used(&farm), paths_in(folder.path(), 2));
    assert_eq!(farm.refused().len(), 3);
    assert!(matches!(&*why(&farm, &copy), Refusal::SamePlot { first: used, .. } if *used == first));
    assert!(matches!(&*why(&farm, &hard), Refusal::SameFile { first: used, .. } if *used == first));
    assert!(matches!(&*why(&farm, &first), Refusal::SameFile { first: used, .. } if *used == first));
    let report = farm.search(COLUMN, &challenges(1), None, None, &full()).expect("a search");
    assert_eq!(report.leaves(), 42);

    // With the first gone, another takes its place.
    fs::remove_file(&first).expect("a file");
    let changes = farm.refresh();
    assert_eq!(changes, Changes { added: vec![copy.clone()], removed: vec![first], ..Changes::default() });
    assert_eq!(used(&farm), [plot_path(folder.path(), 1), copy.clone()]);
    assert!(matches!(&*why(&farm, &hard), Refusal::SamePlot { first: used, .. } if *used == copy));
}

#[test]
fn a_refresh_notices_what_came_and_went() {
    let folder = folder_of(&[(37, 8), (5, 4), (6, 4)]);
    let path = |at| plot_path(folder.path(), at);
    let farm = open(&[folder.path()]);
    let before = farm.plots();
    assert_eq!(farm.refresh(), Changes::default());

    write(folder.path(), 3, 50, 16);
    fs::remove_file(path(1)).expect("a file");
    // Another file of the same size in its place.
    let other = folder.path().join("other");
    fs::rename(write(&fs::create_dir(&other).map(|()| other).expect("a folder"), 9, 6, 4), path(2)).expect("a rename");
    let changes = farm.refresh();
    assert_eq!(changes, Changes { added: vec![path(3)], removed: vec![path(1)], replaced: vec![path(2)] });
    let after = farm.plots();
    assert!(Arc::ptr_eq(&before[0], &after[0]), "a plot that stayed is not opened again");
    assert!(!Arc::ptr_eq(&before[2], &after[1]));
    let report = farm.search(COLUMN, &challenges(2), None, None, &full()).expect("a search");
    check_full(&report, &[path(0), path(2), path(3)]).expect("what is there now");

    // A folder that is gone takes its plots with it, and one that comes back brings them.
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).expect("a rename");
    assert_eq!(farm.refresh().removed.len(), 3);
    assert!(matches!(*why(&farm, folder.path()), Refusal::Plot(PlotError::Io { .. })));
    fs::rename(&away, folder.path()).expect("a rename");
    assert_eq!(farm.refresh().added.len(), 3);
}
