//! Rules of transactions that need no state (PROTOCOL §6 to §10), signatures among them.

use spacetime_kernels::MAX_ROWS;
use spacetime_node::chain::rules::{SignatureRule, TransactionError, least_fee};
use spacetime_node::chain::{
    ActivatePlot, Amount, Block, BlockId, Capped, Epoch, Evidence, Header, Output, Payload, RegisterPlot, Transaction,
    Transfer,
};
use spacetime_node::consensus::{Fees, Parameters};
use spacetime_node::testing::{Fabric, MemoryPlot, Miner, Setup, Wallet, parameters, report, sign};

use crate::common::{Case, Trial, coinbase_of, forge, whole, winner};

/// More than any transaction here has to pay.
pub(crate) const FEE: Amount = Amount(1_000_000);

pub(crate) fn trials() -> Vec<Trial> {
    vec![forms()]
}

#[test]
fn are_checked() {
    trials().iter().for_each(Trial::run);
}

/// Signs a changed transaction anew, as whoever signed it before.
fn resigned(
    genesis: &BlockId,
    mut changed: Transaction,
    wallet: Option<&Wallet>,
    miner: Option<&Miner>,
) -> Transaction {
    let message = changed.signed_bytes(genesis);
    changed.signatures.account = wallet.map(|wallet| wallet.secret.sign(&message));
    changed.signatures.miner = miner.map(|miner| miner.secret.sign(&message));
    changed
}

/// What all cases are made of.
struct World<'a> {
    fabric: &'a Fabric,
    genesis: BlockId,
    /// Won by somebody, and without transactions.
    empty: &'a Block,
    cases: Vec<Case>,
}

impl<'a> World<'a> {
    fn block(&self, transactions: Vec<Transaction>) -> Block {
        let win = (self.empty.header.epoch, self.empty.proof.clone());
        forge(self.fabric, &self.empty.header.parent, winner(self.fabric, self.empty), win, transactions)
    }

    /// Behind a good one, so that places are told right.
    fn add(&mut self, what: &str, transaction: Transaction, error: TransactionError) {
        let block = self.block(vec![
            self.wallet(7).transfer(&self.genesis, 0, FEE, self.wallet(0).address, Amount(1)),
            transaction,
        ]);
        self.cases.push(Case::transaction(what, block, 2, error));
    }

    fn wallet(&self, number: usize) -> &'a Wallet {
        &self.fabric.wallets[number]
    }

    fn transfer(&self) -> Payload {
        Payload::Transfer(Transfer { to: self.wallet(1).address, amount: Amount(5), memo: Capped::default() })
    }

    fn sent(&self, payload: Payload, miner: Option<&Miner>) -> Transaction {
        sign(&self.genesis, payload, Some(self.wallet(0).paying(0, FEE)), miner.map(|miner| &miner.secret))
    }
}

fn forms() -> Trial {
    let fees = Fees { base: Amount(1000), per_byte: Amount(10) };
    let mut fabric = Fabric::new(&Setup { parameters: Parameters { fees, ..parameters() }, ..Setup::default() });
    // Long enough for openings to be drawn.
    let held = fabric.chain(&fabric.genesis_id(), 14, 0);
    let parent = held[13];
    let id = fabric.chain(&parent, 1, 0)[0];
    let empty = fabric.block(&id).clone();
    let spare = MemoryPlot::grow(fabric.parameters(), fabric.miners[0].key, [9; 32], 16);
    let mut world = World { fabric: &fabric, genesis: fabric.genesis_id(), empty: &empty, cases: Vec::new() };
    senders(&mut world, &spare);
    signatures(&mut world, &spare);
    plots(&mut world, &spare);
    evidence(&mut world);
    payments(&mut world);
    coinbases(&mut world);
    let miner = &fabric.miners[0];
    let good = world.block(vec![
        world.sent(world.transfer(), None),
        miner.register(&world.genesis, &spare, None),
        activation(&world, 4),
        report(
            &world.genesis,
            miner_two(&fabric).equivocate(&world.genesis, &empty.header),
            world.wallet(1).paying(0, FEE),
        ),
    ]);
    let cases = world.cases;
    Trial { held, good, cases, fabric }
}

fn miner_two(fabric: &Fabric) -> &Miner {
    &fabric.miners[2]
}

/// Of a genesis plot, which may be activated again.
fn activation(world: &World<'_>, openings: u32) -> Transaction {
    let (miner, parent) = (&world.fabric.miners[0], world.empty.header.parent);
    let mix = world.fabric.drawn_mix(&parent, miner.plots[0].key()).expect("two groups began");
    miner.activate(&world.genesis, &miner.plots[0], &mix, openings, None)
}

