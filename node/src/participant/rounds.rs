//! An epoch's proofs are gathered while its challenge window is open; then the holder of the best proposes, and where
//! no proposal comes, the next ranks do (PROTOCOL §7). Pure.

use std::collections::{BTreeMap, BTreeSet};

use spacetime_kernels::Score;

use crate::chain::{BlockId, Epoch, Hash, MinerKey};
use crate::consensus::Parameters;
use crate::consensus::beacon::start_of;
use crate::miner::work::MinerProof;

/// Ranks that may propose, and so proofs of an epoch that are kept and forwarded.
pub const RANKS: usize = 3;
/// Epochs whose proofs are kept: the current one, the next for clocks that are ahead, the last for what is told of it.
const MAX_EPOCHS: usize = 4;
/// Challenges of an epoch whose proofs are kept: each is another branch's.
const MAX_CHALLENGES: usize = 4;
/// Miners of this node whose proofs are kept: one leads, and where its signature does not come, another does.
const MAX_OWN: usize = 16;

/// A miner's best proof for an epoch, as far as ranks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// Lower is better.
    pub(super) score: Score,
    /// Whose plot it is.
    pub(super) miner_key: MinerKey,
}

#[derive(Debug, Default)]
struct Round {
    /// By the challenge that they answer, which branches draw differently: the latest last.
    answers: Vec<Answers>,
    /// Who was asked to sign: once an epoch, since nobody signs twice.
    asked: BTreeSet<MinerKey>,
    /// Upon which parent no block could be built of a miner's proof.
    unbuilt: BTreeMap<MinerKey, BlockId>,
}

/// Proofs that answer one challenge.
#[derive(Debug)]
struct Answers {
    challenge: Hash,
    /// Best first, one a miner.
    holders: Vec<Holder>,
    /// Proofs of this node's own miners.
    own: BTreeMap<MinerKey, MinerProof>,
}

/// What was seen of the latest epochs.
#[derive(Debug)]
pub(super) struct Rounds {
    genesis_time_ms: u64,
    parameters: Parameters,
    rounds: BTreeMap<Epoch, Round>,
}

impl Rounds {
    /// Of a chain.
    #[must_use]
    pub(super) fn new(genesis_time_ms: u64, parameters: &Parameters) -> Self {
        Self { genesis_time_ms, parameters: parameters.clone(), rounds: BTreeMap::new() }
    }

    /// When an epoch begins; none past the end of counting.
    #[must_use]
    pub(super) fn start_ms(&self, epoch: Epoch) -> Option<u64> {
        start_of(epoch, self.genesis_time_ms, &self.parameters)
    }

    /// When an epoch's window closes.
    #[must_use]
    pub(super) fn closes_ms(&self, epoch: Epoch) -> Option<u64> {
        self.start_ms(epoch)?.checked_add(self.parameters.window_ms)
    }

    /// Whether a proof of this score would be among those that may propose.
    #[must_use]
    pub(super) fn would_rank(&self, epoch: Epoch, challenge: Hash, holder: &Holder) -> bool {
        let Some(Answers { holders, .. }) = self.answers(epoch, challenge) else { return true };
        match holders.iter().find(|known| known.miner_key == holder.miner_key) {
            // The same again: a miner hands it in anew where it had no answer.
            Some(known) => holder.score <= known.score,
            None => holders.len() < RANKS || holders.iter().any(|known| holder.score < known.score),
        }
    }

    /// Takes a proof that was verified. Whoever is pushed out of the ranks is forgotten.
    pub(super) fn take(&mut self, epoch: Epoch, challenge: Hash, holder: Holder) {
        if !self.would_rank(epoch, challenge, &holder) {
            return;
        }
        let holders = &mut self.answers_mut(epoch, challenge).holders;
        holders.retain(|known| known.miner_key != holder.miner_key);
        holders.push(holder);
        holders.sort_unstable_by_key(|known| (known.score, known.miner_key));
        holders.truncate(RANKS);
        while self.rounds.len() > MAX_EPOCHS {
            self.rounds.pop_first();
        }
    }

