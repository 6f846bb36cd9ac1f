//! Which instruction sets this CPU has, and the way to their code.

use std::sync::OnceLock;

use thiserror::Error;

use crate::grower::CellTable;
use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::portable;
use crate::score::{Best, Challenge, Hit, MAX_CHALLENGES, Target};

/// An instruction set with an implementation of every hash job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isa {
    Portable,
}

impl Isa {
    const ALL: [Self; 1] = [Self::Portable];

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
        }
    }

    fn detected(self) -> bool {
        match self {
            Self::Portable => true,
        }
    }
}

/// An implementation of every hash job that this CPU can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend(Isa); // private field: made only by detection

/// Why a name is no backend here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BackendError {
    /// There is no such backend.
    #[error("unknown backend \"{0}\": known are portable, shani, avx2 and avx512")]
    Unknown(String),
    /// There is, but this CPU lacks its instructions.
    #[error("backend {0} needs instructions that this CPU lacks")]
    NotOnThisCpu(&'static str),
}

impl Backend {
    /// Plain Rust, on every CPU.
    pub const PORTABLE: Self = Self(Isa::Portable);

    /// Every backend this CPU can run, fastest first as measured once a process.
    #[must_use]
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<Backend>> = OnceLock::new();
        AVAILABLE.get_or_init(|| Isa::ALL.into_iter().filter(|isa| isa.detected()).map(Self).collect())
    }

    /// The backend that grows most rows a second on this CPU.
    #[must_use]
    pub fn fastest() -> Self {
        Self::available()[0]
    }

    /// The backend that grows `rows` rows soonest on one thread.
    #[must_use]
    pub fn for_rows(_rows: usize) -> Self {
        Self::fastest()
    }

    /// The backend called `name`: `portable`, `shani`, `avx2` or `avx512`.
    ///
    /// # Errors
    /// If there is none of that name, or this CPU lacks its instructions.
    pub fn named(name: &str) -> Result<Self, BackendError> {
        let isa = Isa::ALL
            .into_iter()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| BackendError::Unknown(name.to_owned()))?;
        if isa.detected() { Ok(Self(isa)) } else { Err(BackendError::NotOnThisCpu(isa.name())) }
    }

    /// Its name, as [`Backend::named`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Rows that it grows side by side: fewer cost as much time as so many.
    #[must_use]
    pub fn lanes(self) -> usize {
        match self.0 {
            Isa::Portable => 1,
        }
    }

    /// Grows up to `lanes()` rows, the k-th into the k-th lane of `table`.
    pub(crate) fn grow_lanes(self, shape: Shape, rows: &[(PlotKey, RowIndex)], table: &mut CellTable) {
        assert!(rows.len() <= self.lanes(), "no more rows than lanes");
        match self.0 {
            Isa::Portable => portable::grow_lanes(shape, rows, table),
        }
    }

    /// `nodes[k] = node(pairs[k][0], pairs[k][1])` (PROTOCOL §3).
    ///
    /// # Panics
    /// If the two differ in length.
    pub fn hash_pairs(self, pairs: &[[Cell; 2]], nodes: &mut [Cell]) {
        assert_eq!(pairs.len(), nodes.len(), "one node for each pair");
        match self.0 {
            Isa::Portable => {
                for (pair, node) in pairs.iter().zip(nodes) {
                    *node = portable::hash_node(&pair[0], &pair[1]);
                }
            }
        }
    }

    /// `nodes[k] = node(left[k], right[k])` (PROTOCOL §3): two rows of subtree
    /// roots side by side become one.
    ///
    /// # Panics
    /// If the three differ in length.
    pub fn hash_nodes(self, left: &[Cell], right: &[Cell], nodes: &mut [Cell]) {
        assert!(left.len() == right.len() && left.len() == nodes.len(), "one node for each left and right");
        match self.0 {
            Isa::Portable => {
                for ((left, right), node) in left.iter().zip(right).zip(nodes) {
                    *node = portable::hash_node(left, right);
                }
            }
        }
    }

    /// Scores every cell of `strip` for one to eight challenges in one pass
    /// and folds the best of each into `best`, `strip[0]` lying in `first_row`.
    ///
    /// # Panics
    /// If `challenges` are none or more than [`MAX_CHALLENGES`], or `best` differs from them in length.
    pub fn score_best(self, challenges: &[Challenge], strip: &[Cell], first_row: u64, best: &mut [Option<Best>]) {
        assert!((1..=MAX_CHALLENGES).contains(&challenges.len()), "one to {MAX_CHALLENGES} challenges a pass");
        assert_eq!(challenges.len(), best.len(), "one best leaf for each challenge");
        match self.0 {
            Isa::Portable => portable::score_best(challenges, strip, first_row, best),
        }
    }

    /// Appends every leaf of `strip` that scores below `target` to `hits`, by
    /// row and then by challenge, `strip[0]` lying in `first_row`.
    ///
    /// # Panics
    /// If `challenges` are none or more than [`MAX_CHALLENGES`].
    pub fn score_below(
        self,
        challenges: &[Challenge],
        target: &Target,
        strip: &[Cell],
        first_row: u64,
        hits: &mut Vec<Hit>,
    ) {
        assert!((1..=MAX_CHALLENGES).contains(&challenges.len()), "one to {MAX_CHALLENGES} challenges a pass");
        match self.0 {
            Isa::Portable => portable::score_below(challenges, target, strip, first_row, hits),
        }
    }
}
