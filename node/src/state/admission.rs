//! Whether a state lets a transaction do what it asks for, its sender's nonce and balance left aside
//! (PROTOCOL §7, §9). Blocks and the mempool ask the same functions.

use spacetime_kernels::PlotKey;

use super::StateKey;
use super::execute::Fault;
use super::ledger::{Ledger, StateError, StateReader};
use super::openings::{OpeningClaim, check_paths};
use super::values::{PlotRecord, PlotStatus};
use crate::chain::rules::TransactionError;
use crate::chain::{ActivatePlot, Epoch, Evidence, Hash, Height, MinerKey, Payload, RegisterPlot, plot_key};
use crate::consensus::Parameters;

/// Checks plots, barred miners and evidence for the block at `height`, whose parent's state `ledger` shows. Openings
/// are checked but for their rows, which are left to be grown. How many registrations a block holds is not asked.
///
/// # Errors
/// If it breaks a rule, or the state cannot be read.
pub fn check_payload<R: StateReader>(
    ledger: &mut Ledger<R>,
    payload: &Payload,
    height: Height,
    parameters: &Parameters,
) -> Result<Vec<OpeningClaim>, Fault<TransactionError>> {
    match payload {
        Payload::Coinbase(_) | Payload::Transfer(_) => {}
        Payload::RegisterPlot(register) => {
            check_registration(ledger, register, height, parameters)?;
        }
        Payload::ActivatePlot(activate) => return Ok(check_activation(ledger, activate, height, parameters)?.1),
        Payload::RetirePlot(retire) => {
            live_plot(ledger, retire.plot_key, retire.miner_key, height, parameters)?;
        }
        Payload::Evidence(evidence) => {
            let oldest = oldest_evidence(ledger, height, parameters)?;
            check_evidence(ledger, evidence, oldest)?;
        }
    }
    Ok(Vec::new())
}

/// Height of the block whose rewards mature in the block at `height`, and which evidence may not be older than.
pub(super) fn maturing(height: Height, parameters: &Parameters) -> Option<Height> {
    height.0.checked_sub(parameters.coinbase_maturity).filter(|height| *height > 0).map(Height)
}

/// Epoch of the oldest evidence that counts; the parent's state still holds the rewards that mature.
fn oldest_evidence<R: StateReader>(
    ledger: &mut Ledger<R>,
    height: Height,
    parameters: &Parameters,
) -> Result<Epoch, StateError> {
    let Some(height) = maturing(height, parameters) else {
        return Ok(Epoch(0));
    };
    let rewards = ledger.rewards(height)?.ok_or(StateError::Missing { key: StateKey::Rewards(height) })?;
    Ok(rewards.epoch)
}

fn check_not_barred<R: StateReader>(
    ledger: &mut Ledger<R>,
    miner_key: MinerKey,
) -> Result<(), Fault<TransactionError>> {
    match ledger.barred(miner_key)? {
        Some(height) => Err(TransactionError::Barred { miner_key, height }.into()),
        None => Ok(()),
    }
}

/// The key of a plot that may be registered.
pub(super) fn check_registration<R: StateReader>(
    ledger: &mut Ledger<R>,
    register: &RegisterPlot,
    height: Height,
    parameters: &Parameters,
) -> Result<PlotKey, Fault<TransactionError>> {
    check_not_barred(ledger, register.miner_key)?;
    let key = plot_key(parameters, &register.miner_key, &register.seed.0);
    let plot_key = Hash(key.0);
    if let Some(known) = ledger.plot(plot_key)? {
        let status = known.status(height, parameters);
        if status == PlotStatus::Retired {
            return Err(TransactionError::Retired { plot_key }.into());
        }
        if status.is_live() {
            return Err(TransactionError::Registered { plot_key, registered: known.registered }.into());
        }
    }
    Ok(key)
}

/// The plot of `plot_key`, which must be the miner's and live.
pub(super) fn live_plot<R: StateReader>(
    ledger: &mut Ledger<R>,
    plot_key: Hash,
    miner_key: MinerKey,
    height: Height,
    parameters: &Parameters,
) -> Result<PlotRecord, Fault<TransactionError>> {
    check_not_barred(ledger, miner_key)?;
    let plot = ledger.plot(plot_key)?.ok_or(TransactionError::UnknownPlot { plot_key })?;
    if plot.miner_key != miner_key {
        return Err(TransactionError::ForeignPlot { plot_key, owner: plot.miner_key }.into());
    }
    match plot.status(height, parameters) {
        PlotStatus::Retired => Err(TransactionError::Retired { plot_key }.into()),
        PlotStatus::Lapsed | PlotStatus::Ended => Err(TransactionError::Lapsed { plot_key, height }.into()),
        PlotStatus::Pending | PlotStatus::Immature | PlotStatus::Mature => Ok(plot),
    }
}

/// The plot that is activated, as it was, and what is left to be grown.
pub(super) fn check_activation<R: StateReader>(
    ledger: &mut Ledger<R>,
    activate: &ActivatePlot,
    height: Height,
    parameters: &Parameters,
) -> Result<(PlotRecord, Vec<OpeningClaim>), Fault<TransactionError>> {
    let plot = live_plot(ledger, activate.plot_key, activate.miner_key, height, parameters)?;
    // Entries of the parent's state are ancestors of this block; its own is not among them yet.
    let entry = ledger.beacon(plot.draw)?.ok_or(TransactionError::NotDrawn)?;
    let claims = check_paths(&activate.plot_key, &plot, &entry.mix, &activate.openings, parameters)?;
    Ok((plot, claims))
}

/// Whether evidence is young enough and its miner not barred yet.
pub(super) fn check_evidence<R: StateReader>(
    ledger: &mut Ledger<R>,
    evidence: &Evidence,
    oldest: Epoch,
) -> Result<(), Fault<TransactionError>> {
    let epoch = evidence.first.epoch;
    if epoch < oldest {
        return Err(TransactionError::OldEvidence { epoch, oldest }.into());
    }
    check_not_barred(ledger, evidence.first.miner_key)
}
