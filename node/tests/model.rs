//! A naive second state is driven by the same random blocks, and must agree on everything (see `naive`).

mod naive;

use std::collections::{BTreeSet, HashMap};

use naive::{Mistake, Model};
use spacetime_node::chain::{Amount, BlockId, Hash, Height, Payload};
use spacetime_node::consensus::{Emission, Fees, Parameters, Schedule};
use spacetime_node::testing::{Fabric, Random, Setup, parameters};

/// Rewards that halve, reach the floor and then the cap; plots that end; fees.
fn setup(seed: u64) -> Setup {
    let emission = Emission {
        schedule: Schedule::Halving { initial_reward: Amount(5_000_000_007), interval: 25 },
        reward_floor: Amount(1_000_000),
        emission_cap: Some(Amount(4_000_000_000_000 + 60_000_000_000)),
    };
    let fees = Fees { base: Amount(1000), per_byte: Amount(10) };
    let parameters = Parameters { fees, emission, plot_lifetime: Some(40), coinbase_maturity: 5, ..parameters() };
    Setup { parameters, miners: 6, wallets: 4, seed, ..Setup::default() }
}

/// Compares model and state after a block.
fn compare(model: &Model, fabric: &Fabric, at: &BlockId) -> Result<(), String> {
    let mut ledger = fabric.ledger(at);
    let chain = ledger.chain().map_err(|error| error.to_string())?;
    let expect = |what: &str, same: bool| if same { Ok(()) } else { Err(what.to_owned()) };
    expect("issued", chain.issued.0 == model.issued)?;
    expect("burnt", chain.burnt.0 == model.burnt)?;

    let mut addresses: BTreeSet<_> = model.accounts.keys().copied().collect();
    addresses.extend(fabric.wallets.iter().map(|wallet| wallet.address));
    addresses.extend(fabric.miners.iter().map(|miner| miner.wallet.address));
    let mut balances = 0;
    for address in addresses {
        let account = ledger.account(address).map_err(|error| error.to_string())?;
        let known = account.map(|account| (account.balance.0, account.nonce));
        expect("an account", known == model.accounts.get(&address).copied())?;
        balances += known.unwrap_or_default().0;
    }
    let mut immature = 0;
    for height in 0..=model.height() {
        let rewards = ledger.rewards(Height(height)).map_err(|error| error.to_string())?;
        immature += rewards.and_then(|rewards| rewards.total()).unwrap_or_default().0;
    }
    expect("immature rewards", immature == model.immature())?;
    expect("issued = balances + immature + burnt", chain.issued.0 == balances + immature + chain.burnt.0)?;
    let cap = fabric.parameters().emission.emission_cap.unwrap_or(Amount(u64::MAX));
    expect("the cap", chain.issued <= cap)?;

    for miner in &fabric.miners {
        let barred = ledger.barred(miner.key).map_err(|error| error.to_string())?.is_some();
        expect("who is barred", barred == model.barred.contains(&miner.key))?;
        for plot in &miner.plots {
            let (key, next) = (plot.key(), model.height() + 1);
            let record = ledger.plot(key).map_err(|error| error.to_string())?;
            let known = model.plots.get(&key.0);
            expect("which plots there are", record.is_some() == known.is_some())?;
            let (Some(record), Some(known)) = (record, known) else { continue };
            for height in next..next + 70 {
                let status = record.status(Height(height), fabric.parameters());
                expect("a plot's status", format!("{status:?}") == format!("{:?}", model.life(known, height)))?;
            }
            let since = known.activated.last().copied().unwrap_or(known.registered);
            expect("what is drawn", fabric.drawn_mix(at, key) == model.drawn(since).map(Hash))?;
        }
    }
    Ok(())
}

/// Drives both along a tree of random blocks.
fn run(seed: u64, blocks: usize, mistake: Option<Mistake>) -> Result<Fabric, String> {
    let mut fabric = Fabric::new(&setup(seed));
    let mut random = Random::new(seed ^ 0xfab);
    let mut tip = fabric.genesis_id();
    let mut models = HashMap::from([(tip, Model::new(&fabric.specification, tip.0, mistake))]);
    compare(&models[&tip], &fabric, &tip)?;
    for _ in 0..blocks {
        if random.one_in(12) {
            for _ in 0..random.below(6).min(fabric.block(&tip).header.height.0) {
                tip = fabric.block(&tip).header.parent;
            }
        }
        let next = fabric.random_block(&tip, &mut random);
        let mut model = models[&tip].clone();
        model.apply(fabric.block(&next))?;
        compare(&model, &fabric, &next)?;
        models.insert(next, model);
        tip = next;
    }
    Ok(fabric)
}

#[test]
fn the_model_agrees() {
    let mut capped = 0;
    for seed in 0..6 {
        let fabric = run(seed, 250, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut kinds = [0; 6];
        let all = fabric.all().iter().flat_map(|made| &made.block.transactions);
        all.for_each(|transaction| kinds[transaction.payload.kind() as usize] += 1);
        assert!(kinds.iter().all(|count| *count > 0), "seed {seed}: {kinds:?}");
        let last = fabric.all().last().unwrap();
        let issued = fabric.ledger(&last.lineage.id).chain().unwrap().issued;
        capped += u32::from(Some(issued) == fabric.parameters().emission.emission_cap);
    }
    assert!(capped > 0, "some chain issues all that it may");
}

#[test]
fn no_nonce_is_used_twice() {
    let fabric = run(9, 120, None).unwrap();
    for made in fabric.all() {
        let mut seen = BTreeSet::new();
        let mut at = made;
        while at.lineage.height > Height(0) {
            for transaction in &at.block.transactions {
                if let Some(sender) = transaction.sender {
                    assert!(seen.insert((sender, transaction.nonce)));
                } else {
                    assert!(!matches!(transaction.payload, Payload::Transfer(_)));
                }
            }
            at = fabric.made(&at.lineage.parent);
        }
    }
}

#[test]
fn every_mistake_is_noticed() {
    let mistakes = [
        Mistake::FeesVanish,
        Mistake::LateRewards,
        Mistake::TenthOfEach,
        Mistake::UnclaimedMinted,
        Mistake::FirstGroup,
        Mistake::LongLife,
        Mistake::NoNonces,
    ];
    for mistake in mistakes {
        let noticed = (0..6).find_map(|seed| run(seed, 250, Some(mistake)).err());
        assert!(noticed.is_some(), "{mistake:?}");
        println!("{mistake:?}: {}", noticed.unwrap());
    }
}
