//! What other pools have been attacked with.

use super::*;

#[test]
fn a_chain_of_unpayable_transactions_gets_no_further_than_its_money() {
    let world = World::with(&[(1, 1000)]);
    let mut pool = Mempool::new(limits());
    let taken = (0..MAX_QUEUE).filter(|nonce| insert(&mut pool, transfer_of(1, *nonce, 10, 490, 0), &world).is_ok());
    assert_eq!(taken.count(), 2);
    // Backwards, too.
    let mut pool = Mempool::new(limits());
    for nonce in (0..MAX_QUEUE).rev() {
        let _ = insert(&mut pool, transfer_of(1, nonce, 10, 490, 0), &world);
    }
    assert!(pool.len() <= 2);
}

#[test]
fn a_replacement_never_costs_those_behind_it() {
    let world = World::with(&[(1, 1000)]);
    let mut pool = Mempool::new(limits());
    for nonce in 0..4 {
        insert(&mut pool, transfer_of(1, nonce, 10, 90, 0), &world).expect("400 of 1000");
    }
    let before = ids(&pool);
    let refused = insert(&mut pool, transfer_of(1, 0, 20, 700, 0), &world);
    assert_eq!(refused, Err(Refusal::Balance { balance: Amount(1000), needed: 1020 }));
    assert_eq!(ids(&pool), before);
    let inserted = insert(&mut pool, transfer_of(1, 0, 20, 680, 0), &world).expect("1000 of 1000");
    assert_eq!(inserted.dropped, []);
    assert_eq!(pool.len(), 4);
}

#[test]
fn a_dear_tail_does_not_keep_a_cheap_head() {
    // A miner-paying tail behind a head that nobody mines would hold its place for nothing.
    let world = World::with(&[(1, 1_000_000), (2, 1_000_000), (3, 1_000_000)]);
    let mut pool = Mempool::new(Limits { transactions: 3, ..limits() });
    insert(&mut pool, transfer(1, 0, 10), &world).expect("room");
    insert(&mut pool, transfer(1, 1, 500_000), &world).expect("room");
    insert(&mut pool, transfer(2, 0, 11), &world).expect("room");
    let inserted = insert(&mut pool, transfer(2, 1, 11), &world).expect("11 beats what counts as 10");
    assert_eq!(inserted.dropped, [transfer(1, 1, 500_000).id()]);
}

#[test]
fn gaps_push_nobody_out() {
    let rich: Vec<_> = (0..60).map(|name| (name, 1_000_000)).collect();
    let world = World::with(&rich);
    let mut pool = Mempool::new(limits());
    for name in 0..50 {
        insert(&mut pool, transfer(name, 0, 10), &world).expect("honest");
        insert(&mut pool, transfer(name, 1, 10), &world).expect("honest");
    }
    let before = ids(&pool);
    for name in 50..60 {
        for nonce in 1..MAX_QUEUE {
            insert(&mut pool, transfer(name, nonce, 10_000), &world).expect_err("behind a gap, whatever it pays");
        }
    }
    assert_eq!(ids(&pool), before);
}

#[test]
fn work_for_one_account_does_not_grow_with_the_square_of_its_queue() {
    // The queue is bounded, so this many replacements and refusals are a matter of a second or so.
    let world = World::with(&[(1, u64::MAX)]);
    let mut pool = Mempool::new(limits());
    let mut fees = [10u64; MAX_QUEUE as usize];
    for round in 0..200 {
        for nonce in 0..MAX_QUEUE {
            let fee = &mut fees[nonce as usize];
            let result = pool.insert(transfer(1, nonce, *fee), &world);
            assert!(result.is_ok(), "round {round}, nonce {nonce}: {result:?}");
            *fee = *fee * 11 / 10 + 1;
            let far = pool.insert(transfer(1, nonce + MAX_QUEUE, *fee), &world);
            assert!(matches!(far, Err(Fault::Rule(Refusal::FarNonce { .. }))));
        }
    }
    check(&pool);
    assert_eq!(pool.len() as u64, MAX_QUEUE);
}

#[test]
fn pushing_out_ones_own_soon_costs_more_than_it_wastes() {
    // Two accounts take turns at the last place of a full pool: each turn is relayed and only the last one is paid.
    let world = World::with(&[(1, 10_000), (2, 10_000), (3, 10_000)]);
    let mut pool = Mempool::new(Limits { transactions: 2, ..limits() });
    insert(&mut pool, transfer(3, 0, 10_000 - 1), &world).expect("room");
    let relayed = (10..1000).filter(|fee| insert(&mut pool, transfer((fee % 2) as u8 + 1, 0, *fee), &world).is_ok());
    let relayed = relayed.count();
    assert!((20..60).contains(&relayed), "{relayed} for a hundredfold fee");
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut world = World::with(&[(1, 1000)]);
    let mut pool = Mempool::new(limits());
    for nonce in 0..3 {
        insert(&mut pool, transfer(1, nonce, 10), &world).expect("room");
    }
    // The state has gone on, and nobody has told the pool.
    world.set(1, 1000, 2);
    let before = ids(&pool);
    insert(&mut pool, transfer(1, 0, 500), &world).expect_err("used");
    insert(&mut pool, transfer(1, 3, 5), &world).expect_err("below the floor");
    assert_eq!(ids(&pool), before);
    let new = Arc::new(transfer(1, 3, 10));
    assert!(pool.check(&new, &world).is_ok() && pool.screen(new.get(), &world).is_ok());
    assert_eq!(ids(&pool), before, "asking changes nothing");
    let inserted = insert(&mut pool, transfer(1, 3, 10), &world).expect("its turn");
    assert_eq!(inserted.dropped, [transfer(1, 0, 10).id(), transfer(1, 1, 10).id()]);
    assert!(pool.check(&new, &world).is_err() && pool.screen(new.get(), &world).is_err(), "known");
    let poor = transfer_of(1, 4, 10, 991, 0);
    assert!(matches!(pool.screen(poor.get(), &world), Err(Fault::Rule(Refusal::Balance { .. }))));
}

#[test]
fn nothing_refused_is_remembered() {
    let mut world = World::with(&[(1, 5), (2, 1000), (3, 1000)]);
    let mut pool = Mempool::new(Limits { transactions: 1, ..limits() });
    let poor = transfer(1, 0, 10);
    insert(&mut pool, poor.clone(), &world).expect_err("poor");
    let early = transfer(2, MAX_QUEUE, 20);
    insert(&mut pool, early.clone(), &world).expect_err("too far ahead");
    let barred = register(Some(3), 0, 100, 7);
    world.closed.insert(miner(7));
    insert(&mut pool, barred.clone(), &world).expect_err("barred");
    assert!(pool.is_empty() && pool.places.is_empty());

    world.set(1, 1000, 0);
    world.set(2, 1000, MAX_QUEUE);
    world.closed.clear();
    insert(&mut pool, poor.clone(), &world).expect("rich");
    insert(&mut pool, early.clone(), &world).expect("its turn, and it pays more");
    insert(&mut pool, poor.clone(), &world).expect_err("full");
    world.set(2, 0, 0);
    pool.advance_all(&world).expect("readable");
    insert(&mut pool, poor, &world).expect("not full any more");
}
