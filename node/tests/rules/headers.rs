//! Rules of headers (PROTOCOL §6, §7).

use spacetime_kernels::Target;
use spacetime_node::chain::rules::{CLOCK_TOLERANCE_MS, HeaderError, SignatureRule};
use spacetime_node::chain::{Block, Epoch, Hash, Height};
use spacetime_node::testing::{Fabric, Order};

use crate::common::{Case, Trial, clock_at, coinbase_of, forge, sealed, whole, winner};

pub(crate) fn trials() -> Vec<Trial> {
    vec![fields(), deep()]
}

#[test]
fn are_kept() {
    trials().iter().for_each(Trial::run);
}

fn fields() -> Trial {
    let mut fabric = Fabric::default();
    let held = fabric.chain(&fabric.genesis_id(), 6, 1);
    let id = fabric.chain(&held[5], 1, 2)[0];
    let good = fabric.block(&id).clone();
    let parent = fabric.made(&held[5]).lineage.clone();
    let changed = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        whole(&fabric, block)
    };
    let case = |what: &str, block: Block, error: HeaderError| Case::new(what, block, error);
    let (epoch, timestamp_ms) = (good.header.epoch, good.header.timestamp_ms);
    let epoch_ms = fabric.parameters().epoch_ms;
    let genesis_ms = fabric.specification.genesis.time_ms;
    let mut cases = Vec::new();

    cases.push(case("another version", changed(&|block| block.header.version = 2), HeaderError::Version(2)));
    for found in [Height(6), Height(8), Height(u64::MAX)] {
        let block = changed(&|block| {
            block.header.height = found;
            coinbase_of(block).height = found;
        });
        cases.push(case("another height", block, HeaderError::Height { found, parent: Height(6) }));
    }
    // The parent's winner wins the same epoch once more.
    let before = fabric.block(&held[5]);
    let again = forge(&fabric, &held[5], winner(&fabric, before), (parent.epoch, before.proof.clone()), Vec::new());
    cases.push(case("the parent's epoch", again, HeaderError::Epoch { found: parent.epoch, parent: parent.epoch }));
    let block = changed(&|block| block.header.timestamp_ms = genesis_ms - 1);
    cases.push(case("before genesis", block, HeaderError::BeforeGenesis { timestamp_ms: genesis_ms - 1 }));
    let (first_ms, next_ms) = (genesis_ms + epoch.0 * epoch_ms, genesis_ms + (epoch.0 + 1) * epoch_ms);
    for (timestamp_ms, expected) in [(first_ms - 1, Epoch(epoch.0 - 1)), (next_ms, Epoch(epoch.0 + 1))] {
        let block = changed(&|block| block.header.timestamp_ms = timestamp_ms);
        cases.push(case(
            "another epoch's time",
            block,
            HeaderError::Timestamp { found: epoch, timestamp_ms, expected },
        ));
    }
    let early = HeaderError::Early { found: epoch, latest: Epoch(epoch.0 - 1) };
    let now_ms = first_ms - CLOCK_TOLERANCE_MS - 1;
    assert!(timestamp_ms > now_ms);
    cases.push(Case { now_ms, ..case("too early", good.clone(), early) });
    let block = changed(&|block| block.header.extension = Hash([1; 32]));
    cases.push(case("an extension", block, HeaderError::Extension(Hash([1; 32]))));
    let expected = good.header.target;
    let block = changed(&|block| block.header.target = Target::MAX);
    cases.push(case("an easier target", block, HeaderError::Target { found: Target::MAX, expected }));
    let mut block = good.clone();
    block.header.proof_id = Hash([1; 32]);
    let expected = HeaderError::ProofId { found: good.header.proof_id, expected: Hash([1; 32]) };
    cases.push(case("another proof's id", sealed(&fabric, block), expected));

    let other = fabric.miners.iter().find(|miner| miner.key != good.header.miner_key).expect("there are three");
    let mut block = good.clone();
    block.header.signature = other.secret.sign(&good.header.signed_bytes(&fabric.genesis_id()));
    cases.push(case("another miner's signature", block, HeaderError::Signature(SignatureRule::Header)));
    let mut block = good.clone();
    block.header.signature.0[95] ^= 1;
    cases.push(case("a signature off its curve", block, HeaderError::Signature(SignatureRule::Header)));
    let block = changed(&|block| block.header.reveal = before.header.reveal);
    cases.push(case("another epoch's reveal", block, HeaderError::Signature(SignatureRule::Reveal)));
    let block = changed(&|block| block.header.reveal = block.header.signature);
    cases.push(case("a signature of something else", block, HeaderError::Signature(SignatureRule::Reveal)));
    Trial { held, good, cases, fabric }
}

/// A fork one block deeper than the limit, and one that is not.
fn deep() -> Trial {
    let mut fabric = Fabric::default();
    let limit = fabric.parameters().reorg_limit;
    let held = fabric.chain(&fabric.genesis_id(), limit + 1, 0);
    let fork = fabric.make(&fabric.genesis_id(), Order { skip_epochs: 20, ..Order::default() });
    let good = fabric.chain(held.last().expect("some"), 1, 0)[0];
    let now_ms = clock_at(&fabric, &fork).max(clock_at(&fabric, &good));
    let error = HeaderError::TooDeep { fork: Height(0), depth: limit + 1, limit };
    let case = Case { now_ms, ..Case::new("too deep a fork", fabric.block(&fork).clone(), error) };
    Trial { held, good: fabric.block(&good).clone(), cases: vec![case], fabric }
}
