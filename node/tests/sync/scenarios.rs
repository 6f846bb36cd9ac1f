//! One kind of trouble each, and all of them together.

use std::sync::Arc;

use spacetime_node::chain::{BlockId, Capped, Height};
use spacetime_node::manager::{ChainManager, Options};
use spacetime_node::network::message::{GetHeaders, Response};
use spacetime_node::network::offence::Offence;
use spacetime_node::store::MemoryDatabase;
use spacetime_node::store::snapshot::{SnapshotReader, export};
use spacetime_node::sync::{Phase, serve};
use spacetime_node::testing::Random;

use crate::network::Network;
use crate::peers::{Kind, MockPeer};
use crate::world::{BLOCKS, WORLD};

const MINUTE_MS: u64 = 60_000;

/// The seeds of a test, the one that `SYNC_SEED` asks for, or as many times more as `SYNC_TIMES` says.
fn seeds(count: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match number("SYNC_SEED") {
        Some(seed) => vec![seed],
        None => (0..count * number("SYNC_TIMES").unwrap_or(1)).collect(),
    }
}

fn honest() -> MockPeer {
    MockPeer::new(Kind::Honest, WORLD.trunk.clone(), 20)
}

/// Runs until the heaviest honest chain is the node's, and says after how many milliseconds.
fn catch_up(network: &mut Network, within_ms: u64, seed: u64) -> u64 {
    let begin = network.now_ms;
    let end = *WORLD.trunk.last().unwrap();
    let done = network.run(within_ms, |network| network.tip() == end);
    let (height, progress) = (network.manager.tip().height, network.sync.progress());
    assert!(done, "seed {seed}: at height {height} after {within_ms} ms: {progress:?}, {:?}", network.offences);
    network.now_ms - begin
}

fn check_bounds(network: &Network, seed: u64) {
    assert!(network.most_open <= 24, "seed {seed}: {} questions were open", network.most_open);
    assert!(network.most_blocks_out <= 3 * 4 + 5, "seed {seed}: {} blocks were out", network.most_blocks_out);
    for (peer, offences) in &network.offences {
        let kind = network.peers[peer].kind;
        let undeserved: Vec<_> = offences.iter().filter(|offence| !kind.deserves().contains(offence)).collect();
        assert!(undeserved.is_empty(), "seed {seed}: {kind:?} {peer} is blamed for {undeserved:?}");
    }
}

#[test]
fn one_honest_peer_is_enough() {
    for seed in seeds(5) {
        let mut network = Network::new(seed);
        network.join(0, honest());
        let took = catch_up(&mut network, MINUTE_MS, seed);
        check_bounds(&network, seed);
        assert!(took < 5_000, "seed {seed}: it took {took} ms");
        assert!(network.offences.is_empty());
        assert_eq!(network.blocks_sent, BLOCKS, "each block came once");
    }
}

#[test]
fn several_peers_share_the_work() {
    let mut network = Network::new(1);
    for _ in 0..4 {
        network.join(0, honest());
    }
    catch_up(&mut network, MINUTE_MS, 1);
    check_bounds(&network, 1);
    assert_eq!(network.blocks_sent, BLOCKS);
}

#[test]
fn each_kind_of_bad_peer_is_found_out_and_the_chain_is_had_from_others() {
    for kind in Kind::BAD {
        for seed in seeds(4) {
            let mut network = Network::new(seed);
            let chain = if kind == Kind::Breaker { WORLD.broken.clone() } else { WORLD.trunk.clone() };
            // It is there first, and nearer.
            let bad = network.join(0, MockPeer::new(kind, chain, 1));
            network.join(50 + seed * 10, honest());
            catch_up(&mut network, 5 * MINUTE_MS, seed);
            network.run(MINUTE_MS, |_| false);
            check_bounds(&network, seed);
            let found_out = network.offences_of(bad);
            assert!(!found_out.is_empty() || kind == Kind::Lossy, "seed {seed}: {kind:?} is not blamed");
        }
    }
}

