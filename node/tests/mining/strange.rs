//! Whatever a node says and whatever the clock shows, the miner lives, and says no more than one thing of each epoch.

use std::collections::BTreeSet;

use proptest::prelude::*;
use spacetime_node::builder::Payout;
use spacetime_node::chain::{Address, BlockId, Epoch, Hash, Height};
use spacetime_node::miner::farm::{FarmView, Field, Leaf, SweepEnd, SweepReport};
use spacetime_node::miner::io::{LinkError, SweepId};
use spacetime_node::miner::record::MemoryRecord;
use spacetime_node::miner::work::{
    ChainWork, EpochChallenge, EpochWork, GroupWork, Pause, PlotState, ResultWork, Work,
};
use spacetime_node::miner::{Miner, MinerEffect, MinerInput, MinerOptions, Registration};
use spacetime_node::testing::MemoryField;

use crate::world::{chain, key, parameters, plot, secret};

/// Small numbers, those near the genesis that most chains here have, and those at the end of counting.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..20, 999_000_u64..1_020_000, (0_u64..3).prop_map(|less| u64::MAX - less), any::<u64>()]
}

fn hash() -> impl Strategy<Value = Hash> {
    prop_oneof![Just(0_u8), Just(1), Just(0xff)].prop_map(|byte| Hash([byte; 32]))
}

fn work() -> impl Strategy<Value = Work> {
    let of_chain =
        (number(), number(), number(), any::<bool>()).prop_map(|(genesis_time_ms, epoch_ms, window_ms, usual)| {
            let other = ChainWork { genesis_time_ms, epoch_ms, window_ms, plot_lifetime: Some(window_ms), ..chain(0) };
            Work::Chain(if usual { chain(1_000_000) } else { other })
        });
    let known = (number(), hash(), number()).prop_map(|(epoch, challenge, start_ms)| EpochChallenge {
        epoch: Epoch(epoch),
        challenge,
        start_ms,
    });
    let of_group = (number(), 0_u32..100, prop::collection::vec(known, 0..10), hash())
        .prop_map(|(group, column, challenges, target)| Work::Group(GroupWork { group, column, challenges, target }));
    let of_epoch = (number(), hash(), 0_u32..100, hash(), number(), number()).prop_map(
        |(epoch, challenge, column, target, height, closes_ms)| {
            let (epoch, height, parent) = (Epoch(epoch), Height(height), BlockId([0; 32]));
            Work::Epoch(EpochWork { epoch, challenge, column, target, parent, height, closes_ms, time_ms: closes_ms })
        },
    );
    let of_result = (number(), prop::option::of(hash()), any::<bool>()).prop_map(|(epoch, best, ours)| {
        let block = Some((BlockId([1; 32]), key(if ours { 1 } else { 3 })));
        Work::Result(ResultWork { epoch: Epoch(epoch), best, block })
    });
    prop_oneof![1 => of_chain, 3 => of_group, 4 => of_epoch, 2 => of_result, 1 => Just(Work::Pause(Pause::Behind))]
}

#[derive(Clone, Debug)]
enum Step {
    Say(Work),
    /// Does the oldest thing that was ordered: well, or not.
    Do(bool),
    Clock(u64),
    Wake,
    Disconnect,
    /// Something that was not asked for.
    Stray(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => work().prop_map(Step::Say),
        6 => any::<bool>().prop_map(Step::Do),
        2 => number().prop_map(Step::Clock),
        3 => Just(Step::Wake),
        1 => Just(Step::Disconnect),
        1 => number().prop_map(Step::Stray),
    ]
}

