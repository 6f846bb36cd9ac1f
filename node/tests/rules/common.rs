//! A court: a manager, a good block, and bad ones that stand where it stands.

#[path = "../forge/mod.rs"]
mod forge;
#[path = "../chain/common.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the chain's tests, which ask for more")]
mod manager;

use spacetime_node::chain::rules::{BlockError, TransactionError};
use spacetime_node::chain::{Block, BlockId, Hash};
use spacetime_node::manager::{Refusal, Verdict};
use spacetime_node::testing::Fabric;

pub(crate) use forge::{coinbase_of, forge, sealed, search, whole, win_of, winner};
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
