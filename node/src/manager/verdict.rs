//! What becomes of a block, and what happens to the chain by it.

use thiserror::Error;

use crate::chain::rules::BlockError;
use crate::chain::{BlockId, Height, Transaction};

/// Why a block was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It breaks a rule.
    #[error(transparent)]
    Rule(#[from] BlockError),
    /// It, or one that it stands on, broke a rule before.
    #[error("block {ancestor} broke a rule")]
    Condemned {
        /// Which one did.
        ancestor: BlockId,
    },
    /// The specification names another block at its height.
    #[error("at height {height} the checkpoint is {expected}")]
    Checkpoint {
        /// The checkpoint's height.
        height: Height,
        /// The checkpoint.
        expected: BlockId,
    },
    /// Too many blocks stand beside the best chain, all of them heavier.
    #[error("{limit} blocks stand beside the best chain already")]
    Branches {
        /// The most that are kept.
        limit: usize,
    },
}

/// What became of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is on the best chain.
    Connected,
    /// It is good as far as can be told, and stands beside the best chain.
    Beside,
    /// It waits for its parent, or for a block further below that there was no room for.
    Orphan {
        /// The block that has to come, or to come again.
        parent: BlockId,
    },
    /// It waits for more weight on its branch.
    Light,
    /// It was there already.
    Known,
    /// It was refused.
    Refused(Refusal),
}

/// A fork that is too deep to be followed by itself (PROTOCOL §7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Height of the last common block.
    pub fork: Height,
    /// Height of the tip when it was seen.
    pub tip: Height,
    /// The first block that was seen of it.
    pub block: BlockId,
}

/// What happened to the best chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One block was added at the tip.
    Connected {
        /// Its id.
        id: BlockId,
        /// Its height.
        height: Height,
    },
    /// Another branch took over.
    Reorganised {
        /// Height of the last common block.
        fork: Height,
        /// The blocks that are no longer on the best chain, lowest first.
        abandoned: Vec<BlockId>,
        /// The blocks that are now, lowest first.
        adopted: Vec<BlockId>,
        /// The abandoned blocks' transactions but coinbases: a mempool may take them back.
        returned: Vec<Transaction>,
    },
    /// A fork was too deep to be followed.
    Alarm(Alarm),
}
