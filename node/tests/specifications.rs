//! Specification files: the three that come with the program, round trips, and every mistake by its name.

use proptest::prelude::*;
use spacetime_node::chain::{Address, AddressError, Amount, BlockId, Hash, Height, MinerKey};
use spacetime_node::consensus::specification::MAX_SPECIFICATION_BYTES;
use spacetime_node::consensus::{
    Checkpoint, Emission, Fees, GenesisAccount, GenesisPlot, Goal, ParameterError, Parameters, Schedule, Specification,
    SpecificationError,
};

/// PROTOCOL §11, column `main`.
fn main() -> Parameters {
    Parameters {
        network: "main".into(),
        hrp: "st".into(),
        log2_columns: 13,
        rounds: 31,
        min_rows: 4096,
        epoch_ms: 10_000,
        window_ms: 8_000,
        rank_delay_ms: 500,
        beacon_interval: 8,
        goal: Goal { numerator: 4, denominator: 5 },
        retarget_interval: 120,
        gap_epochs: 16,
        reorg_limit: 360,
        plot_maturity: 720,
        openings: 16,
        activation_window: 240,
        registrations_per_block: 4,
        plot_lifetime: Some(500_000),
        coinbase_maturity: 100,
        max_block_bytes: 1 << 20,
        max_block_transactions: 4096,
        fees: Fees { base: Amount(1000), per_byte: Amount(10) },
        emission: Emission {
            schedule: Schedule::Exponential { initial_reward: Amount(5_000_000_000), ratio_q64: 18446742807541872675 },
            reward_floor: Amount(1),
            emission_cap: None,
        },
    }
}

#[test]
fn the_programs_own_are_those_of_the_protocol() {
    assert_eq!(Parameters::main(), main());
    let test = Parameters {
        network: "test".into(),
        hrp: "tst".into(),
        log2_columns: 10,
        rounds: 7,
        min_rows: 256,
        openings: 8,
        ..main()
    };
    assert_eq!(Parameters::test(), test);
    let local = Parameters {
        network: "local".into(),
        hrp: "lst".into(),
        log2_columns: 6,
        rounds: 5,
        min_rows: 16,
        epoch_ms: 1000,
        window_ms: 600,
        rank_delay_ms: 100,
        beacon_interval: 4,
        retarget_interval: 20,
        reorg_limit: 50,
        plot_maturity: 100,
        openings: 4,
        activation_window: 60,
        registrations_per_block: 8,
        plot_lifetime: None,
        coinbase_maturity: 10,
        fees: Fees { base: Amount(0), per_byte: Amount(0) },
        emission: Emission {
            schedule: Schedule::Fixed { initial_reward: Amount(5_000_000_000) },
            reward_floor: Amount(0),
            emission_cap: None,
        },
        ..main()
    };
    assert_eq!(Parameters::local(), local);
}

fn plot(miner: u8, seed: u8, rows: u64) -> GenesisPlot {
    GenesisPlot { miner_key: MinerKey([miner; 48]), seed: Hash([seed; 32]), rows, root: Hash([3; 32]) }
}

fn account(address: u8, balance: u64) -> GenesisAccount {
    GenesisAccount { address: Address([address; 20]), balance: Amount(balance) }
}

/// A specification with something in every list.
fn full() -> Specification {
    let mut full = Specification::local();
    full.genesis.accounts = vec![account(1, 5), account(2, u64::MAX - 5)];
    full.genesis.plots = vec![plot(1, 1, 16), plot(1, 2, 1 << 40), plot(2, 1, 16)];
    full.checkpoints = vec![
        Checkpoint { height: Height(1), id: BlockId([8; 32]) },
        Checkpoint { height: Height(u64::MAX), id: BlockId([9; 32]) },
    ];
    full
}

#[test]
fn round_trips() {
    for specification in [Specification::main(), Specification::test(), Specification::local(), full()] {
        assert_eq!(Specification::parse(&specification.to_toml()), Ok(specification));
    }
    let initial_reward = Amount(u64::MAX);
    let schedules = [
        Schedule::Halving { initial_reward, interval: 7 },
        Schedule::Linear { initial_reward, decay_per_block: Amount(1) },
        Schedule::Exponential { initial_reward, ratio_q64: u64::MAX },
        Schedule::Table { steps: vec![(0, Amount(4)), (9, Amount(u64::MAX))] },
    ];
    for schedule in schedules {
        let mut specification = Specification::test();
        specification.parameters.emission =
            Emission { schedule, reward_floor: Amount(2), emission_cap: Some(Amount(u64::MAX)) };
        assert_eq!(Specification::parse(&specification.to_toml()), Ok(specification));
    }
}

/// What [`full`] says once `change` was made to it, asked both ways.
fn refused(change: impl FnOnce(&mut Specification)) -> SpecificationError {
    let mut specification = full();
    change(&mut specification);
    let error = specification.check().expect_err("it breaks a rule");
    assert_eq!(Specification::parse(&specification.to_toml()), Err(error.clone()));
    error
}