fn done(effect: MinerEffect, field: &MemoryField, well: bool) -> Option<MinerInput> {
    let no = || LinkError::Refused("no".into());
    Some(match effect {
        MinerEffect::Sweep(order) if order.column >= 64 => {
            MinerInput::SweepDone { id: order.id, result: Err("no".into()) }
        }
        MinerEffect::Sweep(order) => {
            let mut report = field.sweep(&order, &Default::default(), &mut |_, _| {}).expect("memory");
            report.end = if well { SweepEnd::Swept } else { SweepEnd::Deadline };
            MinerInput::SweepDone { id: order.id, result: Ok(report) }
        }
        MinerEffect::Prove(order) => {
            let result = if well { field.prove(&order).map(Box::new) } else { Err("no".into()) };
            MinerInput::ProofMade { order, result }
        }
        MinerEffect::Submit(proof) => MinerInput::SubmitResult {
            epoch: proof.epoch,
            challenge: Hash(proof.proof.challenge),
            result: if well { Ok(()) } else { Err(LinkError::Unreachable("no".into())) },
        },
        MinerEffect::Signed(signed) => {
            MinerInput::SignResult { epoch: signed.epoch, miner_key: signed.miner_key, result: Err(no()) }
        }
        MinerEffect::QueryPlot { plot_key } => {
            let mix = Some(Hash([1; 32]));
            let pending = PlotState::Pending { registered: Height(1), mix, until: Height(u64::MAX) };
            let active = PlotState::Active { mature_from: Height(0), until: Some(Height(u64::MAX)), mix };
            MinerInput::PlotState { plot_key, result: if well { Ok(active) } else { Ok(pending) } }
        }
        MinerEffect::QueryNonce(address) => MinerInput::Nonce { address, result: Ok(u64::MAX) },
        MinerEffect::Open(order) => {
            let result = if well { field.open(&order) } else { Err("no".into()) };
            MinerInput::OpeningsMade { order, result }
        }
        MinerEffect::Send { plot_key, .. } => {
            MinerInput::SendResult { plot_key, result: if well { Ok(()) } else { Err(no()) } }
        }
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said(steps in prop::collection::vec(step(), 1..80)) {
        let field = MemoryField::new(&parameters(), vec![plot(1, 1), plot(1, 2)]);
        let options = MinerOptions {
            keys: vec![secret(1)],
            payout: Payout::all_to(Address([1; 20])),
            registration: Registration::Unpaid,
        };
        let mut miner = Miner::new(options, MemoryRecord::default());
        let mut now = 1_000_500;
        let mut ordered = Vec::new();
        let (mut lines, mut sweeping) = (BTreeSet::new(), None);
        let mut inputs = vec![MinerInput::Farm(field.look()), MinerInput::Work(Work::Chain(chain(now)))];
        for step in steps {
            match step {
                Step::Say(work) => inputs.push(MinerInput::Work(work)),
                Step::Do(well) if !ordered.is_empty() => {
                    let effect = ordered.remove(0);
                    if let MinerEffect::Sweep(order) = &effect
                        && order.column < 64
                    {
                        let report = field.sweep(order, &Default::default(), &mut |_, _| {}).expect("memory");
                        inputs.push(MinerInput::SweepDue { id: order.id, due_ms: now, report });
                    }
                    inputs.extend(done(effect, &field, well));
                }
                Step::Do(_) => {}
                Step::Clock(time) => {
                    now = time;
                    inputs.push(MinerInput::Tick);
                }
                Step::Wake => {
                    now = miner.wake_ms().unwrap_or(now).max(now);
                    inputs.push(MinerInput::Tick);
                }
                Step::Disconnect => inputs.push(MinerInput::Disconnected),
                Step::Stray(number) => {
                    let leaf = Leaf { score: spacetime_kernels::Score([0; 32]), plot: spacetime_node::chain::PlotId([0; 32]), row: number };
                    let report = SweepReport { end: SweepEnd::Swept, rankings: vec![vec![leaf]], plots: 1, leaves: 1, bytes: 1, took_ms: number, troubles: Vec::new() };
                    inputs.push(MinerInput::SweepDue { id: SweepId(number), due_ms: number, report: report.clone() });
                    inputs.push(MinerInput::SweepDone { id: SweepId(number), result: Ok(report) });
                    inputs.push(MinerInput::SubmitResult { epoch: Epoch(number), challenge: Hash::ZERO, result: Ok(()) });
                    inputs.push(MinerInput::Farm(if number % 2 == 0 { FarmView::default() } else { field.look() }));
                }
            }
            for input in inputs.drain(..) {
                if let MinerInput::SweepDone { id, .. } = &input && sweeping == Some(*id) {
                    sweeping = None;
                }
                for effect in miner.handle(input, now) {
                    match &effect {
                        MinerEffect::Window(line) => prop_assert!(lines.insert(line.epoch), "two lines of epoch {}", line.epoch),
                        MinerEffect::Sweep(order) => {
                            prop_assert!(sweeping.replace(order.id).is_none(), "two sweeps at once");
                            prop_assert!((1..=8).contains(&order.challenges.len()));
                        }
                        _ => {}
                    }
                    ordered.push(effect);
                }
                prop_assert!(miner.wake_ms().is_none_or(|wake| wake > now));
            }
        }
    }
}
