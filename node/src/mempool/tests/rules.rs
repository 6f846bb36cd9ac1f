//! Each rule of the pool, broken alone.

use super::*;

#[test]
fn a_nonce_is_used_next_or_not_far_ahead() {
    let mut world = World::with(&[(1, 1_000_000)]);
    world.set(1, 1_000_000, 5);
    let mut pool = Mempool::new(limits());
    assert_eq!(insert(&mut pool, transfer(1, 4, 10), &world), Err(Refusal::UsedNonce { found: 4, next: 5 }));
    let far = Refusal::FarNonce { found: 5 + MAX_QUEUE, next: 5, limit: MAX_QUEUE };
    assert_eq!(far.to_string(), "nonce is 69, held are 5 and the 63 after it");
    assert_eq!(insert(&mut pool, transfer(1, 5 + MAX_QUEUE, 10), &world), Err(far));
    for nonce in (5..5 + MAX_QUEUE).rev() {
        insert(&mut pool, transfer(1, nonce, 10), &world).expect("within the queue, the last first");
    }
    assert_eq!(pool.len() as u64, MAX_QUEUE);
    assert_eq!(pool.next_nonce(address(1), &world).expect("readable"), 5 + MAX_QUEUE);

    world.set(2, 1000, u64::MAX - 1);
    insert(&mut pool, transfer(2, u64::MAX - 1, 10), &world).expect("the last but one has a next");
    assert_eq!(insert(&mut pool, transfer(2, u64::MAX, 10), &world), Err(Refusal::LastNonce { found: u64::MAX }));
    assert_eq!(pool.next_nonce(address(2), &world).expect("readable"), u64::MAX);
}

#[test]
fn gaps_wait_until_they_are_filled() {
    let world = World::with(&[(1, 1_000_000)]);
    let mut pool = Mempool::new(limits());
    for nonce in [3, 1] {
        insert(&mut pool, transfer(1, nonce, 10), &world).expect("a gap");
    }
    assert_eq!(pool.select(room()).count(), 0);
    assert_eq!(pool.next_nonce(address(1), &world).expect("readable"), 0);
    insert(&mut pool, transfer(1, 0, 10), &world).expect("fills one");
    let nonces = |pool: &Mempool| pool.select(room()).map(|found| found.get().nonce).collect::<Vec<_>>();
    assert_eq!(nonces(&pool), [0, 1]);
    assert_eq!(pool.next_nonce(address(1), &world).expect("readable"), 2);
    insert(&mut pool, transfer(1, 2, 10), &world).expect("fills the other");
    assert_eq!(nonces(&pool), [0, 1, 2, 3]);
}

#[test]
fn what_is_held_is_not_taken_again() {
    let world = World::with(&[(1, 1000)]);
    let mut pool = Mempool::new(limits());
    let id = transfer(1, 0, 10).id();
    insert(&mut pool, transfer(1, 0, 10), &world).expect("new");
    assert_eq!(insert(&mut pool, transfer(1, 0, 10), &world), Err(Refusal::Known { id }));
    assert_eq!(pool.get(&id).map(|held| held.id()), Some(id));
}

#[test]
fn the_floor_counts_bytes() {
    let world = World::with(&[(1, 10_000)]);
    let floor = Fees { base: Amount(10), per_byte: Amount(3) };
    let mut pool = Mempool::new(Limits { floor, ..limits() });
    let bytes = transfer_of(1, 0, 0, 1, 7).bytes();
    let least = 10 + 3 * bytes as u64;
    let refused = insert(&mut pool, transfer_of(1, 0, least - 1, 1, 7), &world);
    assert_eq!(refused, Err(Refusal::Floor { fee: Amount(least - 1), bytes, least: Amount(least) }));
    insert(&mut pool, transfer_of(1, 0, least, 1, 7), &world).expect("the least");

    let floor = Fees { base: Amount(u64::MAX), per_byte: Amount(u64::MAX) };
    let mut pool = Mempool::new(Limits { floor, ..limits() });
    let refused = insert(&mut pool, transfer(1, 0, 1), &world);
    assert!(matches!(refused, Err(Refusal::Floor { least: Amount(u64::MAX), .. })), "no overflow: {refused:?}");
}

