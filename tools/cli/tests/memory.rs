//! Memory stays within the budget. A test of its own process: the peak counts.

mod support;

use serde_json::Value;
use support::{MINER_KEY, run};

#[test]
fn the_peak_is_the_budget_and_little_more() {
    let folder = tempfile::tempdir().expect("a folder");
    for (log2_columns, rows, budget_mib) in
        [("13", "400", 96), ("13", "700", 200), ("10", "4096", 64), ("16", "64", 300)]
    {
        let budget = format!("{budget_mib}MiB");
        let arguments = ["-q", "plot", "create", "--miner-key", MINER_KEY, "--log2-columns", log2_columns];
        let more =
            ["--rounds", "1", "--rows", rows, "--memory", &budget, "--out", "out", "--name", "x", "--force", "--json"];
        let made = run(folder.path(), &[&arguments[..], &more[..]].concat()).expect(0, &[]);
        let done: Value = serde_json::from_str(made.stdout.lines().last().expect("a line")).expect("JSON");
        let peak_mib = done["peak_memory_bytes"].as_u64().expect("Linux tells") >> 20;
        assert!(peak_mib <= budget_mib + 64, "p = {log2_columns}: {peak_mib} MiB, {budget_mib} MiB were allowed");
        // The control: the budget is used, so the figure measures something.
        assert!(peak_mib >= budget_mib / 4, "p = {log2_columns}: {peak_mib} MiB of {budget_mib} MiB");
    }
}
