//! Miners and accounts, and what they sign.

use super::plot::MemoryPlot;
use crate::chain::rules::least_fee;
use crate::chain::{
    ActivatePlot, Address, Amount, BlockId, Capped, Evidence, Hash, Header, MinerKey, Payload, RegisterPlot,
    RetirePlot, Signatures, Transaction, Transfer, bls, ed25519,
};
use crate::consensus::Parameters;

/// An account's owner.
#[derive(Debug)]
pub struct Wallet {
    /// Its key.
    pub secret: ed25519::SecretKey,
    /// Its address.
    pub address: Address,
}

/// Who pays for a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Payer<'a> {
    /// Whose account.
    pub wallet: &'a Wallet,
    /// The account's next nonce.
    pub nonce: u64,
    /// The fee.
    pub fee: Amount,
}

impl Wallet {
    /// The wallet of a seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let secret = ed25519::SecretKey::from_bytes(&seed);
        let address = secret.account_key().address();
        Self { secret, address }
    }

    /// Pays for a transaction.
    #[must_use]
    pub fn paying(&self, nonce: u64, fee: Amount) -> Payer<'_> {
        Payer { wallet: self, nonce, fee }
    }

    /// Money for somebody.
    #[must_use]
    pub fn transfer(&self, genesis: &BlockId, nonce: u64, fee: Amount, to: Address, amount: Amount) -> Transaction {
        let payload = Payload::Transfer(Transfer { to, amount, memo: Capped::default() });
        sign(genesis, payload, Some(self.paying(nonce, fee)), None)
    }
}

/// A miner with plots.
#[derive(Debug)]
pub struct Miner {
    /// Its key.
    pub secret: bls::SecretKey,
    /// Its public key.
    pub key: MinerKey,
    /// Its plots, whether registered or not.
    pub plots: Vec<MemoryPlot>,
    /// Where its rewards go, unless a block is ordered otherwise.
    pub wallet: Wallet,
}

impl Miner {
    /// The miner of a seed, without plots.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let secret = bls::SecretKey::from_ikm(&seed);
        let key = secret.public_key().to_bytes();
        Self { secret, key, plots: Vec::new(), wallet: Wallet::new(seed) }
    }

    /// Registers a plot.
    #[must_use]
    pub fn register(&self, genesis: &BlockId, plot: &MemoryPlot, payer: Option<Payer<'_>>) -> Transaction {
        let description = plot.description();
        let payload = Payload::RegisterPlot(RegisterPlot {
            miner_key: self.key,
            possession: self.secret.prove_possession(genesis),
            seed: description.seed,
            rows: description.rows,
            root: description.root,
        });
        sign(genesis, payload, payer, Some(&self.secret))
    }

    /// Activates a plot with openings drawn from `mix`.
    ///
    /// # Panics
    /// If no chain has as many openings.
    #[must_use]
    pub fn activate(
        &self,
        genesis: &BlockId,
        plot: &MemoryPlot,
        mix: &Hash,
        openings: u32,
        payer: Option<Payer<'_>>,
    ) -> Transaction {
        let openings = Capped::new(plot.openings(mix, openings)).expect("no chain has more openings");
        let payload = Payload::ActivatePlot(ActivatePlot { miner_key: self.key, plot_key: plot.key(), openings });
        sign(genesis, payload, payer, Some(&self.secret))
    }

    /// Ends a plot.
    #[must_use]
    pub fn retire(&self, genesis: &BlockId, plot: &MemoryPlot, payer: Payer<'_>) -> Transaction {
        let payload = Payload::RetirePlot(RetirePlot { miner_key: self.key, plot_key: plot.key() });
        sign(genesis, payload, Some(payer), Some(&self.secret))
    }

    /// Signs a header as its miner, whatever it says.
    pub fn seal(&self, genesis: &BlockId, header: &mut Header) {
        header.miner_key = self.key;
        header.signature = self.secret.sign(&header.signed_bytes(genesis));
    }

    /// Two headers that differ in their timestamps and are both signed: `header` as it is but for the miner, and
    /// another.
    #[must_use]
    pub fn equivocate(&self, genesis: &BlockId, header: &Header) -> Evidence {
        let mut first = header.clone();
        self.seal(genesis, &mut first);
        let mut second = Header { timestamp_ms: first.timestamp_ms ^ 1, ..first.clone() };
        self.seal(genesis, &mut second);
        Evidence { first, second }
    }
}

/// Reports a miner.
#[must_use]
pub fn report(genesis: &BlockId, evidence: Evidence, payer: Payer<'_>) -> Transaction {
    sign(genesis, Payload::Evidence(Box::new(evidence)), Some(payer), None)
}

/// What `make` makes for the least fee that it may have.
#[must_use]
pub fn at_least_fee(parameters: &Parameters, make: impl Fn(Amount) -> Transaction) -> Transaction {
    let free = make(Amount::ZERO);
    match least_fee(free.encoded_len(), parameters) {
        Amount::ZERO => free,
        least => make(least),
    }
}

/// A transaction signed by whoever is given.
#[must_use]
pub fn sign(
    genesis: &BlockId,
    payload: Payload,
    payer: Option<Payer<'_>>,
    miner: Option<&bls::SecretKey>,
) -> Transaction {
    let mut transaction = Transaction {
        sender: payer.map(|payer| payer.wallet.secret.account_key()),
        nonce: payer.map_or(0, |payer| payer.nonce),
        fee: payer.map_or(Amount::ZERO, |payer| payer.fee),
        payload,
        signatures: Signatures::default(),
    };
    let message = transaction.signed_bytes(genesis);
    transaction.signatures = Signatures {
        account: payer.map(|payer| payer.wallet.secret.sign(&message)),
        miner: miner.map(|miner| miner.sign(&message)),
    };
    transaction
}
