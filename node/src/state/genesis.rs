//! The block and state that a chain begins with (PROTOCOL §6, §8, §10).

use spacetime_kernels::{Score, tagged_hash};
use spacetime_prover::Proof;
use thiserror::Error;

use super::key::StateKey;
use super::ledger::Changes;
use super::tree::{Node, NodeKey, NodeReader, TreeError, TreeUpdate, commit};
use super::values::{Account, ChainRecord, PlotRecord, Value};
use crate::chain::bls::{BlsError, PublicKey};
use crate::chain::{
    Amount, BlockId, Epoch, HEADER_VERSION, Hash, Header, Height, MinerKey, MinerSignature, PlotId, encode, plot_key,
    transaction_root,
};
use crate::consensus::{Beacon, Difficulty, GenesisPlot, Lineage, Parameters, Specification};

/// Why no chain can begin with a specification that was checked by itself.
#[derive(Debug, Error)]
pub enum GenesisError {
    /// A plot's miner key is no key.
    #[error("genesis plot {index}: miner key {miner_key}: {reason}")]
    MinerKey {
        /// The plot's place in the specification.
        index: usize,
        /// Its key.
        miner_key: MinerKey,
        /// What is wrong with it.
        reason: BlsError,
    },
    /// More was given to accounts than amounts can count.
    #[error("genesis accounts: balances exceed 2^64")]
    Balances,
    /// The tree over no state at all cannot fail; said for completeness.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// What a chain begins with.
#[derive(Clone, Debug)]
pub struct GenesisBlock {
    /// Its header; what comes from a miner is zero.
    pub header: Header,
    /// A proof of zeros, since headers are kept with one.
    pub proof: Proof,
    /// What it leaves to its children.
    pub lineage: Lineage,
    /// The whole state.
    pub changes: Changes,
    /// The tree over it.
    pub update: TreeUpdate,
}

/// No node at all.
struct Nothing;

impl NodeReader for Nothing {
    fn node(&self, _: &NodeKey) -> Result<Option<Node>, TreeError> {
        Ok(None)
    }
}

/// Makes genesis from a specification that was checked.
///
/// # Errors
/// If a plot's miner key is no BLS public key, or balances have no sum.
pub fn genesis(specification: &Specification) -> Result<GenesisBlock, GenesisError> {
    let changes = state(specification)?;
    let leaves = changes.iter().map(|(key, value)| (key.hash(), value.as_deref()));
    let update = commit(&Nothing, None, leaves)?;
    let header = Header {
        version: HEADER_VERSION,
        height: Height(0),
        epoch: Epoch(0),
        timestamp_ms: specification.genesis.time_ms,
        parent: BlockId::ZERO,
        target: specification.genesis.base,
        miner_key: MinerKey::ZERO,
        plot_id: PlotId::ZERO,
        plot_root: Hash::ZERO,
        score: Score([0; 32]),
        proof_id: Hash::ZERO,
        transaction_root: transaction_root(&[]),
        state_root: update.root,
        extension: Hash::ZERO,
        reveal: MinerSignature::ZERO,
        signature: MinerSignature::ZERO,
    };
    let zero = [0; 32];
    let proof = Proof {
        challenge: zero,
        column: 0,
        seed: zero,
        rows: 0,
        leaf: zero,
        leaf_index: 0,
        siblings: Vec::new(),
        root: zero,
    };
    let lineage = Lineage::genesis(header.id(), specification);
    Ok(GenesisBlock { header, proof, lineage, changes, update })
}

fn state(specification: &Specification) -> Result<Changes, GenesisError> {
    let parameters = &specification.parameters;
    let balances = specification.genesis.accounts.iter().map(|account| account.balance);
    let record = ChainRecord {
        issued: Amount::checked_sum(balances).ok_or(GenesisError::Balances)?,
        burnt: Amount::ZERO,
        difficulty: Difficulty::genesis(specification.genesis.base),
        beacon: Beacon { mix: Hash::ZERO, active: Hash::ZERO },
        groups: 0,
    };
    let mut changes = Changes::new();
    let mut add = |key: StateKey, value: Value| changes.insert(key, Some(value.encode()));
    add(StateKey::Parameters, Value::Parameters(parameters_hash(parameters)));
    add(StateKey::Chain, Value::Chain(record));
    for account in &specification.genesis.accounts {
        let value = Account { balance: account.balance, nonce: 0 };
        add(StateKey::Account(account.address), Value::Account(value));
    }
    for (index, plot) in specification.genesis.plots.iter().enumerate() {
        let miner_key = plot.miner_key;
        PublicKey::parse(&miner_key).map_err(|reason| GenesisError::MinerKey { index, miner_key, reason })?;
        let (key, record) = plot_record(plot, parameters);
        add(StateKey::Plot(key), Value::Plot(record));
    }
    Ok(changes)
}

fn plot_record(plot: &GenesisPlot, parameters: &Parameters) -> (Hash, PlotRecord) {
    let key = plot_key(parameters, &plot.miner_key, &plot.seed.0);
    let record = PlotRecord {
        miner_key: plot.miner_key,
        plot_id: PlotId(spacetime_kernels::plot_id(&key, plot.rows, &plot.root.0)),
        rows: plot.rows,
        root: plot.root,
        registered: Height(0),
        draw: 2,
        mature_from: Some(Height(1)),
        last: Height(0),
        retired: false,
    };
    (Hash(key.0), record)
}

/// What the genesis id covers the parameters by: `H_"spacetime/parameters/v1"` over their encoding, with those that
/// are no rules of consensus as 0.
#[must_use]
pub fn parameters_hash(parameters: &Parameters) -> Hash {
    let rules = Parameters { window_ms: 0, rank_delay_ms: 0, ..parameters.clone() };
    Hash(tagged_hash("spacetime/parameters/v1", &[&encode(&rules)]))
}
