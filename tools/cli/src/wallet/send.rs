//! `spacetime wallet send`.

use clap::Args;
use serde::Serialize;
use spacetime_node::chain::{Address, Amount, Capped, Height, MAX_MEMO_BYTES, Payload, TransactionId, Transfer};
use spacetime_node::rpc::answers::Units;

use super::client::NodeUrl;
use super::owner::Payer;
use super::sign::{check_means, sign};
use super::wait::Wait;
use crate::args::{coins, show_coins};
use crate::{Failure, out};

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
    #[command(flatten)]
    wait: Wait,
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
        // Before a passphrase is asked for.
        check_means(balance.mature.0, balance.immature.0, self.amount.checked_add(self.fee.unwrap_or(Amount::ZERO)))?;
        let nonce = self.nonce.unwrap_or(balance.next_nonce);
        let payload = Payload::Transfer(Transfer { to, amount: self.amount, memo });
        let secret = self.payer.open()?;
        let transaction = sign(&node, &head.genesis, &secret, None, payload, nonce, self.fee)?;
        let fee = transaction.fee;
        check_means(balance.mature.0, balance.immature.0, self.amount.checked_add(fee))?;
        let patience = self.wait.begin()?;
        let id = node.send(&transaction)?.id;
        let height = patience.map(|patience| patience.for_block(&node, &id)).transpose()?;
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
