//! `spacetime wallet send`.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use spacetime_node::chain::{Address, Amount, Capped, Height, MAX_MEMO_BYTES, Payload, TransactionId, Transfer};
use spacetime_node::rpc::answers::{Place, TransactionAnswer, Units};

use super::client::{Node, NodeUrl};
use super::owner::Payer;
use super::sign::{check_means, sign};
use crate::args::{coins, duration, show_coins};
use crate::interrupt::Interrupt;
use crate::{Failure, out};

/// How often the node is asked whether the transaction is in a block.
const LOOK: Duration = Duration::from_millis(500);

/// `spacetime wallet send`.
#[derive(Debug, Args)]
pub struct Send {
    #[command(flatten)]
    payer: Payer,
    /// The address that is paid.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// How much, in coins: 1.5, or 0.000000001.
    #[arg(long, value_name = "COINS", value_parser = coins)]
    amount: Amount,
    /// What is paid for it, in coins; without it, what the node says that the next block costs.
    #[arg(long, value_name = "COINS", value_parser = coins)]
    fee: Option<Amount>,
    /// A note that everybody can read, 64 bytes at most.
    #[arg(long, value_name = "TEXT", default_value = "")]
    memo: String,
    /// The transaction's nonce; without it, the account's next. One that waits already is replaced, for a tenth more fee.
    #[arg(long, value_name = "N")]
    nonce: Option<u64>,
    /// Waits until a block holds it.
    #[arg(long)]
    wait: bool,
    /// Waits no longer than this.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m", requires = "wait")]
    timeout: Duration,
    /// Prints a JSON object instead of the id alone.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeUrl,
}

#[derive(Serialize)]
struct Sent {
    id: TransactionId,
    from: String,
    to: String,
    amount: Units,
    fee: Units,
    nonce: u64,
    /// Where a block holds it, as far as that was waited for.
    height: Option<Height>,
}

impl Send {
    pub(super) fn run(self) -> Result<(), Failure> {
        let memo = Capped::new(self.memo.clone().into_bytes());
        let memo = memo.ok_or_else(|| Failure::usage(format!("--memo has more than {MAX_MEMO_BYTES} bytes")))?;
        if self.amount == Amount::ZERO {
            return Err(Failure::usage("--amount must be above zero"));
        }
        let node = self.node.connect();
        let head = node.head()?;
        let to = Address::parse(&self.to, &head.hrp)
            .map_err(|error| Failure::usage(format!("--to {} on network {}: {error}", self.to, head.network)))?;
        let from = self.payer.public()?.address().encode(&head.hrp);
        let balance = node.balance(&from, false)?;
        check_means(balance.mature.0, balance.immature.0, Some(self.amount))?;
        let nonce = self.nonce.unwrap_or(balance.next_nonce);
        let payload = Payload::Transfer(Transfer { to, amount: self.amount, memo });
        let secret = self.payer.open()?;
        let transaction = sign(&node, &head.genesis, &secret, None, payload, nonce, self.fee)?;
        let fee = transaction.fee;
        check_means(balance.mature.0, balance.immature.0, self.amount.checked_add(fee))?;
        // Before anything is sent: a Ctrl-C from now on must not hide that it was.
        let interrupt = self.wait.then(Interrupt::install).transpose()?;
        let id = node.send(&transaction)?.id;
        let height = match interrupt {
            Some(interrupt) => Some(wait(&node, &id, self.timeout, &interrupt)?),
            None => None,
        };
        if self.json {
            let to = to.encode(&head.hrp);
            return out::json(&Sent { id, from, to, amount: Units(self.amount), fee: Units(fee), nonce, height });
        }
        tracing::info!("a fee of {} coins is paid", show_coins(fee));
        if let Some(height) = height {
            tracing::info!("a block at height {height} holds it");
        }
        out::line(id)
    }
}

/// The height of the block that holds a transaction, once one does.
pub(super) fn wait(
    node: &Node,
    id: &TransactionId,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<Height, Failure> {
    let end = Instant::now() + timeout;
    let path = format!("/rpc/getTx/{id}");
    loop {
        // It may leave the pool and be no longer, or not yet again, in a block: that is for the end to say.
        let found: Option<TransactionAnswer> = node.look(&path)?;
        if let Some(Place::Block { height, .. }) = found.as_ref().and_then(|found| found.place) {
            return Ok(height);
        }
        interrupt.check(&format!("stopped waiting; transaction {id} was sent"))?;
        if Instant::now() >= end {
            let place = if found.is_some() { "it waits in the node's pool still" } else { "the node knows it no more" };
            return Err(Failure::failed(format!("transaction {id} was sent, but no block holds it yet; {place}")));
        }
        std::thread::sleep(LOOK);
    }
}
