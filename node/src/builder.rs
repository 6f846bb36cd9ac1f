//! The block of a winner: best fees first within the limits, plots and evidence before them, the coinbase computed
//! last (PROTOCOL §8, §10). Pure: the parent's state and tree are handed in.
//!
//! The beacon that a block leaves comes from its reveal and is part of the state, so the reveal is signed before
//! there is a state root, and the header after it.

mod candidates;
mod payout;
mod selection;

use std::borrow::Borrow;

use spacetime_kernels::{Challenge, score};
use spacetime_prover::Proof;
use thiserror::Error;

pub(crate) use candidates::comes_first;
pub use candidates::{Candidates, Room};
pub use payout::{Payout, Share};

use self::candidates::Listed;
use self::selection::Selection;
use crate::chain::rules::{BlockError, HeaderError, check_header};
use crate::chain::verify::Verifier;
use crate::chain::{
    Amount, Block, BlockId, Coinbase, Epoch, HEADER_VERSION, Hash, Header, Metadata, MinerKey, MinerSignature, Payload,
    PlotId, Signatures, Transaction, bls, plot_key, proof_id, transaction_root,
};
use crate::consensus::{Engine, Lineage, Parameters};
use crate::state::tree::{NodeReader, TreeError, TreeUpdate, commit};
use crate::state::{Changes, Execution, Fault, Place, StateError, StateReader};

/// What a block is built on.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a, E, R, N> {
    /// Whose turn it is.
    pub engine: &'a E,
    /// The chain's parameters.
    pub parameters: &'a Parameters,
    /// What genesis leaves behind.
    pub genesis: &'a Lineage,
    /// What the parent leaves behind.
    pub parent: &'a Lineage,
    /// The parent's state.
    pub state: R,
    /// The parent's tree, whose version is its height.
    pub nodes: N,
    /// Grows the rows of openings, or remembers them.
    pub verifier: &'a Verifier,
}

/// A won epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Win {
    /// The epoch.
    pub epoch: Epoch,
    /// When the block is proposed, Unix milliseconds, within the epoch.
    pub timestamp_ms: u64,
    /// Whose plot won.
    pub miner_key: MinerKey,
    /// The winning leaf.
    pub proof: Proof,
    /// The miner's signature of the challenge (see [`crate::consensus::reveal_message`]).
    pub reveal: MinerSignature,
}

/// A block that lacks nothing but its header's signature.
#[derive(Clone, Debug)]
pub struct Template {
    /// The header, its signature zero.
    pub header: Header,
    /// The header's proof.
    pub proof: Proof,
    /// The transactions, the coinbase first.
    pub transactions: Vec<Transaction>,
    /// What the coinbase may pay.
    pub claimable: Amount,
    /// What the block changes in the state.
    pub changes: Changes,
    /// What it changes in the state's tree.
    pub update: TreeUpdate,
}

/// Why no block can be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The epoch was not won.
    #[error(transparent)]
    Win(#[from] HeaderError),
    /// The plot may not win, or nothing more can be issued.
    #[error(transparent)]
    Block(BlockError),
    /// The parent's state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The parent's tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<Fault<BlockError>> for BuildError {
    fn from(fault: Fault<BlockError>) -> Self {
        match fault {
            Fault::Rule(error) => Self::Block(error),
            Fault::State(error) => Self::State(error),
        }
    }
}

/// Builds the block of `win` out of `candidates`, best first, those of one sender in the order of their nonces. Their
/// form and signatures were checked; whatever cannot be applied, or has no room, is left out.
///
/// # Errors
/// If the epoch was not won by a plot that may win, or the parent's state cannot be read.
pub fn build<E: Engine, R: StateReader, N: NodeReader, T: Borrow<Transaction>>(
    ground: &Ground<'_, E, R, N>,
    win: &Win,
    payout: &Payout,
    candidates: impl IntoIterator<Item = T>,
) -> Result<Template, BuildError> {
    build_from(ground, win, payout, |room| Listed::new(candidates, room))
}