    /// Keeps a proof of one of this node's miners, by which a block can be built. False where there are too many miners.
    pub(super) fn keep(&mut self, proof: MinerProof) -> bool {
        let own = &mut self.answers_mut(proof.epoch, Hash(proof.proof.challenge)).own;
        if own.len() >= MAX_OWN && !own.contains_key(&proof.miner_key) {
            return false;
        }
        own.insert(proof.miner_key, proof);
        true
    }

    fn answers(&self, epoch: Epoch, challenge: Hash) -> Option<&Answers> {
        self.rounds.get(&epoch)?.answers.iter().find(|answers| answers.challenge == challenge)
    }

    fn answers_mut(&mut self, epoch: Epoch, challenge: Hash) -> &mut Answers {
        let all = &mut self.rounds.entry(epoch).or_default().answers;
        let latest = match all.iter().position(|answers| answers.challenge == challenge) {
            Some(place) => all.remove(place),
            None => Answers { challenge, holders: Vec::new(), own: BTreeMap::new() },
        };
        if all.len() == MAX_CHALLENGES {
            all.remove(0);
        }
        all.push(latest);
        all.last_mut().expect("it was pushed a moment ago")
    }

    /// The best score seen for an epoch, of those that answer the latest challenge.
    #[must_use]
    pub(super) fn best(&self, epoch: Epoch) -> Option<Score> {
        self.rounds.get(&epoch)?.answers.last()?.holders.first().map(|holder| holder.score)
    }

    /// Proofs by which this node's miners may propose upon `parent` now, best first: those of the ranks whose time has
    /// come, upon whose key nobody called yet.
    #[must_use]
    pub(super) fn due(&self, epoch: Epoch, challenge: Hash, parent: BlockId, now_ms: u64) -> Vec<&MinerProof> {
        let (Some(round), Some(answers)) = (self.rounds.get(&epoch), self.answers(epoch, challenge)) else {
            return Vec::new();
        };
        let Some(closes_ms) = self.closes_ms(epoch) else { return Vec::new() };
        let holders = answers.holders.iter().enumerate();
        let due = holders.filter(|(rank, _)| closes_ms + self.parameters.rank_delay_ms * *rank as u64 <= now_ms);
        let due = due.map(|(_, holder)| holder.miner_key).filter(|key| !round.asked.contains(key));
        due.filter(|key| round.unbuilt.get(key) != Some(&parent)).filter_map(|key| answers.own.get(&key)).collect()
    }

    /// When the next rank's time comes, if it is one of this node's miners'.
    #[must_use]
    pub(super) fn wake_ms(&self, epoch: Epoch, now_ms: u64) -> Option<u64> {
        let (round, closes_ms) = (self.rounds.get(&epoch)?, self.closes_ms(epoch)?);
        let own = round.answers.iter().flat_map(|answers| {
            let holders = answers.holders.iter().enumerate();
            holders.filter(|(_, holder)| answers.own.contains_key(&holder.miner_key))
        });
        let own = own.filter(|(_, holder)| !round.asked.contains(&holder.miner_key));
        let times = own.map(|(rank, _)| closes_ms + self.parameters.rank_delay_ms * rank as u64);
        times.filter(|time| *time > now_ms).min()
    }

    /// Notes that a miner was asked to sign.
    pub(super) fn asked(&mut self, epoch: Epoch, miner_key: MinerKey) {
        self.rounds.entry(epoch).or_default().asked.insert(miner_key);
    }

    /// Notes that no block could be built of a miner's proof upon this parent: upon another it may be.
    pub(super) fn unbuilt(&mut self, epoch: Epoch, miner_key: MinerKey, parent: BlockId) {
        self.rounds.entry(epoch).or_default().unbuilt.insert(miner_key, parent);
    }

    /// Forgets epochs before this one.
    pub(super) fn forget_before(&mut self, epoch: Epoch) {
        self.rounds = self.rounds.split_off(&epoch);
    }
}

