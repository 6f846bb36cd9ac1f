//! Whole networks out of one seed: the product's own chain, sync, peers, pool and miners over a simulated network that
//! delays, loses and parts, with clocks that differ and members that are killed.
//!
//! `SPACETIME_SEED=N` runs one seed alone; `SPACETIME_SEEDS=N` so many of them, from 0.

#[path = "network_simulation/member.rs"]
mod member;
#[path = "network_simulation/story.rs"]
mod story;
#[path = "network_simulation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::prelude::*;
use story::Story;

/// Runs seeds side by side, and names those that fail.
fn all_seeds(count: u64, run: impl Fn(u64) + Sync) {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().expect("a seed is a number"));
    let seeds = match (number("SPACETIME_SEED"), number("SPACETIME_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count_of) => 0..count_of.unwrap_or(count),
    };
    let failed: Vec<u64> =
        seeds.into_par_iter().filter(|seed| catch_unwind(AssertUnwindSafe(|| run(*seed))).is_err()).collect();
    assert!(failed.is_empty(), "seeds {failed:?} failed: SPACETIME_SEED={} runs the first again", failed[0]);
}

#[test]
fn quiet_networks_agree() {
    all_seeds(40, |seed| {
        let mut story = Story::quiet(seed);
        story.epochs(40);
        let report = story.ends_in_agreement();
        // Four fifths of the epochs have a block where nothing disturbs.
        assert!(report.height >= 20, "{report:?}");
        assert_eq!(report.banned, 0, "{report:?}");
        assert!(report.stale * 3 <= report.height, "too many blocks beside the chain: {report:?}");
    });
}

#[test]
fn networks_in_all_weathers_agree_once_it_clears() {
    all_seeds(200, |seed| {
        let mut story = Story::wild(seed);
        story.through_storm(30);
        story.clear();
        // An answer that was lost is given up fifteen seconds after it was asked for.
        story.epochs(20);
        let report = story.ends_in_agreement();
        assert!(report.height >= 8, "{report:?}");
        assert_eq!(report.banned, 0, "nobody did wrong: {report:?}");
    });
}

#[test]
fn three_parts_heal_within_ten_epochs() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let (healed, all) = (AtomicU64::new(0), AtomicU64::new(0));
    all_seeds(40, |seed| {
        let mut story = Story::quiet(seed);
        story.epochs(8);
        story.part(3);
        story.epochs(20);
        story.heal();
        let took = story.epochs_until_agreement(40).expect("parts become one chain");
        all.fetch_add(1, Ordering::Relaxed);
        healed.fetch_add(u64::from(took <= 10), Ordering::Relaxed);
    });
    let (healed, all) = (healed.into_inner(), all.into_inner());
    assert!(healed * 100 >= all * 95, "{healed} of {all} seeds healed within ten epochs");
}

#[test]
fn the_same_seed_is_the_same_world() {
    let tip = |seed| {
        let mut story = Story::wild(seed);
        story.through_storm(15);
        story.tips()
    };
    assert_eq!(tip(7), tip(7));
    assert_ne!(tip(7), tip(8));
}

/// The harness sees what it is there to see.
#[test]
fn parts_do_not_agree() {
    let mut story = Story::quiet(1);
    story.epochs(5);
    story.part(2);
    story.epochs(20);
    assert!(catch_unwind(AssertUnwindSafe(|| story.ends_in_agreement())).is_err());
}