fn senders(world: &mut World<'_>, spare: &MemoryPlot) {
    let (genesis, fabric) = (world.genesis, world.fabric);
    let miner = &fabric.miners[0];
    let retire = miner.retire(&genesis, &miner.plots[0], world.wallet(0).paying(0, FEE));
    let evidence =
        report(&genesis, miner_two(fabric).equivocate(&genesis, &world.empty.header), world.wallet(0).paying(0, FEE));
    let free = |payload, miner: Option<&Miner>| sign(&genesis, payload, None, miner.map(|miner| &miner.secret));
    let error = |kind| TransactionError::NoSender { kind };
    world.add("a transfer from nobody", free(world.transfer(), None), error("transfer"));
    world.add("retired by nobody", free(retire.payload, Some(miner)), error("retire plot"));
    world.add("reported by nobody", free(evidence.payload, None), error("evidence"));

    let register = miner.register(&genesis, spare, None);
    let paying = resigned(&genesis, Transaction { fee: Amount(1), ..register.clone() }, None, Some(miner));
    world.add("a fee from nobody", paying, TransactionError::UnpaidFee { fee: Amount(1) });
    let counting = resigned(&genesis, Transaction { nonce: 1, ..register.clone() }, None, Some(miner));
    world.add("a nonce of nobody", counting, TransactionError::UnpaidNonce { nonce: 1 });

    // Each byte counts, those of signatures too.
    for (what, transaction, signing) in [
        ("a fee too low", world.sent(world.transfer(), None), None),
        (
            "a registration's fee too low",
            miner.register(&genesis, spare, Some(world.wallet(0).paying(0, FEE))),
            Some(miner),
        ),
    ] {
        let bytes = transaction.encoded_len();
        let least = least_fee(bytes, fabric.parameters());
        assert_eq!(least, Amount(1000 + 10 * bytes as u64));
        let fee = Amount(least.0 - 1);
        let cheap = resigned(&genesis, Transaction { fee, ..transaction }, Some(world.wallet(0)), signing);
        world.add(what, cheap, TransactionError::Fee { fee, bytes, least });
    }
}

fn signatures(world: &mut World<'_>, spare: &MemoryPlot) {
    let (genesis, fabric) = (world.genesis, world.fabric);
    let (miner, other) = (&fabric.miners[0], &fabric.miners[1]);
    let payer = world.wallet(0).paying(0, FEE);
    let transfer = world.sent(world.transfer(), None);
    let register = miner.register(&genesis, spare, Some(payer));
    let signed = |transaction: &Transaction, wallet, miner| resigned(&genesis, transaction.clone(), wallet, miner);
    let wallet = Some(world.wallet(0));

    let error = |kind, whose, found| TransactionError::Signatures { kind, whose, found };
    let (payers, miners) = ("account's", "miner's");
    let cases = [
        ("unsigned", signed(&transfer, None, None), error("transfer", payers, false)),
        ("signed by a miner too", signed(&transfer, wallet, Some(miner)), error("transfer", miners, true)),
        ("not signed by the payer", signed(&register, None, Some(miner)), error("register plot", payers, false)),
        ("not signed by the miner", signed(&register, wallet, None), error("register plot", miners, false)),
    ];
    for (what, transaction, error) in cases {
        world.add(what, transaction, error);
    }
    let mut unpaid = miner.register(&genesis, spare, None);
    unpaid.signatures.account = register.signatures.account;
    world.add("signed by a payer that is none", unpaid, error("register plot", payers, true));

    let holds = TransactionError::Signature;
    let by = Some(world.wallet(1));
    world.add("another account's signature", signed(&transfer, by, None), holds(SignatureRule::Account));
    world.add("another miner's signature", signed(&register, wallet, Some(other)), holds(SignatureRule::Miner));
    let Payload::RegisterPlot(asked) = register.payload else { panic!("a registration") };
    let stolen = RegisterPlot { possession: other.secret.prove_possession(&genesis), ..asked.clone() };
    let stolen = world.sent(Payload::RegisterPlot(stolen), Some(miner));
    world.add("another miner's possession", stolen, holds(SignatureRule::Possession));
    // A signature of the same bytes under the other ciphersuite is no proof.
    let message = [&genesis.0[..], &miner.key.0].concat();
    let signed_only = RegisterPlot { possession: miner.secret.sign(&message), ..asked };
    let signed_only = world.sent(Payload::RegisterPlot(signed_only), Some(miner));
    world.add("a signature for a possession", signed_only, holds(SignatureRule::Possession));

    let good = miner.equivocate(&genesis, &world.empty.header);
    for (what, rule) in [("first", SignatureRule::FirstHeader), ("second", SignatureRule::SecondHeader)] {
        let mut forged = good.clone();
        let header = if what == "first" { &mut forged.first } else { &mut forged.second };
        header.signature = other.secret.sign(&header.signed_bytes(&genesis));
        let reported = world.sent(Payload::Evidence(Box::new(forged)), None);
        world.add(&format!("a forged {what} header"), reported, holds(rule));
    }
}

