//! Copying cells into a plot with other segments, every strip verified on the
//! way: what `merge`, `compact` and staged plots have in common.

mod cuts;
mod error;

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use bytemuck::cast_slice;
use rayon::ThreadPool;
use rayon::prelude::*;
use spacetime_kernels::{Backend, Cell, ColumnIndex, plot_id};
use spacetime_prover::{Layout, Plot, PlotError, PlotHeader, PlotState, tree};
use tracing::info;

use crate::control::Control;
use crate::create::{Begin, Created, begin, is_still, publish, remove_own};
use crate::error::{BuildError, CreateError};
use crate::platform;
use crate::progress::{Phase, Step, Steps};
use crate::roots::RootStack;
use crate::storage::Storage;
use crate::sweep::{read_ahead, roots_of};
use crate::trailer::{Plan, tmp_path};
use crate::write::{Gather, WRITE_CELLS};

/// Bytes after which what was written is synced, so that the page cache stays other programs'.
const SYNC_BYTES: u64 = 1 << 30;

pub use error::CopyError;

use cuts::{Block, Cuts};

/// With what, and how gently, plots are copied.
#[derive(Clone, Copy)]
pub struct CopyOptions<'a> {
    /// Who hashes what is copied.
    pub hasher: Backend,
    /// Threads that hash; two more read and write.
    pub threads: usize,
    /// Bytes of memory allowed; none for half of what is free. More of it makes larger reads and writes.
    pub memory: Option<u64>,
    /// Overwrite a plot of the same name.
    pub force: bool,
    /// Reserve the whole file before anything is copied.
    pub preallocate: bool,
    /// Stops and holds back.
    pub control: &'a Control,
    /// Hears how far it is.
    pub steps: Steps<'a>,
}

/// Makes the plot `path` with `plan` from `sources`, which hold its rows one
/// behind the other in whole segments of one size. Nothing is left behind if that fails.
pub(crate) fn copy(
    path: &Path,
    plan: &Plan,
    sources: &[Plot],
    options: &CopyOptions<'_>,
) -> Result<Created, CopyError> {
    let file = begin_copy(path, plan, sources, options)?;
    copy_into(file, path, plan, sources, options)
}

/// Begins the file of a copy: whole header, plan and space, locked.
pub(crate) fn begin_copy(
    path: &Path,
    plan: &Plan,
    sources: &[Plot],
    options: &CopyOptions<'_>,
) -> Result<File, CopyError> {
    if sources.iter().any(|source| is_still(path, source.file())) {
        return Err(CopyError::SameFile(path.to_owned()));
    }
    let layout = plan.layout().map_err(CreateError::trailer(path))?;
    Cuts::new(&plan.header, &layout, sources, options)?;
    let begin_options = Begin { force: options.force, preallocate: options.preallocate };
    Ok(begin(path, plan, &layout, &begin_options)?)
}

/// Fills the `file` that [`begin_copy`] began, and gives it its name.
pub(crate) fn copy_into(
    file: File,
    path: &Path,
    plan: &Plan,
    sources: &[Plot],
    options: &CopyOptions<'_>,
) -> Result<Created, CopyError> {
    assert!(options.threads > 0, "somebody must hash");
    let began = Instant::now();
    let layout = plan.layout().map_err(CreateError::trailer(path))?;
    let cuts = Cuts::new(&plan.header, &layout, sources, options)?;
    let tmp = tmp_path(path);
    let copied = (|| {
        let pool = crate::platform::idle_pool(options.threads).map_err(|error| build_error(&tmp)(error.into()))?;
        info!(path = %path.display(), block_cells = cuts.block_cells, "copying");
        let copy = Copy { storage: &file, path: &tmp, plan, layout, sources, cuts, pool: &pool, options };
        let header = platform::at_idle_priority(|| copy.run())?;
        publish(path, &file, options.force)?;
        Ok(header)
    })();
    match copied {
        Ok(header) => {
            let bytes = layout.file_bytes();
            Ok(Created { path: path.to_owned(), header, bytes, rows_grown: 0, time: began.elapsed() })
        }
        Err(error) => {
            // The sources are whole, so this is of no worth; the error at hand matters more than that it stays.
            let _ = remove_own(&tmp, &file);
            Err(error)
        }
    }
}

fn build_error(path: &Path) -> impl Fn(BuildError) -> CopyError {
    let path = path.to_owned();
    move |error| match error {
        BuildError::Stopped(_) => CopyError::Stopped(path.clone()),
        source => CreateError::Build { path: path.clone(), source }.into(),
    }
}

/// What follows for one column and one of [`Cuts::both`].
struct ColumnRoots {
    from: Vec<Cell>,
    to: Vec<Cell>,
    both: Cell,
}