#[cfg(test)]
mod tests {
    use spacetime_prover::Proof;

    use super::*;
    use crate::builder::Payout;
    use crate::chain::MinerSignature;

    fn holder(name: u8, score: u8) -> Holder {
        Holder { score: Score([score; 32]), miner_key: MinerKey([name; 48]) }
    }

    fn own(epoch: Epoch, name: u8) -> MinerProof {
        answering(ASKED, epoch, name)
    }

    fn answering(challenge: Hash, epoch: Epoch, name: u8) -> MinerProof {
        let proof = Proof {
            challenge: challenge.0,
            column: 0,
            seed: [0; 32],
            rows: 1,
            leaf: [0; 32],
            leaf_index: 0,
            siblings: Vec::new(),
            root: [0; 32],
        };
        let (miner_key, reveal) = (MinerKey([name; 48]), MinerSignature::ZERO);
        MinerProof { epoch, miner_key, proof, reveal, payout: Payout::default() }
    }

    fn rounds() -> Rounds {
        Rounds::new(1_000_000, &Parameters::local())
    }

    const EPOCH: Epoch = Epoch(7);
    const ASKED: Hash = Hash::ZERO;
    const PARENT: BlockId = BlockId([0; 32]);
    const START: u64 = 1_007_000;

    #[test]
    fn ranks_propose_one_after_another() {
        let mut rounds = rounds();
        for (name, score) in [(1, 30), (2, 10), (3, 20)] {
            rounds.take(EPOCH, ASKED, holder(name, score));
            assert!(rounds.keep(own(EPOCH, name)));
        }
        let due = |rounds: &Rounds, now_ms| -> Vec<u8> {
            rounds.due(EPOCH, ASKED, PARENT, now_ms).iter().map(|proof| proof.miner_key.0[0]).collect()
        };
        assert!(due(&rounds, START + 599).is_empty());
        assert_eq!(rounds.wake_ms(EPOCH, START), Some(START + 600));
        assert_eq!(due(&rounds, START + 600), [2]);
        assert_eq!(due(&rounds, START + 699), [2]);
        assert_eq!(due(&rounds, START + 700), [2, 3]);
        rounds.asked(EPOCH, MinerKey([2; 48]));
        assert_eq!(due(&rounds, START + 700), [3], "nobody is asked twice");
        assert_eq!(rounds.wake_ms(EPOCH, START + 700), Some(START + 800));
        assert_eq!(due(&rounds, START + 800), [3, 1]);
        assert_eq!(due(&rounds, START + 10_000), [3, 1]);
        assert_eq!(rounds.wake_ms(EPOCH, START + 800), None);
        assert_eq!(rounds.best(EPOCH), Some(Score([10; 32])));
    }

    #[test]
    fn others_take_ranks_of_their_own() {
        let mut rounds = rounds();
        rounds.take(EPOCH, ASKED, holder(1, 30));
        assert!(rounds.keep(own(EPOCH, 1)));
        assert_eq!(rounds.due(EPOCH, ASKED, PARENT, START + 600).len(), 1);
        rounds.take(EPOCH, ASKED, holder(2, 10));
        assert_eq!(rounds.due(EPOCH, ASKED, PARENT, START + 600).len(), 0, "another's turn");
        assert_eq!(rounds.due(EPOCH, ASKED, PARENT, START + 700).len(), 1);
        rounds.take(EPOCH, ASKED, holder(3, 11));
        rounds.take(EPOCH, ASKED, holder(4, 12));
        assert_eq!(rounds.due(EPOCH, ASKED, PARENT, START + 10_000).len(), 0, "three at most");
        assert_eq!(rounds.wake_ms(EPOCH, START), None);
    }

