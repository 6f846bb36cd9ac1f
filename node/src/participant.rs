//! One participant of the network: chain, pool, sync, rounds of proposals and peers, without a clock, a socket or a
//! thread. What happens comes in as [`Input`], what is to be done goes out as [`Effect`]: the program drives it by
//! sockets and the clock, tests by a seed.

mod blocks;
mod gossip;
mod io;
mod operate;
mod propose;
mod questions;
mod rounds;
mod work;

use std::collections::{BTreeSet, VecDeque};

use crate::chain::{Epoch, TransactionId};
use crate::chain_pool::{ChainPool, PoolError};
use crate::consensus::Engine;
use crate::manager::ChainManager;
use crate::mempool::Limits;
use crate::network::PeerId;
use crate::network::message::Tip;
use crate::network::offence::Offence;
use crate::network::peers::Peers;
use crate::store::{Database, StoreError};
use crate::sync::{Phase, Progress, Sync, SyncEffect};

pub use io::{Effect, Input, Refused, RequestFailure, RequestId, RequestIds, Ticket, Verdict};
pub use propose::{ProofRefusal, SignRefusal};
pub use rounds::RANKS;

use blocks::{Intake, Source};
use propose::{Waiting, store_fault};
use rounds::Rounds;
use work::Told;

/// How long an answer to a notice is waited for, in milliseconds: nothing hangs on it.
const NOTICE_MS: u64 = 10_000;
/// Blocks below the highest verified header at which this node takes part already: they are on their way.
const NEAR_BLOCKS: u64 = 2;
/// Effects that one call may leave behind before they are taken: each input causes a few for each peer.
const MANY_EFFECTS: usize = 1024;

/// What a participant may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name and version of the software, at most 64 bytes: blocks and HELLO carry it.
    pub software: String,
    /// Mines without any peer: the first node of a network has none.
    pub mine_alone: bool,
    /// How much the pool holds.
    pub pool: Limits,
}

/// What has happened since the participant began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks that came to stand on the best chain.
    pub connected: u64,
    /// Blocks that were refused.
    pub refused: u64,
    /// How often another branch took over.
    pub reorganised: u64,
    /// Forks that were too deep to be followed.
    pub alarms: u64,
    /// Proofs of this node's miners that were taken.
    pub submitted: u64,
    /// Blocks of this node's miners that were told to the network.
    pub proposed: u64,
    /// Transactions of this node's users that were taken.
    pub offered: u64,
}

/// A participant.
#[derive(Debug)]
pub struct Participant<D> {
    options: Options,
    chain: ChainManager<D>,
    pool: ChainPool,
    peers: Peers,
    sync: Sync,
    rounds: Rounds,
    intake: Intake,
    templates: Vec<Waiting>,
    told: Told,
    /// Transactions that are to be told later, and when they came.
    untold: VecDeque<(TransactionId, u64)>,
    /// Peers whose pool was asked for.
    pools_asked: BTreeSet<RequestId>,
    /// The epoch whose challenge peers were told.
    challenged: Option<Epoch>,
    ids: RequestIds,
    effects: Vec<Effect>,
    counters: Counters,
}

