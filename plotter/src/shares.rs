//! How the rows that are left are shared out, so that all who grow them finish
//! together. Without a clock and without threads: who asks says what time it is.
//!
//! Everybody is taken for somebody who grows lots: a card as many rows as it
//! holds in flight, the CPU one unit on each thread. A lot takes as long as it
//! last took; how much less a part of one takes is learned from the first
//! part that is seen, until then it is taken to be no less. From this follows the
//! earliest time at which all rows can be done, and how many of them each
//! can do by then.

use std::collections::VecDeque;

/// Longest that a piece of the CPU's lasts, in seconds, where others grow beside
/// it: what it has begun cannot be shared any more.
const CPU_PIECE_SECONDS: f64 = 4.0;
/// Most that a lot seems slower than the one before it. A pause or a hiccup is no measure,
/// and who is thought to be far slower than others is given nothing that would show the truth.
const MOST_SLOWER: f64 = 4.0;
/// Least that a lot takes, in seconds, for a clock that saw no time pass: with it rates are finite.
const LEAST_SECONDS: f64 = 1e-9;
/// Share of a lot from which on a lot tells how long a whole one takes.
const NEARLY_WHOLE: f64 = 0.75;

/// How fast somebody is, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Rows of a whole lot.
    pub(crate) lot: u64,
    /// Seconds that a whole lot takes.
    pub(crate) time: f64,
    /// Share of that which a lot takes however few rows it has.
    pub(crate) floor: f64,
}

impl Pace {
    /// A lot that takes as long with few rows as with all.
    pub(crate) fn lockstep(lot: u64, time: f64) -> Self {
        Self { lot, time: time.max(LEAST_SECONDS), floor: 1.0 }
    }

    /// Seconds that `rows` take.
    pub(crate) fn time_of(&self, rows: u64) -> f64 {
        let part = (rows % self.lot) as f64 / self.lot as f64;
        let part = if part > 0.0 { self.floor + (1.0 - self.floor) * part } else { 0.0 };
        ((rows / self.lot) as f64 + part) * self.time
    }

    /// Rows that are done within `seconds`.
    pub(crate) fn rows_within(&self, seconds: f64) -> f64 {
        if seconds <= 0.0 {
            return 0.0;
        }
        let lots = seconds / self.time;
        let part = if self.floor < 1.0 { (lots.fract() - self.floor) / (1.0 - self.floor) } else { 0.0 };
        (lots.floor() + part.max(0.0)) * self.lot as f64
    }

    /// Learns from `rows`, of one lot or of several, that took `seconds`.
    fn learn(&mut self, rows: u64, seconds: f64) {
        let lots = rows as f64 / self.lot as f64;
        let time = if lots > 1.0 {
            seconds / lots
        } else if lots >= NEARLY_WHOLE {
            seconds / (self.floor + (1.0 - self.floor) * lots)
        } else {
            self.floor = ((seconds / self.time - lots) / (1.0 - lots)).clamp(0.0, 1.0);
            return;
        };
        self.time = time.min(MOST_SLOWER * self.time).max(LEAST_SECONDS);
    }
}

/// Who takes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All threads of the CPU.
    Cpu,
    /// A card, which does its lots one after the other.
    Card,
}

/// One of those who take rows.
#[derive(Debug)]
struct Member {
    kind: Kind,
    lot: u64,
    pace: Option<Pace>,
    /// Rows of the lots that it has not ended, in their order.
    lots: VecDeque<u64>,
    /// When it will have ended them.
    free_at: f64,
    lost: bool,
}

impl Member {
    fn free_at(&self, now: f64) -> f64 {
        if self.lots.is_empty() {
            now
        } else if self.free_at < now {
            // Overdue: it may take as long again as it is late.
            now + (now - self.free_at)
        } else {
            self.free_at
        }
    }

    fn reckon(&mut self, now: f64) {
        self.free_at =
            now + self.lots.iter().map(|rows| self.pace.map_or(0.0, |pace| pace.time_of(*rows))).sum::<f64>();
    }

