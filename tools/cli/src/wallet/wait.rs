//! Waiting until a block holds what was sent.

use std::time::{Duration, Instant};

use clap::Args;
use spacetime_node::chain::{Height, TransactionId};
use spacetime_node::rpc::answers::{Place, TransactionAnswer};

use super::client::Node;
use crate::Failure;
use crate::args::duration;
use crate::interrupt::Interrupt;

/// How often the node is asked whether the transaction is in a block.
const LOOK: Duration = Duration::from_millis(500);

/// Whether to wait, and for how long.
#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Waits until a block holds what was sent.
    #[arg(long)]
    wait: bool,
    /// Waits no longer than this for each.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m", requires = "wait")]
    timeout: Duration,
}

/// Waits, unless the user ends it.
pub(super) struct Patience {
    interrupt: Interrupt,
    timeout: Duration,
}

impl Wait {
    /// Before anything is sent: a Ctrl-C from now on must not hide that it was. None if nothing is waited for.
    pub(super) fn begin(&self) -> Result<Option<Patience>, Failure> {
        if !self.wait {
            return Ok(None);
        }
        Ok(Some(Patience { interrupt: Interrupt::install()?, timeout: self.timeout }))
    }
}

impl Patience {
    /// The height of the block that holds a transaction, once one does.
    pub(super) fn for_block(&self, node: &Node, id: &TransactionId) -> Result<Height, Failure> {
        // A time beyond all clocks is no end.
        let end = Instant::now().checked_add(self.timeout);
        let path = format!("/rpc/getTx/{id}");
        loop {
            // It may leave the pool and be no longer, or not yet again, in a block: that is for the end to say.
            let found: Result<Option<TransactionAnswer>, Failure> = node.look(&path);
            if let Ok(Some(TransactionAnswer { place: Some(Place::Block { height, .. }), .. })) = found {
                return Ok(height);
            }
            self.interrupt.check(&format!("stopped waiting; transaction {id} was sent"))?;
            if end.is_some_and(|end| Instant::now() >= end) {
                let place = match found {
                    Ok(Some(_)) => "it waits in the node's pool still".to_owned(),
                    Ok(None) => "the node knows it no more".to_owned(),
                    // What was sent is sent, whether the node can be asked or not.
                    Err(failure) => failure.to_string(),
                };
                return Err(Failure::failed(format!(
                    "transaction {id} was sent, but no block is known to hold it; {place}"
                )));
            }
            std::thread::sleep(LOOK);
        }
    }
}
