//! What can be wrong with an entry.

use std::fmt;

use thiserror::Error;

use crate::chain::rules::HeaderError;
use crate::chain::{BlockId, Hash, Height};
use crate::store::Column;

/// An entry with which something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is, or should be.
    pub column: Column,
    /// Its key.
    pub key: Vec<u8>,
    /// What is wrong with it.
    pub flaw: Flaw,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: entry {}: {}", self.column.name(), const_hex::encode(&self.key), self.flaw)
    }
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// It is not there, and others ask for it.
    #[error("it is missing")]
    Missing,
    /// Nothing points to it.
    #[error("nothing points to it")]
    Stray,
    /// No entry of the column has such a key.
    #[error("its key is none of this column's")]
    Key,
    /// It is no encoding of what it should be.
    #[error("it is malformed: {0}")]
    Malformed(String),
    /// The database, or the tree, finds it damaged.
    #[error("it is damaged: {0}")]
    Unreadable(String),
    /// It has a value where none is due.
    #[error("it has a value of {0} bytes, which should have none")]
    Value(usize),
    /// It lies beyond the tip, or names what does.
    #[error("height {found} lies above the tip, {tip}")]
    Above {
        /// The entry's.
        found: Height,
        /// The tip's.
        tip: Height,
    },
    /// It should have been forgotten.
    #[error("it belongs to height {found} and should have been pruned: the oldest that is kept is {oldest}")]
    Pruned {
        /// The entry's.
        found: Height,
        /// The oldest that is kept.
        oldest: Height,
    },
    /// The tip is not the last block of the best chain.
    #[error("the tip is {found}, the index ends with {expected:?}")]
    Tip {
        /// As the store names it.
        found: BlockId,
        /// As it is indexed.
        expected: Option<BlockId>,
    },
    /// The header has another id than its entry.
    #[error("the header's id is {0}")]
    HeaderId(BlockId),
    /// What the chain begins with is not what its specification says.
    #[error("it is not the one that the specification makes")]
    Genesis,
    /// The index names a block whose header is not there.
    #[error("it names block {0}, whose header is missing")]
    NoHeader(BlockId),
    /// The index names a block of another height.
    #[error("it names a block of height {found}, not {expected}")]
    Height {
        /// The header's.
        found: Height,
        /// The index's.
        expected: Height,
    },
    /// A header's parent is not the block below it.
    #[error("the parent is {found}, the block below is {expected}")]
    Parent {
        /// The header's.
        found: BlockId,
        /// The index's.
        expected: BlockId,
    },
    /// A header or its proof breaks a rule.
    #[error("a rule is broken: {0}")]
    Rule(Box<HeaderError>),
    /// What a header leaves to its children is not what follows from it.
    #[error("what it leaves to its children does not follow from it and its parent")]
    Lineage,
    /// The index by time names another height.
    #[error("height is {found}, the block of that time has {expected}")]
    Time {
        /// The entry's.
        found: Height,
        /// The header's.
        expected: Height,
    },
    /// A body does not hash to its header.
    #[error("transactions have root {found}, the header says {expected}")]
    TransactionRoot {
        /// As computed.
        found: Hash,
        /// The header's.
        expected: Hash,
    },
    /// The index of transactions names a place where another one is, or none.
    #[error("it is not transaction {place} of height {height}")]
    Place {
        /// The height that the entry names.
        height: Height,
        /// The place that it names.
        place: u32,
    },
    /// A version set what was there already.
    #[error("version {0} sets what was there before it")]
    Repeated(Height),
    /// A plot's id does not cover its record.
    #[error("the plot's id is {found}, its record has {expected}")]
    PlotId {
        /// The record's.
        found: Hash,
        /// As computed.
        expected: Hash,
    },
    /// The state was made by other parameters.
    #[error("the parameters' hash is {found}, the specification's is {expected}")]
    Parameters {
        /// The state's.
        found: Hash,
        /// As computed.
        expected: Hash,
    },
    /// Difficulty or beacon of the state are not those that the tip leaves.
    #[error("difficulty or beacon are not those that the tip's header leaves")]
    Chain,
    /// Money came from nowhere, or is gone.
    #[error(
        "issued are {issued}, but balances {balances}, immature rewards {immature} and burnt {burnt} are another sum"
    )]
    Supply {
        /// Ever issued.
        issued: u64,
        /// In accounts.
        balances: u128,
        /// In rewards to come.
        immature: u128,
        /// Ever burnt.
        burnt: u64,
    },
    /// Not the rewards that are still to come are there.
    #[error("immature rewards of {found} blocks are there, expected {expected}")]
    Rewards {
        /// How many.
        found: u64,
        /// How many are immature at the tip.
        expected: u64,
    },
    /// A version's root is not its header's.
    #[error("the state of version {version} has root {found}, the header says {expected}")]
    Root {
        /// The version.
        version: Height,
        /// The tree's.
        found: Hash,
        /// The header's.
        expected: Hash,
    },
    /// A value is not in the tree.
    #[error("the state's tree of version {0} has no leaf for it")]
    NoLeaf(Height),
    /// A leaf has no value.
    #[error("leaf {key} of version {version} has no value")]
    NoValue {
        /// The version.
        version: Height,
        /// The leaf's key.
        key: Hash,
    },
    /// A value is not what its leaf says.
    #[error("its hash is not that of its leaf in version {0}")]
    ValueHash(Height),
    /// A version's record does not name what it changed.
    #[error("the undo record of version {0} does not name it")]
    NotUndone(Height),
    /// A version's record names what it did not change.
    #[error("it names {}, which version {version} did not change", const_hex::encode(.key))]
    NotChanged {
        /// The version.
        version: Height,
        /// The key of a value, or of a node.
        key: Vec<u8>,
    },
}