#[test]
fn each_rule_has_its_error() {
    use SpecificationError as E;
    assert_eq!(full().check(), Ok(()));
    assert_eq!(
        refused(|s| s.parameters.gap_epochs = 0),
        E::Parameters(ParameterError::Interval { name: "gap_epochs", value: 0 })
    );
    assert_eq!(refused(|s| s.genesis.time_ms = u64::MAX), E::Time(u64::MAX));
    assert_eq!(refused(|s| s.genesis.base.0 = [0; 32]), E::Base);
    let address = Address([1; 20]);
    assert_eq!(refused(|s| s.genesis.accounts[1].address = address), E::DuplicateAccount { index: 1, address });
    assert_eq!(refused(|s| s.genesis.accounts[0].balance = Amount(6)), E::Balances);
    let (balances, cap) = (Amount(u64::MAX), Amount(u64::MAX - 1));
    assert_eq!(refused(|s| s.parameters.emission.emission_cap = Some(cap)), E::Cap { balances, cap });
    for rows in [0, 15, (1 << 40) + 1] {
        assert_eq!(refused(|s| s.genesis.plots[1].rows = rows), E::Rows { index: 1, rows, min_rows: 16 });
    }
    assert_eq!(refused(|s| s.genesis.plots[1].seed = Hash([1; 32])), E::DuplicatePlot { index: 1 });
    let order = |index, height, below| E::CheckpointOrder { index, height: Height(height), below: Height(below) };
    assert_eq!(refused(|s| s.checkpoints[0].height = Height(0)), order(0, 0, 0));
    assert_eq!(refused(|s| s.checkpoints[1].height = Height(1)), order(1, 1, 1));
}

#[test]
fn too_long_a_text_is_not_read() {
    let text = "#".repeat(MAX_SPECIFICATION_BYTES + 1);
    assert_eq!(Specification::parse(&text), Err(SpecificationError::TooLong(text.len())));
    let mut longest = Specification::main().to_toml();
    longest.push_str(&" ".repeat(MAX_SPECIFICATION_BYTES - longest.len()));
    assert_eq!(Specification::parse(&longest), Ok(Specification::main()));
}

/// The text of [`full`] with `from` replaced, which must be in it.
fn altered(from: &str, to: &str) -> Result<Specification, SpecificationError> {
    let text = full().to_toml();
    assert!(text.contains(from), "{from:?} is not in\n{text}");
    Specification::parse(&text.replacen(from, to, 1))
}

#[test]
fn unknown_missing_and_malformed_fields_are_refused() {
    let form = |from: &str, to: &str, says: &str| match altered(from, to) {
        Err(SpecificationError::Form(text)) => assert!(text.contains(says), "{text}"),
        other => panic!("{from:?} made {to:?}: {other:?}"),
    };
    for table in [
        "[genesis]\n",
        "[[genesis.accounts]]\n",
        "[[genesis.plots]]\n",
        "[parameters]\n",
        "[parameters.goal]\n",
        "[parameters.fees]\n",
        "[parameters.emission]\n",
        "[parameters.emission.schedule.fixed]\n",
        "[[checkpoints]]\n",
    ] {
        form(table, &format!("{table}surprise = 1\n"), "surprise");
    }
    form("[genesis]\n", "surprise = 1\n[genesis]\n", "surprise");
    form("gap_epochs = 16\n", "", "gap_epochs");
    form("gap_epochs = 16\n", "gap_epochs = -16\n", "-16");
    form("gap_epochs = 16\n", "gap_epochs = 16\ngap_epochs = 16\n", "duplicate");
    form("gap_epochs = 16\n", "gap_epochs = 18446744073709551616\n", "18446744073709551616");
    form("log2_columns = 6\n", "log2_columns = 262\n", "262");
    form("base = \"00", "base = \"", "64 hex digits");
    form("base = \"00", "base = \"0x", "64 hex digits");
    form("miner_key = \"01", "miner_key = \"", "96 hex digits");
    form("seed = \"01", "seed = \"0101", "64 hex digits");
    form("id = \"08", "id = \"zz", "64 hex digits");
    form("[parameters.emission.schedule.fixed]", "[parameters.emission.schedule.generous]", "generous");
}

#[test]
fn addresses_are_those_of_the_chain() {
    let own = Address([1; 20]).encode("lst");
    let wrong = |to: &str| altered(&own, to).expect_err("no address of this chain");
    let reason = AddressError::WrongPrefix { expected: "lst".into(), found: "st".into() };
    assert_eq!(wrong(&Address([1; 20]).encode("st")), SpecificationError::Address { index: 0, reason });
    let reason = AddressError::MixedCase;
    assert_eq!(wrong(&own.replacen('l', "L", 1)), SpecificationError::Address { index: 0, reason });
    // The same account in other letters is the same account.
    let address = Address([2; 20]);
    let twice = altered(&own, &address.encode("lst").to_uppercase());
    assert_eq!(twice, Err(SpecificationError::DuplicateAccount { index: 1, address }));
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "\\PC*") {
        prop_assert!(Specification::parse(&text).is_err());
    }

    #[test]
    fn any_damage_is_judged(at: prop::sample::Index, with in "[ -~]?") {
        let mut text = full().to_toml();
        let at = at.index(text.len());
        text.replace_range(at..=at, &with);
        if let Ok(read) = Specification::parse(&text) {
            prop_assert_eq!(read.check(), Ok(()));
            prop_assert_eq!(Specification::parse(&read.to_toml()), Ok(read));
        }
    }
}
