//! The life of plots, block by block (PROTOCOL §9).

mod judging;

use judging::{refusal, unfit};
use spacetime_node::chain::rules::{BlockError, TransactionError};
use spacetime_node::chain::{Amount, BlockId, Hash, Height, Transaction};
use spacetime_node::consensus::Parameters;
use spacetime_node::state::PlotStatus;
use spacetime_node::testing::{Fabric, MemoryPlot, Order, Setup, parameters};

/// A new plot of the first miner.
fn plot(fabric: &Fabric, seed: u8) -> MemoryPlot {
    MemoryPlot::grow(fabric.parameters(), fabric.miners[0].key, [seed; 32], 16)
}

fn register(fabric: &Fabric, plot: &MemoryPlot) -> Transaction {
    fabric.miners[0].register(&fabric.genesis_id(), plot, None)
}

fn activate(fabric: &Fabric, plot: &MemoryPlot, mix: &Hash) -> Transaction {
    fabric.miners[0].activate(&fabric.genesis_id(), plot, mix, fabric.parameters().openings, None)
}

/// An empty child that begins another group than its parent's.
fn next_group(fabric: &mut Fabric, parent: &BlockId) -> BlockId {
    let interval = fabric.parameters().beacon_interval;
    fabric.make(parent, Order { skip_epochs: interval, ..Order::default() })
}

fn height(fabric: &Fabric, at: &BlockId) -> u64 {
    fabric.made(at).lineage.height.0
}

/// The ancestor of `at` at a height.
fn ancestor(fabric: &Fabric, mut at: BlockId, height: u64) -> BlockId {
    while fabric.made(&at).lineage.height.0 > height {
        at = fabric.made(&at).lineage.parent;
    }
    at
}

/// Registers a plot in the first block and activates it as early as it goes, in the fourth.
fn active(fabric: &mut Fabric, plot: &MemoryPlot) -> BlockId {
    let registered = fabric.extend(&fabric.genesis_id(), vec![register(fabric, plot)]);
    let first = next_group(fabric, &registered);
    let second = next_group(fabric, &first);
    let mix = fabric.drawn_mix(&second, plot.key()).expect("two groups have begun");
    fabric.extend(&second, vec![activate(fabric, plot, &mix)])
}

/// Blocks upon `at` up to a height, none of them won by the first miner's plots.
fn up_to(fabric: &mut Fabric, at: BlockId, height: u64) -> BlockId {
    let mut tip = at;
    while fabric.made(&tip).lineage.height.0 < height {
        tip = fabric.make(&tip, Order { miner: Some(1), ..Order::default() });
    }
    tip
}

#[test]
fn a_registration_lives_for_its_window() {
    let mut fabric = Fabric::default();
    let window = fabric.parameters().activation_window;
    let plot = plot(&fabric, 1);
    let (key, twin) = (plot.key(), MemoryPlot::grow(fabric.parameters(), fabric.miners[0].key, [1; 32], 17));
    let at = fabric.extend(&fabric.genesis_id(), vec![register(&fabric, &plot)]);
    let registered = Height(height(&fabric, &at));
    let tip = up_to(&mut fabric, at, registered.0 + window);
    let again = [register(&fabric, &plot), register(&fabric, &twin)];
    let mix = fabric.drawn_mix(&tip, key).unwrap();
    let late = activate(&fabric, &plot, &mix);
    // In the last block of its window, whose parent is one block below it.
    let parent = fabric.made(&tip).lineage.parent;
    for transaction in &again {
        let error = refusal(&mut fabric, &parent, &[], transaction);
        assert_eq!(error, Some(TransactionError::Registered { plot_key: key, registered }));
    }
    assert_eq!(refusal(&mut fabric, &parent, &[], &late), None);
    // One block later.
    let lapsed = TransactionError::Lapsed { plot_key: key, height: Height(registered.0 + window + 1) };
    assert_eq!(refusal(&mut fabric, &tip, &[], &late), Some(lapsed));
    for transaction in &again {
        assert_eq!(refusal(&mut fabric, &tip, &[], transaction), None);
    }
    let back = fabric.extend(&tip, vec![again[1].clone()]);
    let record = fabric.plot(&back, key).unwrap();
    assert_eq!((record.rows, record.registered), (17, Height(registered.0 + window + 1)));
    assert_eq!(record.status(record.registered.next(), fabric.parameters()), PlotStatus::Pending);
    assert_eq!(refusal(&mut fabric, &back, &[], &late), Some(TransactionError::NotDrawn), "it begins anew");
}

