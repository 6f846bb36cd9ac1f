//! The protocol's golden vectors of consensus: challenges, difficulty, weight, emission.
//!
//! Each list is checked by a function that says whether all of it holds, and that function is shown
//! wrong lists too, so that none of them passes whatever it is given.

use serde_json::Value;
use spacetime_kernels::{Shape, Target};
use spacetime_node::chain::{Amount, BlockId, Epoch, Hash, Height, MinerSignature};
use spacetime_node::consensus::{
    Beacon, Difficulty, Emission, Goal, Parameters, Schedule, Weight, beacon, log2_q32, retarget,
};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../kernels/tests/data/spacetime.json")).expect("vectors are JSON")
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let mut bytes = [0; N];
    const_hex::decode_to_slice(value.as_str().expect("hex"), &mut bytes).expect("hex");
    bytes
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn goal(value: &Value) -> Goal {
    let part = |at: usize| u8::try_from(number(&value[at])).expect("a byte");
    Goal { numerator: part(0), denominator: part(1) }
}

/// Checks the list `key`, of at least `least` vectors; then alters each of them at each place of
/// `wrong`, one at a time, and sees the check fail.
fn check(key: &str, least: usize, holds: impl Fn(&[Value]) -> bool, wrong: &[(&str, Value)]) {
    let vectors = vectors();
    let items = list(&vectors[key]);
    assert!(items.len() >= least, "{key}: {} vectors", items.len());
    assert!(holds(items), "{key}");
    for index in 0..items.len() {
        for (pointer, value) in wrong {
            let mut altered = items.to_vec();
            let place = altered[index].pointer_mut(pointer).unwrap_or_else(|| panic!("{key} has no {pointer}"));
            assert_ne!(place, value);
            *place = value.clone();
            assert!(!holds(&altered), "{key} {index}: {pointer} may be {value}");
        }
    }
}

#[test]
fn challenges() {
    let shape = Shape::new(13, 31).expect("main's");
    let holds = |items: &[Value]| {
        let mut tip: Option<(BlockId, Epoch, Beacon)> = None;
        items.iter().all(|item| {
            let id = BlockId(bytes(&item["genesis_id"]));
            let parameters = Parameters { beacon_interval: number(&item["beacon_interval"]), ..Parameters::main() };
            let epoch = Epoch(number(&item["epoch"]));
            let (parent_epoch, parent) = match tip {
                Some((chain, parent_epoch, parent)) if chain == id => (parent_epoch, parent),
                _ => (Epoch(0), Beacon::genesis(&id)),
            };
            let active = parent.active_at(parent_epoch, epoch, &parameters);
            let column = beacon::column(&active, beacon::group(epoch, &parameters), shape);
            let reveal = MinerSignature(bytes(&item["reveal"]));
            let left = parent.extend(parent_epoch, epoch, &reveal, &parameters);
            tip = Some((id, epoch, left));
            beacon::challenge(&active, epoch).0 == bytes(&item["challenge"])
                && u64::from(column.0) == number(&item["column_of_8192"])
                && left == Beacon { mix: Hash(bytes(&item["mix"])), active: Hash(bytes(&item["active"])) }
        })
    };
    let other = Value::from("11".repeat(32));
    let wrong =
        [("/challenge", other.clone()), ("/mix", other.clone()), ("/active", other), ("/column_of_8192", 1.into())];
    check("challenges", 11, holds, &wrong);
}

#[test]
fn logarithms() {
    let holds = |items: &[Value]| {
        items.iter().all(|item| log2_q32(number(&item["n"]).into(), number(&item["d"]).into()) == number(&item["q32"]))
    };
    check("log2_q32", 7, holds, &[("/q32", 1.into())]);
}

#[test]
fn retargets_and_weights() {
    let holds = |items: &[Value]| {
        items.iter().all(|item| {
            let base = Target(bytes(&item["base"]));
            let next = retarget(&base, number(&item["blocks"]), number(&item["epochs"]), goal(&item["goal"]));
            next.0 == bytes(&item["next"]) && Weight::of(&base).to_string() == item["weight"].as_str().expect("decimal")
        })
    };
    check("retargets", 11, holds, &[("/next", "12".repeat(32).into()), ("/weight", "2".into())]);
}

#[test]
fn difficulties() {
    let holds = |items: &[Value]| {
        items.iter().all(|item| {
            let parameters = Parameters {
                retarget_interval: number(&item["retarget_interval"]),
                gap_epochs: number(&item["gap_epochs"]),
                goal: goal(&item["goal"]),
                ..Parameters::main()
            };
            let mut difficulty = Difficulty::genesis(Target(bytes(&item["base"])));
            let mut parent = Epoch(0);
            list(&item["blocks"]).iter().all(|block| {
                let epoch = Epoch(number(&block["epoch"]));
                let (target, _) = difficulty.target(parent, epoch, &parameters);
                difficulty = difficulty.extend(parent, epoch, &parameters);
                parent = epoch;
                target.0 == bytes(&block["target"]) && difficulty.base.0 == bytes(&block["base_after"])
            })
        })
    };
    let other = Value::from("13".repeat(32));
    check("difficulty", 3, holds, &[("/blocks/9/target", other.clone()), ("/blocks/9/base_after", other)]);
}

/// An emission as the vectors write it.
fn emission(config: &Value) -> Emission {
    let initial_reward = Amount(number(&config["initial_reward"]));
    let schedule = match config["schedule"].as_str().expect("a name") {
        "fixed" => Schedule::Fixed { initial_reward },
        "halving" => Schedule::Halving { initial_reward, interval: number(&config["interval"]) },
        "linear" => Schedule::Linear { initial_reward, decay_per_block: Amount(number(&config["decay_per_block"])) },
        "exponential" => Schedule::Exponential { initial_reward, ratio_q64: number(&config["ratio_q64"]) },
        "table" => {
            let steps = list(&config["table"]).iter().map(|step| (number(&step[0]), Amount(number(&step[1]))));
            Schedule::Table { steps: steps.collect() }
        }
        other => panic!("schedule {other}"),
    };
    Emission {
        schedule,
        reward_floor: Amount(config.get("reward_floor").map_or(0, number)),
        emission_cap: config.get("emission_cap").map(number).map(Amount),
    }
}

#[test]
fn emissions() {
    let holds = |items: &[Value]| {
        items.iter().all(|item| {
            let emission = emission(&item["config"]);
            list(&item["rewards"])
                .iter()
                .all(|pair| emission.reward(Height(number(&pair[0])), Amount::ZERO) == Amount(number(&pair[1])))
        })
    };
    check("emission", 6, holds, &[("/rewards/4/1", 77.into()), ("/rewards/0/1", 77.into())]);
}

#[test]
fn emission_under_a_cap() {
    let vectors = vectors();
    let item = &vectors["emission_capped"];
    let emission = emission(&item["config"]);
    let mut issued = Amount::ZERO;
    for pair in list(&item["all_claimed"]) {
        let reward = emission.reward(Height(number(&pair[0])), issued);
        assert_eq!(reward, Amount(number(&pair[1])), "height {}", pair[0]);
        issued = issued.checked_add(reward).expect("far below the limit");
    }
    assert_eq!(issued, Amount(number(&item["issued"])));
    let uncapped = Emission { emission_cap: None, ..emission };
    assert_ne!(uncapped.reward(Height(19), issued), Amount::ZERO, "it is the cap that stops it");
}
