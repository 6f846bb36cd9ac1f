//! A quick look at a plot: header, sizes, roots, and some rows grown again.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rayon::ThreadPool;
use rayon::prelude::*;
use spacetime_kernels::{Cell, ColumnIndex, RowIndex};
use spacetime_prover::{Plot, PlotHeader, PlotState, tree};

use crate::control::Control;
use crate::engine::Engine;
use crate::progress::{Phase, Step, Steps};
use crate::roots::RootStack;
use crate::scrub::{ScrubError, open};

/// Most findings that a report lists one by one; beyond it they are counted only.
const MAX_LISTED: usize = 1000;

/// Bytes of the rows that are grown again at a time.
const GROUP_BYTES: usize = 64 << 20;

/// With what a plot is checked.
#[derive(Clone, Copy)]
pub struct CheckOptions<'a> {
    /// Who grows rows again and hashes.
    pub engine: &'a dyn Engine,
    /// Threads that do so.
    pub threads: usize,
    /// Rows that are grown again: the first, the last and others drawn by lot.
    pub rows: u64,
    /// Stops and holds back.
    pub control: &'a Control,
    /// Hears how far it is.
    pub steps: Steps<'a>,
}

/// Something wrong with a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The cached column roots do not lead to the plot root.
    PlotRoot,
    /// The cached subtree roots of a column do not lead to its column root; in
    /// a part, whose column roots are zero, this one is not.
    ColumnRoot {
        /// Which column.
        column: u32,
    },
    /// A cell is not the one that its row has there.
    Cell {
        /// Row, counted from the plot's first.
        row: u64,
        /// Column.
        column: u32,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlotRoot => f.write_str("the column roots do not lead to the plot root"),
            Self::ColumnRoot { column } => {
                write!(f, "column {column}: the subtree roots do not lead to the column root")
            }
            Self::Cell { row, column } => {
                write!(f, "row {row}, column {column}: the cell is not the one that is grown")
            }
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The file.
    pub path: PathBuf,
    /// Its header.
    pub header: PlotHeader,
    /// What is wrong, the first thousand findings.
    pub findings: Vec<Finding>,
    /// Findings in all.
    pub found: u64,
    /// Rows that were grown again and compared, counted from the plot's first.
    pub rows_checked: Vec<u64>,
    /// How long it took.
    pub time: Duration,
}

impl CheckReport {
    /// Whether nothing is wrong as far as was looked.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.found == 0
    }

    fn add(&mut self, finding: Finding) {
        self.found += 1;
        if self.findings.len() < MAX_LISTED {
            self.findings.push(finding);
        }
    }
}

/// Checks header, sizes and cached roots of the plot or part at `path`, and
/// grows a sample of its rows again. That a strip is damaged elsewhere is for
/// [`crate::scrub`] to find.
///
/// # Errors
/// If the file cannot be opened or read, is no plot, is unfinished, or its
/// header is damaged; if the work is stopped.
///
/// # Panics
/// If [`CheckOptions::threads`] is zero.
pub fn check(path: &Path, options: &CheckOptions<'_>) -> Result<CheckReport, ScrubError> {
    assert!(options.threads > 0, "somebody must grow");
    let began = Instant::now();
    let plot = open(path, false)?;
    let pool = crate::platform::idle_pool(options.threads)
        .map_err(|source| ScrubError::Io { path: path.to_owned(), source })?;
    let mut report = CheckReport {
        path: path.to_owned(),
        header: plot.header().clone(),
        findings: Vec::new(),
        found: 0,
        rows_checked: Vec::new(),
        time: Duration::ZERO,
    };
    let inside = Inside { plot: &plot, pool: &pool, options };
    crate::platform::at_idle_priority(|| {
        inside.check_roots(&mut report).and_then(|()| inside.check_rows(&mut report))
    })?;
    report.time = began.elapsed();
    Ok(report)
}

/// Some rows of up to `rows`, ascending: the first, the last, others by lot.
fn draw_rows(rows: u64, sample: u64) -> Vec<u64> {
    if sample >= rows {
        return (0..rows).collect();
    }
    let mut drawn: BTreeSet<u64> = [0, rows - 1].into_iter().take(sample as usize).collect();
    // The standard library's hashes have random keys: good enough a lot for rows that nobody aims at.
    let lot = RandomState::new();
    let mut count: u64 = 0;
    while (drawn.len() as u64) < sample {
        let mut hasher = lot.build_hasher();
        hasher.write_u64(count);
        count += 1;
        drawn.insert(hasher.finish() % rows);
    }
    drawn.into_iter().collect()
}