fn plots(world: &mut World<'_>, spare: &MemoryPlot) {
    let miner = &world.fabric.miners[0];
    let Payload::RegisterPlot(register) = miner.register(&world.genesis, spare, None).payload else { panic!() };
    for rows in [0, 15, MAX_ROWS + 1, u64::MAX] {
        let payload = Payload::RegisterPlot(RegisterPlot { rows, ..register.clone() });
        world.add(
            "too few rows, or too many",
            world.sent(payload, Some(miner)),
            TransactionError::Rows { rows, least: 16 },
        );
    }
    for found in [0, 3, 5] {
        let activation = activation(world, found);
        world.add(
            "another number of openings",
            activation,
            TransactionError::Openings { found: found as usize, expected: 4 },
        );
    }
    let all = Capped::new(vec![]).expect("none is not too many");
    let none = ActivatePlot { miner_key: miner.key, plot_key: spare.key(), openings: all };
    let error = TransactionError::Openings { found: 0, expected: 4 };
    world.add("no openings, and paid for", world.sent(Payload::ActivatePlot(none), Some(miner)), error);
}

fn evidence(world: &mut World<'_>) {
    let (genesis, fabric) = (world.genesis, world.fabric);
    let (accused, other) = (miner_two(fabric), &fabric.miners[1]);
    let Evidence { first, second } = accused.equivocate(&genesis, &world.empty.header);
    let mut reported = |what: &str, second: Header, error| {
        let evidence = Evidence { first: first.clone(), second };
        let transaction = world.sent(Payload::Evidence(Box::new(evidence)), None);
        world.add(what, transaction, error);
    };
    reported("one header twice", first.clone(), TransactionError::SameHeader(first.id()));
    let mut foreign = second.clone();
    other.seal(&genesis, &mut foreign);
    let error = TransactionError::TwoMiners { first: accused.key, second: other.key };
    reported("headers of two miners", foreign, error);
    let mut later = Header { epoch: Epoch(second.epoch.0 + 1), ..second.clone() };
    accused.seal(&genesis, &mut later);
    let error = TransactionError::TwoEpochs { first: first.epoch, second: later.epoch };
    reported("headers for two epochs", later, error);
}

fn payments(world: &mut World<'_>) {
    let pay = |world: &World<'_>, amount| {
        let to = world.wallet(1).address;
        world.sent(Payload::Transfer(Transfer { to, amount, memo: Capped::default() }), None)
    };
    let nothing = pay(world, Amount::ZERO);
    world.add("nothing sent", nothing, TransactionError::NoAmount);
    for amount in [Amount(u64::MAX), Amount(u64::MAX - FEE.0 + 1)] {
        let transaction = pay(world, amount);
        world.add("more than can be counted", transaction, TransactionError::AmountOverflow { amount, fee: FEE });
    }
}

fn coinbases(world: &mut World<'_>) {
    let address = world.wallet(0).address;
    let outputs = |amounts: &[u64]| {
        let outputs = amounts.iter().map(|amount| Output { address, amount: Amount(*amount) });
        let mut block = world.empty.clone();
        coinbase_of(&mut block).outputs = Capped::new(outputs.collect()).expect("few enough");
        whole(world.fabric, block)
    };
    let error = TransactionError::EmptyOutput { index: 1 };
    let mut cases = vec![Case::transaction("an output of nothing", outputs(&[1, 0, 2]), 0, error)];
    let wrapping = outputs(&[u64::MAX, 2]);
    cases.push(Case::transaction("outputs that wrap", wrapping, 0, TransactionError::OutputSum));

    let mut sent = world.empty.clone();
    let wallet = world.wallet(0);
    let coinbase = Transaction { sender: Some(wallet.secret.account_key()), fee: FEE, ..sent.transactions[0].clone() };
    sent.transactions[0] = resigned(&world.genesis, coinbase, Some(wallet), None);
    let sent = whole(world.fabric, sent);
    cases.push(Case::transaction("a coinbase that somebody sends", sent, 0, TransactionError::CoinbaseSender));
    let mut signed = world.empty.clone();
    signed.transactions[0].signatures.miner = Some(world.fabric.miners[0].secret.sign(b"anything"));
    let signed = whole(world.fabric, signed);
    let error = TransactionError::Signatures { kind: "coinbase", whose: "miner's", found: true };
    cases.push(Case::transaction("a coinbase that somebody signs", signed, 0, error));
    world.cases.extend(cases);
}
