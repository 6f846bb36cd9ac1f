//! `spacetime wallet register`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use spacetime_kernels::network_tag;
use spacetime_node::chain::{Amount, Hash, MinerKey, Payload, RegisterPlot, TransactionId, bls};
use spacetime_node::miner::work::PlotState;
use spacetime_node::rpc::answers::{HappeningKind, HeadAnswer, HistoryAnswer, Units};
use spacetime_prover::Plot;

use super::client::{Node, NodeUrl};
use super::owner::Payer;
use super::sign::{check_means, sign};
use super::wait::Wait;
use crate::args::coins;
use crate::keys::account::AccountSecret;
use crate::keys::passphrase::PassphraseFile;
use crate::miner::prepare::miner_secret;
use crate::plot::{plot_failure, plots_at};
use crate::{Failure, Failures, out};

/// `spacetime wallet register`.
#[derive(Debug, Args)]
pub struct Register {
    /// Complete plots, or folders of them.
    #[arg(required = true, value_name = "PLOT")]
    plots: Vec<PathBuf>,
    /// The keystore of the plots' miner key.
    #[arg(long, value_name = "FILE")]
    miner_key: PathBuf,
    /// Reads the passphrase of the miner's keystore from this file; without it, the same as the account's.
    #[arg(long, value_name = "FILE")]
    miner_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    payer: Payer,
    /// What is paid for each, in coins; without it, what the node says that the next block costs.
    #[arg(long, value_name = "COINS", value_parser = coins)]
    fee: Option<Amount>,
    #[command(flatten)]
    wait: Wait,
    /// Prints a JSON object a line instead of the ids alone.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeUrl,
}

#[derive(Serialize)]
struct Registered<'a> {
    #[serde(serialize_with = "out::path")]
    path: &'a Path,
    plot_key: Hash,
    id: TransactionId,
    fee: Units,
    nonce: u64,
}

/// What all registrations of one call share.
struct Registrar<'a> {
    node: &'a Node,
    head: &'a HeadAnswer,
    payer: &'a AccountSecret,
    miner: &'a bls::SecretKey,
    fee: Option<Amount>,
    /// Registrations that wait for a block, by plot key.
    waiting: BTreeMap<Hash, TransactionId>,
}

impl Register {
    pub(super) fn run(self) -> Result<(), Failure> {
        let node = self.node.connect();
        let head = node.head()?;
        let mut failures = Failures::default();
        let paths = plots_at(&self.plots, &[".plot"], &mut failures);
        let miner = self.open_miner()?;
        let payer = self.payer.open()?;
        let from = payer.key().account_key().address().encode(&head.hrp);
        let balance = node.balance(&from, false)?;
        let history: HistoryAnswer = node.get(&format!("/rpc/history/{from}"))?;
        let registrations = history.waiting.iter().filter(|one| one.kind == HappeningKind::RegisterPlot);
        let waiting = registrations.filter_map(|one| one.plot_key.zip(one.id)).collect();
        let registrar = Registrar { node: &node, head: &head, payer: &payer, miner: &miner, fee: self.fee, waiting };
        let patience = self.wait.begin()?;
        let (mut nonce, mut left, mut sent) = (balance.next_nonce, balance.mature.0, Vec::new());
        for path in &paths {
            // One plot's trouble is not the others'; the nonce goes on where one was sent.
            let registered = registrar.register(path, nonce, left, balance.immature.0);
            let Some(Some(registered)) = failures.take(registered) else { continue };
            nonce += 1;
            left = left.checked_sub(registered.fee.0).unwrap_or_default();
            sent.push(registered.id);
            if self.json { out::json(&registered)? } else { out::line(registered.id)? }
        }
        if let Some(patience) = patience {
            for id in sent {
                if let Some(height) = failures.take(patience.for_block(&node, &id)) {
                    tracing::info!("a block at height {height} holds {id}");
                }
            }
        }
        failures.end()
    }

    fn open_miner(&self) -> Result<bls::SecretKey, Failure> {
        let passphrase = match &self.miner_passphrase_file {
            Some(path) => PassphraseFile::named(path),
            None => self.payer.passphrase().clone(),
        };
        miner_secret(&self.miner_key, &passphrase)
    }
}

impl Registrar<'_> {
    /// None if the chain has the plot already, or a transaction that is to be in its next block.
    fn register<'p>(
        &self,
        path: &'p Path,
        nonce: u64,
        mature: Amount,
        immature: Amount,
    ) -> Result<Option<Registered<'p>>, Failure> {
        let plot = Plot::open(path).map_err(|error| plot_failure(&error))?;
        let (header, shown) = (plot.header(), path.display());
        let head = self.head;
        let refuse = |reason: String| Err(Failure::usage(format!("{shown}: {reason}")));
        if MinerKey(header.miner_key) != self.miner.public_key().to_bytes() {
            return refuse(format!("is a plot of miner {}, the key is another's", const_hex::encode(header.miner_key)));
        }
        let shape = (header.shape.log2_columns(), header.shape.rounds());
        if header.network != network_tag(&head.network) || shape != (head.log2_columns, head.rounds) {
            return refuse(format!("is not a plot for network {}", head.network));
        }
        if header.rows < head.min_rows {
            return refuse(format!(
                "has {} rows, network {} takes no fewer than {}",
                header.rows, head.network, head.min_rows
            ));
        }
        let plot_key = Hash(header.key().0);
        let state: PlotState = self.node.get(&format!("/rpc/plot/{plot_key}"))?;
        match state {
            PlotState::Absent => {}
            PlotState::Pending { .. } | PlotState::Active { .. } => {
                tracing::warn!("{shown}: is registered already");
                return Ok(None);
            }
            PlotState::Ended => return Err(Failure::failed(format!("{shown}: was ended on this chain for good"))),
        }
        if let Some(id) = self.waiting.get(&plot_key) {
            tracing::warn!("{shown}: its registration waits for a block already: transaction {id}");
            return Ok(None);
        }
        let payload = Payload::RegisterPlot(RegisterPlot {
            miner_key: MinerKey(header.miner_key),
            possession: self.miner.prove_possession(&head.genesis),
            seed: Hash(header.seed),
            rows: header.rows,
            root: Hash(header.root),
        });
        let transaction = sign(self.node, &head.genesis, self.payer, Some(self.miner), payload, nonce, self.fee)?;
        check_means(mature, immature, Some(transaction.fee))?;
        let id = self.node.send(&transaction)?.id;
        Ok(Some(Registered { path, plot_key, id, fee: Units(transaction.fee), nonce }))
    }
}
