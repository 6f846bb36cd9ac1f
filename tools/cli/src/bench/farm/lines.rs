//! What `spacetime bench farm` says of disks and of all together.

use std::time::Duration;

use serde::Serialize;
use spacetime_benches::chart::{Bar, Chart, Group};
use spacetime_benches::farm::{DiskReport, Options, Rehearsal};
use spacetime_benches::stats::median;

use crate::bench::limits::{Binds, CpuLimits, at, size};
use crate::network::Rules;
use crate::{Failure, out};

/// Least that a window should read for its rate to say anything.
const ENOUGH_BYTES: u64 = 64 << 20;

/// What one disk did.
#[derive(Serialize)]
pub(super) struct DiskLine {
    event: &'static str,
    device: u64,
    path: String,
    plots: usize,
    plots_bytes: u64,
    windows: usize,
    windows_missed: usize,
    missed_share: f64,
    answer_median_ms: Option<f64>,
    answer_worst_ms: Option<f64>,
    /// Bytes of plots like these that it could answer for within a window.
    window_served_bytes: Option<f64>,
    cached: bool,
}

/// What all did together.
#[derive(Serialize)]
pub(super) struct Line {
    event: &'static str,
    disks: usize,
    plots: usize,
    plots_bytes: u64,
    challenges: usize,
    window_ms: f64,
    windows: usize,
    windows_missed: usize,
    missed_share: f64,
    /// Until the proof was verified.
    answer_median_ms: Option<f64>,
    answer_worst_ms: Option<f64>,
    proof_median_ms: Option<f64>,
    /// What all disks could answer for within a window.
    disks_served_bytes: f64,
    /// What the CPU could score within a window.
    cpu_served_bytes: f64,
    /// The lesser of the two.
    window_served_bytes: f64,
    group_ms: u64,
    /// The same in the time of a group, which is there where the column is known before.
    group_served_bytes: f64,
    bound_by: Binds,
    /// Whether Ctrl-C ended it.
    interrupted: bool,
}

fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn worst(times: &[f64]) -> Option<f64> {
    times.iter().copied().max_by(f64::total_cmp)
}

pub(super) fn disk_line(disk: &DiskReport, window: Duration) -> DiskLine {
    let DiskReport { device, plots, plots_bytes, missed, cached, .. } = *disk;
    let windows = disk.answers_ms.len();
    let folder = disk.folders.first().map(|folder| folder.display().to_string()).unwrap_or_default();
    let folder = if folder.is_empty() { ".".to_owned() } else { folder };
    let more = disk.folders.len().saturating_sub(1);
    DiskLine {
        event: "disk",
        device,
        path: if more == 0 { folder } else { format!("{folder} and {more} more") },
        plots,
        plots_bytes,
        windows,
        windows_missed: missed,
        missed_share: share(missed, windows),
        answer_median_ms: median(&disk.answers_ms),
        answer_worst_ms: worst(&disk.answers_ms),
        window_served_bytes: disk.served().map(|served| served * window.as_secs_f64()),
        cached,
    }
}

pub(super) fn line(rehearsal: &Rehearsal, options: &Options, rules: &Rules, cpu: &CpuLimits) -> Line {
    let disks = &rehearsal.disks;
    let rows: u64 = disks.iter().map(|disk| disk.rows).sum();
    let plots_bytes = disks.iter().map(|disk| disk.plots_bytes).sum();
    // A row has one cell in the column: 32 bytes scored stand for all of it.
    let a_scored_byte = plots_bytes as f64 / (rows * 32).max(1) as f64;
    let window = options.window.as_secs_f64();
    let disks_served = disks.iter().filter_map(DiskReport::served).sum::<f64>() * window;
    let cpu_served = cpu.score_bytes_per_second * a_scored_byte * window;
    let served = disks_served.min(cpu_served);
    Line {
        event: "farm",
        disks: disks.len(),
        plots: disks.iter().map(|disk| disk.plots).sum(),
        plots_bytes,
        challenges: options.challenges,
        window_ms: window * 1e3,
        windows: rehearsal.windows(),
        windows_missed: rehearsal.missed,
        missed_share: share(rehearsal.missed, rehearsal.windows()),
        answer_median_ms: median(&rehearsal.answers_ms),
        answer_worst_ms: worst(&rehearsal.answers_ms),
        proof_median_ms: median(&rehearsal.proofs_ms),
        disks_served_bytes: disks_served,
        cpu_served_bytes: cpu_served,
        window_served_bytes: served,
        group_ms: rules.group().as_millis() as u64,
        group_served_bytes: served / window * rules.group().as_secs_f64(),
        bound_by: Binds::of(disks_served, cpu_served),
        interrupted: rehearsal.cancelled,
    }
}

