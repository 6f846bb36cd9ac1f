//! A court: a manager, a good block, and bad ones that stand where it stands.

#[path = "../chain/common.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the chain's tests, which ask for more")]
mod manager;

use spacetime_kernels::{Challenge, score};
use spacetime_node::chain::rules::{BlockError, TransactionError};
use spacetime_node::chain::{
    Block, BlockId, Capped, Coinbase, Epoch, HEADER_VERSION, Hash, Header, MinerSignature, Output, Payload, PlotId,
    Signatures, Transaction, plot_key, proof_id,
};
use spacetime_node::consensus::{Claim, Engine, reveal_message};
use spacetime_node::manager::{Refusal, Verdict};
use spacetime_node::state::tree::commit;
use spacetime_node::state::{Execution, Place};
use spacetime_node::testing::{Fabric, MemoryPlot, Miner};
use spacetime_prover::Proof;

pub(crate) use manager::{LATER_MS, blocks, clock_at, dump, fresh, submit, verdict};

/// A block that breaks one rule.
pub(crate) struct Case {
    /// What was done to it.
    pub(crate) what: String,
    /// The block.
    pub(crate) block: Block,
    /// The clock when it comes.
    pub(crate) now_ms: u64,
    /// What it is refused with.
    pub(crate) expected: BlockError,
}

impl Case {
    pub(crate) fn new(what: impl Into<String>, block: Block, expected: impl Into<BlockError>) -> Self {
        Self { what: what.into(), block, now_ms: LATER_MS, expected: expected.into() }
    }

    /// A block whose `index`-th transaction breaks a rule.
    pub(crate) fn transaction(what: impl Into<String>, block: Block, index: usize, error: TransactionError) -> Self {
        Self::new(what, block, BlockError::Transaction { index, error })
    }
}

/// Bad blocks on a chain, and a good one.
pub(crate) struct Trial {
    pub(crate) fabric: Fabric,
    /// What the manager holds when the blocks come, lowest first.
    pub(crate) held: Vec<BlockId>,
    /// What is accepted when all others were refused.
    pub(crate) good: Block,
    pub(crate) cases: Vec<Case>,
}

impl Trial {
    /// Each bad block is refused with its rule's error and leaves nothing behind, the good one is connected.
    pub(crate) fn run(&self) {
        let (mut manager, database) = fresh(&self.fabric);
        submit(&mut manager, blocks(&self.fabric, &self.held), LATER_MS);
        let (tip, before) = (manager.tip().clone(), dump(&database));
        assert_eq!(Some(&tip.id), self.held.last());
        for Case { what, block, now_ms, expected } in &self.cases {
            let found = verdict(&mut manager, block, *now_ms);
            assert_eq!(found, Verdict::Refused(Refusal::Rule(expected.clone())), "{what}");
            assert_eq!(manager.tip(), &tip, "{what}");
            assert!(dump(&database) == before, "{what}: something was written");
            assert_eq!(manager.waiting(), 0, "{what}");
            let again = verdict(&mut manager, block, *now_ms);
            let condemned = Verdict::Refused(Refusal::Condemned { ancestor: block.id() });
            assert_eq!(again, if expected.condemns() { condemned } else { found }, "{what}: once more");
        }
        assert_eq!(verdict(&mut manager, &self.good, LATER_MS), Verdict::Connected);
        assert_eq!(manager.tip().id, self.good.id());
    }
}

/// Whose block it is.
pub(crate) fn winner<'a>(fabric: &'a Fabric, block: &Block) -> &'a Miner {
    fabric.miners.iter().find(|miner| miner.key == block.header.miner_key).expect("a miner of the fabric")
}

/// The first epoch upon `parent` that `prove` finds a proof for whose score wins.
pub(crate) fn search(fabric: &Fabric, parent: &BlockId, prove: impl Fn(&Claim) -> Option<Proof>) -> (Epoch, Proof) {
    let lineage = &fabric.made(parent).lineage;
    let epochs = lineage.epoch.0 + 1..lineage.epoch.0 + 5000;
    let won = epochs.map(Epoch).find_map(|epoch| {
        let claim = fabric.engine.claim(lineage, epoch);
        let proof = prove(&claim).filter(|proof| claim.target.is_met_by(&score(&claim.challenge, &proof.leaf)))?;
        Some((epoch, proof))
    });
    won.expect("something wins within 5000 epochs")
}

/// The next win of one plot, whether it may win or not.
pub(crate) fn win_of(fabric: &Fabric, parent: &BlockId, plot: &MemoryPlot) -> (Epoch, Proof) {
    search(fabric, parent, |claim| {
        let best = plot.best(&claim.challenge, claim.column);
        Some(plot.prove(&claim.challenge, claim.column, best.row))
    })
}