/// An open plot and what it is checked with.
struct Inside<'a> {
    plot: &'a Plot,
    pool: &'a ThreadPool,
    options: &'a CheckOptions<'a>,
}

impl Inside<'_> {
    fn step(&self) -> Result<(), ScrubError> {
        self.options.control.step().map_err(|_| ScrubError::Stopped(self.plot.path().to_owned()))
    }

    fn check_roots(&self, report: &mut CheckReport) -> Result<(), ScrubError> {
        let (plot, header, layout) = (self.plot, self.plot.header(), self.plot.layout());
        let hasher = self.options.engine.hasher();
        let cached = plot.read_column_roots()?;
        let expected = if header.state == PlotState::Part {
            vec![[0; 32]; cached.len()]
        } else {
            let mut stack = RootStack::default();
            for segment in 0..layout.segments() {
                self.step()?;
                let row = plot.read_subtree_roots(segment)?;
                self.pool.install(|| stack.push(hasher, layout.subtree_depth(), row, u32::MAX, |_: &[Cell]| ()));
            }
            let log2_columns = u32::from(header.shape.log2_columns());
            if tree::root(hasher, &cached, layout.depth(), log2_columns) != header.root {
                report.add(Finding::PlotRoot);
            }
            self.pool.install(|| stack.finish(hasher, layout.depth(), u32::MAX, |_: &[Cell]| ()))
        };
        for (column, _) in (0..).zip(expected.iter().zip(&cached)).filter(|(_, (expected, cached))| expected != cached)
        {
            report.add(Finding::ColumnRoot { column });
        }
        Ok(())
    }

    fn check_rows(&self, report: &mut CheckReport) -> Result<(), ScrubError> {
        let header = self.plot.header();
        let rows = draw_rows(header.rows, self.options.rows);
        (self.options.steps)(Step::Began { phase: Phase::Growing, total: rows.len() as u64 });
        let mut worker = self.options.engine.worker(header.shape);
        // As many as the widest backend grows side by side, fewer if they are long.
        let side_by_side = (GROUP_BYTES / header.shape.row_bytes()).clamp(1, 16);
        for group in rows.chunks(side_by_side) {
            self.step()?;
            let indices: Vec<_> = group.iter().map(|row| RowIndex(header.first_row + row)).collect();
            let mut grown = vec![[0; 32]; group.len() * header.shape.columns()];
            worker.grow(self.plot.key(), &indices, &mut grown);
            // Columns lie far from each other: several reads in flight spare a disk some of the way.
            let wrong: Vec<_> = self.pool.install(|| {
                grown
                    .par_chunks(group.len())
                    .enumerate()
                    .map(|(column, grown)| self.compare(group, column as u32, grown))
                    .collect::<Result<_, ScrubError>>()
            })?;
            let mut wrong: Vec<(u64, u32)> = wrong.into_iter().flatten().collect();
            wrong.sort_unstable();
            wrong
                .into_iter()
                .for_each(|(row, column)| report.add(Finding::Cell { row: header.first_row + row, column }));
            report.rows_checked.extend(group.iter().map(|row| header.first_row + row));
            (self.options.steps)(Step::Advanced(group.len() as u64));
        }
        Ok(())
    }

    /// Rows of `group` whose cell in `column` is another than the one grown.
    fn compare(&self, group: &[u64], column: u32, grown: &[Cell]) -> Result<Vec<(u64, u32)>, ScrubError> {
        let rows_per_segment = self.plot.header().rows_per_segment;
        let mut wrong = Vec::new();
        for (row, grown) in group.iter().zip(grown) {
            let strip = self.plot.layout().strip(row / rows_per_segment, ColumnIndex(column));
            let mut cell = [[0; 32]];
            self.plot.read_cells(strip.offset_bytes + 32 * (row % rows_per_segment), &mut cell)?;
            if cell[0] != *grown {
                wrong.push((*row, column));
            }
        }
        Ok(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_are_always_drawn() {
        assert_eq!(draw_rows(1000, 0), []);
        assert_eq!(draw_rows(1000, 1), [0]);
        assert_eq!(draw_rows(1000, 2), [0, 999]);
        assert_eq!(draw_rows(5, 5), [0, 1, 2, 3, 4]);
        assert_eq!(draw_rows(5, u64::MAX), [0, 1, 2, 3, 4]);
        let drawn = draw_rows(1 << 40, 100);
        assert!(drawn.len() == 100 && drawn[0] == 0 && drawn[99] == (1 << 40) - 1);
        assert_ne!(draw_rows(1 << 40, 100), drawn, "others by lot");
    }
}
