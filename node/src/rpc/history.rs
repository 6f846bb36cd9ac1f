//! What happened to an account. There is no index of it: blocks are looked through, some at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::accounts::address;
use super::answers::{Happening, HappeningKind, HistoryAnswer, Units, memo_text};
use super::backend::{Backend, Node};
use super::error::RpcError;
use super::extract::Asked;
use super::shared::Shared;
use crate::chain::{Address, Amount, Hash, Height, Payload, Transaction, Transfer, plot_key};
use crate::consensus::{Parameters, Specification};
use crate::mempool::Mempool;
use crate::store::{Database, Store};

/// Most blocks that one answer looks at.
const MAX_BLOCKS: u64 = 5_000;
/// Longest that one answer looks at them.
const MAX_TIME: Duration = Duration::from_secs(1);
/// After so many happenings an answer ends, with its block.
const MANY: usize = 100;
/// Most happenings in the pool that are told.
const MAX_WAITING: usize = 256;
/// How often blocks are looked at again because another branch took over meanwhile.
const TRIES: usize = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// Looks at blocks below this height; without it, from the tip on.
    before: Option<u64>,
}

pub(super) async fn history<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    Path(text): Path<String>,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Json<HistoryAnswer>, RpcError> {
    let whose = address(&text, shared.parameters())?;
    let too_many = || RpcError::busy("other histories are being looked for; try again in a second");
    let permit = Semaphore::try_acquire_owned(Arc::clone(&shared.scans)).map_err(|_| too_many())?;
    let waiting = match query.before {
        Some(_) => Vec::new(),
        None => {
            let specification = Arc::clone(&shared.specification);
            let look = move |node: &mut B::Node, _| waiting(node.pool().pool(), whose, &specification.parameters);
            shared.ask(look).await?
        }
    };
    let read = move |shared: &Shared<B>| {
        // It goes with the work, not with whoever waits for it.
        let _permit = permit;
        for _ in 0..TRIES {
            if let Some(scan) = Scan::new(&shared.store, &shared.specification, whose, query.before)?.run()? {
                return Ok(HistoryAnswer { address: whose.encode(&shared.parameters().hrp), waiting, ..scan });
            }
        }
        Err(RpcError::busy("the chain moves too fast to be looked through; try again in a second"))
    };
    shared.read(read).await.map(Json)
}

/// What waits in the pool and is about an account.
fn waiting(pool: &Mempool, whose: Address, parameters: &Parameters) -> Vec<Happening> {
    let all = pool.iter().filter_map(|transaction| happening(transaction.get(), whose, parameters));
    all.take(MAX_WAITING).collect()
}

/// A walk down the best chain.
struct Scan<'a, D> {
    store: &'a Store<D>,
    specification: &'a Specification,
    whose: Address,
    /// The highest block to look at.
    top: Height,
    /// The lowest block whose transactions are kept.
    oldest: Height,
}

impl<'a, D: Database> Scan<'a, D> {
    fn new(
        store: &'a Store<D>,
        specification: &'a Specification,
        whose: Address,
        before: Option<u64>,
    ) -> Result<Self, RpcError> {
        let tip = store.known_header(&store.tip()?)?.lineage.height;
        let top = before.map_or(tip, |before| Height(before.saturating_sub(1)).min(tip));
        Ok(Self { store, specification, whose, top, oldest: store.oldest_body()? })
    }

    /// None if another branch took over meanwhile.
    fn run(&self) -> Result<Option<HistoryAnswer>, RpcError> {
        let begun = Instant::now();
        let first = self.store.id_at(self.top)?;
        let mut answer = HistoryAnswer {
            address: String::new(),
            from: self.top,
            to: self.top,
            waiting: Vec::new(),
            happened: Vec::new(),
            before: None,
            pruned: false,
        };
        let mut height = self.top;
        loop {
            answer.to = height;
            if height == Height(0) {
                answer.happened.extend(self.genesis());
                break;
            }
            if !self.look_at(height, &mut answer.happened)? {
                // Its body is gone: either it was pruned or the chain has moved.
                answer.to = height.next();
                answer.pruned = true;
                break;
            }
            let looked = self.top.0 - height.0 + 1;
            if looked >= MAX_BLOCKS || answer.happened.len() >= MANY || begun.elapsed() >= MAX_TIME {
                answer.before = Some(height);
                break;
            }
            height = Height(height.0 - 1);
        }
        if self.store.id_at(self.top)? != first || (answer.pruned && height >= self.oldest.max(Height(1))) {
            return Ok(None);
        }
        Ok(Some(answer))
    }

