//! The transactions that bring a plot to life, signed.

use crate::chain::bls::SecretKey;
use crate::chain::{
    ActivatePlot, Amount, BlockId, Capped, Opening, Payload, RegisterPlot, Signatures, Transaction, ed25519,
};
use crate::miner::farm::PlotInfo;
use crate::miner::work::ChainWork;

/// Who pays, with the account's next nonce.
pub(super) type Payer<'a> = Option<(&'a ed25519::SecretKey, u64)>;

/// Fixes a plot's size and content, with a proof that whoever does so holds the key.
pub(super) fn register(chain: &ChainWork, secret: &SecretKey, info: &PlotInfo, payer: Payer<'_>) -> Transaction {
    let payload = Payload::RegisterPlot(RegisterPlot {
        miner_key: info.miner_key,
        possession: secret.prove_possession(&chain.genesis),
        seed: info.seed,
        rows: info.rows,
        root: info.root,
    });
    sign(chain, payload, secret, payer)
}

/// Shows cells; none if there are more than any chain asks for.
pub(super) fn activate(
    chain: &ChainWork,
    secret: &SecretKey,
    info: &PlotInfo,
    openings: Vec<Opening>,
    payer: Payer<'_>,
) -> Option<Transaction> {
    let openings = Capped::new(openings)?;
    let payload = Payload::ActivatePlot(ActivatePlot { miner_key: info.miner_key, plot_key: info.key, openings });
    Some(sign(chain, payload, secret, payer))
}

/// The transaction with the least fee that it may have.
fn sign(chain: &ChainWork, payload: Payload, secret: &SecretKey, payer: Payer<'_>) -> Transaction {
    let mut transaction = Transaction {
        sender: payer.map(|(payer, _)| payer.account_key()),
        nonce: payer.map_or(0, |(_, nonce)| nonce),
        fee: Amount::ZERO,
        payload,
        signatures: Signatures::default(),
    };
    seal(&chain.genesis, &mut transaction, secret, payer);
    if payer.is_some() {
        // A fee takes eight bytes whatever it is, so that the length is known now.
        let bytes = transaction.encoded_len() as u64;
        let fees = &chain.fees;
        transaction.fee = Amount(fees.base.0.saturating_add(fees.per_byte.0.saturating_mul(bytes)));
        seal(&chain.genesis, &mut transaction, secret, payer);
    }
    transaction
}

fn seal(genesis: &BlockId, transaction: &mut Transaction, secret: &SecretKey, payer: Payer<'_>) {
    let message = transaction.signed_bytes(genesis);
    transaction.signatures =
        Signatures { account: payer.map(|(payer, _)| payer.sign(&message)), miner: Some(secret.sign(&message)) };
}
