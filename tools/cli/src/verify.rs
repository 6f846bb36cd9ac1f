//! `spacetime verify`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use spacetime_kernels::{Challenge, ColumnIndex, Score, Shape, Target, score};
use spacetime_prover::{Expected, Plot, ProofRecord, VerifyError, tree, verify_batch};
use tracing::warn;

use crate::args::{Engines, MinerKey, bytes_32, engines, miner_key};
use crate::network::{Network, network, warnings_of};
use crate::plot::plot_failure;
use crate::{Code, Failure, FailureExt, out};

/// A proof is a few kilobytes; more than this is not a file of proofs.
const MAX_PROOF_FILE_BYTES: u64 = 16 << 20;

/// Judges proofs: every rule, cheapest first, and last the row grown again.
///
/// What a proof must be comes from a plot file, or from --network,
/// --miner-key, --log2-columns, --rounds and --plot-id. Exits with 3 if any
/// proof is refused.
#[derive(Debug, Args)]
pub struct Verify {
    /// Proofs as `spacetime prove --json` prints them, one object or several; - for standard input.
    #[arg(value_name = "PROOF.json")]
    proof: PathBuf,
    /// The plot that the proofs are from.
    #[arg(long, value_name = "PLOT", conflicts_with_all = ["network", "miner_key", "log2_columns", "rounds", "plot_id"])]
    plot: Option<PathBuf>,
    /// Network of the plot.
    #[arg(long, default_value = "main", value_parser = network)]
    network: Network,
    /// Public key of the plot's miner: 96 hex digits.
    #[arg(long, value_parser = miner_key, required_unless_present = "plot", value_name = "HEX96")]
    miner_key: Option<MinerKey>,
    /// Log2 of the plot's columns. Default: the network's.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    log2_columns: Option<u8>,
    /// Mixing rounds of the plot. Default: the network's.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=255), value_name = "R", allow_negative_numbers = true)]
    rounds: Option<u8>,
    /// Id of the plot: 64 hex digits.
    #[arg(long, value_parser = bytes_32, required_unless_present = "plot", value_name = "HEX64")]
    plot_id: Option<[u8; 32]>,
    /// The challenge that was asked. Default: the one in the proof.
    #[arg(long, value_parser = bytes_32, value_name = "HEX64")]
    challenge: Option<[u8; 32]>,
    /// The column that was asked. Default: the one in the proof.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    column: Option<u32>,
    /// The score must be below this: 64 hex digits. Default: any score.
    #[arg(long, value_parser = bytes_32, value_name = "HEX64")]
    target: Option<[u8; 32]>,
    /// What grows the rows: auto, cpu, cpu:portable, cpu:shani, cpu:avx2 or cpu:avx512.
    #[arg(long, env = "SPACETIME_BACKEND", default_value = "auto", value_parser = engines, value_name = "BACKEND")]
    backend: Engines,
    /// Prints a JSON object for each proof.
    #[arg(long)]
    json: bool,
}

/// What is printed of a proof that was judged.
#[derive(Serialize)]
struct Verdict {
    valid: bool,
    challenge: String,
    column: u32,
    row: Option<u64>,
    score: String,
    plot_id: String,
    error: Option<String>,
}

