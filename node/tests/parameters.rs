//! The bounds of parameters: each at its edge, and each broken by its name.

use spacetime_kernels::{MAX_ROWS, ShapeError};
use spacetime_node::chain::Amount;
use spacetime_node::consensus::check::{MAX_EPOCH_MS, MAX_INTERVAL, MAX_NETWORK_BYTES, MAX_OPENINGS};
use spacetime_node::consensus::{Fees, Goal, ParameterError, Parameters, Schedule};

/// What `Parameters::main` says once `change` was made to it.
fn check(change: impl FnOnce(&mut Parameters)) -> Result<(), ParameterError> {
    let mut parameters = Parameters::main();
    change(&mut parameters);
    parameters.check()
}

#[test]
fn bounds_themselves_are_allowed() {
    assert_eq!(check(|_| ()), Ok(()));
    assert_eq!(check(|p| p.rounds = 1), Ok(()), "few rounds are a matter of advice");
    assert_eq!(check(|p| p.network = "n".repeat(MAX_NETWORK_BYTES)), Ok(()));
    assert_eq!(check(|p| p.min_rows = MAX_ROWS), Ok(()));
    assert_eq!(check(|p| p.epoch_ms = MAX_EPOCH_MS), Ok(()));
    assert_eq!(check(|p| p.plot_lifetime = None), Ok(()));
    assert_eq!(check(|p| p.plot_maturity = 2 * p.reorg_limit), Ok(()));
    assert_eq!(check(|p| p.activation_window = 17), Ok(()));
    assert_eq!(check(|p| p.openings = MAX_OPENINGS), Ok(()));
    assert_eq!(check(|p| p.max_block_bytes = 4096), Ok(()));
    assert_eq!(check(|p| p.registrations_per_block = p.max_block_transactions), Ok(()));
}

#[test]
fn each_rule_has_its_error() {
    use ParameterError as E;
    assert_eq!(check(|p| p.log2_columns = 3), Err(E::Shape(ShapeError::Log2Columns(3))));
    assert_eq!(check(|p| p.log2_columns = 21), Err(E::Shape(ShapeError::Log2Columns(21))));
    assert_eq!(check(|p| p.rounds = 0), Err(E::Shape(ShapeError::Rounds(0))));
    assert_eq!(check(|p| p.network.clear()), Err(E::Network(0)));
    assert_eq!(check(|p| p.network = "n".repeat(65)), Err(E::Network(65)));
    for hrp in ["", "St", "a b", "0123456789abcdefg"] {
        assert_eq!(check(|p| p.hrp = hrp.into()), Err(E::Hrp(hrp.into())));
    }
    assert_eq!(check(|p| p.min_rows = 0), Err(E::MinRows(0)));
    assert_eq!(check(|p| p.min_rows = MAX_ROWS + 1), Err(E::MinRows(MAX_ROWS + 1)));
    assert_eq!(check(|p| p.epoch_ms = 0), Err(E::Epoch(0)));
    assert_eq!(check(|p| p.epoch_ms = u64::MAX), Err(E::Epoch(u64::MAX)));
    assert_eq!(check(|p| p.window_ms = 10_000), Err(E::Window { window_ms: 10_000, epoch_ms: 10_000 }));
    assert_eq!(check(|p| p.rank_delay_ms = 10_000), Err(E::RankDelay { rank_delay_ms: 10_000, epoch_ms: 10_000 }));
    assert_eq!(check(|p| p.beacon_interval = 0), Err(E::BeaconInterval(0)));
    assert_eq!(check(|p| p.beacon_interval = 9), Err(E::BeaconInterval(9)));
    for (numerator, denominator) in [(0, 5), (5, 5), (6, 5), (0, 0)] {
        assert_eq!(check(|p| p.goal = Goal { numerator, denominator }), Err(E::Goal { numerator, denominator }));
    }
    assert_eq!(check(|p| p.plot_maturity = 719), Err(E::PlotMaturity { plot_maturity: 719, reorg_limit: 360 }));
    assert_eq!(
        check(|p| p.activation_window = 16),
        Err(E::ActivationWindow { activation_window: 16, beacon_interval: 8 })
    );
    assert_eq!(check(|p| p.openings = 0), Err(E::Openings(0)));
    assert_eq!(check(|p| p.openings = 256), Err(E::Openings(256)));
    assert_eq!(check(|p| p.max_block_bytes = 4095), Err(E::BlockBytes(4095)));
    assert_eq!(check(|p| p.max_block_bytes = (16 << 20) + 1), Err(E::BlockBytes((16 << 20) + 1)));
    assert_eq!(check(|p| p.max_block_transactions = 0), Err(E::BlockTransactions(0)));
    assert_eq!(check(|p| p.max_block_transactions = 65_537), Err(E::BlockTransactions(65_537)));
    for registrations in [0, 4097] {
        assert_eq!(
            check(|p| p.registrations_per_block = registrations),
            Err(E::Registrations { registrations, transactions: 4096 })
        );
    }
    assert_eq!(
        check(|p| p.fees = Fees { base: Amount(1), per_byte: Amount(u64::MAX >> 20) }),
        Ok(()),
        "just what fits"
    );
    assert_eq!(
        check(|p| p.fees = Fees { base: Amount(1 << 20), per_byte: Amount(u64::MAX >> 20) }),
        Err(E::Fees { base: 1 << 20, per_byte: u64::MAX >> 20, bytes: 1 << 20 })
    );
}

#[test]
fn each_interval_is_checked() {
    type Set = fn(&mut Parameters, u64);
    let fields: [(&str, Set); 7] = [
        ("retarget_interval", |p, n| p.retarget_interval = n),
        ("gap_epochs", |p, n| p.gap_epochs = n),
        ("reorg_limit", |p, n| p.reorg_limit = n),
        ("plot_maturity", |p, n| p.plot_maturity = n),
        ("activation_window", |p, n| p.activation_window = n),
        ("plot_lifetime", |p, n| p.plot_lifetime = Some(n)),
        ("coinbase_maturity", |p, n| p.coinbase_maturity = n),
    ];
    for (name, set) in fields {
        for value in [0, MAX_INTERVAL + 1, u64::MAX] {
            assert_eq!(check(|p| set(p, value)), Err(ParameterError::Interval { name, value }));
        }
    }
}

#[test]
fn emissions() {
    use ParameterError as E;
    let emission = |schedule| check(|p| p.emission.schedule = schedule);
    let initial_reward = Amount(u64::MAX);
    assert_eq!(emission(Schedule::Fixed { initial_reward }), Ok(()));
    assert_eq!(emission(Schedule::Halving { initial_reward, interval: 0 }), Err(E::HalvingInterval));
    assert_eq!(emission(Schedule::Exponential { initial_reward, ratio_q64: 0 }), Err(E::EmissionRatio));
    let table =
        |starts: &[u64]| emission(Schedule::Table { steps: starts.iter().map(|&start| (start, Amount(1))).collect() });
    assert_eq!(table(&[0, 1, u64::MAX]), Ok(()));
    assert_eq!(table(&[]), Err(E::EmissionSteps(0)));
    assert_eq!(table(&(0..1025).collect::<Vec<_>>()), Err(E::EmissionSteps(1025)));
    assert_eq!(table(&[0, 3, 3]), Err(E::EmissionOrder { index: 2, start: 3, before: 3 }));
}