#[test]
fn no_kind_of_good_peer_is_blamed() {
    for kind in Kind::GOOD {
        for seed in seeds(3) {
            let mut network = Network::new(seed);
            network.join(0, MockPeer::new(kind, WORLD.trunk.clone(), 30));
            network.join(100, honest());
            catch_up(&mut network, 5 * MINUTE_MS, seed);
            network.run(MINUTE_MS, |_| false);
            assert!(network.offences.is_empty(), "seed {seed}: {kind:?}: {:?}", network.offences);
        }
    }
}

#[test]
fn any_mixture_ends_at_the_heaviest_honest_chain() {
    for seed in seeds(40) {
        let mut random = Random::new(seed ^ 0xabcd);
        let mut network = Network::new(seed);
        let mut anchors = 0;
        for number in 0..3 + random.below(8) {
            let kind =
                if number == 0 || random.one_in(3) { *random.pick(&Kind::GOOD) } else { *random.pick(&Kind::BAD) };
            let kind = if anchors == 0 && number > 0 { Kind::Honest } else { kind };
            let chain = match kind {
                Kind::Breaker => WORLD.broken.clone(),
                _ if anchors == 0 && kind == Kind::Honest => WORLD.trunk.clone(),
                _ if random.one_in(4) => WORLD.near_fork.clone(),
                _ if random.one_in(4) => WORLD.trunk[..random.below(BLOCKS) as usize].to_vec(),
                _ => WORLD.trunk.clone(),
            };
            anchors += u32::from(kind == Kind::Honest && chain.len() == WORLD.trunk.len());
            let latency = 1 + random.below(200);
            let peer = network.join(random.below(2000), MockPeer::new(kind, chain, latency));
            if kind.is_good() && random.one_in(3) {
                let away = random.below(3000);
                network.leave(away, peer);
                network.come_back(away + random.below(5000), peer);
            }
            if kind.is_good() && random.one_in(4) {
                network.switch(random.below(4000), peer, WORLD.trunk.clone());
            }
        }
        catch_up(&mut network, 20 * MINUTE_MS, seed);
        network.run(2 * MINUTE_MS, |_| false);
        assert_eq!(network.tip(), *WORLD.trunk.last().unwrap(), "seed {seed}");
        check_bounds(&network, seed);
        assert!(network.questions < 3000, "seed {seed}: {} questions", network.questions);
    }
}

#[test]
fn a_restart_goes_on_where_it_was() {
    for seed in seeds(8) {
        let mut network = Network::new(seed);
        network.join(0, honest());
        network.join(0, honest());
        let mut sent = 0;
        for stop in [15, 40, 70] {
            let reached = network.run(MINUTE_MS, |network| network.manager.tip().height.0 >= stop);
            assert!(reached, "seed {seed}");
            let height = network.manager.tip().height;
            network.restart();
            assert!(network.manager.tip().height >= height, "seed {seed}");
            sent += 16;
        }
        catch_up(&mut network, MINUTE_MS, seed);
        assert!(network.blocks_sent <= BLOCKS + sent, "seed {seed}: {} blocks were sent", network.blocks_sent);
        assert!(network.offences.is_empty(), "seed {seed}");
    }
}

#[test]
fn a_peer_that_reorganises_in_the_middle_is_followed_and_not_blamed() {
    for seed in seeds(10) {
        let mut network = Network::new(seed);
        let peer = network.join(0, MockPeer::new(Kind::Honest, WORLD.near_fork.clone(), 40));
        network.join(0, MockPeer::new(Kind::Honest, WORLD.far_fork.clone(), 40));
        network.switch(100 + seed * 100, peer, WORLD.trunk.clone());
        catch_up(&mut network, MINUTE_MS, seed);
        assert!(network.offences.is_empty(), "seed {seed}: {:?}", network.offences);
    }
}

