//! A light client: follows headers with their proofs and looks values up in
//! states that it does not hold (PROTOCOL §7, §10). It needs no database.
//!
//! It starts at genesis, or at a block that it trusts by its id. For the plot
//! that won a header at height `H` it wants to be shown the plot's record in the
//! state of height `H - plot_maturity`, genesis if lower: what wins must have been there, and active, that long ago.

use std::collections::VecDeque;

use thiserror::Error;

use crate::chain::rules::{BlockError, HeaderError, check_header};
use crate::chain::verify::{HeaderCheck, Verifier};
use crate::chain::{Address, BlockId, Hash, Header, Height, encode, plot_key};
use crate::consensus::{Lineage, Parameters, SpaceTime, Specification, Weight};
use crate::state::proof::{StateProof, StateProofError};
use crate::state::{Account, ChainRecord, GenesisError, PlotRecord, PlotStatus, StateKey, Value, genesis};
use spacetime_prover::Proof;

/// A header, and what shows that its plot may win.
#[derive(Clone, Debug)]
pub struct LightHeader {
    /// The header.
    pub header: Header,
    /// Its proof.
    pub proof: Proof,
    /// The winning plot in the state of height `H - plot_maturity`, genesis if lower.
    pub plot: PlotRecord,
    /// That the plot is in that state.
    pub plot_proof: StateProof,
    /// That the miner was not barred in that state.
    pub barred_proof: StateProof,
}

/// A block to start at, trusted by its id, and what shows what it leaves behind.
#[derive(Clone, Debug)]
pub struct TrustedBlock {
    /// Its header.
    pub header: Header,
    /// Its chain record.
    pub record: ChainRecord,
    /// That the record is in its state.
    pub record_proof: StateProof,
    /// Headers before it, lowest first: `plot_maturity` of them, or all that there are.
    pub ancestors: Vec<Header>,
}

/// Why a light client does not believe what it was shown.
#[derive(Debug, Error)]
pub enum LightError {
    /// The specification makes no genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Not the block that is trusted.
    #[error("header is {found}, trusted is {expected}")]
    Untrusted {
        /// The header's id.
        found: BlockId,
        /// The id that is trusted.
        expected: BlockId,
    },
    /// Ancestors are missing, or are not the trusted block's.
    #[error("ancestors: header at height {height} is missing or not the next one's parent")]
    Ancestors {
        /// The first height that is wrong, from the trusted block down.
        height: Height,
    },
    /// It does not stand on the client's last header.
    #[error("header {id} stands on {parent}, the last one is {tip}")]
    Parent {
        /// The header.
        id: BlockId,
        /// What it stands on.
        parent: BlockId,
        /// The client's last header.
        tip: BlockId,
    },
    /// It breaks a rule.
    #[error("header {id}: {error}")]
    Rule {
        /// The header.
        id: BlockId,
        /// The rule.
        error: Box<BlockError>,
    },
    /// A value is not in the state that it should be in.
    #[error("state of height {height}: {key:?}: {error}")]
    State {
        /// Whose state.
        height: Height,
        /// Which value.
        key: StateKey,
        /// What its proof shows instead.
        error: Box<StateProofError>,
    },
    /// No header of that height is kept.
    #[error("height {height} is not among those kept, {oldest} to {newest}")]
    Height {
        /// What was asked for.
        height: Height,
        /// The oldest there is.
        oldest: Height,
        /// The newest there is.
        newest: Height,
    },
}

/// Follows one chain of headers.
#[derive(Debug)]
pub struct LightClient {
    parameters: Parameters,
    engine: SpaceTime,
    genesis: Lineage,
    verifier: Verifier,
    tip: Lineage,
    /// State roots of the last heights, the tip's last: `plot_maturity` and one more.
    roots: VecDeque<Hash>,
}

impl LightClient {
    /// Starts at genesis. `seed` weights batches of signatures: it must be unknown to whoever makes them.
    ///
    /// # Errors
    /// If the specification makes no genesis.
    pub fn new(specification: &Specification, seed: [u8; 32]) -> Result<Self, LightError> {
        let first = genesis(specification)?;
        let parameters = specification.parameters.clone();
        Ok(Self {
            verifier: Verifier::new(first.lineage.id, parameters.shape(), seed),
            parameters,
            engine: SpaceTime::new(specification),
            tip: first.lineage.clone(),
            genesis: first.lineage,
            roots: VecDeque::from([first.header.state_root]),
        })
    }

    /// Starts at a block whose id is trusted, a checkpoint for one. Weights count from it.
    ///
    /// # Errors
    /// If the block is another, its record is not in its state, or ancestors are missing.
    pub fn start_at(
        specification: &Specification,
        seed: [u8; 32],
        trusted: BlockId,
        block: &TrustedBlock,
    ) -> Result<Self, LightError> {
        let mut client = Self::new(specification, seed)?;
        let TrustedBlock { header, record, record_proof, ancestors } = block;
        let found = header.id();
        if found != trusted {
            return Err(LightError::Untrusted { found, expected: trusted });
        }
        verify(record_proof, header, StateKey::Chain, Some(&encode(record)))?;
        let wanted = header.height.0.min(client.parameters.plot_maturity);
        let mut next = header;
        let mut roots = VecDeque::from([header.state_root]);
        for depth in 1..=wanted {
            let height = Height(header.height.0 - depth);
            let ancestor = ancestors.len().checked_sub(depth as usize).and_then(|index| ancestors.get(index));
            match ancestor.filter(|ancestor| ancestor.id() == next.parent && ancestor.height == height) {
                Some(ancestor) => {
                    roots.push_front(ancestor.state_root);
                    next = ancestor;
                }
                None => return Err(LightError::Ancestors { height }),
            }
        }
        if found != client.genesis.id {
            client.tip = Lineage {
                id: found,
                parent: header.parent,
                height: header.height,
                epoch: header.epoch,
                timestamp_ms: header.timestamp_ms,
                score: header.score,
                beacon: record.beacon,
                difficulty: record.difficulty,
                weight: Weight::ZERO,
            };
        }
        client.roots = roots;
        Ok(client)
    }

