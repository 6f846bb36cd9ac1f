//! The ratios that the kernels are held to: PASS or FAIL, exit code 1 if any
//! fails. One core, the fastest backend (or the one that `SPACETIME_BACKEND`
//! names), everything in turn with `hashtree-rs`.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use spacetime_benches::cpu::{self, Options};
use spacetime_kernels::Backend;

fn main() -> ExitCode {
    let options = Options { turns: 15, budget: Duration::from_secs(600), ..Options::default() };
    let backend = match std::env::var("SPACETIME_BACKEND") {
        Ok(name) => Backend::named(&name).expect("SPACETIME_BACKEND names a backend of this CPU"),
        Err(_) => Backend::fastest(),
    };
    let measurements = cpu::on_one_thread(&options, backend);
    for measurement in &measurements {
        println!("{}", serde_json::to_string(measurement).expect("a flat object"));
    }
    let held = cpu::held(&measurements, backend).expect("every job was measured");
    for held in &held {
        let verdict = if held.passes() { "PASS" } else { "FAIL" };
        println!("{verdict}  {:<36} {:.3}  (goal {:.2}, least {:.2})", held.name, held.ratio, held.goal, held.least);
    }
    if held.iter().all(cpu::Held::passes) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
