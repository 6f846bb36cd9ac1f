//! `--payout`: who is paid. Which chain the address belongs to is seen once the node has said which chain it is on.

use spacetime_node::chain::Address;
use spacetime_node::miner::work::ChainWork;

use crate::Failure;
use crate::node::named;

/// An address, and the chain's part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PayTo {
    address: Address,
    hrp: String,
}

/// Reads an address of whatever chain.
pub(super) fn parse(text: &str) -> Result<PayTo, String> {
    let hrp = text.rsplit_once('1').map_or("", |(hrp, _)| hrp).to_lowercase();
    let address = Address::parse(text, &hrp).map_err(|error| error.to_string())?;
    Ok(PayTo { address, hrp })
}

impl PayTo {
    pub(super) fn address(&self) -> Address {
        self.address
    }

    /// Whether it is an address of the node's chain, and that chain the one that it says it is.
    pub(super) fn check(&self, chain: &ChainWork) -> Result<(), Failure> {
        if self.hrp != chain.hrp {
            return Err(Failure::usage(format!(
                "--payout: an address of the node's chain begins with {}1, this with {}1",
                chain.hrp, self.hrp
            )));
        }
        named::check("the node", &chain.network, &chain.hrp, chain.genesis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_any_chain() {
        let address = Address([7; 20]);
        for hrp in ["st", "tst", "lst", "x1y"] {
            let text = address.encode(hrp);
            let found = parse(&text).expect(&text);
            assert_eq!((found.address, &*found.hrp), (address, hrp));
            assert_eq!(parse(&text.to_uppercase()).expect("upper case"), found);
        }
        let text = address.encode("st");
        for wrong in ["", "1", "st1", &text[..text.len() - 1], &text.replace("st1", "tst1")] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
