//! Looks at the network again and again until something holds.

use std::thread;
use std::time::{Duration, Instant};

use spacetime_node::chain::{Amount, BlockId, Height};
use spacetime_node::rpc::answers::HeadAnswer;

use super::blocks::{Blocks, Change};
use super::fleet::{Fleet, Memory, node_name};
use super::people::Miner;
use super::place::Place;
use super::rpc::Client;
use super::screen::Screen;
use super::summary::{Outcome, Summary};
use super::table::{self, MinerLine, NodeLine};
use super::transfers::Transfers;
use super::windows::Windows;
use super::{TICK, interrupted};
use crate::Failure;
use crate::interrupt::Interrupt;

/// How often nodes are asked: often enough that a block is seen when it comes, and far below what a node answers.
const LOOK: Duration = Duration::from_millis(250);
/// How often the system is asked for the processes' memory.
const MEASURE: Duration = Duration::from_secs(1);

/// What a node said when it was asked last.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) head: HeadAnswer,
    pub(super) peers: usize,
}

/// All that is known of a network.
pub(super) struct Follower<'a, 'p> {
    pub(super) fleet: &'a mut Fleet<'p>,
    pub(super) transfers: Transfers<'a>,
    blocks: Blocks,
    miners: &'a [Miner],
    windows: Vec<Windows>,
    /// What the miners' accounts have: mature and immature.
    purses: Vec<(Amount, Amount)>,
    /// The block after which they had it.
    purses_at: Option<BlockId>,
    /// By node; none where it did not answer.
    seen: Vec<Option<Seen>>,
    memory: Vec<Memory>,
    wanted: Option<u64>,
    began: Instant,
    looked: Option<Instant>,
    measured: Option<Instant>,
    screen: &'a mut Screen,
    interrupt: &'a Interrupt,
}

impl<'a, 'p> Follower<'a, 'p> {
    /// Follows the running `fleet`, of which `wanted` blocks are expected.
    pub(super) fn new(
        (fleet, miners, place): (&'a mut Fleet<'p>, &'a [Miner], &Place),
        transfers: Transfers<'a>,
        wanted: Option<u64>,
        (screen, interrupt): (&'a mut Screen, &'a Interrupt),
    ) -> Self {
        Self {
            fleet,
            transfers,
            blocks: Blocks::default(),
            windows: miners.iter().map(|miner| Windows::new(place.windows(&miner.name))).collect(),
            purses: vec![(Amount::ZERO, Amount::ZERO); miners.len()],
            purses_at: None,
            miners,
            seen: Vec::new(),
            memory: Vec::new(),
            wanted,
            began: Instant::now(),
            looked: None,
            measured: None,
            screen,
            interrupt,
        }
    }

    /// Goes on until `holds`, or `limit` has passed. Says whether it holds.
    ///
    /// # Errors
    /// If a process ends by itself or a transfer does not arrive; with code 130 if the user asked to stop.
    pub(super) fn until(&mut self, limit: Option<Duration>, holds: impl Fn(&Self) -> bool) -> Result<bool, Failure> {
        let began = Instant::now();
        loop {
            if self.interrupt.requested() {
                return Err(interrupted());
            }
            self.fleet.check()?;
            if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                self.look()?;
                self.looked = Some(Instant::now());
                if holds(self) {
                    return Ok(true);
                }
                if limit.is_some_and(|limit| began.elapsed() >= limit) {
                    return Ok(false);
                }
            }
            thread::sleep(TICK);
        }
    }

    /// Asks all nodes at once, and takes in what is new.
    fn look(&mut self) -> Result<(), Failure> {
        let ask = |node: &Client| Some(Seen { head: node.head().ok()?, peers: node.peers().ok()? });
        self.seen = thread::scope(|scope| {
            let asked: Vec<_> = self.fleet.clients().iter().map(|node| scope.spawn(move || ask(node))).collect();
            asked.into_iter().map(|asked| asked.join().unwrap_or(None)).collect()
        });
        if let Some(Seen { head, .. }) = self.seen.first().cloned().flatten() {
            self.follow_blocks(&head);
            self.count_money(&head);
        }
        for windows in &mut self.windows {
            // The miner's own process says so if it cannot be written.
            let _ = windows.read();
        }
        if let Some(transfer) = self.transfers.step(self.fleet.clients(), self.blocks.height())? {
            self.screen.transfer(&transfer, self.fleet.clients().len());
        }
        if self.measured.is_none_or(|measured| measured.elapsed() >= MEASURE) {
            self.memory = self.fleet.memory();
            self.measured = Some(Instant::now());
        }
        if self.screen.has_table() {
            self.show();
        }
        Ok(())
    }

