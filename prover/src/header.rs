//! The first 4096 bytes of a plot file (PROTOCOL §5).

use sha2::{Digest, Sha256};
use spacetime_kernels::{Cell, MAX_ROWS, PlotKey, Shape, ShapeError, plot_id};
use thiserror::Error;

/// Bytes of a header, and what its offsets are multiples of.
pub const HEADER_BYTES: usize = 4096;

const MAGIC: [u8; 8] = *b"SPCTPLOT";
const VERSION: u32 = 1;
const CELL_BYTES: u16 = 32;

// Where each field lies (PROTOCOL §5).
const AT_VERSION: usize = 8;
const AT_HEADER_BYTES: usize = 12;
const AT_MINER_KEY: usize = 16;
const AT_SEED: usize = 64;
const AT_NETWORK: usize = 96;
const AT_LOG2_COLUMNS: usize = 128;
const AT_ROUNDS: usize = 129;
const AT_CELL_BYTES: usize = 130;
const AT_STATE: usize = 132;
const AT_ROWS: usize = 136;
const AT_ROWS_PER_SEGMENT: usize = 144;
const AT_FIRST_ROW: usize = 152;
const AT_DATA_OFFSET: usize = 160;
const AT_ROOTS_OFFSET: usize = 168;
const AT_ROOT: usize = 176;
const AT_PLOT_ID: usize = 208;
const AT_RESERVED: usize = 240;
const AT_CHECKSUM: usize = 4064;
const _: () = assert!(AT_SEED == AT_MINER_KEY + 48 && AT_NETWORK == AT_SEED + 32 && AT_LOG2_COLUMNS == AT_NETWORK + 32);
const _: () = assert!(AT_PLOT_ID == AT_ROOT + 32 && AT_RESERVED == AT_PLOT_ID + 32);
const _: () = assert!(AT_CHECKSUM + 32 == HEADER_BYTES);

/// How far a plot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotState {
    /// Rows are still being grown; root and id are zero.
    Building,
    /// Every row and root is there.
    Complete,
    /// Every row of a part is there; it waits to be merged and has no root of its own.
    Part,
}

impl PlotState {
    fn code(self) -> u32 {
        match self {
            Self::Building => 0,
            Self::Complete => 1,
            Self::Part => 2,
        }
    }
}

/// What a plot file says of itself. Every value has been checked against the
/// rules of PROTOCOL §5, though not against the file's size: see [`crate::Layout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotHeader {
    /// BLS12-381 public key of the miner, compressed G1.
    pub miner_key: [u8; 48],
    /// What tells this miner's plots apart.
    pub seed: [u8; 32],
    /// Network tag ([`spacetime_kernels::network_tag`]).
    pub network: [u8; 32],
    /// Columns and rounds.
    pub shape: Shape,
    /// How far the plot has come.
    pub state: PlotState,
    /// Rows stored in this file, 1 to 2^40.
    pub rows: u64,
    /// Rows stored together, a power of two; may exceed `rows`.
    pub rows_per_segment: u64,
    /// First row in this file: not zero only in a part.
    pub first_row: u64,
    /// Where the first segment begins, in bytes, a multiple of 4096.
    pub data_offset: u64,
    /// Where the column roots begin, in bytes, a multiple of 4096.
    pub roots_offset: u64,
    /// Plot root; zero unless complete.
    pub root: Cell,
    /// Plot id; zero unless complete.
    pub plot_id: [u8; 32],
}

/// The rule of PROTOCOL §5 that a header breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The magic is another.
    #[error("not a plot: the file does not begin with SPCTPLOT")]
    Magic,
    /// The version is another, perhaps a newer one.
    #[error("version is {0}, this program knows version {VERSION}")]
    Version(u32),
    /// The checksum is not that of the bytes before it.
    #[error("header checksum does not match: the header is damaged")]
    Checksum,
    /// The header length is not 4096.
    #[error("header length is {0}, must be {HEADER_BYTES}")]
    HeaderBytes(u32),
    /// The cell size is not 32.
    #[error("cell size is {0}, must be {CELL_BYTES}")]
    CellBytes(u16),
    /// `p` or `R` is out of bounds.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The state is none of the known ones.
    #[error("state is {0}, known are 0 to 2")]
    State(u32),
    /// No rows, or too many.
    #[error("rows are {0}, allowed are 1 to {MAX_ROWS}")]
    Rows(u64),
    /// Rows per segment are no power of two up to 2^40.
    #[error("rows per segment are {0}, must be a power of two up to {MAX_ROWS}")]
    RowsPerSegment(u64),
    /// The first row is not zero in a whole plot, or no multiple of rows per segment.
    #[error("first row is {first_row}, must be 0 or, in a part, a multiple of the {rows_per_segment} rows per segment")]
    FirstRow {
        /// The value found.
        first_row: u64,
        /// Rows per segment.
        rows_per_segment: u64,
    },
    /// A part reaches beyond the greatest row.
    #[error("first row {first_row} and {rows} rows reach beyond {MAX_ROWS} rows")]
    LastRow {
        /// First row of the part.
        first_row: u64,
        /// Rows of the part.
        rows: u64,
    },
    /// The data offset is no multiple of 4096 or lies in the header.
    #[error("data offset is {0}, must be a positive multiple of {HEADER_BYTES}")]
    DataOffset(u64),
    /// The roots offset is no multiple of 4096.
    #[error("roots offset is {0}, must be a multiple of {HEADER_BYTES}")]
    RootsOffset(u64),
    /// A reserved byte is not zero.
    #[error("reserved byte {0} is not zero")]
    Reserved(usize),
    /// Root or id of an unfinished plot or a part is not zero.
    #[error("plot root and plot id must be zero unless the plot is complete")]
    EarlyRoot,
    /// The plot id is not that of key, rows and root.
    #[error("plot id does not follow from miner key, seed, rows and root")]
    PlotId,
}