    /// Rows that it can add to what it has by `end`.
    fn rows_by(&self, now: f64, end: f64) -> f64 {
        let pace = self.pace.filter(|_| !self.lost);
        pace.map_or(0.0, |pace| pace.rows_within(end - self.free_at(now)))
    }
}

/// All who take rows, by number.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    members: Vec<Member>,
}

impl Shares {
    /// Adds somebody who grows `lot` rows side by side, and returns their number.
    pub(crate) fn add(&mut self, kind: Kind, lot: u64) -> usize {
        self.members.push(Member { kind, lot, pace: None, lots: VecDeque::new(), free_at: 0.0, lost: false });
        self.members.len() - 1
    }

    pub(crate) fn kind(&self, who: usize) -> Kind {
        self.members[who].kind
    }

    /// Notes down how long a whole lot of `who` is thought to take.
    pub(crate) fn expect(&mut self, who: usize, seconds: f64) {
        let member = &mut self.members[who];
        member.pace = Some(Pace::lockstep(member.lot, seconds));
    }

    /// Nothing more is to be had from `who`.
    pub(crate) fn lose(&mut self, who: usize) {
        self.members[who].lost = true;
        self.members[who].lots.clear();
    }

    /// Notes down that `who` was given `rows` to grow in one go.
    pub(crate) fn give(&mut self, who: usize, rows: u64, now: f64) {
        let member = &mut self.members[who];
        member.free_at = member.free_at(now) + member.pace.map_or(0.0, |pace| pace.time_of(rows));
        member.lots.push_back(rows);
    }

    /// Notes down that `who` ended the oldest of what it was given, after `seconds` of work.
    pub(crate) fn end(&mut self, who: usize, seconds: f64, now: f64) {
        let member = &mut self.members[who];
        let Some(rows) = member.lots.pop_front() else { return };
        match &mut member.pace {
            Some(pace) => pace.learn(rows, seconds),
            none => {
                let lots = (rows as f64 / member.lot as f64).max(1.0);
                *none = Some(Pace::lockstep(member.lot, seconds / lots));
            }
        }
        member.reckon(now);
    }

    /// How many of the `left` rows `who` is to take now, at most `most` and
    /// perhaps none: then the others end them sooner.
    pub(crate) fn rows_for(&self, who: usize, now: f64, left: u64, most: u64) -> u64 {
        let member = &self.members[who];
        let most = most.min(left);
        if self.members.iter().filter(|member| !member.lost).count() == 1 {
            return most;
        }
        // Nobody knows how fast it is: a little shows.
        let Some(pace) = member.pace else { return most.min(member.lot) };
        let end = self.all_done(now, left);
        let everybody: f64 = self.members.iter().map(|member| member.rows_by(now, end)).sum();
        // Who can do more than is left by then does less of it, each in the same measure.
        let share = member.rows_by(now, end) * (left as f64 / everybody).min(1.0);
        let share = match member.kind {
            Kind::Card => share.ceil() as u64,
            Kind::Cpu => {
                // A lot takes its time however few of its rows are wanted.
                let lots = (share / member.lot as f64).ceil() as u64;
                let lasting = (CPU_PIECE_SECONDS / pace.time).floor().max(1.0) as u64;
                lots.min(lasting) * member.lot
            }
        };
        share.min(most)
    }

    /// When `left` more rows can be done, if all whose speed is known take part.
    fn all_done(&self, now: f64, left: u64) -> f64 {
        let enough = |end: f64| self.members.iter().map(|member| member.rows_by(now, end)).sum::<f64>() >= left as f64;
        let mut longest = 1.0;
        while !enough(now + longest) {
            longest *= 2.0;
        }
        let (mut less, mut more) = (0.0, longest);
        // Halved until it is exact to a millionth of what it began with.
        for _ in 0..40 {
            let middle = (less + more) / 2.0;
            if enough(now + middle) { more = middle } else { less = middle }
        }
        now + more
    }
}

#[cfg(test)]
mod tests;
