//! A peer that means harm: it connects with a node over real sockets, does one of the things below, and says what became
//! of it.
//!
//!     adversary KIND MULTIADDR --chain FILE [--seconds N] [--seed N] [--from IP]...
//!     adversary genesis [--seed N]      what a chain's genesis needs for the kinds that win epochs or send money, as JSON
//!
//! | kind | does |
//! |---|---|
//! | `oversized` | announces a question of 4 GiB |
//! | `garbage` | asks what is no question |
//! | `garbage-gossip` | forwards what is no message |
//! | `garbage-answer` | answers HELLO and all else with bytes that are no answer |
//! | `silent` | says nothing at all |
//! | `slow-reader` | asks for all that is large, and reads none of it |
//! | `overstated` | claims a heavy chain, and has no headers of it |
//! | `forged-headers` | claims a heavy chain, whose headers win with a plot that nobody grew |
//! | `bad-body` | wins an epoch, and forwards the block with a body that is not its header's |
//! | `bad-state` | wins an epoch, and forwards a block whose state root is wrong |
//! | `equivocation` | wins epochs, and signs a dozen blocks for each |
//! | `withheld` | wins epochs, shows headers, and gives no bodies |
//! | `unpaid-transactions` | forwards transactions of accounts that have nothing, as fast as it can |
//! | `forged-transaction` | forwards a transaction with a wrong signature |
//! | `same-block` | forwards one block over and over, with other words about the software each time |
//! | `questions` | asks for headers and blocks as fast as it can |
//! | `eclipse` | comes as many peers, one from each `--from`, several times |
//! | `load` | no harm: sends transactions that are paid for, so that blocks are large |
//!
//! Each prints JSON objects, a line each, the last of which is the report. All that it makes comes from the seed.

mod attack;
mod chain;
mod eclipse;
mod floods;
mod passage;
mod peer;
mod winner;
mod wire;

use std::error::Error;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use serde_json::json;
use spacetime_node::consensus::{Parameters, Specification};
use spacetime_node::testing::Random;

use crate::attack::{Kind, Report};
use crate::chain::People;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    kind: Kind,
    target: Multiaddr,
    specification: Arc<Specification>,
    lasts: Duration,
    seed: u64,
    /// Addresses to come from; any, without one.
    from: Vec<IpAddr>,
}

const USAGE: &str =
    "adversary KIND MULTIADDR --chain FILE [--seconds N] [--seed N] [--from IP]... | adversary genesis [--seed N]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().ok_or(USAGE)?;
    let (mut target, mut chain, mut seconds, mut seed, mut from) = (None, None, 10, 1, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--chain" => chain = Some(value()?),
            "--seconds" => seconds = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            "--from" => from.push(value()?.parse()?),
            _ if target.is_none() => target = Some(argument.parse()?),
            _ => return Err(USAGE.into()),
        }
    }
    if kind == "genesis" {
        let people = People::new(&Parameters::local(), seed);
        println!("{}", json!({ "plots": people.genesis_plots(), "accounts": people.addresses() }));
        return Ok(());
    }
    let (Some(target), Some(chain)) = (target, chain) else { return Err(USAGE.into()) };
    let specification = Arc::new(Specification::parse(&fs::read_to_string(chain)?)?);
    let kind = Kind::named(&kind).ok_or_else(|| format!("there is no {kind}: {USAGE}"))?;
    let plan = Plan { kind, target, specification, lasts: Duration::from_secs(seconds), seed, from };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report: Report = runtime.block_on(attack::run(&plan))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

impl Plan {
    /// The secret of the peer's key.
    pub(crate) fn secret(&self, number: u64) -> [u8; 32] {
        let kind = self.kind as u64;
        Random::new(self.seed.wrapping_mul(1_000_003).wrapping_add(kind * 1_000 + number)).bytes()
    }
}
