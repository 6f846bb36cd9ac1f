//! `spacetime devnet`: a network of nodes and miners on this machine, each a process of its own, with real plots on disk.
//!
//! Keys, plots and genesis are made first (`people`, `plots`, `genesis`) in a folder (`place`); then the very
//! program is started several times (`process`, `fleet`) and asked over HTTP how it is (`rpc`, `follow`). At the
//! end all are stopped, and what they have left on disk is read (`audit`). `play` is all of it in its order.

mod audit;
mod blocks;
mod fleet;
mod follow;
mod genesis;
mod people;
mod place;
mod play;
mod plots;
mod process;
mod rpc;
mod screen;
mod summary;
mod table;
mod transfers;
mod windows;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::fleet::{miner_name, node_name};
use self::place::Place;
use self::screen::Screen;
use crate::interrupt::Interrupt;
use crate::{Code, Failure};

/// Most nodes, and most miners: each is a process with a hundred megabytes, and a node takes 32 peers.
const MOST: i64 = 32;
/// How often processes are looked at while they are waited for.
const TICK: Duration = Duration::from_millis(50);

/// Runs a network of nodes and miners on this machine, each a process of its own, on a chain of its own with epochs of
/// a second. Ctrl-C stops all.
///
/// With --blocks it ends by itself and prints a summary as the last line of standard output; the exit code is 0 only if
/// all nodes have the same head and what they have left on disk is sound.
#[derive(Debug, Args)]
pub struct Devnet {
    /// Nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=MOST), value_name = "N", allow_negative_numbers = true)]
    nodes: u8,
    /// Miners. Each has two plots that may win from the first block, and one that it registers by itself.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=MOST), value_name = "N", allow_negative_numbers = true)]
    miners: u8,
    /// Ends when the chain is so long, a transfer has arrived, and all nodes agree.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "N", allow_negative_numbers = true)]
    blocks: Option<u32>,
    /// Keeps everything in this folder, which may hold other files. Without it all goes at the end, unless something
    /// went wrong.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Prints JSON objects, a line each: blocks, transfers, then the summary.
    #[arg(long)]
    json: bool,
}

/// The user asked to stop.
fn interrupted() -> Failure {
    Failure::interrupted("stopped; all its processes have ended")
}

impl Devnet {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let interrupt = Interrupt::install()?;
        let nodes = (1..=usize::from(self.nodes)).map(node_name);
        let names: Vec<_> = nodes.chain((1..=usize::from(self.miners)).map(miner_name)).collect();
        let place = Place::open(self.dir.as_deref(), &names)?;
        let mut screen = Screen::new(self.json);
        let played = play::play(&self, &place, &mut screen, &interrupt);
        drop(screen);
        match played {
            Err(failure) if failure.code() != Code::Interrupted && place.is_temporary() => {
                let code = failure.code();
                let kept = place.keep();
                Err(Failure::new(code, format!("{failure}; all is left in {}", kept.display())))
            }
            played => played,
        }
    }
}