    fn follow_blocks(&mut self, head: &HeadAnswer) {
        for change in self.blocks.follow(&self.fleet.clients()[0], head) {
            match change {
                Change::Replaced(above) => {
                    self.transfers.replaced(above);
                    self.screen.replaced(above);
                }
                Change::Added(block) => {
                    self.transfers.added(&block);
                    let miner = self.miners.iter().find(|miner| miner.key == block.miner_key);
                    self.screen.block(&block, miner.map_or("a stranger", |miner| &miner.name));
                }
            }
        }
    }

    fn count_money(&mut self, head: &HeadAnswer) {
        if self.purses_at == Some(head.id) || !self.screen.has_table() {
            return;
        }
        self.purses_at = Some(head.id);
        for (purse, miner) in self.purses.iter_mut().zip(self.miners) {
            if let Ok(found) = self.fleet.clients()[0].balance(miner.payout) {
                *purse = (found.mature.0, found.immature.0);
            }
        }
    }

    /// What the nodes said last; none if one of them did not answer.
    pub(super) fn heads(&self) -> Option<Vec<&HeadAnswer>> {
        self.seen.iter().map(|seen| seen.as_ref().map(|seen| &seen.head)).collect()
    }

    /// The head of all nodes, if they have the same and its blocks were followed.
    pub(super) fn common_head(&self) -> Option<&HeadAnswer> {
        let heads = self.heads()?;
        let first = *heads.first()?;
        let known = first.height == Height(0) || self.blocks.id_at(first.height) == Some(first.id);
        (known && heads.iter().all(|head| head.id == first.id)).then_some(first)
    }

    /// What the first node said last.
    pub(super) fn first_head(&self) -> Option<&HeadAnswer> {
        self.seen.first()?.as_ref().map(|seen| &seen.head)
    }

    /// Each node with its head, for people.
    pub(super) fn who_has_what(&self) -> String {
        let node = |(index, seen): (usize, &Option<Seen>)| {
            let name = node_name(index + 1);
            match seen {
                Some(Seen { head, .. }) => format!("{name} has {} at height {}", table::short(&head.id.0), head.height),
                None => format!("{name} does not answer"),
            }
        };
        self.seen.iter().enumerate().map(node).collect::<Vec<_>>().join(", ")
    }

    /// What it has come to, apart from what is known only when all have stopped.
    pub(super) fn summary(&self, outcome: Outcome) -> Summary {
        let head = self.first_head();
        let (height, epoch) = head.map_or((0, 0), |head| (head.height.0, head.epoch.0));
        Summary {
            event: "done",
            outcome,
            nodes: self.fleet.clients().len(),
            miners: self.miners.len(),
            height,
            head: head.map_or(BlockId::ZERO, |head| head.id),
            epoch,
            heads_agree: self.common_head().is_some(),
            blocks_per_miner: self.miners.iter().map(|miner| self.blocks.won_by(&miner.key)).collect(),
            missed_windows: self.windows.iter().map(Windows::missed).sum(),
            // Genesis is the block of epoch 0.
            empty_epochs: epoch.saturating_sub(height),
            transfers: self.transfers.settled(),
            transfer: self.transfers.first().map(Into::into),
            supply: None,
            memory: Vec::new(),
            seconds: 0.0,
        }
    }

    fn show(&self) {
        let memory = |index: usize| self.memory.get(index).and_then(|memory| memory.peak_bytes);
        let names: Vec<_> = (1..=self.seen.len()).map(node_name).collect();
        let nodes = names.iter().zip(&self.seen).enumerate().map(|(index, (name, seen))| NodeLine {
            name,
            found: seen.as_ref().map(|seen| (&seen.head, seen.peers)),
            memory: memory(index),
        });
        let miners = self.miners.iter().enumerate().map(|(index, miner)| MinerLine {
            name: &miner.name,
            node: node_name(self.fleet.node_of(index) + 1),
            won: self.blocks.won_by(&miner.key),
            answered: self.windows[index].answered(),
            missed: self.windows[index].missed(),
            last: self.windows[index].last(),
            mature: self.purses[index].0,
            immature: self.purses[index].1,
            memory: memory(names.len() + index),
        });
        let state = table::State {
            nodes: names.len(),
            miners: self.miners.len(),
            height: self.blocks.height().0,
            wanted: self.wanted,
            epoch: self.first_head().map_or(0, |head| head.clock_epoch.0),
            transfers: self.transfers.settled(),
            time: self.began.elapsed(),
        };
        self.screen.show(&table::rows(&state, &nodes.collect::<Vec<_>>(), &miners.collect::<Vec<_>>()));
    }
}
