//! From a leaf to a proof that the node has, and to a signature.

use spacetime_kernels::{Challenge, Score, Target};
use spacetime_prover::Proof;

use super::Miner;
use super::epochs::{Handed, MAX_TRIES, Step, Submission};
use super::sign::{self, SignRefusal};
use crate::chain::{Epoch, Hash, MinerKey, PlotId, proof_id};
use crate::consensus::reveal_message;
use crate::miner::farm::PlotInfo;
use crate::miner::io::{LinkError, MinerEffect, ProofOrder};
use crate::miner::record::{self, SigningRecord};
use crate::miner::window::Missed;
use crate::miner::work::{MinerProof, MinerSigned, SignWork};

/// How long after a node did not answer a proof is handed to it again: this part of the window, a second at most.
const RETRIES_A_WINDOW: u64 = 16;
const MAX_RETRY_MS: u64 = 1000;
/// How soon a signature is handed to it again: every rank behind waits less than a second for the block.
const SIGNATURE_AGAIN_MS: u64 = 150;

impl<R: SigningRecord> Miner<R> {
    /// Proves the best leaf that may win, if there is one and none was submitted yet.
    pub(super) fn try_to_win(&mut self, epoch: Epoch, now_ms: u64) {
        let Some(state) = self.epochs.get_mut(&epoch) else { return };
        let closes_ms = state.closes_ms;
        let Some(work) = state.work else { return };
        let Some(attempt) = state.attempt(&work) else { return };
        if let Step::Retrying { at_ms, plot, proof } = &attempt.step {
            if *at_ms <= now_ms {
                let (plot, proof) = (*plot, proof.clone());
                self.effects.push(MinerEffect::Submit(proof.clone()));
                attempt.step = Step::Submitting { plot, proof };
            }
            return;
        }
        if !matches!(attempt.step, Step::Waiting) || attempt.failed.len() >= MAX_TRIES || now_ms >= closes_ms {
            return;
        }
        let Some(found) = self.sweeps.found(work.column, &work.challenge) else { return };
        let target = Target(work.target.0);
        let wins = |score: &Score| target.is_met_by(score);
        let may_win = |info: &PlotInfo| self.plots.may_win(&info.key, work.height);
        let winners = found.ranking.iter().take_while(|leaf| wins(&leaf.score));
        let mut ours = winners.filter(|leaf| self.farm.contains_key(&leaf.plot)).peekable();
        attempt.immature = ours.peek().is_some();
        let usable = |plot: &PlotId| !attempt.failed.contains_key(plot) && self.farm.get(plot).is_some_and(may_win);
        let Some(leaf) = ours.find(|leaf| usable(&leaf.plot)) else { return };
        attempt.immature = false;
        let order = ProofOrder {
            epoch,
            challenge: work.challenge,
            column: work.column,
            plot: leaf.plot,
            row: leaf.row,
            score: leaf.score,
            target: work.target,
        };
        self.effects.push(MinerEffect::Prove(Box::new(order.clone())));
        attempt.step = Step::Proving { order, since_ms: now_ms };
    }

    pub(super) fn proved(&mut self, order: &ProofOrder, result: Result<Box<Proof>, String>, now_ms: u64) {
        let Some(chain) = &self.chain else { return };
        let Some(state) = self.epochs.get_mut(&order.epoch) else { return };
        let (open, target) = (now_ms < state.closes_ms, state.work.map(|work| Target(work.target.0)));
        let Some(attempt) = state.attempt_at(&order.challenge) else { return };
        let Step::Proving { order: wanted, since_ms } = &attempt.step else { return };
        if wanted != order {
            return;
        }
        attempt.prove_ms = Some(now_ms.saturating_sub(*since_ms));
        let info = self.farm.get(&order.plot);
        let (proof, info) = match (result, info) {
            (Ok(proof), Some(info)) => (proof, info),
            (Err(error), _) => {
                tracing::warn!(epoch = order.epoch.0, plot = %order.plot, %error, "a leaf cannot be proved");
                attempt.fail(order.plot, Missed::ProofFailed, error);
                return;
            }
            (Ok(_), None) => {
                attempt.fail(order.plot, Missed::ProofFailed, "the plot is gone".into());
                return;
            }
        };
        if !open {
            attempt.fail(order.plot, Missed::LateProof, "the window closed first".into());
            return;
        }
        if target.is_some_and(|target| !target.is_met_by(&order.score)) {
            // Another branch took over meanwhile, whose target is lower.
            attempt.step = Step::Waiting;
            return;
        }
        let Some(secret) = self.keys.get(&info.miner_key) else { return };
        let reveal = secret.sign(&reveal_message(&chain.genesis, &Challenge(order.challenge.0)));
        let submission = Submission {
            miner_key: info.miner_key,
            plot_id: order.plot,
            plot_root: info.root,
            score: order.score,
            proof_id: proof_id(&proof),
            reveal,
        };
        let proof = Box::new(MinerProof {
            epoch: order.epoch,
            miner_key: info.miner_key,
            proof: *proof,
            reveal,
            payout: self.payout.clone(),
        });
        attempt.step = Step::Submitting { plot: order.plot, proof: proof.clone() };
        if !state.submissions.contains(&submission) {
            state.submissions.push(submission);
        }
        self.effects.push(MinerEffect::Submit(proof));
    }

