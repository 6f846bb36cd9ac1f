//! Transactions that an account pays for.

use spacetime_node::chain::{Amount, BlockId, Payload, Signatures, Transaction, bls};

use super::client::Node;
use crate::Failure;
use crate::args::show_coins;
use crate::keys::account::AccountSecret;

/// Makes and signs a transaction. Without a fee it pays what the node says that the next block costs.
pub(super) fn sign(
    node: &Node,
    genesis: &BlockId,
    payer: &AccountSecret,
    miner: Option<&bls::SecretKey>,
    payload: Payload,
    nonce: u64,
    fee: Option<Amount>,
) -> Result<Transaction, Failure> {
    let sender = Some(payer.key().account_key());
    let mut transaction = Transaction { sender, nonce, fee: Amount(0), payload, signatures: Signatures::default() };
    // Signed twice: its length, which the fee is reckoned by, is the same whatever they are.
    seal(&mut transaction, genesis, payer, miner);
    transaction.fee = match fee {
        Some(fee) => fee,
        None => node.fee(transaction.encoded_len())?.next_block.0,
    };
    seal(&mut transaction, genesis, payer, miner);
    Ok(transaction)
}

fn seal(transaction: &mut Transaction, genesis: &BlockId, payer: &AccountSecret, miner: Option<&bls::SecretKey>) {
    let bytes = transaction.signed_bytes(genesis);
    transaction.signatures =
        Signatures { account: Some(payer.key().sign(&bytes)), miner: miner.map(|miner| miner.sign(&bytes)) };
}

/// Says so before anything is sent if an account cannot pay.
pub(super) fn check_means(mature: Amount, immature: Amount, needed: Option<Amount>) -> Result<(), Failure> {
    let Some(needed) = needed else { return Err(Failure::usage("amount and fee together are more than there can be")) };
    if needed <= mature {
        return Ok(());
    }
    let later = match immature {
        Amount(0) => String::new(),
        immature => format!(", and {} more of rewards later", show_coins(immature)),
    };
    Err(Failure::failed(format!(
        "the account can spend {} coins{later}; at least {} are needed, fee included",
        show_coins(mature),
        show_coins(needed)
    )))
}
