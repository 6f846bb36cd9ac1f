//! Which verbs and flags there are.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgAction, Parser, Subcommand};

use crate::exit::one_line;
use crate::log::Verbosity;
use crate::{Code, Failure, bench, keys, manual, plot, prove, verify};
#[cfg(feature = "node")]
use crate::{devnet, miner, node, wallet};

/// Plot, check, prove and verify: proof of space-time at hardware speed.
///
/// Results go to standard output, everything else to standard error. Exit
/// codes: 0 done, 1 failed (no space, no permission, unreachable), 2 wrong
/// usage or value out of range, 3 damaged or invalid data found, 130
/// interrupted.
#[derive(Debug, Parser)]
#[command(name = "spacetime", version, arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// Says more on standard error; twice says even more.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    /// Says nothing on standard error but errors.
    #[arg(short, long, global = true)]
    quiet: bool,

    /// Stops as by SIGTERM when standard input ends. Whoever starts this program and holds its standard input open so
    /// never leaves it behind.
    #[arg(long, global = true, hide = true)]
    leash: bool,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes and reads keys of miners and accounts.
    Keys {
        #[command(subcommand)]
        verb: keys::Verb,
    },
    /// Makes plots and looks after them.
    Plot {
        #[command(subcommand)]
        verb: plot::Verb,
    },
    /// Answers challenges from plots.
    Prove(Box<prove::Prove>),
    /// Judges proofs.
    Verify(verify::Verify),
    /// Measures what this machine does.
    Bench {
        #[command(subcommand)]
        verb: bench::Verb,
    },
    /// Mines with plots on this machine, by way of a node.
    #[cfg(feature = "node")]
    Miner(Box<miner::Miner>),
    /// Runs a network of nodes and miners on this machine.
    #[cfg(feature = "node")]
    Devnet(devnet::Devnet),
    /// Keeps the chain.
    #[cfg(feature = "node")]
    Node {
        #[command(subcommand)]
        verb: node::Verb,
    },
    /// Spends and receives money, by way of a node.
    #[cfg(feature = "node")]
    Wallet {
        #[command(subcommand)]
        verb: wallet::Verb,
    },
    /// Prints a completion script for a shell.
    Completions {
        /// The shell that will read it.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes one for every verb into a folder.
    Man(manual::Man),
}

impl Cli {
    /// Whether this process ends with its standard input.
    pub(crate) fn is_leashed(&self) -> bool {
        self.leash
    }

    pub(crate) fn verbosity(&self) -> Verbosity {
        #[cfg(feature = "node")]
        let serves = matches!(&self.verb, Verb::Node { verb: node::Verb::Run(_) });
        #[cfg(not(feature = "node"))]
        let serves = false;
        Verbosity { verbose: self.verbose, quiet: self.quiet, serves }
    }

    /// Does what the command line says.
    ///
    /// # Errors
    /// Whatever the verb failed with, carrying its exit code.
    pub fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::Keys { verb } => keys::run(verb),
            Verb::Plot { verb } => plot::run(verb),
            Verb::Prove(prove) => prove.run(),
            Verb::Verify(verify) => verify.run(),
            Verb::Bench { verb } => bench::run(verb),
            #[cfg(feature = "node")]
            Verb::Miner(miner) => miner.run(),
            #[cfg(feature = "node")]
            Verb::Devnet(devnet) => devnet.run(),
            #[cfg(feature = "node")]
            Verb::Node { verb } => node::run(verb),
            #[cfg(feature = "node")]
            Verb::Wallet { verb } => wallet::run(verb),
            Verb::Completions { shell } => manual::completions(shell),
            Verb::Man(man) => man.run(),
        }
    }
}

/// Reads the command line. Help, version and mistakes are printed here; the
/// exit code to end with comes back.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that left is no failure of asking for help.
            let _ = error.print();
            Code::Done.into()
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Code::Usage.into()
        }
        // People get clap's own layout with its usage line, programs one line.
        _ if std::io::stderr().is_terminal() => {
            let _ = error.print();
            Code::Usage.into()
        }
        _ => {
            let _ = writeln!(std::io::stderr(), "{}", usage_line(&error.render().to_string()));
            Code::Usage.into()
        }
    })
}

/// Clap's message as one line: its first paragraph, and its tips in brackets.
fn usage_line(rendered: &str) -> String {
    let mut paragraphs = rendered.split("\n\n").map(|paragraph| {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        one_line(&words.join(" "))
    });
    let mut line = paragraphs.next().unwrap_or_default();
    for tip in paragraphs.filter(|paragraph| paragraph.starts_with("tip:")) {
        line.push_str(&format!(" ({tip})"));
    }
    line
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_usage_error_is_one_line() {
        let rendered =
            "error: unexpected argument '--row' found\n\n  tip: a similar argument exists: '--rows'\n\nUsage: x\n";
        assert_eq!(
            usage_line(rendered),
            "error: unexpected argument '--row' found (tip: a similar argument exists: '--rows')"
        );
        assert_eq!(usage_line("error: missing:\n  --out <FILE>\n\nUsage: x"), "error: missing: --out <FILE>");
    }
}