/// [`build`] out of what is offered one by one: `offer` is told the room that there is, and candidates which order
/// themselves whether each was taken.
///
/// # Errors
/// As [`build`].
pub fn build_from<E: Engine, R: StateReader, N: NodeReader, C: Candidates>(
    ground: &Ground<'_, E, R, N>,
    win: &Win,
    payout: &Payout,
    offer: impl FnOnce(Room) -> C,
) -> Result<Template, BuildError> {
    let &Ground { engine, parameters, genesis, parent, .. } = ground;
    let key = plot_key(parameters, &win.miner_key, &win.proof.seed);
    let plot_id = PlotId(spacetime_kernels::plot_id(&key, win.proof.rows, &win.proof.root));
    let mut header = unsigned_header(engine, parent, win, plot_id);
    let checked = check_header(engine, parameters, genesis, parent, &header, &win.proof, None)?;

    let place = Place { parameters, parent, lineage: &checked.lineage, miner_key: win.miner_key };
    let mut execution = Execution::begin(place, Hash(key.0), plot_id, &ground.state)?;
    // What it pays is known last, but not how long it can get: as long as if it paid all there could be.
    let coinbase = |claimable| payout.coinbase(parent.height.next(), win.miner_key, claimable);
    let longest = vec![unsent(coinbase(Amount(u64::MAX)))];
    let block = Block { header: header.clone(), proof: win.proof.clone(), transactions: longest, metadata: None };
    let selection = Selection::new(&mut execution, ground.verifier, parameters, &block);
    let candidates = offer(selection.room());
    let taken = selection.select(candidates)?;

    let claimable = execution.claimable()?;
    let coinbase = coinbase(claimable);
    let changes = execution.finish(&coinbase)?;
    let leaves = changes.iter().map(|(key, value)| (key.hash(), value.as_deref()));
    let update = commit(&ground.nodes, Some(parent.height.0), leaves)?;

    let mut transactions = vec![unsent(coinbase)];
    transactions.extend(taken);
    let ids: Vec<_> = transactions.iter().map(Transaction::id).collect();
    header.transaction_root = transaction_root(&ids);
    header.state_root = update.root;
    Ok(Template { header, proof: win.proof.clone(), transactions, claimable, changes, update })
}

impl Template {
    /// Signs the header.
    ///
    /// # Panics
    /// If `key` is another miner's.
    #[must_use]
    pub fn sign(self, key: &bls::SecretKey, genesis: &BlockId, metadata: Option<Metadata>) -> Block {
        let Self { mut header, proof, transactions, .. } = self;
        assert_eq!(key.public_key().to_bytes(), header.miner_key, "the header is its miner's to sign");
        header.signature = key.sign(&header.signed_bytes(genesis));
        Block { header, proof, transactions, metadata }
    }
}

/// A header whose roots are not known yet.
fn unsigned_header(engine: &impl Engine, parent: &Lineage, win: &Win, plot_id: PlotId) -> Header {
    Header {
        version: HEADER_VERSION,
        height: parent.height.next(),
        epoch: win.epoch,
        timestamp_ms: win.timestamp_ms,
        parent: parent.id,
        target: engine.claim(parent, win.epoch).target,
        miner_key: win.miner_key,
        plot_id,
        plot_root: Hash(win.proof.root),
        score: score(&Challenge(win.proof.challenge), &win.proof.leaf),
        proof_id: proof_id(&win.proof),
        transaction_root: Hash::ZERO,
        state_root: Hash::ZERO,
        extension: Hash::ZERO,
        reveal: win.reveal,
        signature: MinerSignature::ZERO,
    }
}

fn unsent(coinbase: Coinbase) -> Transaction {
    let payload = Payload::Coinbase(coinbase);
    Transaction { sender: None, nonce: 0, fee: Amount::ZERO, payload, signatures: Signatures::default() }
}
