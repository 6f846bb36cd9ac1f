//! What goes into a miner and what comes out.

use spacetime_kernels::Score;
use spacetime_prover::Proof;
use thiserror::Error;

use super::farm::{FarmView, SweepReport};
use super::window::WindowLine;
use super::work::{MinerProof, MinerSigned, PlotState, Work};
use crate::chain::{Address, BlockId, Epoch, Hash, MinerKey, Opening, PlotId, Transaction};

/// Names a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SweepId(pub u64);

/// A sweep that is to be made: one column of all plots, scored for up to eight challenges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepOrder {
    /// Names it.
    pub id: SweepId,
    /// What is read.
    pub column: u32,
    /// What it is scored for, one to eight.
    pub challenges: Vec<Hash>,
    /// When the answer to each of them is needed, be it what was found so far, Unix milliseconds.
    pub due_ms: Vec<u64>,
}

impl SweepOrder {
    /// When it has to end with what it has, Unix milliseconds.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        self.due_ms.iter().copied().max().unwrap_or(0)
    }
}

/// A proof that is to be made, and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofOrder {
    /// The epoch that it is for.
    pub epoch: Epoch,
    /// The epoch's challenge.
    pub challenge: Hash,
    /// The group's column.
    pub column: u32,
    /// The plot.
    pub plot: PlotId,
    /// The row of the leaf.
    pub row: u64,
    /// What the leaf scored.
    pub score: Score,
    /// What it has to be below.
    pub target: Hash,
}

/// Cells of a plot that are to be shown with their paths, to activate it (PROTOCOL §9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningsOrder {
    /// The plot.
    pub plot: PlotId,
    /// What rows and columns are drawn from.
    pub mix: Hash,
    /// How many.
    pub count: u32,
}

/// Why a node has not taken something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinkError {
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// There was no answer. It may have been taken all the same.
    #[error("no answer from the node: {0}")]
    Unreachable(String),
}

/// What happens.
#[derive(Debug)]
pub enum MinerInput {
    /// The node says something.
    Work(Work),
    /// The node is out of reach: nothing is heard until the next [`Work::Chain`].
    Disconnected,
    /// The plots that there are now.
    Farm(FarmView),
    /// A sweep goes on, but something of it is due.
    SweepDue {
        /// Which.
        id: SweepId,
        /// Challenges that are due until then are answered by this.
        due_ms: u64,
        /// What it has found so far.
        report: SweepReport,
    },
    /// A sweep has ended, by itself or because it was called off.
    SweepDone {
        /// Which.
        id: SweepId,
        /// What it found, or why it did not take place.
        result: Result<SweepReport, String>,
    },
    /// A proof was made, or could not be.
    ProofMade {
        /// What was asked for.
        order: Box<ProofOrder>,
        /// The proof, which was verified, or why there is none.
        result: Result<Box<Proof>, String>,
    },
    /// The node has answered [`MinerEffect::Submit`].
    SubmitResult {
        /// The proof's epoch.
        epoch: Epoch,
        /// The proof's challenge.
        challenge: Hash,
        /// What it said.
        result: Result<(), LinkError>,
    },
    /// The node has answered [`MinerEffect::Signed`].
    SignResult {
        /// The header's epoch.
        epoch: Epoch,
        /// Whose signature.
        miner_key: MinerKey,
        /// What it said.
        result: Result<(), LinkError>,
    },
    /// The node has answered [`MinerEffect::QueryPlot`].
    PlotState {
        /// The plot's key.
        plot_key: Hash,
        /// What it said.
        result: Result<PlotState, LinkError>,
    },
    /// The node has answered [`MinerEffect::QueryNonce`].
    Nonce {
        /// Whose account.
        address: Address,
        /// Its next nonce.
        result: Result<u64, LinkError>,
    },
    /// Cells were read, or could not be.
    OpeningsMade {
        /// What was asked for.
        order: OpeningsOrder,
        /// The openings in their order, or why there are none.
        result: Result<Vec<Opening>, String>,
    },
    /// The node has answered [`MinerEffect::Send`].
    SendResult {
        /// The plot whose transaction it was.
        plot_key: Hash,
        /// What it said.
        result: Result<(), LinkError>,
    },
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum MinerEffect {
    /// Sweep. The answer is [`MinerInput::SweepDone`], with a [`MinerInput::SweepDue`] before it wherever something is
    /// due; one sweep is under way at a time.
    Sweep(SweepOrder),
    /// Call a sweep off. It is answered all the same, at once.
    CancelSweep(SweepId),
    /// Make a proof. The answer is [`MinerInput::ProofMade`].
    Prove(Box<ProofOrder>),
    /// Hand a proof to the node. The answer is [`MinerInput::SubmitResult`].
    Submit(Box<MinerProof>),
    /// Hand a signature to the node: it is remembered on disk. The answer is [`MinerInput::SignResult`].
    Signed(MinerSigned),
    /// Ask the node for a plot. The answer is [`MinerInput::PlotState`].
    QueryPlot {
        /// The plot's key.
        plot_key: Hash,
    },
    /// Ask the node for an account's next nonce. The answer is [`MinerInput::Nonce`].
    QueryNonce(Address),
    /// Read cells. The answer is [`MinerInput::OpeningsMade`].
    Open(OpeningsOrder),
    /// Hand a transaction to the node. The answer is [`MinerInput::SendResult`].
    Send {
        /// The plot whose transaction it is.
        plot_key: Hash,
        /// The transaction.
        transaction: Box<Transaction>,
    },
    /// Plotting beside the miner is to pause, or goes on.
    PausePlotting(bool),
    /// The node has changed to another chain: nothing of it is done. Whoever runs the miner ends it.
    OtherChain {
        /// The genesis block of the chain that was mined.
        expected: BlockId,
        /// That of the node.
        found: BlockId,
    },
    /// How an epoch went: one for each.
    Window(Box<WindowLine>),
}
