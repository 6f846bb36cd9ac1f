//! `spacetime wallet balance`.

use clap::Args;
use serde::Serialize;
use spacetime_node::chain::{Address, BlockId, HEADER_BYTES, Header, Height, decode};
use spacetime_node::rpc::answers::{BalanceAnswer, ProofAnswer, Units};
use spacetime_node::state::StateKey;
use spacetime_node::state::proof::StateProof;

use super::client::NodeUrl;
use super::owner::Whom;
use crate::args::show_coins;
use crate::{Failure, out};

/// Longest encoding of an account: balance and nonce.
const MAX_ACCOUNT_BYTES: usize = 16;

/// `spacetime wallet balance`.
#[derive(Debug, Args)]
pub struct Balance {
    #[command(flatten)]
    whom: Whom,
    /// Has the node prove it, and checks the proof against the header of the chain's last block.
    #[arg(long)]
    proof: bool,
    /// Prints a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeUrl,
}

#[derive(Serialize)]
struct Shown<'a> {
    address: &'a str,
    block: BlockId,
    height: Height,
    mature: Units,
    immature: Units,
    nonce: u64,
    next_nonce: u64,
    proved: bool,
}

impl Balance {
    pub(super) fn run(self) -> Result<(), Failure> {
        let node = self.node.connect();
        let (address, text) = self.whom.address(&node)?;
        let found = node.balance(&text, self.proof)?;
        if self.proof {
            let proof = found.proof.as_ref().ok_or_else(|| Failure::damaged("the node gives no proof"))?;
            check(&address, &found, proof).map_err(|reason| Failure::damaged(format!("the node's proof: {reason}")))?;
        }
        if self.json {
            let BalanceAnswer { block, height, mature, immature, nonce, next_nonce, .. } = found;
            let proved = self.proof;
            return out::json(&Shown { address: &text, block, height, mature, immature, nonce, next_nonce, proved });
        }
        out::line(format!("{} coins", show_coins(found.mature.0)))?;
        if found.immature.0.0 > 0 {
            out::line(format!("{} coins of rewards, which cannot be spent yet", show_coins(found.immature.0)))?;
        }
        if self.proof {
            out::line(format!("proved by the state of block {} at height {}", found.block, found.height))?;
        }
        Ok(())
    }
}

/// Whether the proof shows what the answer says, in the state of the block that it names.
fn check(address: &Address, answer: &BalanceAnswer, proof: &ProofAnswer) -> Result<(), String> {
    let unhex = |name: &str, text: &str| const_hex::decode(text).map_err(|error| format!("{name}: {error}"));
    let header = unhex("header", &proof.header)?;
    let header: Header = decode("header", &header, HEADER_BYTES).map_err(|error| error.to_string())?;
    if header.id() != answer.block || header.height != answer.height {
        return Err("its header is not that of the block it names".to_owned());
    }
    let path = StateProof::decode(&unhex("path", &proof.path)?).map_err(|error| error.to_string())?;
    let value = proof.account.as_deref().map(|text| unhex("account", text)).transpose()?;
    let key = StateKey::Account(*address).hash();
    path.verify(&header.state_root, &key, value.as_deref()).map_err(|error| error.to_string())?;
    let account: Option<(u64, u64)> = match &value {
        Some(bytes) => Some(decode("account", bytes, MAX_ACCOUNT_BYTES).map_err(|error| error.to_string())?),
        None => None,
    };
    if account.unwrap_or_default() == (answer.mature.0.0, answer.nonce) {
        Ok(())
    } else {
        Err("it shows another balance than the node says".to_owned())
    }
}
