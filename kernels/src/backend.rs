//! Which instruction sets this CPU has, and the way to their code.

use std::sync::OnceLock;

use thiserror::Error;

use crate::calibrate::{self, Pace};
use crate::merkle::Cell;
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::portable;
use crate::score::{Best, Challenge, Hit, MAX_CHALLENGES, Target};
use crate::sha256::State;
use crate::table::CellTable;
#[cfg(target_arch = "x86_64")]
use crate::{
    avx2, avx512, shani,
    sieve::{self, PreparedChallenge},
};

/// An instruction set with an implementation of every hash job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    Portable,
    #[cfg(target_arch = "x86_64")]
    ShaNi,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Every name there is on some CPU.
const NAMES: [&str; 4] = ["portable", "shani", "avx2", "avx512"];

impl Isa {
    #[cfg(target_arch = "x86_64")]
    const ALL: &'static [Self] = &[Self::Portable, Self::ShaNi, Self::Avx2, Self::Avx512];
    #[cfg(not(target_arch = "x86_64"))]
    const ALL: &'static [Self] = &[Self::Portable];

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi => "shani",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }

    fn detected(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi => shani::detected(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::detected(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::detected(),
        }
    }
}

/// An implementation of every hash job that this CPU can run.
///
/// On x86-64 there are four: portable, SHA-NI, AVX2 and AVX-512. On other
/// CPUs, aarch64 among them, there is the portable one.
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

/// Runs a job of the module that holds the backend's instruction set.
macro_rules! dispatch {
    ($backend:expr, $job:ident($($argument:expr),*)) => {
        match $backend.0 {
            Isa::Portable => portable::$job($($argument),*),
            #[cfg(target_arch = "x86_64")]
            isa => dispatch!(isa, vector $job($($argument),*)),
        }
    };
    ($isa:expr, vector $job:ident($($argument:expr),*)) => {
        match $isa {
            Isa::Portable => unreachable!("the portable backend has its own text"),
            // SAFETY: Backend(ShaNi) exists only where SHA-NI was detected.
            Isa::ShaNi => unsafe { shani::$job($($argument),*) },
            // SAFETY: Backend(Avx2) exists only where AVX2 was detected.
            Isa::Avx2 => unsafe { avx2::$job($($argument),*) },
            // SAFETY: Backend(Avx512) exists only where AVX-512 was detected.
            Isa::Avx512 => unsafe { avx512::$job($($argument),*) },
        }
    };
}

impl Backend {
    /// Plain Rust, on every CPU.
    pub const PORTABLE: Self = Self(Isa::Portable);