    #[test]
    fn only_what_ranks_is_taken() {
        let mut rounds = rounds();
        for (name, score) in [(1, 10), (2, 20), (3, 30)] {
            assert!(rounds.would_rank(EPOCH, ASKED, &holder(name, score)));
            rounds.take(EPOCH, ASKED, holder(name, score));
        }
        assert!(!rounds.would_rank(EPOCH, ASKED, &holder(4, 30)));
        assert!(rounds.would_rank(EPOCH, ASKED, &holder(4, 29)));
        assert!(rounds.would_rank(EPOCH, ASKED, &holder(1, 10)), "the same again, by whom nobody answered");
        assert!(!rounds.would_rank(EPOCH, ASKED, &holder(1, 11)), "a miner has one rank");
        assert!(rounds.would_rank(EPOCH, ASKED, &holder(3, 29)));
        rounds.take(EPOCH, ASKED, holder(4, 30));
        assert_eq!(rounds.rounds[&EPOCH].answers[0].holders.len(), RANKS);
        assert!(rounds.would_rank(Epoch(8), ASKED, &holder(9, 255)), "each epoch for itself");
    }

    #[test]
    fn each_challenge_has_ranks_of_its_own() {
        let mut rounds = rounds();
        for (name, score) in [(1, 10), (2, 20), (3, 30)] {
            rounds.take(EPOCH, ASKED, holder(name, score));
            assert!(rounds.keep(own(EPOCH, name)));
        }
        // Another branch takes over, on which its leaf scores worse.
        let other = Hash([1; 32]);
        assert!(rounds.would_rank(EPOCH, other, &holder(1, 99)));
        rounds.take(EPOCH, other, holder(1, 99));
        assert!(rounds.keep(answering(other, EPOCH, 1)));
        assert_eq!(rounds.best(EPOCH), Some(Score([99; 32])));
        assert_eq!(rounds.due(EPOCH, other, PARENT, START + 10_000), [&answering(other, EPOCH, 1)]);
        // Should the first come back, its proofs are still there.
        assert_eq!(rounds.due(EPOCH, ASKED, PARENT, START + 600), [&own(EPOCH, 1)]);
        rounds.asked(EPOCH, MinerKey([1; 48]));
        assert!(rounds.due(EPOCH, other, PARENT, START + 10_000).is_empty(), "nobody signs twice, whatever the branch");
        for number in 2..100 {
            rounds.take(EPOCH, Hash([number; 32]), holder(1, 1));
        }
        assert_eq!(rounds.rounds[&EPOCH].answers.len(), MAX_CHALLENGES);
    }

    #[test]
    fn a_proof_of_which_no_block_could_be_built_is_tried_upon_another_parent() {
        let mut rounds = rounds();
        rounds.take(EPOCH, ASKED, holder(1, 30));
        assert!(rounds.keep(own(EPOCH, 1)));
        rounds.unbuilt(EPOCH, MinerKey([1; 48]), PARENT);
        assert!(rounds.due(EPOCH, ASKED, PARENT, START + 600).is_empty());
        assert_eq!(rounds.due(EPOCH, ASKED, BlockId([1; 32]), START + 600).len(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut rounds = rounds();
        for epoch in 0..100 {
            rounds.take(Epoch(epoch), ASKED, holder(1, 1));
        }
        assert_eq!(rounds.rounds.len(), MAX_EPOCHS);
        for name in 0..200 {
            assert_eq!(rounds.keep(own(Epoch(99), name)), usize::from(name) < MAX_OWN);
        }
        assert!(rounds.keep(own(Epoch(99), 0)), "one that is kept may be better now");
        rounds.forget_before(Epoch(99));
        assert_eq!(rounds.rounds.keys().collect::<Vec<_>>(), [&Epoch(99)]);
    }

    #[test]
    fn the_end_of_counting() {
        let rounds = rounds();
        assert_eq!(rounds.start_ms(Epoch(u64::MAX)), None);
        assert_eq!(rounds.closes_ms(Epoch(u64::MAX)), None);
        assert!(rounds.due(Epoch(u64::MAX), ASKED, PARENT, u64::MAX).is_empty());
    }
}