impl<D: Database> Participant<D> {
    /// A participant upon `chain`, that knows what `peers` knows.
    #[must_use]
    pub fn new(options: Options, chain: ChainManager<D>, peers: Peers, sync: Sync) -> Self {
        let pool = ChainPool::new(&chain, options.pool);
        let rounds = Rounds::new(chain.genesis().timestamp_ms, chain.parameters());
        Self {
            options,
            pool,
            peers,
            sync,
            rounds,
            chain,
            intake: Intake::default(),
            templates: Vec::new(),
            told: Told::default(),
            untold: VecDeque::new(),
            pools_asked: BTreeSet::new(),
            challenged: None,
            ids: RequestIds::default(),
            effects: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &ChainManager<D> {
        &self.chain
    }

    /// What waits for a block.
    #[must_use]
    pub fn pool(&self) -> &ChainPool {
        &self.pool
    }

    /// The pool and the chain that it follows, to load what was saved.
    pub fn pool_mut(&mut self) -> (&mut ChainPool, &ChainManager<D>) {
        (&mut self.pool, &self.chain)
    }

    /// Who is there.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Who is there, for whoever bans and connects by hand.
    pub fn peers_mut(&mut self) -> &mut Peers {
        &mut self.peers
    }

    /// How far catching up has come.
    #[must_use]
    pub fn sync(&self) -> &Sync {
        &self.sync
    }

    /// Whether there is more of the chain than is here. What peers merely claim counts at first alone: later a header has
    /// to be there and verified, or anybody could keep this node from mining.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let Progress { phase, height, headers, .. } = self.sync.progress();
        self.chain.is_syncing() && phase != Phase::Idle || headers.0 > height.0 + NEAR_BLOCKS
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What calls other than [`Participant::handle`] have left to be done.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Takes what has happened and says what is to be done. `now_ms` is the clock, Unix milliseconds.
    ///
    /// # Errors
    /// If the chain's store cannot be read or written. Nothing that was written is lost; the participant should not
    /// go on.
    pub fn handle(&mut self, input: Input, now_ms: u64) -> Result<Vec<Effect>, StoreError> {
        match input {
            Input::Connected { peer, address, outbound } => {
                let effects = self.peers.connected(peer, &address, outbound, &mut self.ids, now_ms);
                self.effects.extend(effects);
            }
            Input::Disconnected { peer } => {
                let effects = self.peers.disconnected(&peer, now_ms);
                self.effects.extend(effects);
            }
            Input::DialFailed { address } => {
                let effects = self.peers.dial_failed(&address, now_ms);
                self.effects.extend(effects);
            }
            Input::Discovered { peer, address } => self.peers.discovered(peer, &address, now_ms),
            Input::Request { peer, ticket, request } => self.question(peer, ticket, request, now_ms)?,
            Input::Response { peer, id, result } => self.answer(peer, id, result, now_ms)?,
            Input::Gossip { peer, id, message } => self.take_gossip(peer, id, message, now_ms)?,
            Input::Offence { peer, offence } => self.offence(peer, offence, now_ms),
            Input::BlocksVerified(verified) => self.blocks_verified(verified, now_ms)?,
            Input::HeadersVerified(batch, results) => self.sync.headers_verified(&batch, results),
            Input::Tick => {}
        }
        self.advance(now_ms)?;
        if self.effects.len() > MANY_EFFECTS {
            tracing::debug!(effects = self.effects.len(), "one input has left much to be done");
        }
        Ok(self.take_effects())
    }

    /// When [`Input::Tick`] is due at the latest, Unix milliseconds.
    #[must_use]
    pub fn wake_ms(&self, now_ms: u64) -> u64 {
        let epoch = self.chain.engine().epoch_of(now_ms);
        let next =
            epoch.map_or(Some(self.chain.genesis().timestamp_ms), |epoch| self.rounds.start_ms(Epoch(epoch.0 + 1)));
        let rank = epoch.and_then(|epoch| self.rounds.wake_ms(epoch, now_ms));
        let times = [next, rank, Some(self.peers.wake_ms()), self.sync.wake_ms()];
        times.into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    /// All that follows from what has happened, or from time alone.
    fn advance(&mut self, now_ms: u64) -> Result<(), StoreError> {
        self.peers.set_tip(Tip::from(self.chain.tip()));
        let effects = self.peers.tick(&mut self.ids, now_ms);
        self.effects.extend(effects);
        self.notice_peers(now_ms);
        self.catch_up(now_ms)?;
        self.tell_miners(now_ms)?;
        self.propose(now_ms)?;
        self.tell_challenge(now_ms);
        self.tell_transactions(now_ms);
        Ok(())
    }

    fn catch_up(&mut self, now_ms: u64) -> Result<(), StoreError> {
        for effect in self.sync.poll(&mut self.chain, &mut self.ids, now_ms)? {
            match effect {
                SyncEffect::Request { peer, id, request, deadline_ms } => {
                    self.effects.push(Effect::Request { peer, id, request, deadline_ms });
                }
                SyncEffect::VerifyHeaders(batch) => self.effects.push(Effect::VerifyHeaders(batch)),
                SyncEffect::Blocks(blocks) => {
                    let blocks = blocks.into_iter().map(|(peer, block)| (Source::Asked(peer), block));
                    self.take_blocks(blocks.collect::<Vec<_>>(), now_ms)?;
                }
                SyncEffect::Offence { peer, offence } => self.offence(peer, offence, now_ms),
                SyncEffect::Event(event) => self.follow(vec![event])?,
            }
        }
        Ok(())
    }

    /// A peer pays for what it did.
    fn offence(&mut self, peer: PeerId, offence: Offence, now_ms: u64) {
        let effects = self.peers.offence(&peer, offence, now_ms);
        self.effects.extend(effects);
        self.notice_peers(now_ms);
    }

    /// Does something with the pool. What the store is to blame for is the outer error.
    fn with_pool<T>(
        &mut self,
        act: impl FnOnce(&mut ChainPool, &ChainManager<D>) -> Result<T, PoolError>,
    ) -> Result<Result<T, PoolError>, StoreError> {
        store_fault(act(&mut self.pool, &self.chain))
    }
}
