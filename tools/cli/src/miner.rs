//! `spacetime miner`: mining as a process of its own, by way of a node.

mod events;
pub(crate) mod lines;
mod link;
mod payout;
pub(crate) mod prepare;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgGroup, Args};
use spacetime_node::miner::{News, RunError, Stop, run};
use tracing::info;

use self::lines::Lines;
use self::link::HttpLink;
use self::payout::PayTo;
use self::prepare::{Prepared, Wishes};
use crate::Failure;
use crate::args::FarmFlags;
use crate::interrupt::Interrupt;
use crate::keys::passphrase::PassphraseFile;

/// Mines with plots on this machine for a node here or elsewhere, until Ctrl-C or SIGTERM.
///
/// Sweeps the plots for each group of challenges, proves and submits what wins, and signs the header that the node then
/// makes, once for an epoch: what was signed is remembered in a file beside the keystore. Each epoch leaves one line on
/// standard output. Plots that the chain does not know yet are registered and activated.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("registration"))]
pub struct Miner {
    /// The node.
    #[arg(long, value_name = "URL", env = "SPACETIME_NODE", default_value = "http://127.0.0.1:21211")]
    node: String,
    /// A keystore of the plots' miner key; may be given several times.
    #[arg(long, required = true, value_name = "FILE")]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseFile,
    /// The address that blocks pay to.
    #[arg(long, value_name = "ADDRESS", value_parser = payout::parse)]
    payout: PayTo,
    /// Keeps the record of what was signed in this folder instead of beside each keystore.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Leaves plots alone that the chain does not know.
    #[arg(long, group = "registration")]
    no_register: bool,
    /// The keystore of an account that pays the least fee for registrations and activations. Without it they are sent
    /// without a fee, of which blocks take few.
    #[arg(long, group = "registration", value_name = "FILE")]
    pay_fees: Option<PathBuf>,
    /// Holds up plotting while there is work: give the same file to `plot create --pause-file`.
    #[arg(long, value_name = "FILE")]
    pause_file: Option<PathBuf>,
    #[command(flatten)]
    engine: FarmFlags,
    /// Prints a JSON object for each epoch.
    #[arg(long)]
    json: bool,
    /// Plots, or folders that hold some or will.
    #[arg(required = true, value_name = "PLOTS")]
    paths: Vec<PathBuf>,
}

impl Miner {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let link = HttpLink::new(&self.node)?;
        let wishes = Wishes {
            plots: &self.paths,
            keys: &self.keys,
            passphrase: &self.passphrase,
            records: self.data.as_deref(),
            payout: self.payout.address(),
            register: !self.no_register,
            pay_fees: self.pay_fees.as_deref(),
            pause_file: self.pause_file.as_deref(),
            engine: &self.engine,
        };
        let Prepared { options, record, field } = wishes.prepare()?;
        let stop = Stop::new();
        let at_signal = stop.clone();
        let interrupt = Interrupt::install()?;
        interrupt.then(move || at_signal.set())?;
        let (mut failure, mut lines) = (None, Lines::new(self.json));
        let ended = run(options, record, Arc::new(field), Arc::new(link), &stop, |news| {
            self.tell(&news, &mut lines).map_err(|error| {
                let text = error.to_string();
                failure = Some(error);
                text
            })
        });
        match (ended, failure) {
            // To be stopped is how a miner ends.
            (Ok(()), _) => interrupt.end_of_service(),
            (Err(_), Some(failure)) => Err(failure),
            (Err(error @ RunError::OtherChain { .. }), None) => Err(Failure::damaged(error)),
            (Err(error), None) => Err(Failure::failed(error)),
        }
    }

    fn tell(&self, news: &News<'_>, lines: &mut Lines) -> Result<(), Failure> {
        match news {
            News::Window(line) => {
                lines.tell(line);
                Ok(())
            }
            News::Chain(chain) => {
                info!(network = chain.network, genesis = %chain.genesis, "following {}", self.node);
                self.payout.check(chain)
            }
            News::Plots(plots) => {
                info!(plots = plots.len(), "plots that can be used");
                Ok(())
            }
        }
    }
}