impl PlotHeader {
    /// The key that every cell of the plot is grown from.
    #[must_use]
    pub fn key(&self) -> PlotKey {
        PlotKey::derive(&self.network, &self.miner_key, &self.seed, self.shape)
    }

    /// The header as it lies on disk, checksum included.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(AT_VERSION, &VERSION.to_le_bytes());
        put(AT_HEADER_BYTES, &(HEADER_BYTES as u32).to_le_bytes());
        put(AT_MINER_KEY, &self.miner_key);
        put(AT_SEED, &self.seed);
        put(AT_NETWORK, &self.network);
        put(AT_LOG2_COLUMNS, &[self.shape.log2_columns()]);
        put(AT_ROUNDS, &[self.shape.rounds()]);
        put(AT_CELL_BYTES, &CELL_BYTES.to_le_bytes());
        put(AT_STATE, &self.state.code().to_le_bytes());
        put(AT_ROWS, &self.rows.to_le_bytes());
        put(AT_ROWS_PER_SEGMENT, &self.rows_per_segment.to_le_bytes());
        put(AT_FIRST_ROW, &self.first_row.to_le_bytes());
        put(AT_DATA_OFFSET, &self.data_offset.to_le_bytes());
        put(AT_ROOTS_OFFSET, &self.roots_offset.to_le_bytes());
        put(AT_ROOT, &self.root);
        put(AT_PLOT_ID, &self.plot_id);
        let checksum = Sha256::digest(&bytes[..AT_CHECKSUM]);
        bytes[AT_CHECKSUM..].copy_from_slice(&checksum);
        bytes
    }

    /// Reads a header and checks every field.
    ///
    /// # Errors
    /// The first rule that it breaks; magic, version and checksum come first.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        if bytes[..8] != MAGIC {
            return Err(HeaderError::Magic);
        }
        let version = u32::from_le_bytes(field(bytes, AT_VERSION));
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        if Sha256::digest(&bytes[..AT_CHECKSUM])[..] != bytes[AT_CHECKSUM..] {
            return Err(HeaderError::Checksum);
        }
        let header_bytes = u32::from_le_bytes(field(bytes, AT_HEADER_BYTES));
        if header_bytes != HEADER_BYTES as u32 {
            return Err(HeaderError::HeaderBytes(header_bytes));
        }
        let cell_bytes = u16::from_le_bytes(field(bytes, AT_CELL_BYTES));
        if cell_bytes != CELL_BYTES {
            return Err(HeaderError::CellBytes(cell_bytes));
        }
        if let Some(at) = bytes[AT_RESERVED..AT_CHECKSUM].iter().position(|byte| *byte != 0) {
            return Err(HeaderError::Reserved(AT_RESERVED + at));
        }
        let header = Self {
            miner_key: field(bytes, AT_MINER_KEY),
            seed: field(bytes, AT_SEED),
            network: field(bytes, AT_NETWORK),
            shape: Shape::new(bytes[AT_LOG2_COLUMNS], bytes[AT_ROUNDS])?,
            state: match u32::from_le_bytes(field(bytes, AT_STATE)) {
                0 => PlotState::Building,
                1 => PlotState::Complete,
                2 => PlotState::Part,
                other => return Err(HeaderError::State(other)),
            },
            rows: u64::from_le_bytes(field(bytes, AT_ROWS)),
            rows_per_segment: u64::from_le_bytes(field(bytes, AT_ROWS_PER_SEGMENT)),
            first_row: u64::from_le_bytes(field(bytes, AT_FIRST_ROW)),
            data_offset: u64::from_le_bytes(field(bytes, AT_DATA_OFFSET)),
            roots_offset: u64::from_le_bytes(field(bytes, AT_ROOTS_OFFSET)),
            root: field(bytes, AT_ROOT),
            plot_id: field(bytes, AT_PLOT_ID),
        };
        header.validate()?;
        Ok(header)
    }

    /// Checks the rules that bind the fields to each other and to their bounds.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), HeaderError> {
        let &Self { rows, rows_per_segment, first_row, data_offset, roots_offset, .. } = self;
        if !(1..=MAX_ROWS).contains(&rows) {
            return Err(HeaderError::Rows(rows));
        }
        if !rows_per_segment.is_power_of_two() || rows_per_segment > MAX_ROWS {
            return Err(HeaderError::RowsPerSegment(rows_per_segment));
        }
        let whole = self.state == PlotState::Complete;
        if (whole && first_row != 0) || first_row % rows_per_segment != 0 {
            return Err(HeaderError::FirstRow { first_row, rows_per_segment });
        }
        if first_row > MAX_ROWS - rows {
            return Err(HeaderError::LastRow { first_row, rows });
        }
        if data_offset == 0 || data_offset % HEADER_BYTES as u64 != 0 {
            return Err(HeaderError::DataOffset(data_offset));
        }
        if roots_offset % HEADER_BYTES as u64 != 0 {
            return Err(HeaderError::RootsOffset(roots_offset));
        }
        if !whole && (self.root != [0; 32] || self.plot_id != [0; 32]) {
            return Err(HeaderError::EarlyRoot);
        }
        if whole && self.plot_id != plot_id(&self.key(), rows, &self.root) {
            return Err(HeaderError::PlotId);
        }
        Ok(())
    }
}

/// The `N` bytes at `at`.
fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range is N bytes long")
}