    /// The last header's lineage.
    #[must_use]
    pub fn tip(&self) -> &Lineage {
        &self.tip
    }

    /// The state root of a height among the last `plot_maturity`.
    ///
    /// # Errors
    /// If it is older than what is kept, or newer than the tip.
    pub fn state_root(&self, height: Height) -> Result<Hash, LightError> {
        let newest = self.tip.height;
        let oldest = Height(newest.0 + 1 - self.roots.len() as u64);
        let index = height.0.checked_sub(oldest.0).and_then(|index| self.roots.get(usize::try_from(index).ok()?));
        index.copied().ok_or(LightError::Height { height, oldest, newest })
    }

    /// Adds headers at the tip, all or none. `now_ms` is the clock.
    ///
    /// # Errors
    /// The first header that breaks a rule, or whose plot was not shown to be able to win.
    pub fn extend(&mut self, headers: &[LightHeader], now_ms: u64) -> Result<(), LightError> {
        let (mut tip, mut roots) = (self.tip.clone(), self.roots.clone());
        let mut checked = Vec::with_capacity(headers.len());
        for light in headers {
            let id = light.header.id();
            if light.header.parent != tip.id {
                return Err(LightError::Parent { id, parent: light.header.parent, tip: tip.id });
            }
            let rule = |error: HeaderError| LightError::Rule { id, error: Box::new(error.into()) };
            let LightHeader { header, proof, .. } = light;
            let found = check_header(&self.engine, &self.parameters, &self.genesis, &tip, header, proof, Some(now_ms))
                .map_err(rule)?;
            // Headers of this call may be what later ones of it are looked up in.
            self.check_plot(light, id, tip.height, &roots)?;
            tip = found.lineage.clone();
            roots.push_back(light.header.state_root);
            if roots.len() as u64 > self.parameters.plot_maturity + 1 {
                roots.pop_front();
            }
            checked.push(found);
        }
        let checks: Vec<_> = headers
            .iter()
            .zip(&checked)
            .map(|(light, checked)| HeaderCheck { header: &light.header, leaf: light.proof.leaf, checked })
            .collect();
        for (light, result) in headers.iter().zip(self.verifier.headers(&checks)) {
            result.map_err(|error| LightError::Rule { id: light.header.id(), error: Box::new(error.into()) })?;
        }
        (self.tip, self.roots) = (tip, roots);
        Ok(())
    }

    /// Looks whether the plot of a header was active in the state `plot_maturity` before it. `roots` end at the
    /// header's parent, whose height is `below`.
    fn check_plot(
        &self,
        light: &LightHeader,
        id: BlockId,
        below: Height,
        roots: &VecDeque<Hash>,
    ) -> Result<(), LightError> {
        let LightHeader { header, proof, plot, plot_proof, barred_proof } = light;
        let Header { miner_key, plot_id, height, .. } = *header;
        let at = Height(height.0.saturating_sub(self.parameters.plot_maturity));
        let back = (below.0 - at.0) as usize;
        let oldest = Height(below.0 + 1 - roots.len() as u64);
        let root = roots.len().checked_sub(back + 1).and_then(|index| roots.get(index));
        let root = root.ok_or(LightError::Height { height: at, oldest, newest: below })?;

        let plot_key = StateKey::Plot(Hash(plot_key(&self.parameters, &miner_key, &proof.seed).0));
        let barred = StateKey::Barred(miner_key);
        let shown = |key: StateKey, result: Result<(), StateProofError>| {
            result.map_err(|error| LightError::State { height: at, key, error: Box::new(error) })
        };
        shown(plot_key, plot_proof.verify(root, &plot_key.hash(), Some(&encode(plot))))?;
        shown(barred, barred_proof.verify(root, &barred.hash(), None))?;
        let rule = |error| Err(LightError::Rule { id, error: Box::new(error) });
        if plot.plot_id != plot_id {
            return rule(BlockError::OtherPlot { found: plot_id, registered: plot.plot_id });
        }
        let status = plot.status(at, &self.parameters);
        if !status.is_active() {
            return rule(BlockError::PlotStatus { plot_id, status, height });
        }
        if plot.mature_from.is_none_or(|from| from > height) {
            return rule(BlockError::PlotStatus { plot_id, status: PlotStatus::Immature, height });
        }
        Ok(())
    }

    /// Checks that an account was as `account` says, or not there at all, in the state of a height among those kept.
    ///
    /// # Errors
    /// If the height is not kept, or the proof shows something else.
    pub fn check_account(
        &self,
        height: Height,
        address: Address,
        account: Option<&Account>,
        proof: &StateProof,
    ) -> Result<(), LightError> {
        let root = self.state_root(height)?;
        let key = StateKey::Account(address);
        let value = account.map(|account| Value::Account(*account).encode());
        proof.verify(&root, &key.hash(), value.as_deref()).map_err(|error| LightError::State {
            height,
            key,
            error: Box::new(error),
        })
    }
}

fn verify(proof: &StateProof, header: &Header, key: StateKey, value: Option<&[u8]>) -> Result<(), LightError> {
    proof.verify(&header.state_root, &key.hash(), value).map_err(|error| LightError::State {
        height: header.height,
        key,
        error: Box::new(error),
    })
}