    /// Every backend this CPU can run, fastest first as measured once a
    /// process: a few milliseconds at the first call.
    #[must_use]
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<Backend>> = OnceLock::new();
        AVAILABLE.get_or_init(|| paces().iter().map(|pace| pace.backend).collect())
    }

    /// The backend that grows most rows a second on this CPU.
    #[must_use]
    pub fn fastest() -> Self {
        Self::available()[0]
    }

    /// The backend that grows `rows` rows soonest on one thread, as measured
    /// once a process: few rows may be done sooner by one that grows them one
    /// at a time than by one whose lanes stay empty.
    #[must_use]
    pub fn for_rows(rows: usize) -> Self {
        let soonest = paces().iter().min_by_key(|pace| pace.time_for(rows));
        soonest.expect("the portable backend is always there").backend
    }

    /// The backend called `name`: `portable`, `shani`, `avx2` or `avx512`.
    ///
    /// # Errors
    /// If there is none of that name, or this CPU lacks its instructions.
    pub fn named(name: &str) -> Result<Self, BackendError> {
        let known = NAMES.into_iter().find(|known| *known == name);
        let known = known.ok_or_else(|| BackendError::Unknown(name.to_owned()))?;
        let isa = Isa::ALL.iter().find(|isa| isa.name() == name && isa.detected());
        isa.copied().map(Self).ok_or(BackendError::NotOnThisCpu(known))
    }

    /// Its name, as [`Backend::named`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Rows that it grows side by side: fewer cost as much time as so many
    /// (but one alone is done sooner by `shani`).
    #[must_use]
    pub fn lanes(self) -> usize {
        match self.0 {
            Isa::Portable => 1,
            #[cfg(target_arch = "x86_64")]
            Isa::ShaNi => shani::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::LANES,
        }
    }

    /// Grows up to `lanes()` rows, the k-th into the k-th lane of `table`.
    #[allow(unsafe_code)]
    pub(crate) fn grow_lanes(self, shape: Shape, rows: &[(PlotKey, RowIndex)], table: &mut CellTable) {
        assert!((1..=self.lanes()).contains(&rows.len()), "at least one row, and no more than lanes");
        dispatch!(self, grow_lanes(shape, rows, table));
    }

    /// The words of `cells` as bytes, into `bytes` of the same length.
    #[allow(unsafe_code)]
    pub(crate) fn export(self, cells: &[State], bytes: &mut [Cell]) {
        dispatch!(self, export(cells, bytes));
    }

    /// `nodes[k] = node(pairs[k][0], pairs[k][1])` (PROTOCOL §3).
    ///
    /// # Panics
    /// If the two differ in length.
    #[allow(unsafe_code)]
    pub fn hash_pairs(self, pairs: &[[Cell; 2]], nodes: &mut [Cell]) {
        assert_eq!(pairs.len(), nodes.len(), "one node for each pair");
        dispatch!(self, hash_pairs(pairs, nodes));
    }

    /// `nodes[k] = node(left[k], right[k])` (PROTOCOL §3): two rows of subtree
    /// roots side by side become one.
    ///
    /// # Panics
    /// If the three differ in length.
    #[allow(unsafe_code)]
    pub fn hash_nodes(self, left: &[Cell], right: &[Cell], nodes: &mut [Cell]) {
        assert!(left.len() == right.len() && left.len() == nodes.len(), "one node for each left and right");
        dispatch!(self, hash_nodes(left, right, nodes));
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
            #[cfg(target_arch = "x86_64")]
            _ => sieve::score_best(self, challenges, strip, first_row, best),
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
            #[cfg(target_arch = "x86_64")]
            _ => sieve::score_below(self, challenges, target, strip, first_row, hits),
        }
    }

    /// Calls `sift` with place in `strip`, number of challenge and `limits` for
    /// every score whose first word is at most the challenge's limit, by
    /// place and then by challenge.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    pub(crate) fn sift(
        self,
        challenges: &[PreparedChallenge],
        strip: &[Cell],
        limits: &mut [u32; MAX_CHALLENGES],
        sift: impl FnMut(usize, usize, &mut [u32; MAX_CHALLENGES]),
    ) {
        dispatch!(self.0, vector sift(challenges, strip, limits, sift));
    }

    /// Bare compression, to measure it: `times` compressions upon each of
    /// `states`, the n-th state beginning with the n-th of `blocks` (modulo
    /// their number, counted from the start of its group of [`Backend::lanes`])
    /// and going around them.
    ///
    /// # Panics
    /// If `states` are no multiple of the lanes, or `blocks` are none.
    #[allow(unsafe_code)]
    pub fn compress_chains(self, states: &mut [[u32; 8]], blocks: &[[u32; 16]], times: usize) {
        assert!(states.len().is_multiple_of(self.lanes()), "whole groups of lanes");
        assert!(!blocks.is_empty(), "at least one block");
        dispatch!(self, compress_chains(states, blocks, times));
    }
}

/// The backends of this CPU with their pace, fastest first.
fn paces() -> &'static [Pace] {
    static PACES: OnceLock<Vec<Pace>> = OnceLock::new();
    PACES.get_or_init(|| {
        calibrate::measure(Isa::ALL.iter().filter(|isa| isa.detected()).copied().map(Backend).collect())
    })
}
