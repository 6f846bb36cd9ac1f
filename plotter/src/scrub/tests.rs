//! Disks that cannot read some places, and disks that do not keep what is written.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;

use spacetime_kernels::{Backend, ColumnIndex, Shape, network_tag};

use super::*;
use crate::create::create;
use crate::engine::Cpu;
use crate::options::CreateOptions;
use crate::params::PlotParams;

/// A file with a bad place that reading fails on until it is written, or that keeps nothing.
struct Bad {
    file: File,
    unreadable: std::sync::Mutex<Range<u64>>,
    swallows: bool,
}

impl Storage for Bad {
    fn write_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        let mut bad = self.unreadable.lock().expect("no panic");
        let end = offset_bytes + bytes.len() as u64;
        if offset_bytes <= bad.start && bad.end <= end {
            *bad = 0..0;
        }
        if self.swallows { Ok(()) } else { self.file.write_at(bytes, offset_bytes) }
    }

    fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        let bad = self.unreadable.lock().expect("no panic");
        if offset_bytes < bad.end && bad.start < offset_bytes + buffer.len() as u64 {
            return Err(rustix::io::Errno::IO.into());
        }
        self.file.read_at(buffer, offset_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        Storage::len(&self.file)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        Storage::set_len(&self.file, bytes)
    }
}

/// Scrubs with repair a plot of 2 segments of 64 rows on a disk that `spoil` makes bad.
fn scrub_bad(spoil: impl FnOnce(&Plot, &mut Bad)) -> (Result<ScrubReport, ScrubError>, Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.plot");
    let params = PlotParams {
        miner_key: [7; 48],
        seed: [1; 32],
        network: network_tag("local"),
        shape: Shape::new(5, 1).expect("a shape"),
        rows: 128,
        rows_per_segment: Some(64),
        first_row: None,
    };
    let (engine, control, memory) = (Cpu(Backend::fastest()), Control::default(), Some(64 << 20));
    let create_options = CreateOptions {
        engine: &engine,
        threads: 1,
        growers: &[],
        cpu_grows: true,
        memory,
        force: false,
        preallocate: true,
        control: &control,
        events: &|_| (),
    };
    create(&params, &path, &create_options).expect("a plot");
    let whole = std::fs::read(&path).expect("the plot");
    let plot = Plot::open(&path).expect("a plot");
    let file = OpenOptions::new().read(true).write(true).open(&path).expect("the plot");
    let mut bad = Bad { file, unreadable: std::sync::Mutex::new(0..0), swallows: false };
    spoil(&plot, &mut bad);
    let options = ScrubOptions { engine: &engine, threads: 1, memory, repair: true, control: &control, steps: &|_| () };
    let report = scrub_storage(&path, &bad, &plot, &options);
    (report, whole, std::fs::read(&path).expect("the plot"))
}

#[test]
#[cfg(target_os = "linux")]
fn unreadable_places_are_damage_and_heal() {
    // Strips of 2 KiB: a block of 4 KiB holds two, and the disk fails a whole one.
    let (report, whole, healed) = scrub_bad(|plot, bad| {
        let strip = plot.layout().strip(1, ColumnIndex(6));
        bad.file.write_at(&[0; 4096], strip.offset_bytes).expect("the test folder takes a page");
        bad.unreadable = std::sync::Mutex::new(strip.offset_bytes..strip.offset_bytes + 4096);
    });
    let report = report.expect("a scrub");
    assert_eq!((report.outcome, report.unreadable_bytes), (Outcome::Healed, 4096));
    let strip = |column| Damage::Strip { segment: 1, column };
    assert_eq!(report.damage, [strip(6), strip(7)]);
    assert!(healed == whole);
}

#[test]
fn a_disk_that_keeps_nothing_is_noticed() {
    let (report, ..) = scrub_bad(|plot, bad| {
        let strip = plot.layout().strip(1, ColumnIndex(6));
        bad.file.write_at(&[0xff], strip.offset_bytes + 100).expect("the test folder takes a byte");
        bad.swallows = true;
    });
    let error = report.expect_err("nothing was healed");
    assert!(matches!(error, ScrubError::NotHealed { damage: Damage::Strip { segment: 1, column: 6 }, .. }), "{error}");
}
