//! Which column is swept when: what is due first, one sweep at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spacetime_kernels::MAX_CHALLENGES;

use crate::chain::Hash;
use crate::miner::farm::{Leaf, SweepEnd, SweepReport, Trouble};
use crate::miner::io::{MinerEffect, SweepId, SweepOrder};
use crate::miner::work::GroupWork;

/// Most groups known at once: the current one, the next, and one that another branch has put beside each.
const MAX_GROUPS: usize = 4;
/// Most leaves that are kept for one challenge: so many that win and may not be proved there are not.
const MAX_LEAVES: usize = 1024;
/// Most challenges whose leaves are kept: those of all groups, and as many of branches that were left.
const MAX_FOUND: usize = 2 * MAX_GROUPS * MAX_CHALLENGES;
/// How long after a sweep that did not take place the next is tried.
const RETRY_MS: u64 = 1000;

/// A challenge that has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) column: u32,
    pub(super) challenge: Hash,
    /// When its window closes.
    pub(super) closes_ms: u64,
}

/// What a sweep found for one challenge.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Each plot's best leaf, best first.
    pub(super) ranking: Vec<Leaf>,
    pub(super) stats: Arc<Stats>,
    /// When the last window that it was swept for closes.
    until_ms: u64,
}

/// How a sweep went.
#[derive(Clone, Debug)]
pub(super) struct Stats {
    pub(super) plots: u64,
    pub(super) leaves: u64,
    pub(super) bytes: u64,
    pub(super) took_ms: u64,
    pub(super) ended_ms: u64,
    /// Whether all was read that could be.
    pub(super) complete: bool,
    pub(super) troubles: Vec<Trouble>,
}

/// The sweep that is under way.
#[derive(Clone, Debug)]
struct Running {
    order: SweepOrder,
    cancelled: bool,
}

/// Groups that are known, and what sweeps found for them.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// Each with a number that tells when it was told.
    pub(super) groups: BTreeMap<u64, (u64, GroupWork)>,
    results: BTreeMap<(u32, Hash), Found>,
    running: Option<Running>,
    last_id: u64,
    retry_at_ms: u64,
    /// Why the last sweep did not take place.
    pub(super) error: Option<String>,
}

impl Sweeps {
    /// Takes in a group, told at the `turn`-th time.
    pub(super) fn learn(&mut self, group: GroupWork, turn: u64) {
        if group.challenges.len() > MAX_CHALLENGES {
            // Parameters allow no more, so this is no node of ours.
            tracing::warn!(
                group = group.group,
                challenges = group.challenges.len(),
                "a group with too many epochs is left out"
            );
            return;
        }
        self.groups.insert(group.group, (turn, group));
        while self.groups.len() > MAX_GROUPS {
            self.groups.pop_last();
        }
    }

    /// Forgets all that is known of the chain; what was found stays, since it is found again by column and challenge.
    pub(super) fn forget_groups(&mut self) {
        self.groups.clear();
    }