#[test]
fn who_boasts_of_a_long_lighter_branch_leads_nobody_away_from_the_heaviest() {
    for kind in [Kind::Boaster, Kind::TirelessBoaster, Kind::Honest] {
        for seed in seeds(6) {
            let mut network = Network::new(seed);
            let first = network.join(0, MockPeer::new(kind, WORLD.long_fork.clone(), 1));
            // Soon enough for a way back: states are kept for 16 blocks.
            let second = network.join(20 + 15 * seed, honest());
            catch_up(&mut network, 5 * MINUTE_MS, seed);
            network.run(MINUTE_MS, |_| false);
            check_bounds(&network, seed);
            assert_eq!(network.tip(), *WORLD.trunk.last().unwrap(), "seed {seed}: {kind:?}");
            assert!(network.offences_of(second).is_empty(), "seed {seed}: {kind:?}");
            let boasts = network.offences_of(first).contains(&Offence::Overstated);
            assert_eq!(boasts, kind != Kind::Honest, "seed {seed}: {kind:?}");
        }
    }
}

#[test]
fn a_branch_that_parted_too_long_ago_raises_an_alarm_and_costs_nobody_anything() {
    let mut network = Network::new(1);
    let fork = network.join(0, MockPeer::new(Kind::Honest, WORLD.long_fork.clone(), 10));
    let end = *WORLD.long_fork.last().unwrap();
    assert!(network.run(MINUTE_MS, |network| network.tip() == end));
    network.join(0, honest());
    network.run(2 * MINUTE_MS, |_| false);
    assert_eq!(network.tip(), end, "what was executed is gone");
    assert_eq!(network.manager.alarms().len(), 1);
    assert!(network.offences.is_empty(), "{:?}", network.offences);
    assert!(network.questions < 200, "{} questions", network.questions);
    assert!(network.offences_of(fork).is_empty());
}

#[test]
fn the_tip_is_followed_with_and_without_gossip() {
    for seed in seeds(4) {
        let mut network = Network::new(seed);
        let start = WORLD.trunk.len() - 20;
        let peer = network.join(0, MockPeer::new(Kind::Honest, WORLD.trunk[..start].to_vec(), 40));
        let at = WORLD.trunk[start - 1];
        assert!(network.run(MINUTE_MS, |network| network.tip() == at));
        for end in start + 1..=WORLD.trunk.len() {
            network.switch(0, peer, WORLD.trunk[..end].to_vec());
            let new = WORLD.trunk[end - 1];
            let gossips = network.random.one_in(2);
            if gossips {
                network.gossip(50, peer, &new);
            }
            let begin = network.now_ms;
            assert!(network.run(5_000, |network| network.tip() == new), "seed {seed}: block {end}");
            assert!(network.now_ms - begin < 1_000, "seed {seed}: block {end} took {}", network.now_ms - begin);
        }
        assert!(network.offences.is_empty(), "seed {seed}");
    }
}

#[test]
fn who_keeps_back_a_block_near_the_tip_pays_though_others_give_it() {
    for (seed, given_ms) in seeds(2).into_iter().flat_map(|seed| [350, 600, 3_000].map(|given_ms| (seed, given_ms))) {
        let mut network = Network::new(seed);
        let start = WORLD.trunk.len() - 20;
        let (old, new) = (WORLD.trunk[..start].to_vec(), WORLD.trunk[..=start].to_vec());
        let honest = network.join(0, MockPeer::new(Kind::Honest, old.clone(), 20));
        assert!(network.run(MINUTE_MS, |network| network.tip() == *old.last().unwrap()));
        let withholder = network.join(0, MockPeer::new(Kind::Withholder, old, 20));
        network.run(2_000, |_| false);
        network.switch(0, withholder, new.clone());
        network.gossip(given_ms, honest, new.last().unwrap());
        network.switch(given_ms, honest, new.clone());
        assert!(network.run(given_ms + 1_000, |network| network.tip() == *new.last().unwrap()), "seed {seed}");
        network.run(2_000, |_| false);
        assert_eq!(network.offences_of(withholder), [Offence::Withheld], "seed {seed}, given after {given_ms} ms");
        assert!(network.offences_of(honest).is_empty(), "seed {seed}");
    }
}

