//! What the network begins with: keys, plots, and the specification of its chain.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use spacetime_kernels::Target;
use spacetime_node::chain::types::UNITS_PER_COIN;
use spacetime_node::chain::{Address, Amount, Hash, MinerKey};
use spacetime_node::consensus::specification::{Genesis, GenesisAccount, GenesisPlot, Specification};

use super::plots::Grown;

/// What the treasury begins with: far more than is ever sent, and far less than an amount can count.
pub(super) const TREASURY: Amount = Amount(1_000_000 * UNITS_PER_COIN);

/// How long after now epoch 0 begins, for each process that has to be there by then: a node is up in half a second
/// on two busy cores.
const START_PER_PROCESS: Duration = Duration::from_millis(500);

/// The specification of a local chain on which `plots` may win from the first block, and `treasury` has money.
///
/// # Panics
/// If there are no plots.
pub(super) fn specification(plots: &[(MinerKey, Grown)], treasury: Address, time_ms: u64) -> Specification {
    let rows = plots.iter().map(|(_, plot)| plot.rows).sum();
    let plots = plots.iter().map(|(miner_key, plot)| GenesisPlot {
        miner_key: *miner_key,
        seed: Hash(plot.seed),
        rows: plot.rows,
        root: Hash(plot.root),
    });
    let mut specification = Specification::local();
    specification.genesis = Genesis {
        time_ms,
        base: base(rows),
        accounts: vec![GenesisAccount { address: treasury, balance: TREASURY }],
        plots: plots.collect(),
    };
    specification
}

/// When a network of so many processes begins, Unix milliseconds.
pub(super) fn start_ms(processes: u32) -> Result<u64, crate::Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    Ok((now + START_PER_PROCESS * processes).as_millis() as u64)
}

/// The target below which 1.6 leaves of an epoch's `rows` lie on average, and so one at least in four epochs of five
/// (PROTOCOL §7): `2^256 * 8 / (5 * rows)`.
///
/// # Panics
/// If `rows` is 0, or so many that five times as many do not fit 64 bits.
fn base(rows: u64) -> Target {
    let divisor = u128::from(rows.checked_mul(5).filter(|divisor| *divisor > 0).expect("a network has some plots"));
    // Long division, a byte at a time: the remainder stays below the divisor, and a byte more fits 128 bits.
    let mut remainder = 8 % divisor;
    if 8 / divisor > 0 {
        return Target([0xff; 32]);
    }
    Target(std::array::from_fn(|_| {
        let dividend = remainder << 8;
        remainder = dividend % divisor;
        (dividend / divisor) as u8
    }))
}

/// Writes the specification's file.
pub(super) fn write(specification: &Specification, path: &Path) -> Result<(), crate::Failure> {
    std::fs::write(path, specification.to_toml()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_base_is_what_the_local_chains_file_has_for_its_rows() {
        // 1024 rows, as local.toml says.
        assert_eq!(base(1024).0, Specification::local().genesis.base.0);
        // 2^256 * 8 / 5 is above what there is; half of it, a fifth less than all, is not.
        assert_eq!(base(1).0, [0xff; 32]);
        assert_eq!(base(2).0, [0xcc; 32]);
        assert_eq!(base(8).0, [0x33; 32]);
    }

    #[test]
    fn the_specification_is_one() {
        let plot = |seed| Grown { path: PathBuf::new(), seed: [seed; 32], rows: 4096, root: [7; 32] };
        let plots = [(MinerKey([1; 48]), plot(1)), (MinerKey([2; 48]), plot(2))];
        let made = specification(&plots, Address([9; 20]), 1_800_000_000_000);
        assert_eq!(made.check(), Ok(()));
        assert_eq!(Specification::parse(&made.to_toml()), Ok(made));
    }
}