#[test]
fn a_replacement_pays_a_tenth_more_in_all_and_for_each_byte() {
    let world = World::with(&[(1, 1_000_000)]);
    let mut pool = Mempool::new(limits());
    let first = transfer(1, 0, 1001);
    let holder = first.id();
    insert(&mut pool, first, &world).expect("new");
    let refused = insert(&mut pool, transfer_of(1, 0, 1101, 2, 0), &world);
    assert_eq!(refused, Err(Refusal::Replacement { fee: Amount(1101), holder, least: 1102 }), "rounded up");
    // Twice as long costs twice as much.
    let (short, long) = (transfer(1, 0, 0).bytes() as u64, transfer_of(1, 0, 0, 2, 64).bytes() as u64);
    let least = (1001 * 11 * long).div_ceil(10 * short);
    assert!(least > 1102);
    let refused = insert(&mut pool, transfer_of(1, 0, least - 1, 2, 64), &world);
    assert_eq!(refused, Err(Refusal::Replacement { fee: Amount(least - 1), holder, least: least.into() }));
    let second = transfer_of(1, 0, least, 2, 64);
    let id = second.id();
    let inserted = insert(&mut pool, second, &world).expect("enough");
    assert_eq!(inserted, Inserted { replaced: Some(holder), dropped: Vec::new() });
    assert_eq!(ids(&pool), HashSet::from([id]));
    // Shorter again: not less in all, whatever it pays for each byte.
    let refused = insert(&mut pool, transfer_of(1, 0, least, 3, 0), &world);
    assert!(matches!(refused, Err(Refusal::Replacement { .. })));

    // From nothing, a tenth more is nothing: one unit is asked for.
    let free = Limits { floor: Fees::ZERO, ..limits() };
    let mut pool = Mempool::new(free);
    insert(&mut pool, transfer(1, 0, 0), &world).expect("free");
    let refused = insert(&mut pool, transfer_of(1, 0, 0, 2, 0), &world);
    assert!(matches!(refused, Err(Refusal::Replacement { least: 1, .. })));
    insert(&mut pool, transfer_of(1, 0, 1, 2, 0), &world).expect("one unit");
}

#[test]
fn an_account_pays_for_its_whole_queue() {
    let mut world = World::with(&[(1, 300)]);
    let mut pool = Mempool::new(limits());
    insert(&mut pool, transfer_of(1, 0, 10, 90, 0), &world).expect("100 of 300");
    insert(&mut pool, transfer_of(1, 1, 10, 90, 0), &world).expect("200 of 300");
    let third = transfer_of(1, 2, 10, 91, 0);
    let refused = insert(&mut pool, third.clone(), &world);
    assert_eq!(refused, Err(Refusal::Balance { balance: Amount(300), needed: 301 }));
    // What was refused is not remembered.
    world.set(1, 301, 0);
    insert(&mut pool, third, &world).expect("301 of 301");
    // To oneself is no exception.
    let to_self = Transfer { to: address(2), amount: Amount(50), memo: Capped::default() };
    world.set(2, 59, 0);
    let to_self = checked(Some(2), 0, 10, Payload::Transfer(to_self));
    let refused = insert(&mut pool, to_self.clone(), &world);
    assert_eq!(refused, Err(Refusal::Balance { balance: Amount(59), needed: 60 }));
    world.set(2, 60, 0);
    insert(&mut pool, to_self, &world).expect("60 of 60");
    // Sums beyond 64 bits are sums.
    world.set(3, u64::MAX, 0);
    let refused = insert(&mut pool, transfer_of(3, 0, u64::MAX, u64::MAX, 0), &world);
    let needed = 2 * u128::from(u64::MAX);
    assert_eq!(refused, Err(Refusal::Balance { balance: Amount(u64::MAX), needed }));
    insert(&mut pool, transfer_of(3, 1, 10, u64::MAX - 10, 0), &world).expect("all of it");
    insert(&mut pool, transfer_of(3, 0, 10, u64::MAX - 10, 0), &world).expect("all of it, one earlier");
    assert!(pool.next_nonce(address(3), &world).expect("readable") == 1, "the later one had to go");
}

