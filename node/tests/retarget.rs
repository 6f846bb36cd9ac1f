//! Difficulty in simulation: the goal is held, changes of space are followed, lies about time do not pay.
//! docs/CHAIN_SIMULATIONS.md has the numbers of longer runs.

mod simulation;

use simulation::liar::{Lie, blocks_won};
use simulation::quantile;
use simulation::settling::{Chain, Change, constant, settling};

#[test]
fn constant_space_holds_the_goal() {
    let shares: Vec<_> = (0..100).map(|seed| constant(seed, 100.0)).collect();
    for (seed, share) in shares.iter().enumerate() {
        assert!((0.76..=0.84).contains(share), "seed {seed}: {share}");
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!((0.79..=0.81).contains(&mean), "{mean}");
}

#[test]
fn changes_of_space_settle() {
    for change in Change::ALL {
        let hours = settling(change, 0..1000);
        let (median, p95) = (quantile(&hours, 0.5), quantile(&hours, 0.95));
        println!("{}: {median:.2} h, {p95:.2} h at p95", change.name());
        assert!(median <= 2.0, "{}: {median} h at the median", change.name());
        assert!(p95 <= 2.5, "{}: {p95} h at p95", change.name());
        assert!(median > 0.1, "{}: a change is seen at all", change.name());
    }
}

#[test]
fn a_visit_of_six_hours_is_followed() {
    for seed in 0..100 {
        let chain = Change::Visit(30.0).before(seed);
        assert!((0.4..2.5).contains(&chain.rate()), "seed {seed}: {}", chain.rate());
    }
}

#[test]
fn a_chain_that_does_not_follow_would_be_seen() {
    // The control: right after a change, and ten minutes later, the rate is not what is wanted.
    let mut chain = Chain::settled(1);
    let rate = chain.rate();
    Change::Times(100.0).strike(&mut chain);
    assert!((chain.rate() / rate - 100.0).abs() < 1e-6);
    chain.run(60);
    assert!(chain.rate() > 10.0, "{}", chain.rate());
}

#[test]
fn lies_about_time_do_not_pay() {
    const EPOCHS: u64 = 40_000;
    const SEEDS: u64 = 5;
    let share = |lie| (0..SEEDS).map(|seed| blocks_won(lie, 0.3, EPOCHS, seed)).sum::<f64>() / SEEDS as f64;
    // Four blocks in five epochs; three standard deviations.
    let blocks = (EPOCHS * SEEDS) as f64 * 0.8;
    let noise = 3.0 * (0.3 * 0.7 / blocks).sqrt();
    let honest = share(Lie::None);
    assert!((honest - 0.3).abs() < noise, "the honest get what they have: {honest}");
    for lie in [Lie::Early, Lie::Late, Lie::Stretch] {
        let share = share(lie);
        println!("{lie:?}: {share:.4}, honest {honest:.4}, noise {noise:.4}");
        assert!(share < honest + noise, "{lie:?}: {share}, honest {honest}");
    }
    // No lie, and known: with much space, blocks kept back in secret begin to pay. At three tenths it is a quarter
    // of a hundredth, at a quarter they cost more than a hundredth.
    let (secret, noise) = (share(Lie::Secret), 2.0 * noise);
    assert!(secret < 0.3 + 0.0025 + noise, "{secret}");
    let secret = (0..SEEDS).map(|seed| blocks_won(Lie::Secret, 0.25, EPOCHS, seed)).sum::<f64>() / SEEDS as f64;
    assert!(secret < 0.24, "{secret}");
    // The control: whoever has more space is seen.
    let more = (0..SEEDS).map(|seed| blocks_won(Lie::None, 0.31, EPOCHS, seed)).sum::<f64>() / SEEDS as f64;
    assert!(more > honest + noise, "{more}");
}