impl Verify {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let records = read_records(&self.proof)?;
        let common = self.expected(&records)?;
        let proofs: Vec<_> = records.iter().map(|record| (record.proof(), self.expected_of(record, &common))).collect();
        let batch: Vec<_> = proofs.iter().map(|(proof, expected)| (proof, expected)).collect();
        self.backend.note_cpu_alone();
        let results = verify_batch(&batch, self.backend.forced());
        let mut refused = None;
        for (index, ((record, (proof, expected)), result)) in records.iter().zip(&proofs).zip(results).enumerate() {
            let row = row_of(record);
            let error = result.err().map(|error| error.to_string()).or_else(|| beside(record, expected, row));
            let name = format!("{}: proof {}", self.proof.display(), index + 1);
            let verdict = Verdict {
                valid: error.is_none(),
                challenge: const_hex::encode(proof.challenge),
                column: proof.column,
                row,
                score: const_hex::encode(score(&expected.challenge, &proof.leaf).0),
                plot_id: const_hex::encode(expected.plot_id),
                error,
            };
            if self.json {
                out::json(&verdict)?;
            } else if let Some(error) = &verdict.error {
                out::line(format_args!("{name}: refused: {error}"))?;
            } else {
                out::line(format_args!("{name}: valid: row {}, score {}", row.unwrap_or_default(), verdict.score))?;
            }
            if let Some(error) = verdict.error {
                refused.get_or_insert(format!("{name}: refused: {error}"));
            }
        }
        refused.map_or(Ok(()), |error| Err(Failure::damaged(error)))
    }

    /// What holds for every proof: all but challenge, column and score.
    fn expected(&self, records: &[ProofRecord]) -> Result<Expected, Failure> {
        let unset = (Challenge([0; 32]), ColumnIndex(0));
        let target = self.target.map(Target);
        if let Some(path) = &self.plot {
            let plot = Plot::open(path).map_err(|error| plot_failure(&error))?;
            let header = plot.header();
            for warning in warnings_of(&header.network, header.shape, header.rows) {
                warn!("{}: {warning}", path.display());
            }
            return Ok(Expected {
                network: header.network,
                miner_key: header.miner_key,
                shape: header.shape,
                challenge: unset.0,
                column: unset.1,
                plot_id: header.plot_id,
                root: Some(header.root),
                score: None,
                target,
            });
        }
        let (Some(miner_key), Some(plot_id)) = (self.miner_key, self.plot_id) else {
            unreachable!("clap asks for both without a plot");
        };
        let rules = self.network.rules();
        let log2_columns = self.log2_columns.or(rules.map(|rules| rules.log2_columns)).unwrap_or(13);
        let rounds = self.rounds.or(rules.map(|rules| rules.rounds)).unwrap_or(31);
        let shape = Shape::new(log2_columns, rounds).or_usage()?;
        let fewest_rows = records.iter().map(|record| record.rows).min().unwrap_or(u64::MAX);
        for warning in self.network.warnings(shape, fewest_rows) {
            warn!("{warning}");
        }
        let (network, miner_key) = (self.network.tag(), miner_key.bytes());
        let (challenge, column) = unset;
        Ok(Expected { network, miner_key, shape, challenge, column, plot_id, root: None, score: None, target })
    }

    fn expected_of(&self, record: &ProofRecord, common: &Expected) -> Expected {
        Expected {
            challenge: Challenge(self.challenge.unwrap_or(record.challenge)),
            column: ColumnIndex(self.column.unwrap_or(record.column)),
            score: record.score.map(Score),
            ..common.clone()
        }
    }
}

/// The row in a proof's leaf index, if its rows are in range.
fn row_of(record: &ProofRecord) -> Option<u64> {
    let rows = Some(record.rows).filter(|rows| (1..=spacetime_kernels::MAX_ROWS).contains(rows))?;
    Some(record.leaf_index & ((1 << tree::ceil_log2(rows)) - 1))
}

/// What the prover wrote beside a proof must be true as well.
fn beside(record: &ProofRecord, expected: &Expected, row: Option<u64>) -> Option<String> {
    if let Some(id) = record.plot_id.filter(|id| *id != expected.plot_id) {
        return Some(VerifyError::PlotId { found: id, expected: expected.plot_id }.to_string());
    }
    record
        .row
        .filter(|claimed| Some(*claimed) != row)
        .map(|claimed| format!("row is {claimed}, the leaf index says another"))
}

/// Reads one proof; what is wrong with it is said with the field's name.
fn record(value: &RawValue) -> anyhow::Result<ProofRecord> {
    // An array of the values in order would do for serde.
    anyhow::ensure!(value.get().starts_with('{'), "a proof is a JSON object");
    let mut deserializer = serde_json::Deserializer::from_str(value.get());
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if path == "." { anyhow!(error) } else { anyhow!("{path}: {error}") }
    })
}

/// Reads one proof or several, one after another.
fn read_records(path: &Path) -> Result<Vec<ProofRecord>, Failure> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    let read = |source: &mut dyn Read, bytes: &mut Vec<u8>| source.take(MAX_PROOF_FILE_BYTES + 1).read_to_end(bytes);
    if path == Path::new("-") {
        read(&mut std::io::stdin().lock(), &mut bytes).with_context(|| format!("cannot read {name}"))?;
    } else {
        if path.is_dir() {
            return Err(Failure::damaged(format!("{name}: is a folder, not a file of proofs")));
        }
        let mut file = std::fs::File::open(path).with_context(|| format!("cannot open {name}"))?;
        read(&mut file, &mut bytes).with_context(|| format!("cannot read {name}"))?;
    }
    if bytes.len() as u64 > MAX_PROOF_FILE_BYTES {
        return Err(Failure::damaged(format!("{name}: more than {MAX_PROOF_FILE_BYTES} bytes are no file of proofs")));
    }
    let records: Vec<ProofRecord> = serde_json::Deserializer::from_slice(&bytes)
        .into_iter::<&RawValue>()
        .map(|value| record(value?))
        .collect::<anyhow::Result<_>>()
        .with_context(|| format!("{name}: not a proof"))
        .or_exit(Code::Damaged)?;
    if records.is_empty() {
        return Err(Failure::damaged(format!("{name}: there is no proof in it")));
    }
    Ok(records)
}
