//! What a network begins with: keys and plots made by the program, and genesis.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use spacetime_kernels::Target;
use spacetime_node::chain::{Address, Amount};
use spacetime_node::consensus::specification::{Genesis, GenesisAccount, GenesisPlot};
use spacetime_node::consensus::{Parameters, Specification};
use spacetime_node::testing::Wallet;

use crate::support::run;

/// Rows of each miner's plot: 2 MiB on the local chain.
pub(crate) const ROWS: u64 = 1024;
/// Money of each account that stands in genesis.
const BALANCE: Amount = Amount(1_000_000_000_000);

/// A miner's files.
#[derive(Clone, Debug)]
pub(crate) struct Miner {
    /// Its keystore.
    pub(crate) keys: PathBuf,
    /// Its folder of plots.
    pub(crate) plots: PathBuf,
    /// What it keeps for itself.
    pub(crate) data: PathBuf,
    /// Where its blocks pay to, in text.
    pub(crate) payout: String,
    plot: GenesisPlot,
}

impl Miner {
    /// Makes the files of the miner `number` in `folder`.
    pub(crate) fn make(folder: &Path, number: usize, parameters: &Parameters) -> Self {
        let home = folder.join(format!("miner-{number}"));
        fs::create_dir(&home).expect("a folder of ours");
        let key = run(&home, &["keys", "new", "--out", "keys.json", "--insecure"]).expect(0, &[]).stdout;
        let rows = ROWS.to_string();
        let arguments = ["plot", "create", "--network", "local", "--keys", "keys.json", "--rows", &rows];
        let more = ["--out", "plots", "--backend", "cpu", "--json"];
        let made = run(&home, &[&arguments[..], &more].concat()).expect(0, &[]).stdout;
        let made: Value = serde_json::from_str(made.lines().last().expect("a line")).expect("JSON");
        let payout = Wallet::new([number as u8; 32]).address.encode(&parameters.hrp);
        let (keys, plots, data) = (home.join("keys.json"), home.join("plots"), home.join("data"));
        Self { keys, plots, data, payout, plot: description(key.trim(), &made) }
    }
}

fn description(miner_key: &str, plot: &Value) -> GenesisPlot {
    serde_json::from_value(serde_json::json!({
        "miner_key": miner_key, "seed": plot["seed"], "rows": plot["rows"], "root": plot["root"],
    }))
    .expect("what it says of a plot")
}

/// Writes `chain.toml` for these miners, and for whoever else is to have plots and money, to begin `in_ms` from now. The
/// target is such that four epochs of five have a block if all `rows` are searched.
pub(crate) fn write(folder: &Path, miners: &[Miner], others: &[GenesisPlot], accounts: &[Address], in_ms: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let mut specification = Specification::local();
    let plots = miners.iter().map(|miner| miner.plot).chain(others.iter().copied()).collect();
    let accounts = accounts.iter().map(|address| GenesisAccount { address: *address, balance: BALANCE }).collect();
    specification.genesis =
        Genesis { time_ms: now.as_millis() as u64 + in_ms, base: base(miners.len() as u64 * ROWS), accounts, plots };
    specification.check().expect("a chain");
    fs::write(folder.join("chain.toml"), specification.to_toml()).expect("a file of ours");
}

/// `2^256 * 8 / (5 * rows)`: 1.6 leaves of so many are below it on average (PROTOCOL §7).
fn base(rows: u64) -> Target {
    let mut rest: u128 = 8;
    Target(std::array::from_fn(|_| {
        let dividend = rest << 8;
        rest = dividend % u128::from(5 * rows);
        (dividend / u128::from(5 * rows)) as u8
    }))
}