#[test]
fn an_account_has_its_share_of_bytes() {
    let openings = |count| {
        let siblings = Capped::new(vec![[0; 32]; 60]).expect("as many as there may be");
        let opening = crate::chain::Opening { cell: [0; 32], siblings };
        Capped::new(vec![opening; count]).expect("few")
    };
    let long = |nonce, count| {
        let plot = ActivatePlot { miner_key: miner(1), plot_key: Hash::ZERO, openings: openings(count) };
        checked(Some(1), nonce, 100_000, Payload::ActivatePlot(plot))
    };
    let world = World::with(&[(1, 10_000_000)]);
    let mut pool = Mempool::new(Limits { bytes: 2 << 20, ..limits() });
    let bytes = long(0, 130).bytes();
    assert!(4 * bytes > MAX_TRANSACTION_BYTES && bytes <= MAX_TRANSACTION_BYTES);
    let refused = insert(&mut pool, long(0, 140), &world);
    let limit = MAX_TRANSACTION_BYTES;
    assert_eq!(refused, Err(Refusal::TooLong { bytes: long(0, 140).bytes(), limit }));
    insert(&mut pool, long(0, 130), &world).expect("one");
    insert(&mut pool, long(1, 130), &world).expect("two");
    let refused = insert(&mut pool, long(2, 130), &world);
    assert_eq!(refused, Err(Refusal::AccountBytes { bytes: 3 * bytes, limit: MAX_ACCOUNT_BYTES }));
}

#[test]
fn a_full_pool_lets_go_of_what_pays_least_and_of_tails_first() {
    let world = World::with(&[(1, 10_000), (2, 10_000), (3, 10_000), (4, 10_000), (5, 10_000)]);
    let mut pool = Mempool::new(Limits { transactions: 4, ..limits() });
    // Account 1: a cheap one in front of a dear one, which counts as little.
    let tail = transfer(1, 1, 500);
    insert(&mut pool, transfer(1, 0, 100), &world).expect("room");
    insert(&mut pool, tail.clone(), &world).expect("room");
    insert(&mut pool, transfer(2, 0, 200), &world).expect("room");
    let gap = transfer(3, 1, 900);
    insert(&mut pool, gap.clone(), &world).expect("room");

    // The one behind a gap goes first, whatever it pays.
    let inserted = insert(&mut pool, transfer(4, 0, 101), &world).expect("better than what waits");
    assert_eq!(inserted.dropped, [gap.id()]);
    // Then the tail behind the cheapest.
    let refused = insert(&mut pool, transfer(5, 0, 100), &world);
    assert!(matches!(refused, Err(Refusal::Full { ready: true, .. })), "the same is not better: {refused:?}");
    let refused = insert(&mut pool, gap.clone(), &world);
    assert!(matches!(refused, Err(Refusal::Full { ready: false, .. })), "nor is a gap: {refused:?}");
    let refused = insert(&mut pool, transfer(5, 0, 109), &world);
    assert!(matches!(refused, Err(Refusal::Full { ready: true, .. })), "nor is a little more: {refused:?}");
    let inserted = insert(&mut pool, transfer(5, 0, 110), &world).expect("a tenth more");
    assert_eq!(inserted.dropped, [tail.id()]);
    // A tail of one's own queue is no reason to let go of one's own head.
    let refused = insert(&mut pool, transfer(1, 1, 5000), &world);
    assert!(matches!(refused, Err(Refusal::Full { .. })), "counts as 100: {refused:?}");
    assert_eq!(pool.len(), 4);
}

#[test]
fn a_full_pool_makes_room_by_bytes_or_not_at_all() {
    let world = World::with(&[(1, 100_000), (2, 100_000), (3, 100_000), (4, 100_000)]);
    let short = transfer(1, 0, 0).bytes();
    let long = transfer_of(1, 0, 0, 1, 64).bytes();
    let mut pool = Mempool::new(Limits { bytes: 3 * short, ..limits() });
    for (name, fee) in [(1, 100), (2, 200), (3, 300)] {
        insert(&mut pool, transfer(name, 0, fee), &world).expect("room");
    }
    let before = ids(&pool);
    // It pays more for a byte than one of them, and would need the bytes of two.
    let fee = 150 * long as u64 / short as u64;
    assert!(long > short && long <= 2 * short);
    let refused = insert(&mut pool, transfer_of(4, 0, fee, 1, 64), &world);
    assert!(matches!(refused, Err(Refusal::Full { .. })));
    assert_eq!(ids(&pool), before, "nothing went for nothing");
    let inserted = insert(&mut pool, transfer_of(4, 0, 2 * fee, 1, 64), &world).expect("better than both");
    assert_eq!(inserted.dropped, [transfer(1, 0, 100).id(), transfer(2, 0, 200).id()]);
}