#[test]
fn openings_come_from_the_second_new_group() {
    let mut fabric = Fabric::default();
    let plot = plot(&fabric, 1);
    let mix_of = |fabric: &Fabric, at: &BlockId| fabric.made(at).lineage.beacon.mix;
    // The registration's own block begins a group, which is not a new one.
    let before = fabric.chain(&fabric.genesis_id(), 2, 0)[1];
    let transactions = vec![register(&fabric, &plot)];
    let registered = fabric.make(&before, Order { transactions, skip_epochs: 4, ..Order::default() });
    let first = next_group(&mut fabric, &registered);
    let second = next_group(&mut fabric, &first);
    let third = next_group(&mut fabric, &second);
    let mixes = [registered, first, second, third].map(|at| mix_of(&fabric, &at));
    let activations = mixes.map(|mix| activate(&fabric, &plot, &mix));
    for (parent, name) in [(registered, "its first block"), (first, "the second new group's own first block")] {
        for transaction in &activations {
            assert_eq!(refusal(&mut fabric, &parent, &[], transaction), Some(TransactionError::NotDrawn), "{name}");
        }
    }
    for parent in [second, third] {
        for (index, transaction) in activations.iter().enumerate() {
            let error = refusal(&mut fabric, &parent, &[], transaction);
            match index {
                2 => assert_eq!(error, None),
                _ => assert!(matches!(error, Some(TransactionError::OpeningPath { index: 0, .. })), "{error:?}"),
            }
        }
    }
    // Blocks of the same group bring nothing new.
    let mut same = fabric.make(&first, Order::default());
    let group = |fabric: &Fabric, at: &BlockId| fabric.made(at).lineage.epoch.0 / fabric.parameters().beacon_interval;
    while group(&fabric, &same) == group(&fabric, &first) {
        assert_eq!(fabric.drawn_mix(&same, plot.key()), None);
        same = fabric.make(&same, Order::default());
    }
    assert_eq!(fabric.drawn_mix(&same, plot.key()), Some(mix_of(&fabric, &same)));
}

#[test]
fn activated_once_for_each_draw() {
    let mut fabric = Fabric::default();
    let plot = plot(&fabric, 1);
    let tip = active(&mut fabric, &plot);
    let matures = fabric.plot(&tip, plot.key()).unwrap().mature_from;
    let old = fabric.block(&tip).transactions[1].clone();
    assert_eq!(refusal(&mut fabric, &tip, &[], &old), Some(TransactionError::NotDrawn));
    let twice = fabric.made(&tip).lineage.parent;
    assert_eq!(refusal(&mut fabric, &twice, std::slice::from_ref(&old), &old), Some(TransactionError::NotDrawn));
    let first = next_group(&mut fabric, &tip);
    let second = next_group(&mut fabric, &first);
    assert!(matches!(refusal(&mut fabric, &second, &[], &old), Some(TransactionError::OpeningPath { .. })));
    let mix = fabric.drawn_mix(&second, plot.key()).unwrap();
    let again = fabric.extend(&second, vec![activate(&fabric, &plot, &mix)]);
    let record = fabric.plot(&again, plot.key()).unwrap();
    assert_eq!((record.mature_from, record.last.0), (matures, height(&fabric, &again)), "its maturity stays");
}

