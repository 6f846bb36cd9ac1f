//! Each rule has a block that breaks it and, as far as that can be, no other: it is refused with that rule's error,
//! changes nothing, and the good block beside it is taken afterwards.

mod body;
mod cells;
mod common;
mod forms;
mod headers;
mod names;
mod order;
mod proofs;
mod resources;
mod states;
mod winners;

use std::collections::BTreeSet;

use spacetime_node::chain::rules::BlockError;

use crate::names::{ALL, path};

#[test]
fn every_rule_has_its_block() {
    let trials = [
        headers::trials(),
        proofs::trials(),
        cells::trials(),
        body::trials(),
        forms::trials(),
        states::trials(),
        winners::trials(),
    ];
    let mut seen: BTreeSet<String> =
        trials.iter().flatten().flat_map(|trial| &trial.cases).map(|case| path(&case.expected)).collect();
    // No chain is long enough for it: it is broken in a state of our own.
    let last = BlockError::Transaction { index: 0, error: states::nonce_end() };
    assert!(seen.insert(path(&last)));
    let all: BTreeSet<String> =
        ALL.iter().flat_map(|(prefix, names)| names.iter().map(move |name| format!("{prefix}{name}"))).collect();
    let missing: Vec<_> = all.difference(&seen).collect();
    assert!(missing.is_empty(), "no block breaks {missing:?}");
    let unknown: Vec<_> = seen.difference(&all).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not listed");
}
