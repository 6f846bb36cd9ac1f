//! What a plot under construction keeps behind its roots: two slots for
//! progress, written in turn, a page that names the process at work, and a
//! page with the plan. It is cut off when the plot is complete, or stays until
//! a staged plot has been moved to where it belongs.
//!
//! ```text
//! roots end, aligned | slot 0 | slot 1 | holder page | plan page | end of file
//! ```
//!
//! The plan stands at the very end, so that it is found even if a power cut
//! tore the header; it is written once and never changed. A slot is a page
//! with a checksum over itself and its nodes:
//!
//! | at | bytes | progress |
//! |---|---|---|
//! | 0 | 8 | magic `SPCTSLOT` |
//! | 8 | 8 | generation: the greater of the two slots is the newer |
//! | 16 | 8 | rows done |
//! | 24 | 8 | first row of the last batch |
//! | 32 | 1 | level of the last batch's roots |
//! | 33 | 1 | entries of the root stack |
//! | 34 | 42 | level of each entry |
//! | 4064 | 32 | sha256 of bytes 0..4064 and all nodes |
//! | 4096 | … | nodes: those of the last batch, then of each entry |
//!
//! | at | bytes | plan |
//! |---|---|---|
//! | 0 | 8 | magic `SPCTPLAN` |
//! | 8 | 4 | version = 1 |
//! | 12 | 1 | state the plot ends in, as in a header |
//! | 13 | 1 | kind: 0 grown here, 1 copied from other plots |
//! | 14 | 1 | 1 if a finished plot of the same name is to be replaced, else 0 |
//! | 15 | 1 | zero |
//! | 16 | 8 | bytes of a slot |
//! | 24 | 240 | the header's fields while building |
//! | 264 | 8 | rows per segment that a staged plot gets where it goes |
//! | 272 | 2 | length of a path |
//! | 274 | … | where a staged plot goes, UTF-8; empty if nowhere |
//! | 4064 | 32 | sha256 of bytes 0..4064 |

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use bytemuck::{cast_slice, cast_slice_mut};
use sha2::{Digest, Sha256};
use spacetime_kernels::Cell;
use spacetime_prover::{HEADER_BYTES, HeaderError, Layout, PlotHeader, PlotState};
use thiserror::Error;

use crate::roots::RootStack;
use crate::storage::Storage;

const PAGE: usize = HEADER_BYTES;
const AT_CHECKSUM: usize = PAGE - 32;
const SLOT_MAGIC: [u8; 8] = *b"SPCTSLOT";
const PLAN_MAGIC: [u8; 8] = *b"SPCTPLAN";
const PLAN_VERSION: u32 = 1;
/// Most entries of a root stack: a level each, 0 to 40, and one to spare.
const MAX_ENTRIES: usize = 42;
const AT_LEVELS: usize = 34;
/// Bytes of a header before its reserved ones.
const HEADER_FIELDS: usize = 240;
const AT_HEADER: usize = 24;
const AT_DESTINATION_ROWS: usize = AT_HEADER + HEADER_FIELDS;
const AT_PATH_LENGTH: usize = AT_DESTINATION_ROWS + 8;
const AT_PATH: usize = AT_PATH_LENGTH + 2;
const MAX_PATH: usize = AT_CHECKSUM - AT_PATH;
const _: () = assert!(AT_LEVELS + MAX_ENTRIES < AT_CHECKSUM);

/// What a plot under construction is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Its header while building.
    pub(crate) header: PlotHeader,
    /// Complete or part.
    pub(crate) state: PlotState,
    /// Grown or copied.
    pub(crate) kind: PlanKind,
    /// Over a finished plot of the same name.
    pub(crate) replace: bool,
    /// Where it goes once it is complete, if it is a staged one.
    pub(crate) destination: Option<Destination>,
}

/// Where the cells come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanKind {
    /// They are grown, and growing goes on where it was interrupted.
    Grown,
    /// They are copied from other plots, and copying begins anew.
    Copied,
}

/// Where a staged plot goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) path: PathBuf,
    pub(crate) rows_per_segment: u64,
}