#[test]
fn a_plot_may_win_once_it_is_mature() {
    let mut fabric = Fabric::default();
    let plot = plot(&fabric, 1);
    let active = active(&mut fabric, &plot);
    let matures = height(&fabric, &active) + fabric.parameters().plot_maturity;
    let tip = up_to(&mut fabric, active, matures);
    for at in height(&fabric, &active)..=matures {
        let parent = ancestor(&fabric, tip, at);
        let expected = (at + 1 < matures).then(|| BlockError::PlotStatus {
            plot_id: plot.id(),
            status: PlotStatus::Immature,
            height: Height(at + 1),
        });
        assert_eq!(unfit(&fabric, &parent, 0, &plot), expected);
    }
    fabric.miners[0].plots = vec![plot.clone()];
    let won = fabric.make(&tip, Order { miner: Some(0), ..Order::default() });
    assert_eq!(fabric.block(&won).header.plot_id, plot.id());
    assert_eq!(fabric.plot(&won, plot.key()).unwrap().last.0, height(&fabric, &won));
}

#[test]
fn a_plot_lives_for_its_lifetime_since_its_latest_win_or_activation() {
    const LIFETIME: u64 = 30;
    let parameters = Parameters { plot_lifetime: Some(LIFETIME), ..parameters() };
    let mut fabric = Fabric::new(&Setup { parameters, ..Setup::default() });
    let plot = plot(&fabric, 1);
    let active = active(&mut fabric, &plot);
    let begun = height(&fabric, &active);
    // Genesis plots live from 0.
    let old = fabric.miners[0].plots[0].clone();
    let tip = up_to(&mut fabric, active, begun + LIFETIME);
    let ended = |plot: &MemoryPlot, height| {
        let (plot_id, status) = (plot.id(), PlotStatus::Ended);
        Some(BlockError::PlotStatus { plot_id, status, height: Height(height) })
    };
    assert_eq!(unfit(&fabric, &ancestor(&fabric, tip, LIFETIME - 1), 0, &old), None);
    assert_eq!(unfit(&fabric, &ancestor(&fabric, tip, LIFETIME), 0, &old), ended(&old, LIFETIME + 1));
    let last = ancestor(&fabric, tip, begun + LIFETIME - 1);
    assert_eq!(unfit(&fabric, &last, 0, &plot), None);
    assert_eq!(unfit(&fabric, &tip, 0, &plot), ended(&plot, begun + LIFETIME + 1));

    let mix = fabric.drawn_mix(&tip, plot.key()).unwrap();
    let renew = activate(&fabric, &plot, &mix);
    let lapsed = TransactionError::Lapsed { plot_key: plot.key(), height: Height(begun + LIFETIME + 1) };
    assert_eq!(refusal(&mut fabric, &tip, &[], &renew), Some(lapsed));
    let registered = TransactionError::Registered { plot_key: plot.key(), registered: Height(1) };
    let anew = register(&fabric, &plot);
    assert_eq!(refusal(&mut fabric, &last, &[], &anew), Some(registered));
    assert_eq!(refusal(&mut fabric, &tip, &[], &anew), None, "what has ended can come back");

    // Renewed, or having won, in the last block of its life, it lives as long again.
    fabric.miners[0].plots = vec![plot.clone()];
    let renewed = fabric.make(&last, Order { transactions: vec![renew], miner: Some(1), ..Order::default() });
    let won = fabric.make(&last, Order { miner: Some(0), ..Order::default() });
    for at in [renewed, won] {
        let tip = up_to(&mut fabric, at, begun + 2 * LIFETIME);
        assert_eq!(unfit(&fabric, &ancestor(&fabric, tip, begun + 2 * LIFETIME - 1), 0, &plot), None);
        assert_eq!(unfit(&fabric, &tip, 0, &plot), ended(&plot, begun + 2 * LIFETIME + 1));
    }
}

