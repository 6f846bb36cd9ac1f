//! One plot file, opened and checked, and proofs made from it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytemuck::cast_slice_mut;
use spacetime_kernels::{Backend, Cell, Challenge, ColumnIndex, PlotKey, RowIndex};
use thiserror::Error;

use crate::header::{HEADER_BYTES, HeaderError, PlotHeader, PlotState};
use crate::layout::{Layout, LayoutError};
use crate::platform::read_exact_at;
use crate::proof::Proof;
use crate::tree::{ceil_log2, path as tree_path};

/// A plot file that was opened: header and sizes have been checked, cells and roots have not.
#[derive(Debug)]
pub struct Plot {
    path: PathBuf,
    file: File,
    header: PlotHeader,
    layout: Layout,
    key: PlotKey,
}

/// What is wrong with a plot file. Every message names the file.
#[derive(Debug, Error)]
pub enum PlotError {
    /// The system refused.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder, a device or a pipe.
    #[error("{}: is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file ends within the header.
    #[error("{}: not a plot: the file has {found} bytes, a header has {HEADER_BYTES}", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// The header breaks a rule.
    #[error("{}: {source}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The rule.
        source: HeaderError,
    },
    /// The sizes in the header are not the file's.
    #[error("{}: {source}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: LayoutError,
    },
    /// The plot cannot be proved from yet.
    #[error("{}: {}", path.display(), match state {
        PlotState::Building => "the plot is still being grown: `spacetime plot resume` finishes it",
        _ => "this is a part of a plot: `spacetime plot merge` makes a whole one of it",
    })]
    NotComplete {
        /// The file.
        path: PathBuf,
        /// Its state.
        state: PlotState,
    },
    /// The column is not one of the plot's.
    #[error("{}: column is {column}, the plot has {columns}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: u32,
        /// Columns of the plot.
        columns: u64,
    },
    /// The row is not one of the plot's.
    #[error("{}: row is {row}, the plot has {rows}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row asked for.
        row: u64,
        /// Rows of the plot.
        rows: u64,
    },
    /// A strip does not lead to its subtree root.
    #[error("{}: segment {segment}, column {column} is damaged: its cells do not lead to its subtree root", path.display())]
    DamagedStrip {
        /// The file.
        path: PathBuf,
        /// The segment.
        segment: u64,
        /// The column.
        column: u32,
    },
    /// The cached roots do not lead to the plot root.
    #[error("{}: the {which} are damaged: they do not lead to the plot root", path.display())]
    DamagedRoots {
        /// The file.
        path: PathBuf,
        /// Which of the roots.
        which: &'static str,
    },
}

impl Plot {
    /// Opens a complete plot.
    ///
    /// # Errors
    /// If the file cannot be read, is no plot, breaks a rule of PROTOCOL §5, is
    /// shorter than its header says, or is not complete.
    pub fn open(path: &Path) -> Result<Self, PlotError> {
        let plot = Self::open_any(path)?;
        match plot.header.state {
            PlotState::Complete => Ok(plot),
            state => Err(PlotError::NotComplete { path: plot.path, state }),
        }
    }

    /// Opens a plot in any state.
    ///
    /// # Errors
    /// As [`Plot::open`], whatever its state.
    pub fn open_any(path: &Path) -> Result<Self, PlotError> {
        let io = |doing| move |source| PlotError::Io { path: path.to_owned(), doing, source };
        // A pipe would block in open, so its kind is asked first.
        let metadata = std::fs::metadata(path).map_err(io("cannot open"))?;
        if !metadata.is_file() {
            return Err(PlotError::NotAFile(path.to_owned()));
        }
        let file = File::open(path).map_err(io("cannot open"))?;
        Self::from_file(path, file)
    }

    /// Checks a file that is open already; `path` serves the messages.
    ///
    /// # Errors
    /// As [`Plot::open_any`].
    pub fn from_file(path: &Path, file: File) -> Result<Self, PlotError> {
        let io = |doing| move |source| PlotError::Io { path: path.to_owned(), doing, source };
        let metadata = file.metadata().map_err(io("cannot read its size"))?;
        if !metadata.is_file() {
            return Err(PlotError::NotAFile(path.to_owned()));
        }
        let found = metadata.len();
        if found < HEADER_BYTES as u64 {
            return Err(PlotError::Short { path: path.to_owned(), found });
        }
        let mut bytes = [0; HEADER_BYTES];
        read_exact_at(&file, &mut bytes, 0).map_err(io("cannot read the header"))?;
        let header =
            PlotHeader::decode(&bytes).map_err(|source| PlotError::Header { path: path.to_owned(), source })?;
        let layout = Layout::new(&header)
            .and_then(|layout| layout.check_file_bytes(found).map(|()| layout))
            .map_err(|source| PlotError::Layout { path: path.to_owned(), source })?;
        let key = header.key();
        Ok(Self { path: path.to_owned(), file, header, layout, key })
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &PlotHeader {
        &self.header
    }

    /// Where things lie in it.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The key its cells are grown from.
    #[must_use]
    pub fn key(&self) -> &PlotKey {
        &self.key
    }

    /// Fills `cells` from `offset_bytes` of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_cells(&self, offset_bytes: u64, cells: &mut [Cell]) -> Result<(), PlotError> {
        read_exact_at(&self.file, cast_slice_mut(cells), offset_bytes).map_err(|source| PlotError::Io {
            path: self.path.clone(),
            doing: "cannot read",
            source,
        })
    }