/// A block of a proof, as its miner would make it, whatever rules it breaks: the coinbase pays the reward to the miner.
pub(crate) fn forge(
    fabric: &Fabric,
    parent: &BlockId,
    miner: &Miner,
    (epoch, proof): (Epoch, Proof),
    transactions: Vec<Transaction>,
) -> Block {
    let (genesis, parameters) = (fabric.genesis_id(), fabric.parameters());
    let lineage = &fabric.made(parent).lineage;
    let Claim { target, challenge, .. } = fabric.engine.claim(lineage, epoch);
    let key = plot_key(parameters, &miner.key, &proof.seed);
    let height = lineage.height.next();
    let issued = fabric.ledger(parent).chain().expect("memory can be read").issued;
    let reward = Output { address: miner.wallet.address, amount: parameters.emission.reward(height, issued) };
    let outputs = Capped::new(vec![reward]).expect("one is not too many");
    let coinbase = Coinbase { height, miner_key: miner.key, outputs, extra: Capped::default() };
    let header = Header {
        version: HEADER_VERSION,
        height,
        epoch,
        timestamp_ms: fabric.specification.genesis.time_ms + epoch.0 * parameters.epoch_ms + 1,
        parent: *parent,
        target,
        miner_key: miner.key,
        plot_id: PlotId(spacetime_kernels::plot_id(&key, proof.rows, &proof.root)),
        plot_root: Hash(proof.root),
        score: score(&Challenge(challenge.0), &proof.leaf),
        proof_id: proof_id(&proof),
        transaction_root: Hash::ZERO,
        state_root: Hash::ZERO,
        extension: Hash::ZERO,
        reveal: miner.secret.sign(&reveal_message(&genesis, &challenge)),
        signature: MinerSignature::ZERO,
    };
    let mut all = vec![unsent(Payload::Coinbase(coinbase))];
    all.extend(transactions);
    whole(fabric, Block { header, proof, transactions: all, metadata: None })
}

/// A transaction that nobody sends or signs.
pub(crate) fn unsent(payload: Payload) -> Transaction {
    Transaction {
        sender: None,
        nonce: 0,
        fee: spacetime_node::chain::Amount::ZERO,
        payload,
        signatures: Signatures::default(),
    }
}

/// The coinbase of a block that begins with one.
pub(crate) fn coinbase_of(block: &mut Block) -> &mut Coinbase {
    match &mut block.transactions[0].payload {
        Payload::Coinbase(coinbase) => coinbase,
        _ => panic!("a coinbase comes first"),
    }
}

/// A changed block made whole again: ids, roots and signature are those of what it has become. Where its execution
/// fails there is no state after it, and the state root stays.
pub(crate) fn whole(fabric: &Fabric, mut block: Block) -> Block {
    if let Some(root) = state_root(fabric, &block) {
        block.header.state_root = root;
    }
    fabric.reseal(block)
}

/// Signs the header as it is.
pub(crate) fn sealed(fabric: &Fabric, mut block: Block) -> Block {
    let miner = winner(fabric, &block);
    miner.seal(&fabric.genesis_id(), &mut block.header);
    block
}

fn state_root(fabric: &Fabric, block: &Block) -> Option<Hash> {
    let Header { parent, miner_key, plot_id, .. } = block.header;
    let (parameters, state) = (fabric.parameters(), fabric.state(&parent));
    let parent = &fabric.made(&parent).lineage;
    // The id, which covers the state root, is no part of the state.
    let lineage = fabric.engine.extend(parent, &block.header, block.id());
    let place = Place { parameters, parent, lineage: &lineage, miner_key };
    let key = Hash(plot_key(parameters, &miner_key, &block.proof.seed).0);
    let mut execution = Execution::begin(place, key, plot_id, state).ok()?;
    for transaction in &block.transactions {
        execution.apply(transaction).ok()?;
    }
    let coinbase = block.transactions.iter().find_map(|transaction| match &transaction.payload {
        Payload::Coinbase(coinbase) => Some(coinbase),
        _ => None,
    })?;
    let changes = execution.finish(coinbase).ok()?;
    let leaves = changes.iter().map(|(key, value)| (key.hash(), value.as_deref()));
    Some(commit(&state, Some(parent.height.0), leaves).ok()?.root)
}

/// The control: a court that acquits the good and is told to find it guilty.
#[test]
#[should_panic(expected = "a good block")]
fn a_wrong_verdict_is_noticed() {
    let mut fabric = Fabric::default();
    let held = fabric.chain(&fabric.genesis_id(), 2, 1);
    let id = fabric.chain(&held[1], 1, 1)[0];
    let good = fabric.block(&id).clone();
    let case = Case::new("a good block", good.clone(), BlockError::NoCoinbase);
    Trial { fabric, held, good, cases: vec![case] }.run();
}

/// Making a good block whole again changes nothing: what is refused is refused for what was changed.
#[test]
fn whole_blocks_stay_as_they_are() {
    let mut fabric = Fabric::default();
    let held = fabric.chain(&fabric.genesis_id(), 9, 2);
    for id in &held {
        let block = fabric.block(id);
        assert_eq!(&whole(&fabric, block.clone()), block);
        let mut rootless = block.clone();
        rootless.header.state_root = Hash::ZERO;
        assert_eq!(&whole(&fabric, rootless), block);
    }
}