pub(super) fn print_disk(disk: &DiskLine) -> Result<(), Failure> {
    let DiskLine { path, plots, windows, windows_missed, .. } = disk;
    let time = |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{time:.1} ms"));
    let noun = if *plots == 1 { "plot" } else { "plots" };
    out::line(format_args!(
        "{path}: {plots} {noun}, {}: reads its column in {} (worst {}), {windows_missed} of {windows} windows missed; could answer for {} a window",
        size(disk.plots_bytes as f64),
        time(disk.answer_median_ms),
        time(disk.answer_worst_ms),
        disk.window_served_bytes.map_or("-".to_owned(), |bytes| size(bytes).to_string()),
    ))
}

/// In plain words.
pub(super) fn print(line: &Line, rehearsal: &Rehearsal, rules: &Rules) -> Result<(), Failure> {
    out::line("")?;
    let Line { windows, windows_missed, challenges, .. } = *line;
    let (Some(half), Some(worst), Some(proof)) = (line.answer_median_ms, line.answer_worst_ms, line.proof_median_ms)
    else {
        return out::line("No window came to its end: nothing can be said.");
    };
    out::line(format_args!(
        "{windows} windows of {} s, {challenges} challenges each: from challenge to verified proof {half:.1} ms (worst {worst:.1} ms; {proof:.1} ms of it the proof); {windows_missed} missed ({:.0}%).",
        line.window_ms / 1e3,
        line.missed_share * 100.0,
    ))?;
    out::line(format_args!(
        "Within a window this machine answers for {} of such plots: the disks read {}, the CPU scores {}: {}.",
        size(line.window_served_bytes),
        size(line.disks_served_bytes),
        size(line.cpu_served_bytes),
        line.bound_by.words(),
    ))?;
    out::line(format_args!(
        "With the column known before, for {} a group ({}).",
        size(line.group_served_bytes),
        at(rules.group(), Some(rules)),
    ))?;
    let read = rehearsal.disks.iter().map(|disk| disk.rows * 32).sum::<u64>();
    if read < ENOUGH_BYTES {
        let read = size(read as f64);
        out::line(format_args!("A window needs {read} of these plots: too little to say much about larger ones."))?;
    }
    let cached: Vec<_> = rehearsal.disks.iter().filter(|disk| disk.cached).collect();
    out::line(match cached.len() {
        0 => "Not cached by this machine: every read was direct. What a disk or a host holds is not known.".to_owned(),
        some => format!("Cached: {some} of {} disks were read from this machine's memory.", line.disks),
    })
}

pub(super) fn chart(rehearsal: &Rehearsal, line: &Line) -> Chart {
    let lines: Vec<_> =
        rehearsal.disks.iter().map(|disk| disk_line(disk, Duration::from_secs_f64(line.window_ms / 1e3))).collect();
    let group = |title: &str, unit: &str, bars| Group { title: title.to_owned(), unit: unit.to_owned(), bars };
    let mut times: Vec<_> = lines
        .iter()
        .flat_map(|disk| {
            let bar = |what: &str, time: Option<f64>| Bar::new(format!("{}, {what}", disk.path), time.unwrap_or(0.0));
            [bar("median", disk.answer_median_ms), bar("worst", disk.answer_worst_ms)]
        })
        .collect();
    times.push(Bar::new("all and the proof, median", line.answer_median_ms.unwrap_or(0.0)));
    times.push(Bar::new("the window", line.window_ms));
    let missed = lines.iter().map(|disk| Bar::new(&disk.path, disk.missed_share * 100.0)).collect();
    let tebibytes = |bytes: f64| bytes / (1u64 << 40) as f64;
    let mut served: Vec<_> =
        lines.iter().map(|disk| Bar::new(&disk.path, tebibytes(disk.window_served_bytes.unwrap_or(0.0)))).collect();
    served.push(Bar::new("all disks", tebibytes(line.disks_served_bytes)));
    served.push(Bar::new("the CPU", tebibytes(line.cpu_served_bytes)));
    Chart {
        title: format!("spacetime bench farm: {} windows, {} challenges each", line.windows, line.challenges),
        groups: vec![
            group("Time to answer", "ms", times),
            group("Windows missed", "% of windows", missed),
            group("Plots that could be answered for within a window", "TiB", served),
        ],
    }
}
