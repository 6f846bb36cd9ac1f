//! The whole walk behind `spacetime node db check`.
//!
//! Opening a store looks at its tip alone. Here everything is read and compared with all that it must agree with: what
//! is indexed with what is there, headers with their parents, bodies with their headers, every kept version of the
//! state with its tree and its header. A finding does not end the walk: it goes on wherever it can. Nothing is
//! written, and memory is bounded, whatever the store holds.
//!
//! What stands behind an entry is sought by the entry's own key first. That no entry is there which nothing points to
//! follows from counts; where they differ, another walk names it.

mod bodies;
mod chain;
mod finding;
mod pages;
mod sorted;
mod tree;
mod values;
mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use borsh::BorshDeserialize;
use thiserror::Error;

pub use finding::{Finding, Flaw};

use super::{Column, Database, DatabaseError, OpenError, Store, StoreError};
use crate::chain::{BlockId, Height};
use crate::consensus::{Lineage, Parameters, SpaceTime, Specification};
use crate::state::{GenesisBlock, GenesisError, genesis};

/// Most findings that are listed; all are counted.
pub const MAX_FINDINGS: usize = 64;

/// What the walk is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Headers and indices, by block.
    Headers,
    /// Bodies, by block.
    Bodies,
    /// Values of the state, by entry.
    Values,
    /// The state's tree at the tip, by leaf.
    Tree,
    /// Older versions of the state, by version.
    Versions,
    /// Entries that nothing points to, by entry; a sound store needs that for its tree alone.
    Strays,
}

/// How far the walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A phase begins, with so much to do where that is known.
    Began {
        /// Which.
        phase: Phase,
        /// What there is to do, in the phase's units.
        total: Option<u64>,
    },
    /// So much more is done.
    Advanced(u64),
}

/// Who looks on, and may stop it.
pub struct Watch<'a> {
    /// Is told how far it is.
    pub steps: &'a mut dyn FnMut(Step),
    /// Ends it as soon as it is set.
    pub stop: &'a AtomicBool,
}

/// What the walk has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Height of the tip.
    pub tip: Height,
    /// Blocks of the best chain, genesis among them.
    pub blocks: u64,
    /// Blocks beside it.
    pub side_blocks: u64,
    /// Bodies, of both.
    pub bodies: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Values of the state at the tip.
    pub values: u64,
    /// Accounts among them.
    pub accounts: u64,
    /// Plots among them, whatever has become of them.
    pub plots: u64,
    /// Nodes of the state's tree, of all versions.
    pub nodes: u64,
    /// Versions of the state.
    pub versions: u64,
}

/// What the walk has come to.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it has seen.
    pub totals: Totals,
    /// The tip, as the store names it.
    pub tip: Option<BlockId>,
    /// The first things that are wrong.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub found: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.found == 0
    }
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The specification makes no genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// It is no store of this chain that this program knows.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read, and not for damage.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// It was told to stop.
    #[error("stopped before its end")]
    Stopped,
}

/// Walks all of the store in `database`, which holds the chain of `specification`.
///
/// # Errors
/// If it is no such store, its disk fails, or the walk was told to stop. Damage is no error, it is in the report.
pub fn check<D: Database>(
    database: &Arc<D>,
    specification: &Specification,
    watch: Watch<'_>,
) -> Result<Report, CheckError> {
    let genesis = genesis(specification)?;
    let store = Store { database: Arc::clone(database) };
    store.check_kind(&genesis.lineage.id)?;
    let mut walk = Walk {
        store,
        parameters: specification.parameters.clone(),
        engine: SpaceTime::new(specification),
        genesis,
        watch,
        span: Span::default(),
        totals: Totals::default(),
        findings: Vec::new(),
        found: 0,
    };
    let tip = walk.all()?;
    let Walk { totals, findings, found, .. } = walk;
    Ok(Report { totals, tip, findings, found })
}

/// What the store says of its own extent.
#[derive(Clone, Debug, Default)]
struct Span {
    tip: Height,
    /// Of the tip, if its header could be read.
    lineage: Option<Lineage>,
    oldest_state: Height,
    oldest_body: Height,
}

struct Walk<'a, D> {
    store: Store<D>,
    parameters: Parameters,
    engine: SpaceTime,
    genesis: GenesisBlock,
    watch: Watch<'a>,
    span: Span,
    totals: Totals,
    findings: Vec<Finding>,
    found: u64,
}

impl<D: Database> Walk<'_, D> {
    fn all(&mut self) -> Result<Option<BlockId>, CheckError> {
        let tip = self.check_meta()?;
        self.totals.tip = self.span.tip;
        self.check_headers(tip)?;
        self.check_bodies()?;
        let counted = self.check_values()?;
        let reachable = self.check_tree(&counted)?;
        self.check_versions(&counted, reachable)?;
        Ok(tip)
    }

    fn begin(&mut self, phase: Phase, total: Option<u64>) {
        (self.watch.steps)(Step::Began { phase, total });
    }

    /// Notes that so much more is done.
    fn advance(&mut self, by: u64) -> Result<(), CheckError> {
        (self.watch.steps)(Step::Advanced(by));
        if self.watch.stop.load(Ordering::Relaxed) { Err(CheckError::Stopped) } else { Ok(()) }
    }

    fn note(&mut self, column: Column, key: &[u8], flaw: Flaw) {
        let finding = Finding { column, key: key.to_vec(), flaw };
        if self.findings.contains(&finding) {
            return;
        }
        self.found = self.found.saturating_add(1);
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// Whether something is listed already that is wrong with an entry.
    fn is_noted(&self, column: Column, key: &[u8]) -> bool {
        self.findings.iter().any(|finding| finding.column == column && finding.key == key)
    }

    /// An entry that must be there, decoded. What is wrong with it is noted.
    fn known<T: BorshDeserialize>(
        &mut self,
        name: &'static str,
        column: Column,
        key: &[u8],
    ) -> Result<Option<T>, CheckError> {
        let read = self.store.entry::<T>(name, column, key);
        let found = self.sound(column, key, read)?;
        if let Some(None) = found {
            self.note(column, key, Flaw::Missing);
        }
        Ok(found.flatten())
    }

    /// What was read, or nothing where it is damaged, which is noted for the entry that was looked for.
    fn sound<T, E: Into<StoreError>>(
        &mut self,
        column: Column,
        key: &[u8],
        read: Result<T, E>,
    ) -> Result<Option<T>, CheckError> {
        match read.map_err(Into::into) {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::Database(error)) if !matches!(error, DatabaseError::Corrupt { .. }) => Err(error.into()),
            Err(StoreError::Missing { column, key }) => {
                self.note(column, &key, Flaw::Missing);
                Ok(None)
            }
            Err(StoreError::Damaged { column, key, source }) => {
                self.note(column, &key, Flaw::Malformed(source.to_string()));
                Ok(None)
            }
            Err(error) => {
                self.note(column, key, Flaw::Unreadable(error.to_string()));
                Ok(None)
            }
        }
    }
}