#[test]
fn an_orphan_shows_that_there_is_more() {
    let mut network = Network::new(1);
    // It claims nothing, for it joined before it had anything.
    let peer = network.join(0, MockPeer::new(Kind::Honest, Vec::new(), 10));
    network.run(100, |_| false);
    network.peers.get_mut(&peer).unwrap().chain = WORLD.trunk.clone();
    network.gossip(10, peer, WORLD.trunk.last().unwrap());
    network.run(MINUTE_MS, |network| network.manager.tip().height.0 >= 16);
    assert!(network.manager.tip().height.0 >= 16, "{:?}", network.sync.progress());
}

#[test]
fn it_goes_on_from_a_snapshot() {
    let (specification, chain) = (&WORLD.fabric.specification, &WORLD.trunk);
    let now_ms = 4_000_000_000_000;
    let mut source = ChainManager::open(
        Arc::new(specification.clone()),
        Arc::<MemoryDatabase>::default(),
        [1; 32],
        Options::default(),
    )
    .unwrap();
    source.submit(chain[..60].iter().map(|id| WORLD.block(id).clone()), now_ms).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.snapshot");
    let head = export(source.store(), &WORLD.fabric.genesis_id(), Height(60), &path, |_| true).unwrap();
    let database = Arc::new(MemoryDatabase::new());
    let file = std::fs::File::open(&path).unwrap();
    let snapshot = SnapshotReader::open(file, "a.snapshot").unwrap();
    snapshot.import(specification, head.block, &database, |_| true).unwrap();

    for seed in seeds(3) {
        let mut network = Network::over(Arc::new(database.reopened()), seed);
        network.join(0, MockPeer::new(Kind::Honest, WORLD.far_fork.clone(), 10));
        network.join(0, honest());
        catch_up(&mut network, MINUTE_MS, seed);
        assert_eq!(network.blocks_sent, BLOCKS - 60, "nothing below it is asked for");
        assert!(network.offences.is_empty());
    }
}

