//! A whole plot, from nothing to its name, against growing and Merkle hashing
//! alone: `cargo bench -p spacetime-benches --bench end_to_end`.
//!
//! The two run in turn, on all cores, at the main parameters. The plots go to
//! the folder SPACETIME_BENCH_DIR (default: the temporary one), whose disk must
//! keep up for the figure to say anything about the program; they are removed.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use spacetime_kernels::{Backend, Shape, network_tag};
use spacetime_plotter::{Control, Cpu, CreateOptions, PlotParams, create, growing_time};

const ROWS: u64 = 4096;
const ROUNDS: usize = 3;
/// What a plot must reach of growing and hashing alone.
const GOAL: f64 = 0.85;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let folder = std::env::var_os("SPACETIME_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;
    let shape = Shape::new(13, 31)?;
    let engine = Cpu(Backend::fastest());
    let threads = std::thread::available_parallelism()?.get();
    let control = Control::default();
    let options = CreateOptions {
        engine: &engine,
        threads,
        growers: &[],
        cpu_grows: true,
        memory: None,
        force: true,
        preallocate: true,
        control: &control,
        events: &|_| (),
    };
    let params = PlotParams {
        miner_key: [7; 48],
        seed: [1; 32],
        network: network_tag("main"),
        shape,
        rows: ROWS,
        rows_per_segment: None,
        first_row: None,
    };
    let key = params.header()?.0.key();
    let units = (ROWS / 16).div_ceil(threads as u64) as u32;
    let path = folder.path().join("bench.plot");
    println!("{ROWS} rows (1 GiB) at p = 13, R = 31 with {} on {threads} threads", engine.0.name());
    println!("{:>18} {:>18} {:>8}", "growing, rows/s", "plotting, rows/s", "ratio");
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        // The grown rows are a multiple of what the threads share evenly.
        let grown = f64::from(units) * 16.0 * threads as f64;
        let growing = grown / growing_time(&key, shape, &engine, threads, units).as_secs_f64();
        let plotting = ROWS as f64 / create(&params, &path, &options)?.time.as_secs_f64();
        println!("{growing:>18.1} {plotting:>18.1} {:>8.3}", plotting / growing);
        ratios.push(plotting / growing);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ROUNDS / 2];
    let held = median >= GOAL;
    println!("median {median:.3}, goal {GOAL}: {}", if held { "PASS" } else { "FAIL" });
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
