//! When an epoch's line is given, and what it says.

use super::Miner;
use super::epochs::{EpochState, Step};
use crate::chain::{Epoch, Hash};
use crate::miner::io::MinerEffect;
use crate::miner::record::SigningRecord;
use crate::miner::window::{MAX_TROUBLES, Missed, Outcome, WindowLine};
use crate::miner::work::ChainWork;

/// What became of an epoch, why, and more of why.
type End = (Outcome, Option<Missed>, Option<String>);

fn missed(reason: Missed, detail: Option<String>) -> End {
    (Outcome::Missed, Some(reason), detail)
}

/// When an epoch's line is given though the node has not said how it ended.
pub(super) fn latest_ms(chain: &ChainWork, state: &EpochState) -> u64 {
    state.ends_ms.saturating_add(chain.epoch_ms / 2)
}

impl<R: SigningRecord> Miner<R> {
    pub(super) fn give_lines(&mut self, now_ms: u64) {
        let Some(chain) = &self.chain else { return };
        let due = |state: &EpochState| {
            let told = match &state.result {
                Some(result) if result.block.is_some() => true,
                // What was submitted may still become a block.
                Some(_) => !state.was_submitted() && now_ms >= state.closes_ms,
                None => false,
            };
            !state.line_given && (told || now_ms >= latest_ms(chain, state))
        };
        let due: Vec<Epoch> = self.epochs.iter().filter(|(_, state)| due(state)).map(|(epoch, _)| *epoch).collect();
        for epoch in due {
            if let Some(line) = self.line(epoch) {
                line.log();
                self.effects.push(MinerEffect::Window(Box::new(line)));
            }
            if let Some(state) = self.epochs.get_mut(&epoch) {
                state.line_given = true;
            }
        }
    }

    fn line(&self, epoch: Epoch) -> Option<WindowLine> {
        let state = self.epochs.get(&epoch)?;
        let (result, reason, detail) = self.end(epoch, state);
        let of_group = || {
            let known = self.sweeps.groups.values();
            known.flat_map(|(_, group)| group.challenges.iter().map(move |known| (group.column, known)))
        };
        let (column, challenge) = match &state.work {
            Some(work) => (Some(work.column), Some(work.challenge)),
            None => of_group().find(|(_, known)| known.epoch == epoch).map(|(at, known)| (at, known.challenge)).unzip(),
        };
        let found = column.zip(challenge).and_then(|(column, challenge)| self.sweeps.found(column, &challenge));
        let stats = found.map(|found| &found.stats);
        let leaf = found.and_then(|found| found.ranking.iter().find(|leaf| self.farm.contains_key(&leaf.plot)));
        let mut troubles: Vec<String> = Vec::new();
        let of_sweep = stats.iter().flat_map(|stats| &stats.troubles);
        troubles.extend(of_sweep.map(|trouble| format!("{}: {}", trouble.name, trouble.error)));
        let attempts = state.attempts.iter().flat_map(|attempt| &attempt.failed);
        let name = |plot| self.farm.get(plot).map_or_else(|| format!("plot {plot}"), |info| info.name.clone());
        troubles.extend(attempts.map(|(plot, (_, error))| format!("{}: {error}", name(plot))));
        troubles.truncate(MAX_TROUBLES);
        Some(WindowLine {
            epoch,
            challenge,
            column,
            plots: stats.map_or(0, |stats| stats.plots),
            leaves: stats.map_or(0, |stats| stats.leaves),
            bytes: stats.map_or(0, |stats| stats.bytes),
            sweep_ms: stats.map(|stats| stats.took_ms),
            prove_ms: state.current().and_then(|attempt| attempt.prove_ms),
            best: leaf.map(|leaf| Hash(leaf.score.0)),
            target: state.work.map(|work| work.target),
            result,
            reason,
            detail,
            signed: state.signed,
            block: state.result.and_then(|result| result.block).map(|(id, _)| id),
            troubles,
        })
    }

    fn end(&self, epoch: Epoch, state: &EpochState) -> End {
        let block = state.result.and_then(|result| result.block);
        if let Some((_, miner_key)) = block
            && self.keys.contains_key(&miner_key)
        {
            let genesis = self.chain.as_ref().map(|chain| chain.genesis);
            if genesis.is_some_and(|genesis| self.record.remembered(&genesis, &miner_key, epoch).is_some()) {
                return (Outcome::Won, None, None);
            }
            tracing::error!(epoch = epoch.0, %miner_key, "another miner signs with this key");
        }
        if let Some(error) = &state.signing_refused
            && !state.signed
        {
            return missed(Missed::SigningRefused, Some(error.clone()));
        }
        if state.was_submitted() {
            return (if block.is_some() { Outcome::Lost } else { Outcome::Submitted }, None, None);
        }
        match state.work {
            None => self.not_told(state),
            Some(_) => self.not_submitted(state),
        }
    }

    /// Why nothing was known of an epoch.
    fn not_told(&self, state: &EpochState) -> End {
        missed(state.hindrance.unwrap_or(Missed::NotTold), None)
    }

    /// Why nothing was submitted in an epoch that was told of.
    fn not_submitted(&self, state: &EpochState) -> End {
        let Some(work) = &state.work else { return self.not_told(state) };
        if self.farm.is_empty() {
            return missed(Missed::NoPlots, None);
        }
        let attempt = state.current();
        let failure = attempt.and_then(|attempt| attempt.last_failure.clone());
        match attempt.map(|attempt| &attempt.step) {
            Some(Step::Proving { .. }) => return missed(Missed::LateProof, None),
            Some(Step::Submitting { .. } | Step::Retrying { .. }) => {
                return missed(Missed::LateAnswer, failure.map(|(_, error)| error));
            }
            _ => {}
        }
        let Some(found) = self.sweeps.found(work.column, &work.challenge) else {
            let hindered = state.hindrance.map(|reason| missed(reason, None));
            let failed = self.sweeps.error.clone().map(|error| missed(Missed::SweepFailed, Some(error)));
            return hindered.or(failed).unwrap_or_else(|| missed(Missed::LateSweep, None));
        };
        let best = found.ranking.iter().find(|leaf| self.farm.contains_key(&leaf.plot));
        if let Some((reason, error)) = failure {
            // Refused because others' proofs are better is no fault of this miner.
            let leading = state.result.and_then(|result| result.best);
            let outdone = leading.zip(best).is_some_and(|(leading, best)| leading.0 < best.score.0);
            return if reason == Missed::Refused && outdone {
                (Outcome::Lost, None, Some(error))
            } else {
                missed(reason, Some(error))
            };
        }
        match best {
            Some(best) if best.score.0 < work.target.0 => {
                let immature = attempt.is_some_and(|attempt| attempt.immature);
                let late = found.stats.ended_ms >= state.closes_ms;
                let hindrance = state.hindrance.filter(|_| !late);
                missed(if immature { Missed::NotMature } else { hindrance.unwrap_or(Missed::LateSweep) }, None)
            }
            _ if !found.stats.complete => {
                let scored = found.stats.leaves;
                missed(Missed::LateSweep, Some(format!("{scored} leaves were scored in time, none of which wins")))
            }
            _ => (Outcome::NoWinner, None, None),
        }
    }
}