/// Why a trailer cannot be used.
#[derive(Debug, Error)]
pub(crate) enum TrailerError {
    #[error("cannot read or write it: {0}")]
    Io(#[from] io::Error),
    #[error("it ends without a plan: it was not made by `spacetime plot create`, or it was cut off")]
    NoPlan,
    #[error("its plan is damaged")]
    Checksum,
    #[error("its plan has version {0}, this program knows version {PLAN_VERSION}")]
    Version(u32),
    #[error("its plan says state {0}, known are 1 and 2")]
    State(u8),
    #[error("its plan says kind {0}, known are 0 and 1")]
    Kind(u8),
    #[error("its plan is one that `spacetime plot create` does not write")]
    Foreign,
    #[error("its plan says {0}")]
    Header(#[from] HeaderError),
    #[error("its plan says {0}")]
    Layout(#[from] spacetime_prover::LayoutError),
    #[error("its plan's sizes do not fit the file's {0} bytes")]
    Size(u64),
    #[error("the path {} is longer than {MAX_PATH} bytes or not UTF-8", .0.display())]
    Path(PathBuf),
}

impl Plan {
    /// The layout of the finished plot, which is also that of the one in the making.
    pub(crate) fn layout(&self) -> Result<Layout, TrailerError> {
        Ok(Layout::new(&PlotHeader { state: self.state, ..self.header.clone() })?)
    }

    fn encode(&self, slot_bytes: u64) -> Result<[u8; PAGE], TrailerError> {
        let mut page = [0; PAGE];
        let (path, destination_rows) = match &self.destination {
            None => ("", 0),
            Some(Destination { path, rows_per_segment }) => {
                let text = path.to_str().filter(|path| path.len() <= MAX_PATH);
                (text.ok_or_else(|| TrailerError::Path(path.clone()))?, *rows_per_segment)
            }
        };
        let state = if self.state == PlotState::Part { 2 } else { 1 };
        let kind = if self.kind == PlanKind::Copied { 1 } else { 0 };
        let mut put = |at: usize, field: &[u8]| page[at..at + field.len()].copy_from_slice(field);
        put(0, &PLAN_MAGIC);
        put(8, &PLAN_VERSION.to_le_bytes());
        put(12, &[state, kind, u8::from(self.replace)]);
        put(16, &slot_bytes.to_le_bytes());
        put(AT_HEADER, &self.header.encode()[..HEADER_FIELDS]);
        put(AT_DESTINATION_ROWS, &destination_rows.to_le_bytes());
        put(AT_PATH_LENGTH, &(path.len() as u16).to_le_bytes());
        put(AT_PATH, path.as_bytes());
        let checksum = Sha256::digest(&page[..AT_CHECKSUM]);
        page[AT_CHECKSUM..].copy_from_slice(&checksum);
        Ok(page)
    }

    fn decode(page: &[u8; PAGE]) -> Result<(Self, u64), TrailerError> {
        if page[..8] != PLAN_MAGIC {
            return Err(TrailerError::NoPlan);
        }
        if Sha256::digest(&page[..AT_CHECKSUM])[..] != page[AT_CHECKSUM..] {
            return Err(TrailerError::Checksum);
        }
        let version = u32::from_le_bytes(field(page, 8));
        if version != PLAN_VERSION {
            return Err(TrailerError::Version(version));
        }
        let state = match page[12] {
            1 => PlotState::Complete,
            2 => PlotState::Part,
            other => return Err(TrailerError::State(other)),
        };
        let kind = match page[13] {
            0 => PlanKind::Grown,
            1 => PlanKind::Copied,
            other => return Err(TrailerError::Kind(other)),
        };
        let mut header = [0; PAGE];
        header[..HEADER_FIELDS].copy_from_slice(&page[AT_HEADER..][..HEADER_FIELDS]);
        let checksum = Sha256::digest(&header[..AT_CHECKSUM]);
        header[AT_CHECKSUM..].copy_from_slice(&checksum);
        let header = PlotHeader::decode(&header)?;
        if header.state != PlotState::Building || (state == PlotState::Complete && header.first_row != 0) {
            return Err(TrailerError::Foreign);
        }
        let length = usize::from(u16::from_le_bytes(field(page, AT_PATH_LENGTH)));
        let path = page[AT_PATH..AT_CHECKSUM].get(..length).and_then(|path| std::str::from_utf8(path).ok());
        let path = path.ok_or(TrailerError::Foreign)?;
        let unused = &page[AT_PATH + length..AT_CHECKSUM];
        if page[14] > 1 || page[15] != 0 || unused.iter().any(|byte| *byte != 0) {
            return Err(TrailerError::Foreign);
        }
        let rows_per_segment = u64::from_le_bytes(field(page, AT_DESTINATION_ROWS));
        let destination = (!path.is_empty()).then(|| Destination { path: path.into(), rows_per_segment });
        let belongs = |to: &Destination| to.path.is_absolute() && to.path.extension() == Some(OsStr::new("plot"));
        if !destination.as_ref().is_none_or(belongs) {
            return Err(TrailerError::Foreign);
        }
        Ok((Self { header, state, kind, replace: page[14] == 1, destination }, u64::from_le_bytes(field(page, 16))))
    }
}

fn field<const N: usize>(page: &[u8; PAGE], at: usize) -> [u8; N] {
    page[at..at + N].try_into().expect("the range is N bytes long")
}

/// How far a plot has come, as far as that outlasts a loss of power.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Rows whose cells are on disk and were checked.
    pub(crate) rows_done: u64,
    /// First row of the last batch, counted from the file's first.
    pub(crate) last_start: u64,
    /// Level and roots of the last batch; none before the first.
    pub(crate) last_level: u32,
    pub(crate) last_roots: Vec<Cell>,
    /// The subtrees of all rows done.
    pub(crate) stack: RootStack,
}

/// Which of the slots is the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(u64);

/// The trailer of an open file.
#[derive(Debug)]
pub(crate) struct Trailer {
    slots_offset: u64,
    slot_bytes: u64,
    columns: usize,
    /// Level of the plot's column roots, or of a segment's if that is higher.
    top_level: u32,
    generation: u64,
}

impl Trailer {
    /// Places the trailer behind the roots of `layout`.
    pub(crate) fn new(layout: &Layout) -> Self {
        // A stack never holds more than one entry a level; with the last batch's that is the most.
        let levels = u64::from(layout.depth().max(layout.subtree_depth())) + 2;
        let slot_bytes = PAGE as u64 + (levels * layout.columns() * 32).next_multiple_of(PAGE as u64);
        Self {
            slots_offset: layout.file_bytes().next_multiple_of(PAGE as u64),
            slot_bytes,
            columns: layout.columns() as usize,
            top_level: layout.depth().max(layout.subtree_depth()),
            generation: 0,
        }
    }

    /// Length of the file with its trailer.
    pub(crate) fn end(&self) -> u64 {
        self.holder_offset() + 2 * PAGE as u64
    }

    fn holder_offset(&self) -> u64 {
        self.slots_offset + 2 * self.slot_bytes
    }

    /// Writes the plan of a new file.
    pub(crate) fn write_plan(&self, storage: &dyn Storage, plan: &Plan) -> Result<(), TrailerError> {
        let page = plan.encode(self.slot_bytes)?;
        Ok(storage.write_at(&page, self.holder_offset() + PAGE as u64)?)
    }

    /// Finds plan and trailer of a file.
    pub(crate) fn read_plan(storage: &dyn Storage) -> Result<(Plan, Self), TrailerError> {
        let len = storage.len()?;
        let at = len.checked_sub(PAGE as u64).filter(|at| *at >= PAGE as u64).ok_or(TrailerError::NoPlan)?;
        let mut page = [0; PAGE];
        storage.read_at(&mut page, at)?;
        let (plan, slot_bytes) = Plan::decode(&page)?;
        let trailer = Self::new(&plan.layout()?);
        if trailer.slot_bytes != slot_bytes || trailer.end() != len {
            return Err(TrailerError::Size(len));
        }
        Ok((plan, trailer))
    }

    /// Names this process as the one at work, for the messages of others.
    pub(crate) fn write_holder(&self, storage: &dyn Storage) -> io::Result<()> {
        storage.write_at(&std::process::id().to_le_bytes(), self.holder_offset())
    }

    /// The process last at work on a file.
    pub(crate) fn read_holder(storage: &dyn Storage) -> Option<u32> {
        let at = storage.len().ok()?.checked_sub(2 * PAGE as u64)?;
        let mut id = [0; 4];
        storage.read_at(&mut id, at).ok()?;
        Some(u32::from_le_bytes(id)).filter(|id| *id != 0)
    }

    /// Writes `progress` over the older slot. It counts once the storage is synced.
    pub(crate) fn write_progress(&mut self, storage: &dyn Storage, progress: &Progress) -> io::Result<()> {
        self.generation += 1;
        let entries = &progress.stack.entries;
        assert!(entries.len() <= MAX_ENTRIES, "a stack has one entry a level");
        let mut page = [0; PAGE];
        page[..8].copy_from_slice(&SLOT_MAGIC);
        page[8..16].copy_from_slice(&self.generation.to_le_bytes());
        page[16..24].copy_from_slice(&progress.rows_done.to_le_bytes());
        page[24..32].copy_from_slice(&progress.last_start.to_le_bytes());
        page[32] = progress.last_level as u8;
        page[33] = entries.len() as u8;
        for (byte, (level, _)) in page[AT_LEVELS..].iter_mut().zip(entries) {
            *byte = *level as u8;
        }
        let nodes = || std::iter::once(&progress.last_roots).chain(entries.iter().map(|(_, nodes)| nodes));
        let mut hasher = Sha256::new_with_prefix(&page[..AT_CHECKSUM]);
        nodes().for_each(|nodes| hasher.update(cast_slice::<_, u8>(nodes)));
        page[AT_CHECKSUM..].copy_from_slice(&hasher.finalize());
        let slot = self.slots_offset + (self.generation % 2) * self.slot_bytes;
        let mut at = slot + PAGE as u64;
        for nodes in nodes() {
            storage.write_at(cast_slice(nodes), at)?;
            at += 32 * nodes.len() as u64;
        }
        storage.write_at(&page, slot)
    }

    /// What the slots hold, newest first. A torn or empty slot counts for nothing.
    pub(crate) fn read_progress(&self, storage: &dyn Storage) -> io::Result<Vec<(Generation, Progress)>> {
        let mut found = Vec::new();
        for slot in 0..2 {
            found.extend(self.read_slot(storage, self.slots_offset + slot * self.slot_bytes)?);
        }
        found.sort_by_key(|(generation, _)| std::cmp::Reverse(*generation));
        Ok(found)
    }

    /// Goes on from the slot of this generation: the other one is written next.
    pub(crate) fn go_on_from(&mut self, Generation(generation): Generation) {
        self.generation = generation;
    }

    fn read_slot(&self, storage: &dyn Storage, slot: u64) -> io::Result<Option<(Generation, Progress)>> {
        let mut page = [0; PAGE];
        storage.read_at(&mut page, slot)?;
        let entries = usize::from(page[33]);
        let bytes = (PAGE + (entries + 1) * self.columns * 32) as u64;
        if page[..8] != SLOT_MAGIC || entries > MAX_ENTRIES || bytes > self.slot_bytes {
            return Ok(None);
        }
        let generation = u64::from_le_bytes(field(&page, 8));
        let levels = &page[AT_LEVELS..AT_LEVELS + entries];
        let in_range = |level: &u8| u32::from(*level) <= self.top_level;
        let falling = levels.is_sorted_by(|left, right| left > right);
        if generation == u64::MAX || !falling || !levels.iter().chain([&page[32]]).all(in_range) {
            return Ok(None);
        }
        let mut nodes = vec![[0; 32]; (entries + 1) * self.columns];
        storage.read_at(cast_slice_mut(&mut nodes), slot + PAGE as u64)?;
        let mut hasher = Sha256::new_with_prefix(&page[..AT_CHECKSUM]);
        hasher.update(cast_slice::<_, u8>(&nodes));
        if hasher.finalize()[..] != page[AT_CHECKSUM..] {
            return Ok(None);
        }
        let mut nodes = nodes.chunks(self.columns).map(<[Cell]>::to_vec);
        let last_roots = nodes.next().expect("there is one chunk more than entries");
        let levels = levels.iter().map(|level| u32::from(*level));
        let progress = Progress {
            rows_done: u64::from_le_bytes(field(&page, 16)),
            last_start: u64::from_le_bytes(field(&page, 24)),
            last_level: u32::from(page[32]),
            last_roots,
            stack: RootStack { entries: levels.zip(nodes).collect() },
        };
        Ok(Some((Generation(generation), progress)))
    }
}

/// The name under which a plot at `path` is made.
pub(crate) fn tmp_path(path: &Path) -> PathBuf {
    with_suffix(path, ".tmp")
}

/// The name under which a plot at `path` gets its header and its space.
pub(crate) fn new_path(path: &Path) -> PathBuf {
    with_suffix(path, ".tmp.new")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
