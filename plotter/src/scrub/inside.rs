//! The plot that is being scrubbed, and reading from it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::cast_slice_mut;
use spacetime_kernels::Cell;
use spacetime_prover::{Layout, Plot, PlotHeader, tree};
use tracing::warn;

use super::report::{Damage, ScrubError};
use crate::columns::ColumnSet;
use crate::control::Stopped;
use crate::error::{BuildError, CreateError};
use crate::platform::is_unreadable;
use crate::progress::{Step, Steps};
use crate::regrow::{Regrower, Tools, least_memory};
use crate::storage::Storage;
use crate::sweep::{BUFFERS, Piece, StripRoots, pieces, read_ahead};

/// Cells of a piece that is read in one go, at least and at most.
const MIN_PIECE_CELLS: u64 = 1 << 12;
const MAX_PIECE_CELLS: u64 = 1 << 20;
/// What a disk reads or fails to read as a whole.
const BLOCK_BYTES: u64 = 4096;

/// What goes wrong inside the file; [`ScrubError`] names it.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Stopped,
    NotHealed(Damage),
}

impl Fault {
    pub(super) fn name(self, path: &Path) -> ScrubError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => ScrubError::Io { path, source },
            Self::Stopped => ScrubError::Stopped(path),
            Self::NotHealed(damage) => ScrubError::NotHealed { path, damage },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Stopped> for Fault {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<BuildError> for Fault {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Io(error) => error.into(),
            BuildError::Stopped(stopped) => stopped.into(),
            // No card grows rows for a scrub.
            other => Self::Io(io::Error::other(other)),
        }
    }
}

/// An open plot, the memory that may be used and the tools.
pub(super) struct Inside<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) header: &'a PlotHeader,
    pub(super) layout: Layout,
    pub(super) tools: Tools<'a>,
    pub(super) piece_cells: usize,
    regrow_bytes: u64,
    /// Bytes of grown strips that may wait for the roots that prove them right.
    pub(super) held_bytes: u64,
    unreadable_bytes: AtomicU64,
}

impl<'a> Inside<'a> {
    pub(super) fn new(
        storage: &'a dyn Storage,
        plot: &'a Plot,
        budget: u64,
        tools: Tools<'a>,
    ) -> Result<Self, CreateError> {
        let (header, layout) = (plot.header(), *plot.layout());
        // Two stacks of roots, and rows of them read, compared and joined.
        let levels = u64::from(tree::ceil_log2(layout.segments())) + 2;
        let roots = (2 * levels + 12) * header.shape.row_bytes() as u64;
        let growing = least_memory(header, &layout, tools.engine, tools.threads);
        // Hashing takes a copy of what each thread hashes, and half of it again.
        let reading = |piece_cells: u64| 32 * piece_cells * (BUFFERS + 2);
        let needed = roots + growing + reading(MIN_PIECE_CELLS);
        if needed > budget {
            return Err(CreateError::SmallBudget { budget, needed });
        }
        let mut piece_cells = MIN_PIECE_CELLS;
        while piece_cells < MAX_PIECE_CELLS && reading(2 * piece_cells) <= (budget - roots - growing) / 2 {
            piece_cells *= 2;
        }
        let rest = budget - roots - reading(piece_cells);
        let regrow_bytes = growing.max(rest / 2);
        Ok(Self {
            storage,
            header,
            layout,
            tools,
            piece_cells: piece_cells as usize,
            regrow_bytes,
            held_bytes: rest - regrow_bytes,
            unreadable_bytes: AtomicU64::new(0),
        })
    }

    pub(super) fn columns(&self) -> usize {
        self.header.shape.columns()
    }

    pub(super) fn unreadable_bytes(&self) -> u64 {
        self.unreadable_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn regrower(&self) -> Regrower<'a> {
        Regrower::new(self.header, &self.layout, self.regrow_bytes, self.tools)
    }

    /// Fills `bytes`; what the disk cannot read is all ones then, which is never right, and counted.
    pub(super) fn read(&self, bytes: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        let error = match self.storage.read_at(bytes, offset_bytes) {
            Err(error) if is_unreadable(&error) => error,
            result => return result,
        };
        warn!(offset_bytes, bytes = bytes.len(), %error, "unreadable: reading block by block");
        let mut at = 0;
        while at < bytes.len() {
            let offset_bytes = offset_bytes + at as u64;
            let block = (BLOCK_BYTES - offset_bytes % BLOCK_BYTES).min((bytes.len() - at) as u64) as usize;
            let block = &mut bytes[at..at + block];
            match self.storage.read_at(block, offset_bytes) {
                Err(error) if is_unreadable(&error) => {
                    block.fill(0xff);
                    self.unreadable_bytes.fetch_add(block.len() as u64, Ordering::Relaxed);
                }
                result => result?,
            }
            at += block.len();
        }
        Ok(())
    }

    /// A row of cached roots.
    pub(super) fn read_roots(&self, offset_bytes: u64) -> io::Result<Vec<Cell>> {
        let mut roots = vec![[0; 32]; self.columns()];
        self.read(cast_slice_mut(&mut roots), offset_bytes)?;
        Ok(roots)
    }

    /// Reads `pieces` and hands out the strip roots of those that end a strip.
    pub(super) fn sweep(
        &self,
        steps: Steps<'_>,
        pieces: impl Iterator<Item = Piece> + Send,
        mut see: impl FnMut(&Piece, Vec<Cell>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Tools { pool, engine, control, .. } = self.tools;
        let mut roots = StripRoots::new(engine.hasher(), &self.layout);
        let read = |piece: &Piece, cells: &mut Vec<Cell>| {
            control.step()?;
            cells.resize(piece.cells(), [0; 32]);
            Ok(self.read(cast_slice_mut(cells), piece.offset_bytes)?)
        };
        read_ahead(pieces, read, |piece, cells| {
            let strips = pool.install(|| roots.add(&self.layout, &piece, cells));
            see(&piece, strips)?;
            let bytes = 32 * cells.len() as u64;
            // Nobody reads a plot twice soon; what other programs have cached shall stay.
            self.storage.forget(piece.offset_bytes, bytes);
            steps(Step::Advanced(bytes));
            Ok(())
        })
    }

    /// Strip roots of some columns of one segment, read from the file, in ascending order.
    pub(super) fn strip_roots(&self, steps: Steps<'_>, segment: u64, columns: &ColumnSet) -> Result<Vec<Cell>, Fault> {
        let mut roots = Vec::new();
        let pieces = pieces(&self.layout, segment, columns, self.piece_cells);
        self.sweep(steps, pieces.into_iter(), |_, strips| {
            roots.extend(strips);
            Ok(())
        })?;
        Ok(roots)
    }
}
