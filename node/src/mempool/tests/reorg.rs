//! New tips: what is mined, what is stale, what comes back.

use super::*;

#[test]
fn mined_transactions_go_and_the_rest_stays() {
    let mut world = World::with(&[(1, 1000), (2, 1000)]);
    let mut pool = Mempool::new(limits());
    for nonce in 0..3 {
        insert(&mut pool, transfer(1, nonce, 10), &world).expect("room");
        insert(&mut pool, transfer(2, nonce, 10), &world).expect("room");
    }
    world.set(1, 900, 2);
    let dropped = pool.advance([address(1), address(77)], &world).expect("readable");
    check(&pool);
    assert_eq!(dropped, [transfer(1, 0, 10).id(), transfer(1, 1, 10).id()]);
    assert_eq!(pool.len(), 4);
    assert_eq!(pool.next_nonce(address(1), &world).expect("readable"), 3);
}

#[test]
fn what_can_no_longer_be_paid_goes_from_the_end() {
    let mut world = World::with(&[(1, 1000)]);
    let mut pool = Mempool::new(limits());
    for (nonce, amount) in [(0, 90), (1, 490), (2, 1), (4, 1)] {
        insert(&mut pool, transfer_of(1, nonce, 10, amount, 0), &world).expect("room");
    }
    world.set(1, 500, 0);
    let dropped = pool.advance([address(1)], &world).expect("readable");
    check(&pool);
    assert_eq!(dropped.len(), 3, "100 are paid, then 500 are not");
    assert!(pool.contains(&transfer_of(1, 0, 10, 90, 0).id()));
    world.set(1, 99, 0);
    pool.advance_all(&world).expect("readable");
    assert!(pool.is_empty() && pool.bytes() == 0);
}

#[test]
fn transactions_of_abandoned_blocks_come_back_before_those_behind_them() {
    // On the old branch, 0 and 1 were mined; 2 and 3 wait.
    let mut world = World::default();
    world.set(1, 800, 2);
    let mut pool = Mempool::new(limits());
    insert(&mut pool, transfer_of(1, 2, 10, 90, 0), &world).expect("room");
    insert(&mut pool, transfer_of(1, 3, 10, 490, 0), &world).expect("room");
    // The new branch has not paid the account as much.
    world.set(1, 650, 0);
    let dropped = pool.advance([address(1)], &world).expect("readable");
    assert!(dropped.is_empty(), "600 of 650, but behind a gap");
    assert_eq!(pool.select(room()).count(), 0);
    let old = [transfer_of(1, 0, 10, 90, 0), transfer_of(1, 1, 10, 90, 0), transfer(5, 0, 10)];
    pool.restore(old, &world).expect("readable");
    check(&pool);
    let nonces: Vec<_> = pool.select(room()).map(|found| found.get().nonce).collect();
    assert_eq!(nonces, [0, 1, 2], "the last can no longer be paid, the others can; account 5 has nothing");
}

#[test]
fn nonces_that_a_reorg_leaves_too_far_ahead_go() {
    let mut world = World::default();
    world.set(1, 100_000, 50);
    let mut pool = Mempool::new(limits());
    insert(&mut pool, transfer(1, 50, 10), &world).expect("room");
    insert(&mut pool, transfer(1, 113, 10), &world).expect("room");
    world.set(1, 100_000, 0);
    let dropped = pool.advance([address(1)], &world).expect("readable");
    check(&pool);
    assert_eq!(dropped, [transfer(1, 113, 10).id()]);
}

#[test]
fn plots_and_evidence_are_judged_at_every_tip() {
    let mut world = World::with(&[(1, 100_000)]);
    let mut pool = Mempool::new(limits());
    insert(&mut pool, register(Some(1), 0, 100, 8), &world).expect("room");
    insert(&mut pool, transfer(1, 1, 10), &world).expect("room");
    world.closed.insert(miner(8));
    let dropped = pool.advance([], &world).expect("readable");
    check(&pool);
    assert_eq!(dropped, [register(Some(1), 0, 100, 8).id()]);
    assert_eq!(pool.select(room()).count(), 0, "what stood behind it waits for another nonce 0");
    insert(&mut pool, transfer(1, 0, 10), &world).expect("another");
    assert_eq!(pool.select(room()).count(), 2);
}

#[test]
fn what_nobody_mines_goes_after_many_tips() {
    let world = World::with(&[(1, 1000)]);
    let mut pool = Mempool::new(limits());
    insert(&mut pool, transfer(1, 0, 10), &world).expect("room");
    insert(&mut pool, register(None, 0, 0, 1), &world).expect("room");
    for _ in 0..MAX_AGE_TIPS {
        assert!(pool.advance([], &world).expect("readable").is_empty());
    }
    insert(&mut pool, transfer(1, 1, 10), &world).expect("room");
    let dropped = pool.advance([], &world).expect("readable");
    check(&pool);
    assert_eq!(dropped, [transfer(1, 0, 10).id(), register(None, 0, 0, 1).id()]);
    assert!(pool.contains(&transfer(1, 1, 10).id()), "the young stay");
}