    pub(super) fn found(&self, column: u32, challenge: &Hash) -> Option<&Found> {
        self.results.get(&(column, *challenge))
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Forgets what answers none of these, and whose time is over.
    pub(super) fn retain(&mut self, needed: &BTreeSet<(u32, Hash)>, now_ms: u64) {
        self.results.retain(|key, found| found.until_ms > now_ms || needed.contains(key));
        while self.results.len() > MAX_FOUND {
            let oldest = self.results.iter().min_by_key(|(key, found)| (found.until_ms, **key));
            let oldest = *oldest.expect("there are too many").0;
            self.results.remove(&oldest);
        }
    }

    /// Orders the sweep that is due first, or calls off one that is not wanted any more or keeps it waiting. Answers
    /// are due `margin_ms` before the end of a window, so that there is time for a proof.
    pub(super) fn plan(&mut self, wants: &[Want], margin_ms: u64, now_ms: u64) -> Option<MinerEffect> {
        let open = |want: &&Want| want.closes_ms > now_ms && self.found(want.column, &want.challenge).is_none();
        let mut open: Vec<Want> = wants.iter().filter(open).copied().collect();
        open.sort_unstable_by_key(|want| (want.closes_ms, want.column, want.challenge));
        let first = open.first().copied();
        if let Some(running) = &mut self.running {
            let answers =
                |want: &Want| running.order.column == want.column && running.order.challenges.contains(&want.challenge);
            // At its deadline it ends by itself, with what it has.
            if running.cancelled || running.order.deadline_ms() <= now_ms || first.is_some_and(|first| answers(&first))
            {
                return None;
            }
            running.cancelled = true;
            return Some(MinerEffect::CancelSweep(running.order.id));
        }
        let first = first?;
        if now_ms < self.retry_at_ms {
            return None;
        }
        let mut order = SweepOrder {
            id: SweepId(self.last_id + 1),
            column: first.column,
            challenges: Vec::new(),
            due_ms: Vec::new(),
        };
        for want in open.iter().filter(|want| want.column == first.column) {
            if order.challenges.len() < MAX_CHALLENGES && !order.challenges.contains(&want.challenge) {
                order.challenges.push(want.challenge);
                order.due_ms.push(want.closes_ms.saturating_sub(margin_ms).max(now_ms.saturating_add(1)));
            }
        }
        self.last_id += 1;
        self.running = Some(Running { order: order.clone(), cancelled: false });
        Some(MinerEffect::Sweep(order))
    }

    /// Takes in what a sweep found.
    pub(super) fn done(&mut self, id: SweepId, result: Result<SweepReport, String>, now_ms: u64) {
        let Some(Running { order, cancelled }) = self.running.take_if(|running| running.order.id == id) else { return };
        let report = match result {
            Ok(report) if cancelled || report.end == SweepEnd::Cancelled => return,
            Ok(report) if report.rankings.len() == order.challenges.len() => report,
            Ok(report) => {
                self.fail(
                    format!("{} answers to {} challenges", report.rankings.len(), order.challenges.len()),
                    now_ms,
                );
                return;
            }
            Err(_) if cancelled => return,
            Err(error) => {
                self.fail(error, now_ms);
                return;
            }
        };
        self.error = None;
        self.take_in(&order, u64::MAX, report, now_ms);
    }

    /// Takes in what a sweep has found so far, for challenges whose time has come. Its end may still find more.
    pub(super) fn due(&mut self, id: SweepId, due_ms: u64, report: SweepReport, now_ms: u64) {
        let Some(Running { order, cancelled: false }) = &self.running else { return };
        if order.id == id && report.rankings.len() == order.challenges.len() {
            self.take_in(&order.clone(), due_ms, SweepReport { end: SweepEnd::Deadline, ..report }, now_ms);
        }
    }

    /// Takes in what was found for the challenges of an order that are due until a time.
    fn take_in(&mut self, order: &SweepOrder, due_ms: u64, report: SweepReport, now_ms: u64) {
        let SweepReport { end, rankings, plots, leaves, bytes, took_ms, troubles } = report;
        let complete = end == SweepEnd::Swept;
        let stats = Arc::new(Stats { plots, leaves, bytes, took_ms, ended_ms: now_ms, complete, troubles });
        let until_ms = order.deadline_ms();
        for ((challenge, due), mut ranking) in order.challenges.iter().zip(&order.due_ms).zip(rankings) {
            if *due <= due_ms {
                ranking.truncate(MAX_LEAVES);
                let found = Found { ranking, stats: Arc::clone(&stats), until_ms };
                self.results.insert((order.column, *challenge), found);
            }
        }
    }

    fn fail(&mut self, error: String, now_ms: u64) {
        tracing::warn!(%error, "a sweep did not take place");
        self.error = Some(error);
        self.retry_at_ms = now_ms.saturating_add(RETRY_MS);
    }

    /// When a sweep that did not take place is tried again.
    pub(super) fn wake_ms(&self, now_ms: u64) -> Option<u64> {
        (self.running.is_none() && self.retry_at_ms > now_ms).then_some(self.retry_at_ms)
    }
}