    /// Whether the transactions of a block are kept; the latest comes first.
    fn look_at(&self, height: Height, happened: &mut Vec<Happening>) -> Result<bool, RpcError> {
        let Some(id) = self.store.id_at(height)? else { return Ok(false) };
        let (Some(stored), Some(body)) = (self.store.header(&id)?, self.store.body(&id)?) else { return Ok(false) };
        let timestamp_ms = Some(stored.header.timestamp_ms);
        for transaction in body.transactions.iter().rev() {
            let found = happening(transaction, self.whose, &self.specification.parameters);
            happened.extend(found.map(|found| Happening { height: Some(height), timestamp_ms, ..found }));
        }
        Ok(true)
    }

    fn genesis(&self) -> Option<Happening> {
        let genesis = &self.specification.genesis;
        let account = genesis.accounts.iter().find(|account| account.address == self.whose)?;
        let (height, timestamp_ms) = (Some(Height(0)), Some(genesis.time_ms));
        Some(Happening { height, timestamp_ms, amount: Units(account.balance), ..nothing(HappeningKind::Genesis) })
    }
}

fn nothing(kind: HappeningKind) -> Happening {
    Happening {
        kind,
        id: None,
        height: None,
        timestamp_ms: None,
        amount: Units::default(),
        fee: Units::default(),
        other: None,
        memo: None,
        plot_key: None,
    }
}

/// What a transaction is to an account, if it is anything.
fn happening(transaction: &Transaction, whose: Address, parameters: &Parameters) -> Option<Happening> {
    let sender = transaction.sender_address();
    let is_sender = sender == Some(whose);
    let paid = |kind, plot_key| is_sender.then(|| Happening { plot_key, ..nothing(kind) });
    let found = match &transaction.payload {
        Payload::Coinbase(coinbase) => {
            let own = coinbase.outputs.iter().filter(|output| output.address == whose);
            // The sum of all of them was checked.
            let amount = Amount::checked_sum(own.map(|output| output.amount)).filter(|sum| *sum > Amount::ZERO)?;
            Some(Happening { amount: Units(amount), ..nothing(HappeningKind::Reward) })
        }
        Payload::Transfer(Transfer { to, amount, memo }) => {
            let kind = match (is_sender, *to == whose) {
                (true, true) => HappeningKind::ToItself,
                (true, false) => HappeningKind::Sent,
                (false, true) => HappeningKind::Received,
                (false, false) => return None,
            };
            let other = if is_sender { Some(*to) } else { sender };
            let other = other.map(|address| address.encode(&parameters.hrp));
            Some(Happening { amount: Units(*amount), other, memo: memo_text(memo), ..nothing(kind) })
        }
        Payload::RegisterPlot(plot) => {
            let key = plot_key(parameters, &plot.miner_key, &plot.seed.0);
            paid(HappeningKind::RegisterPlot, Some(Hash(key.0)))
        }
        Payload::ActivatePlot(plot) => paid(HappeningKind::ActivatePlot, Some(plot.plot_key)),
        Payload::RetirePlot(plot) => paid(HappeningKind::RetirePlot, Some(plot.plot_key)),
        Payload::Evidence(_) => paid(HappeningKind::Evidence, None),
    }?;
    let fee = if is_sender { Units(transaction.fee) } else { Units::default() };
    Some(Happening { id: Some(transaction.id()), fee, ..found })
}