#[test]
fn what_is_served_is_the_best_chain_within_bounds() {
    let (fabric, chain) = (&WORLD.fabric, &WORLD.trunk);
    let mut manager = ChainManager::open(
        Arc::new(fabric.specification.clone()),
        Arc::<MemoryDatabase>::default(),
        [1; 32],
        Options::default(),
    )
    .unwrap();
    let side = WORLD.near_fork.iter().filter(|id| !chain.contains(id));
    manager.submit(chain.iter().chain(side.clone()).map(|id| WORLD.block(id).clone()), 4_000_000_000_000).unwrap();
    let store = manager.store();
    let genesis = fabric.genesis_id();
    let headers = |locator: Vec<BlockId>, limit| match serve::headers(
        store,
        &GetHeaders { locator: Capped::new(locator).unwrap(), limit },
    )
    .unwrap()
    {
        Response::Headers(headers) => Some(headers.iter().map(|proved| proved.header.id()).collect::<Vec<_>>()),
        Response::Refused => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(headers(vec![genesis], 5).unwrap(), chain[..5]);
    assert_eq!(headers(vec![genesis], u32::MAX).unwrap(), *chain, "the whole of it, for it is short");
    assert_eq!(headers(vec![chain[30], chain[10], genesis], 3).unwrap(), chain[31..34]);
    assert_eq!(headers(vec![chain[chain.len() - 1], genesis], 3).unwrap(), []);
    assert_eq!(headers(vec![genesis], 0).unwrap(), []);
    // What stands beside the best chain is no place to begin at, nor what is unknown.
    let beside = *side.clone().next().unwrap();
    assert_eq!(headers(vec![beside, BlockId([7; 32]), chain[2]], 1).unwrap(), chain[3..4]);
    assert_eq!(headers(vec![beside, BlockId([7; 32])], 1), None);
    assert_eq!(headers(Vec::new(), 1), None);

    let blocks = |ids: &[BlockId]| match serve::blocks(store, ids).unwrap() {
        Response::Blocks(blocks) => blocks.iter().map(spacetime_node::chain::Block::id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(blocks(&chain[3..9]), chain[3..9]);
    assert_eq!(blocks(&[chain[5], beside, BlockId([7; 32]), genesis, chain[2]]), [chain[5], chain[2]]);
}

#[test]
fn nobody_to_ask_is_no_trouble() {
    let mut network = Network::new(1);
    assert!(!network.run(MINUTE_MS, |network| network.questions > 0));
    let peer = network.join(0, honest());
    network.leave(100, peer);
    network.come_back(30_000, peer);
    catch_up(&mut network, 2 * MINUTE_MS, 1);
    assert!(network.offences.is_empty());
}

#[test]
fn claims_of_which_nothing_is_shown_keep_nobody_busy() {
    for seed in seeds(4) {
        let mut network = Network::new(seed);
        for _ in 0..4 {
            network.join(0, MockPeer::new(Kind::Evasive, Vec::new(), 100));
        }
        assert!(network.run(1000, |network| network.sync.progress().phase == Phase::Headers), "seed {seed}");
        // What they claim is not believed before they show something.
        assert!(network.run(6 * MINUTE_MS, |network| network.sync.progress().target == Height(0)), "seed {seed}");
        network.run(25_000, |_| false);
        assert!(!network.run(10 * MINUTE_MS, |network| network.sync.progress().phase != Phase::Idle), "seed {seed}");
        assert!(network.offences.is_empty(), "seed {seed}");
        // Nobody else is kept from being followed.
        network.join(0, honest());
        catch_up(&mut network, MINUTE_MS, seed);
    }
}

#[test]
fn who_is_busy_is_waited_for() {
    for seed in seeds(4) {
        let mut network = Network::new(seed);
        network.join(0, MockPeer::new(Kind::Busy, WORLD.trunk.clone(), 100));
        let begins = network.run(MINUTE_MS, |network| network.sync.progress().phase != Phase::Idle);
        assert!(begins, "seed {seed}");
        let end = *WORLD.trunk.last().unwrap();
        let done = |network: &Network| network.sync.progress().phase == Phase::Idle || network.tip() == end;
        assert!(network.run(60 * MINUTE_MS, done), "seed {seed}: {:?}", network.sync.progress());
        // There is more before, and it was seen to be so: it does not take itself for done.
        assert_eq!(network.tip(), end, "seed {seed}: {:?}", network.sync.progress());
    }
}

#[test]
fn a_block_that_cannot_be_used_is_not_asked_for_without_end() {
    let mut network = Network::new(1);
    network.join(0, MockPeer::new(Kind::Baiter, vec![WORLD.far_fork[25]], 10));
    network.run(MINUTE_MS, |_| false);
    assert!((2..40).contains(&network.questions), "{} questions", network.questions);
    // The control: nobody else waits for it.
    network.join(0, honest());
    catch_up(&mut network, MINUTE_MS, 1);
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut network = Network::new(1);
    network.bans = false;
    let peer = network.join(0, MockPeer::new(Kind::Silent, WORLD.trunk.clone(), 10));
    network.run(2 * MINUTE_MS, |_| false);
    network.peers.get_mut(&peer).unwrap().kind = Kind::Honest;
    network.now_ms -= 24 * 60 * MINUTE_MS;
    network.forget_events();
    let end = *WORLD.trunk.last().unwrap();
    assert!(network.run(5 * MINUTE_MS, |network| network.tip() == end), "{:?}", network.sync.progress());
}

#[test]
fn a_test_that_blames_a_good_peer_would_fail() {
    assert!(!Kind::Honest.deserves().contains(&Offence::Slow));
    let mut network = Network::new(1);
    let silent = network.join(0, MockPeer::new(Kind::Silent, WORLD.trunk.clone(), 1));
    network.run(MINUTE_MS, |_| false);
    assert!(network.offences_of(silent).contains(&Offence::Slow));
    network.peers.get_mut(&silent).unwrap().kind = Kind::Honest;
    let blamed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check_bounds(&network, 1)));
    assert!(blamed.is_err(), "the harness does not see who is blamed");
}