/// One copy under way.
struct Copy<'a> {
    storage: &'a dyn Storage,
    path: &'a Path,
    plan: &'a Plan,
    layout: Layout,
    sources: &'a [Plot],
    cuts: Cuts,
    pool: &'a ThreadPool,
    options: &'a CopyOptions<'a>,
}

impl Copy<'_> {
    fn run(&self) -> Result<PlotHeader, CopyError> {
        let &CopyOptions { hasher, control, steps, .. } = self.options;
        let columns = self.plan.header.shape.columns();
        steps(Step::Began { phase: Phase::Copying, total: self.layout.data_end() - self.layout.data_offset() });
        let mut stack = RootStack::default();
        let mut row: Vec<Cell> = Vec::with_capacity(columns);
        // Nodes of a column that does not fit into one block, as far as it was seen.
        let mut open: Vec<Cell> = Vec::new();
        let mut unsynced = 0;
        let read = |block: &Block, cells: &mut Vec<Cell>| self.read(block, cells);
        read_ahead(self.cuts.blocks(columns), read, |block, cells| {
            control.step().map_err(|stopped| build_error(self.path)(stopped.into()))?;
            self.write(&block, cells).map_err(build_error(self.path))?;
            let height = block.rows.end - block.rows.start;
            let segment_end = self.cuts.rows.min((block.rows.start / self.cuts.both + 1) * self.cuts.both);
            let mut nodes = self.pool.install(|| self.nodes(&block, cells));
            if block.columns.len() == 1 {
                open.append(&mut nodes[0]);
                nodes[0] = if block.rows.end == segment_end { std::mem::take(&mut open) } else { Vec::new() };
            }
            if block.rows.end == segment_end {
                let segment = block.rows.start / self.cuts.both;
                self.finish_columns(segment, &block.columns, &nodes, &mut row)?;
            }
            if row.len() == columns {
                let row = std::mem::replace(&mut row, Vec::with_capacity(columns));
                self.pool.install(|| stack.push(hasher, self.cuts.both_depth, row, u32::MAX, |_: &[Cell]| ()));
            }
            let bytes = 32 * height * block.columns.len() as u64;
            unsynced += bytes;
            if unsynced >= SYNC_BYTES {
                self.storage.sync().map_err(|error| build_error(self.path)(error.into()))?;
                self.storage.forget(0, self.layout.file_bytes());
                unsynced = 0;
            }
            steps(Step::Advanced(bytes));
            Ok(())
        })?;
        self.complete(&stack)
    }

    /// The source that holds a segment, and which of its own segments that is.
    fn source(&self, segment: u64) -> (&Plot, u64) {
        let row = segment * self.cuts.from;
        let mut before = 0;
        for source in self.sources {
            let end = before + source.header().rows;
            if row < end {
                return (source, (row - before) / self.cuts.from);
            }
            before = end;
        }
        unreachable!("the sources hold all rows")
    }

    /// Fills `cells` with the block: segment after segment of the sources, in each column after column.
    fn read(&self, block: &Block, cells: &mut Vec<Cell>) -> Result<(), CopyError> {
        let height = (block.rows.end - block.rows.start) as usize;
        cells.resize(height * block.columns.len(), [0; 32]);
        let mut rest = &mut cells[..];
        for (segment, rows) in Cuts::parts_of(&block.rows, self.cuts.from) {
            self.options.control.step().map_err(|stopped| build_error(self.path)(stopped.into()))?;
            let (source, local) = self.source(segment);
            let strip = source.layout().strip(local, ColumnIndex(block.columns.start as u32));
            let (piece, after) = rest.split_at_mut((rows.end - rows.start) as usize * block.columns.len());
            let offset_bytes = strip.offset_bytes + 32 * (rows.start - segment * self.cuts.from);
            source.read_cells(offset_bytes, piece)?;
            Storage::forget(source.file(), offset_bytes, 32 * piece.len() as u64);
            rest = after;
        }
        Ok(())
    }

    /// The pieces of one column of a block, in row order: first row and cells.
    fn column<'c>(
        &self,
        block: &Block,
        cells: &'c [Cell],
        column: usize,
    ) -> impl Iterator<Item = (u64, &'c [Cell])> + use<'c> {
        let (start, columns, index) = (block.rows.start, block.columns.len(), column - block.columns.start);
        Cuts::parts_of(&block.rows, self.cuts.from).map(move |(_, rows)| {
            let height = (rows.end - rows.start) as usize;
            let at = (rows.start - start) as usize * columns + index * height;
            (rows.start, &cells[at..at + height])
        })
    }

    /// Writes the block: segment after segment of the target, in each column after column.
    fn write(&self, block: &Block, cells: &[Cell]) -> Result<(), BuildError> {
        let most = WRITE_CELLS.min(self.cuts.block_cells as usize);
        let mut gather = Gather::new(self.storage, self.options.control, most);
        for (segment, rows) in Cuts::parts_of(&block.rows, self.cuts.to) {
            for column in block.columns.clone() {
                let strip = self.layout.strip(segment, ColumnIndex(column as u32));
                for (first, piece) in self.column(block, cells, column) {
                    let (from, to) = (first.max(rows.start), (first + piece.len() as u64).min(rows.end));
                    if from < to {
                        let piece = &piece[(from - first) as usize..(to - first) as usize];
                        gather.put(strip.offset_bytes + 32 * (from - segment * self.cuts.to), piece)?;
                    }
                }
            }
        }
        gather.flush()
    }

    /// Nodes at [`Cuts::level`] of each column of a block.
    fn nodes(&self, block: &Block, cells: &[Cell]) -> Vec<Vec<Cell>> {
        let level = self.cuts.level;
        let nodes_of = |column| {
            let pieces = self.column(block, cells, column);
            pieces.flat_map(|(_, piece)| roots_of(self.options.hasher, piece, 1 << level, level)).collect()
        };
        block.columns.clone().into_par_iter().map(nodes_of).collect()
    }

    fn fold(&self, nodes: &[Cell]) -> ColumnRoots {
        let Cuts { level, from, to, from_depth, both_depth, .. } = self.cuts;
        let roots = |rows_per_segment: u64, depth: u32| -> Vec<Cell> {
            let together = usize::try_from(rows_per_segment >> level).unwrap_or(usize::MAX);
            nodes
                .chunks(together.max(1))
                .map(|nodes| tree::root(self.options.hasher, nodes, level, depth - level))
                .collect()
        };
        ColumnRoots {
            from: roots(from, from_depth),
            to: roots(to, self.layout.subtree_depth()),
            both: tree::root(self.options.hasher, nodes, level, both_depth - level),
        }
    }

    /// Folds the nodes of whole columns, compares the sources' roots with those
    /// they hold, writes the target's, and appends those over all rows to `row`.
    fn finish_columns(
        &self,
        segment: u64,
        columns: &Range<usize>,
        nodes: &[Vec<Cell>],
        row: &mut Vec<Cell>,
    ) -> Result<(), CopyError> {
        let roots: Vec<_> = self.pool.install(|| nodes.par_iter().map(|nodes| self.fold(nodes)).collect());
        let place = 32 * columns.start as u64;
        let first = segment * (self.cuts.both / self.cuts.from);
        for (index, segment) in (first..).enumerate().take(roots[0].from.len()) {
            let (source, local) = self.source(segment);
            let mut cached = vec![[0; 32]; columns.len()];
            source.read_cells(source.layout().subtree_roots_offset(local) + place, &mut cached)?;
            let wrong =
                columns.clone().zip(roots.iter().zip(&cached)).find(|(_, (roots, root))| roots.from[index] != **root);
            if let Some((column, _)) = wrong {
                let path = source.path().to_owned();
                return Err(PlotError::DamagedStrip { path, segment: local, column: column as u32 }.into());
            }
        }
        let first = segment * (self.cuts.both / self.cuts.to);
        for (index, segment) in (first..).enumerate().take(roots[0].to.len()) {
            let roots: Vec<Cell> = roots.iter().map(|roots| roots.to[index]).collect();
            self.storage
                .write_at(cast_slice(&roots), self.layout.subtree_roots_offset(segment) + place)
                .map_err(|error| build_error(self.path)(error.into()))?;
        }
        row.extend(roots.iter().map(|roots| roots.both));
        Ok(())
    }

    /// Writes column roots and header and cuts the plan off, each synced before the next.
    fn complete(&self, stack: &RootStack) -> Result<PlotHeader, CopyError> {
        let hasher = self.options.hasher;
        let io = |error: std::io::Error| build_error(self.path)(error.into());
        let mut header = PlotHeader { state: self.plan.state, ..self.plan.header.clone() };
        if header.state == PlotState::Complete {
            let depth = self.layout.depth();
            let column_roots = self.pool.install(|| stack.finish(hasher, depth, u32::MAX, |_: &[Cell]| ()));
            header.root = tree::root(hasher, &column_roots, depth, u32::from(header.shape.log2_columns()));
            header.plot_id = plot_id(&header.key(), header.rows, &header.root);
            let source = &self.sources[0];
            if source.header().state == PlotState::Complete && source.header().root != header.root {
                let path = source.path().to_owned();
                return Err(PlotError::DamagedRoots { path, which: "cells and subtree roots" }.into());
            }
            self.storage.write_at(cast_slice(&column_roots), self.layout.roots_offset()).map_err(io)?;
        }
        self.storage.sync().map_err(io)?;
        self.storage.write_at(&header.encode(), 0).map_err(io)?;
        self.storage.sync().map_err(io)?;
        self.storage.set_len(self.layout.file_bytes()).map_err(io)?;
        self.storage.sync().map_err(io)?;
        self.storage.forget(0, self.layout.file_bytes());
        Ok(header)
    }
}