    /// The cells of one strip.
    ///
    /// # Errors
    /// If the file cannot be read.
    ///
    /// # Panics
    /// If segment or column is out of range.
    pub fn read_strip(&self, segment: u64, column: ColumnIndex) -> Result<Vec<Cell>, PlotError> {
        let strip = self.layout.strip(segment, column);
        let mut cells = vec![[0; 32]; usize::try_from(strip.rows).expect("a strip of a 64-bit file fits memory")];
        self.read_cells(strip.offset_bytes, &mut cells)?;
        Ok(cells)
    }

    /// The cached roots of all columns.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_column_roots(&self) -> Result<Vec<Cell>, PlotError> {
        let mut roots = vec![[0; 32]; self.header.shape.columns()];
        self.read_cells(self.layout.roots_offset(), &mut roots)?;
        Ok(roots)
    }

    /// The cached subtree roots of one segment, one for each column.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_subtree_roots(&self, segment: u64) -> Result<Vec<Cell>, PlotError> {
        let mut roots = vec![[0; 32]; self.header.shape.columns()];
        self.read_cells(self.layout.subtree_roots_offset(segment), &mut roots)?;
        Ok(roots)
    }

    /// Proves the leaf at `row` and `column` from its strip and the cached
    /// roots, all of which are checked on the way. The row is not grown again:
    /// [`crate::verify`] does that.
    ///
    /// # Errors
    /// If row or column is out of range, the file cannot be read, or the strip
    /// or the roots do not lead to the plot root.
    pub fn prove(
        &self,
        challenge: &Challenge,
        column: ColumnIndex,
        row: RowIndex,
        backend: Backend,
    ) -> Result<Proof, PlotError> {
        let &PlotHeader { rows, rows_per_segment, seed, root, shape, .. } = &self.header;
        let columns = self.layout.columns();
        if u64::from(column.0) >= columns {
            return Err(PlotError::Column { path: self.path.clone(), column: column.0, columns });
        }
        if row.0 >= rows {
            return Err(PlotError::Row { path: self.path.clone(), row: row.0, rows });
        }
        let segment = row.0 / rows_per_segment;
        let strip = self.read_strip(segment, column)?;
        let in_strip = (row.0 % rows_per_segment) as usize;
        let subtree_depth = self.layout.subtree_depth();
        let (mut siblings, strip_root) = tree_path(backend, &strip, in_strip, 0, subtree_depth);

        let mut subtree_roots = vec![[0; 32]; self.layout.segments() as usize];
        for (segment, subtree_root) in (0..).zip(&mut subtree_roots) {
            let offset_bytes = self.layout.subtree_roots_offset(segment) + 32 * u64::from(column.0);
            self.read_cells(offset_bytes, std::slice::from_mut(subtree_root))?;
        }
        if strip_root != subtree_roots[segment as usize] {
            return Err(PlotError::DamagedStrip { path: self.path.clone(), segment, column: column.0 });
        }
        let depth = ceil_log2(rows);
        let (upper, column_root) =
            tree_path(backend, &subtree_roots, segment as usize, subtree_depth, depth - subtree_depth);
        siblings.extend(upper);
        let damaged = |which| PlotError::DamagedRoots { path: self.path.clone(), which };
        let column_roots = self.read_column_roots()?;
        if column_roots[column.0 as usize] != column_root {
            return Err(damaged("subtree roots"));
        }
        let (top, found) = tree_path(backend, &column_roots, column.0 as usize, depth, u32::from(shape.log2_columns()));
        siblings.extend(top);
        if found != root {
            return Err(damaged("column roots"));
        }
        Ok(Proof {
            challenge: challenge.0,
            column: column.0,
            seed,
            rows,
            leaf: strip[in_strip],
            leaf_index: u64::from(column.0) << depth | row.0,
            siblings,
            root,
        })
    }
}
