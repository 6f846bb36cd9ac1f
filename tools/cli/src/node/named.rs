//! Chains that this program knows by name: what is signed for one holds on the chain that a node names.

use spacetime_node::chain::BlockId;
use spacetime_node::consensus::Specification;
use spacetime_node::state::genesis;

use crate::Failure;

/// Whether a node's chain is the one that it is called, as far as that is known here. `node` is what is said of the node.
///
/// # Errors
/// Code 3 if it is not.
pub(crate) fn check(node: &str, network: &str, hrp: &str, id: BlockId) -> Result<(), Failure> {
    for known in [Specification::main(), Specification::test()] {
        let is_named = known.parameters.hrp == hrp || known.parameters.network == network;
        let expected = genesis(&known).map(|genesis| genesis.lineage.id);
        if is_named && expected.is_ok_and(|expected| expected != id) {
            return Err(Failure::damaged(format!(
                "{node} says that its network is {}, but its genesis is not that network's",
                known.parameters.network
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_under_the_name_of_another_is_none_to_sign_for() {
        let main = Specification::main().parameters;
        let id = genesis(&Specification::main()).expect("it has one").lineage.id;
        let other = BlockId([7; 32]);
        check("a node", &main.network, &main.hrp, id).expect("it is that chain");
        check("a node", "mine", "mine", other).expect("it is not known by that name");
        for (network, hrp) in [(&*main.network, &*main.hrp), (&main.network, "mine"), ("mine", &main.hrp)] {
            let failure = check("a node", network, hrp, other).expect_err("it is not that chain").to_string();
            assert!(failure.contains("a node says that its network is main"), "{failure}");
        }
    }
}