#[test]
fn what_nobody_pays_for_is_held_once_a_plot_and_bounded() {
    let mut world = World::default();
    let mut pool = Mempool::new(limits());
    for plot in 0..MAX_UNPAID_REGISTRATIONS as u8 {
        insert(&mut pool, register(None, 0, 0, plot), &world).expect("room");
    }
    let held = MAX_UNPAID_REGISTRATIONS;
    let full = Err(Refusal::UnpaidCount { kind: "registrations", held });
    assert_eq!(insert(&mut pool, register(None, 0, 0, 200), &world), full);
    for plot in 100..=255 {
        insert(&mut pool, activate(None, 0, 0, plot), &world).expect("a room of its own");
    }
    let mut other = activate(None, 0, 0, 150).get().clone();
    other.signatures.miner = Some(crate::chain::MinerSignature::ZERO);
    let other = CheckedTransaction::already_checked(other, &Parameters::local());
    let (plot_key, holder) = (Hash([150; 32]), activate(None, 0, 0, 150).id());
    assert_eq!(insert(&mut pool, other, &world), Err(Refusal::UnpaidPlot { plot_key, holder }));

    world.closed = HashSet::from([miner(3), miner(150)]);
    let dropped = pool.advance([], &world).expect("readable");
    check(&pool);
    assert_eq!(dropped, [register(None, 0, 0, 3).id(), activate(None, 0, 0, 150).id()]);
    let judged = insert(&mut pool, register(None, 0, 0, 3), &world);
    assert_eq!(judged, Err(Refusal::Judged(TransactionError::Barred { miner_key: miner(3), height: Height(1) })));
    insert(&mut pool, register(None, 0, 0, 200), &world).expect("room again");
    world.closed.clear();
    insert(&mut pool, activate(None, 0, 0, 150), &world).expect("refused before, allowed now");
}

#[test]
fn long_activations_without_a_fee_are_bounded_by_bytes() {
    let world = World::default();
    let mut pool = Mempool::new(limits());
    let siblings = Capped::new(vec![[0; 32]; 60]).expect("as many as there may be");
    let opening = crate::chain::Opening { cell: [0; 32], siblings };
    let openings = Capped::new(vec![opening; 100]).expect("as many as there may be");
    let long = |plot| {
        let plot = ActivatePlot { miner_key: miner(plot), plot_key: Hash([plot; 32]), openings: openings.clone() };
        checked(None, 0, 0, Payload::ActivatePlot(plot))
    };
    let bytes = long(0).bytes();
    let fit = MAX_UNPAID_BYTES / bytes;
    for plot in 0..fit as u8 {
        insert(&mut pool, long(plot), &world).expect("room");
    }
    let refused = insert(&mut pool, long(fit as u8), &world);
    assert_eq!(refused, Err(Refusal::UnpaidBytes { bytes: (fit + 1) * bytes, limit: MAX_UNPAID_BYTES }));
}

#[test]
fn nobody_sends_coinbases_or_transfers() {
    let world = World::default();
    let mut pool = Mempool::new(limits());
    let coinbase = crate::chain::Coinbase {
        height: Height(1),
        miner_key: miner(1),
        outputs: Capped::default(),
        extra: Capped::default(),
    };
    let refused = insert(&mut pool, checked(None, 0, 0, Payload::Coinbase(coinbase)), &world);
    assert_eq!(refused, Err(Refusal::NoSender { kind: "coinbase" }));
    let transfer = transfer(1, 0, 0).get().payload.clone();
    let refused = insert(&mut pool, checked(None, 0, 0, transfer), &world);
    assert_eq!(refused, Err(Refusal::NoSender { kind: "transfer" }));
}

#[test]
fn a_state_that_cannot_be_read_changes_nothing() {
    let mut world = World::with(&[(1, 1000)]);
    let mut pool = Mempool::new(limits());
    insert(&mut pool, transfer(1, 0, 10), &world).expect("room");
    world.broken = true;
    assert!(matches!(pool.insert(transfer(1, 1, 10), &world), Err(Fault::State(_))));
    assert!(pool.advance_all(&world).is_err());
    assert!(pool.restore([transfer(1, 1, 10)], &world).is_err());
    check(&pool);
    assert_eq!(pool.len(), 1);
    world.broken = false;
    insert(&mut pool, transfer(1, 1, 10), &world).expect("readable again");
}