    pub(super) fn answered(&mut self, epoch: Epoch, challenge: &Hash, result: Result<(), LinkError>, now_ms: u64) {
        let Some(chain) = &self.chain else { return };
        let Some(state) = self.epochs.get_mut(&epoch) else { return };
        let Some(attempt) = state.attempt_at(challenge) else { return };
        let Step::Submitting { plot, proof } = &attempt.step else { return };
        let (plot, proof) = (*plot, proof.clone());
        match result {
            Ok(()) => attempt.step = Step::Submitted { proof },
            Err(LinkError::Refused(error)) => {
                tracing::warn!(epoch = epoch.0, %plot, %error, "the node refused a proof");
                attempt.fail(plot, Missed::Refused, error);
            }
            Err(LinkError::Unreachable(error)) => {
                let at_ms = now_ms.saturating_add((chain.window_ms / RETRIES_A_WINDOW).clamp(1, MAX_RETRY_MS));
                tracing::warn!(epoch = epoch.0, %plot, %error, "the node did not answer a proof");
                attempt.last_failure = Some((Missed::LateAnswer, error));
                attempt.step = Step::Retrying { plot, proof, at_ms };
            }
        }
    }

    pub(super) fn sign(&mut self, asked: &SignWork, now_ms: u64) {
        let epoch = asked.header.epoch;
        match self.signed(asked, now_ms) {
            Ok(signed) => {
                if let Some(state) = self.epochs.get_mut(&epoch) {
                    state.signed = true;
                    let handed = Handed { signed, expires_ms: asked.expires_ms, again_ms: None };
                    state.signatures.insert(signed.miner_key, handed);
                }
                self.effects.push(MinerEffect::Signed(signed));
            }
            Err(error) => {
                tracing::warn!(epoch = epoch.0, height = asked.header.height.0, %error, "a header is not signed");
                if let Some(state) = self.epochs.get_mut(&epoch) {
                    state.signing_refused = Some(error.to_string());
                }
            }
        }
    }

    pub(super) fn signature_answered(
        &mut self,
        epoch: Epoch,
        miner_key: &MinerKey,
        result: Result<(), LinkError>,
        now_ms: u64,
    ) {
        let signatures = self.epochs.get_mut(&epoch).map(|state| &mut state.signatures);
        match result {
            Err(LinkError::Unreachable(error)) => {
                tracing::warn!(epoch = epoch.0, %error, "the node did not answer a signature");
                if let Some(handed) = signatures.and_then(|signatures| signatures.get_mut(miner_key)) {
                    handed.again_ms = Some(now_ms.saturating_add(SIGNATURE_AGAIN_MS));
                }
            }
            Err(LinkError::Refused(error)) => {
                tracing::warn!(epoch = epoch.0, %error, "the node has not taken a signature");
                signatures.map(|signatures| signatures.remove(miner_key));
            }
            Ok(()) => {
                signatures.map(|signatures| signatures.remove(miner_key));
            }
        }
    }

    /// Hands over again what there was no answer to, until it is too late.
    pub(super) fn hand_over_again(&mut self, now_ms: u64) {
        for state in self.epochs.values_mut() {
            state.signatures.retain(|_, handed| now_ms < handed.expires_ms);
            for handed in state.signatures.values_mut() {
                if handed.again_ms.take_if(|again_ms| *again_ms <= now_ms).is_some() {
                    self.effects.push(MinerEffect::Signed(handed.signed));
                }
            }
        }
    }

    fn signed(&mut self, asked: &SignWork, now_ms: u64) -> Result<MinerSigned, SignRefusal> {
        let chain = self.chain.as_ref().ok_or(SignRefusal::NoChain)?;
        let header = &asked.header;
        let secret = self.keys.get(&header.miner_key).ok_or(SignRefusal::Key(header.miner_key))?;
        sign::check(chain, &self.payout, self.epochs.get(&header.epoch), asked, now_ms)?;
        let digest = record::digest(&chain.genesis, header);
        self.record.remember(&chain.genesis, &header.miner_key, header.epoch, &digest)?;
        let signature = secret.sign(&header.signed_bytes(&chain.genesis));
        Ok(MinerSigned { epoch: header.epoch, miner_key: header.miner_key, signature })
    }
}
