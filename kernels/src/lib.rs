//! The hash work of Spacetime: growing rows, hashing Merkle nodes and scoring
//! cells, each for every instruction set at hand.
//!
//! Everything here works on memory that the caller brings. Files, proofs and
//! networks belong to the crates above.
//!
//! * [`Backend`] names an instruction set this CPU was seen to have. Holding
//!   one proves that its code can run.
//! * [`Grower`] owns the tables of one thread and grows rows into them.
//! * [`Shape`], [`PlotKey`], [`Challenge`], [`Score`] and [`Target`] are the
//!   protocol's nouns (docs/PROTOCOL.md, sections 2 to 4).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod backend;
mod bulk;
mod calibrate;
#[cfg(feature = "gpu")]
pub mod gpu;
mod grower;
mod merkle;
mod plot;
mod portable;
mod score;
mod sha256;
#[cfg(target_arch = "x86_64")]
mod shani;
#[cfg(target_arch = "x86_64")]
mod sieve;
mod table;
mod tagged;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use backend::{Backend, BackendError};
pub use bulk::{BulkError, BulkGrower, BulkScorer, BulkWork, Lot, Part, Proceed, Run};
pub use grower::{CellRequest, Grower};
pub use merkle::{Cell, hash_node, zero_subtree};
pub use plot::{
    ColumnIndex, MAX_LOG2_COLUMNS, MAX_ROUNDS, MAX_ROWS, MIN_LOG2_COLUMNS, MIN_ROUNDS, PlotKey, RowIndex, Shape,
    ShapeError, network_tag, plot_id,
};
pub use score::{Best, Challenge, Hit, MAX_CHALLENGES, Score, Target, score};
pub use tagged::tagged_hash;
