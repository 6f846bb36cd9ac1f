//! Blocks of any proof, whatever rules they break.

use spacetime_kernels::score;
use spacetime_node::chain::{
    Amount, Block, BlockId, Capped, Coinbase, Epoch, HEADER_VERSION, Hash, Header, MinerSignature, Output, Payload,
    PlotId, Signatures, Transaction, plot_key, proof_id,
};
use spacetime_node::consensus::{Claim, Engine, reveal_message};
use spacetime_node::state::tree::commit;
use spacetime_node::state::{Execution, Place};
use spacetime_node::testing::{Fabric, MemoryPlot, Miner};
use spacetime_prover::Proof;

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
        score: score(&challenge, &proof.leaf),
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
    Transaction { sender: None, nonce: 0, fee: Amount::ZERO, payload, signatures: Signatures::default() }
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
