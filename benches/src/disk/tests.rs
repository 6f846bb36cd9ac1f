use super::*;

fn options(stop: &AtomicBool) -> Options<'_> {
    Options {
        bytes: LEAST_BYTES,
        writing: Duration::from_secs(60),
        reading: Duration::from_millis(300),
        turns: 2,
        stop,
    }
}

#[test]
fn every_job_is_measured_and_nothing_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("other"), "as it was").expect("a small file");
    let stop = AtomicBool::new(false);
    let mut measured = Vec::new();
    let ground = measure(folder.path(), &options(&stop), |measurement| {
        let names = std::fs::read_dir(folder.path()).expect("the folder").count();
        assert_eq!(names, 1, "the file has no name while it is there");
        measured.push(measurement.clone());
    });
    let ground = ground.expect("a disk that works");
    assert_eq!((ground.file_bytes, ground.strip_spacing_bytes), (LEAST_BYTES, 16 * STRIP_BYTES));
    assert_eq!(measured.len(), 2 + 2 * QUEUE_DEPTHS.len());
    for Measurement { bytes_per_second, latencies, blocks, queue_depth, cached, .. } in &measured {
        let Latencies { p50_ms, p90_ms, p99_ms, max_ms } = *latencies;
        assert!(*bytes_per_second > 0.0 && *blocks >= *queue_depth as u64);
        assert!(0.0 < p50_ms && p50_ms <= p90_ms && p90_ms <= p99_ms && p99_ms <= max_ms);
        assert_eq!(*cached, ground.in_memory || !ground.direct);
    }
    assert_eq!(measured[0].blocks * STRIP_BYTES, LEAST_BYTES);
    assert_eq!(std::fs::read(folder.path().join("other")).expect("it is there"), b"as it was");
}

#[test]
fn asked_to_stop_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let stop = AtomicBool::new(true);
    let stopped = measure(folder.path(), &options(&stop), |_| panic!("nothing is measured"));
    assert!(matches!(stopped, Err(DiskError::Stopped(_))), "{stopped:?}");
    // Later too.
    let stop = AtomicBool::new(false);
    let at_first = |_: &Measurement| stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let stopped = measure(folder.path(), &options(&stop), at_first);
    assert!(matches!(stopped, Err(DiskError::Stopped(_))), "{stopped:?}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "as it was").expect("a small file");
    assert!(matches!(TestFile::create(&file, LEAST_BYTES), Err(DiskError::NotAFolder(_))));
    assert!(matches!(TestFile::create(&folder.path().join("missing"), LEAST_BYTES), Err(DiskError::Io { .. })));
    assert!(matches!(TestFile::create(folder.path(), LEAST_BYTES - 1), Err(DiskError::TooSmall { .. })));
    let all = TestFile::create(folder.path(), 1 << 62);
    assert!(matches!(all, Err(DiskError::NoSpace { bytes, free_bytes, .. }) if free_bytes < bytes), "{all:?}");
    assert_eq!(std::fs::read(&file).expect("it is there"), b"as it was");
}

#[test]
fn what_is_written_is_random_and_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let stop = AtomicBool::new(false);
    let limits = Limits { time: Duration::ZERO, least: 3, stop: &stop };
    let mut file = TestFile::create(folder.path(), LEAST_BYTES).expect("room");
    let pass = file.fill(2, &limits).expect("room").expect("nobody stops it");
    // The time was up at once: the least is written, and at most what was in flight beside it.
    assert!((3..=4).contains(&pass.times_ms.len()), "{pass:?}");
    assert_eq!(file.bytes(), pass.times_ms.len() as u64 * STRIP_BYTES);
    let mut seen = std::collections::HashSet::new();
    let mut buffer = spacetime_prover::farm::Buffer::new(STRIP_BYTES as usize);
    for at in (0..file.bytes()).step_by(STRIP_BYTES as usize) {
        file.read(buffer.as_mut_slice(), at).expect("it was written");
        assert!(buffer.as_slice().as_chunks::<8>().0.iter().all(|word| seen.insert(*word)), "no word comes twice");
    }
}

#[test]
fn strips_lie_as_in_a_plot() {
    for file_bytes in [LEAST_BYTES, 1 << 30, 16 << 30, 1 << 40] {
        let layout = layout_in(file_bytes);
        let places = |job| Places { job, file_bytes, layout: &layout, seed: u64::MAX - 3 };
        let strips: Vec<u64> = (0..100).map(|at| places(Job::StripRead).offset(at).expect("there is no end")).collect();
        for (at, offset) in (0..).zip(&strips) {
            assert!(offset + STRIP_BYTES <= file_bytes);
            let (segment, inside) = ((offset - 4096) / (layout.columns() * STRIP_BYTES), (offset - 4096) % STRIP_BYTES);
            assert_eq!((segment, inside), (at % whole_segments(&layout), 0));
        }
        for job in [Job::SequentialRead, Job::SmallRead] {
            let inside = |at| places(job).offset(at).expect("there is no end") < file_bytes;
            assert!((0..1000).all(inside));
        }
    }
    assert_eq!(layout_in(1 << 30).columns(), 32);
    assert_eq!(layout_in(1 << 40).columns(), 1 << 13, "never more than the main network's");
}