#[test]
fn retired_for_good() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let (pending, plot) = (plot(&fabric, 1), fabric.miners[0].plots[0].clone());
    fabric.miners[0].plots.truncate(1);
    let tip = fabric.extend(&genesis, vec![register(&fabric, &pending)]);
    let payer = |nonce| fabric.wallets[0].paying(nonce, Amount(0));
    let foreign = fabric.miners[1].retire(&genesis, &plot, payer(0));
    let retirements: Vec<_> = [&plot, &pending]
        .into_iter()
        .zip(0..)
        .map(|(plot, nonce)| fabric.miners[0].retire(&genesis, plot, payer(nonce)))
        .collect();
    let unknown = fabric.miners[0].retire(
        &genesis,
        &MemoryPlot::grow(fabric.parameters(), fabric.miners[0].key, [9; 32], 16),
        payer(0),
    );
    let again = fabric.miners[0].retire(&genesis, &plot, payer(2));
    let owner = fabric.miners[0].key;
    let plot_key = plot.key();
    assert_eq!(refusal(&mut fabric, &tip, &[], &foreign), Some(TransactionError::ForeignPlot { plot_key, owner }));
    assert!(matches!(refusal(&mut fabric, &tip, &[], &unknown), Some(TransactionError::UnknownPlot { .. })));

    // The block that retires it may be its own.
    let retired = fabric.make(&tip, Order { transactions: retirements, miner: Some(0), ..Order::default() });
    assert_eq!(fabric.block(&retired).transactions.len(), 3);
    assert_eq!(fabric.block(&retired).header.plot_id, plot.id());
    let status = PlotStatus::Retired;
    let error = unfit(&fabric, &retired, 0, &plot);
    let height = fabric.made(&retired).lineage.height.next();
    assert_eq!(error, Some(BlockError::PlotStatus { plot_id: plot.id(), status, height }));
    let later = up_to(&mut fabric, retired, 70);
    for at in [retired, later] {
        for (plot, seed) in [(&plot, None), (&pending, Some(1))] {
            let mix = fabric.drawn_mix(&later, plot.key()).unwrap();
            let transactions = [register(&fabric, plot), activate(&fabric, plot, &mix)];
            for transaction in &transactions {
                let expected = TransactionError::Retired { plot_key: plot.key() };
                assert_eq!(refusal(&mut fabric, &at, &[], transaction), Some(expected), "{seed:?}");
            }
        }
        assert_eq!(refusal(&mut fabric, &at, &[], &again), Some(TransactionError::Retired { plot_key }));
    }
}

#[test]
fn so_many_registrations_and_one_unpaid() {
    let mut fabric = Fabric::default();
    let (genesis, limit) = (fabric.genesis_id(), fabric.parameters().registrations_per_block);
    let plots: Vec<_> = (0..=limit as u8).map(|seed| plot(&fabric, seed)).collect();
    let unpaid = [register(&fabric, &plots[0]), register(&fabric, &plots[1])];
    // The fee is 0, and yet they are paid for: somebody's nonce is used.
    let paying = |plot, nonce| {
        let payer = fabric.wallets[0].paying(nonce, Amount(0));
        fabric.miners[0].register(&genesis, plot, Some(payer))
    };
    let paid: Vec<_> = plots.iter().skip(1).zip(0..).map(|(plot, nonce)| paying(plot, nonce)).collect();
    let error = refusal(&mut fabric, &genesis, &unpaid[..1], &unpaid[1]);
    assert_eq!(error, Some(TransactionError::UnpaidRegistrations));
    assert_eq!(refusal(&mut fabric, &genesis, &unpaid[..1], &paid[0]), None);
    let full = [&unpaid[..1], &paid[..limit as usize - 1]].concat();
    assert_eq!(full.len(), limit as usize);
    let error = refusal(&mut fabric, &genesis, &full, &paid[limit as usize - 1]);
    assert_eq!(error, Some(TransactionError::Registrations { limit }));
    let next = fabric.extend(&genesis, full);
    assert_eq!(refusal(&mut fabric, &next, &[], &paid[limit as usize - 1]), None, "the next block has room");
}
