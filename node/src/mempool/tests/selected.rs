//! What a block builder is offered, and in which order.

use super::*;

fn offered(pool: &Mempool, room: Room) -> Vec<TransactionId> {
    pool.select(room).map(|transaction| transaction.id()).collect()
}

#[test]
fn the_best_fee_for_a_byte_comes_first_and_nonces_keep_their_order() {
    let world = World::with(&[(1, 10_000), (2, 10_000), (3, 10_000)]);
    let mut pool = Mempool::new(limits());
    let all = [
        transfer(1, 0, 100),
        transfer(1, 1, 900),
        transfer(2, 0, 500),
        transfer(2, 1, 50),
        transfer_of(3, 0, 500, 1, 64),
    ];
    for transaction in all.clone() {
        insert(&mut pool, transaction, &world).expect("room");
    }
    let [cheap, dear, second, last, long] = all.map(|transaction| transaction.id());
    assert_eq!(offered(&pool, room()), [second, long, cheap, dear, last]);
}

#[test]
fn plots_and_evidence_come_first_and_registrations_are_counted() {
    let world = World::with(&[(1, 100_000), (2, 100_000), (3, 100_000)]);
    let header = any_header();
    let mut pool = Mempool::new(limits());
    let all = [
        transfer(1, 0, 90_000),
        evidence(2, 0, 1000, 50, &header),
        register(Some(3), 0, 200, 51),
        register(Some(3), 1, 5000, 52),
        transfer(3, 2, 10),
        register(None, 0, 0, 53),
        register(None, 0, 0, 54),
        activate(None, 0, 0, 55),
    ];
    for transaction in all.clone() {
        insert(&mut pool, transaction, &world).expect("room");
    }
    let [transfer, evidence, first, second, behind, free, _, activation] = all.map(|transaction| transaction.id());
    assert_eq!(offered(&pool, room()), [free, activation, evidence, first, second, transfer, behind]);
    let two = Room { registrations: 2, ..room() };
    assert_eq!(offered(&pool, two), [free, activation, evidence, first, transfer], "nothing comes behind the third");
    let none = Room { registrations: 0, ..room() };
    assert_eq!(offered(&pool, none), [activation, evidence, transfer]);
}

/// Any header.
fn any_header() -> Header {
    crate::state::genesis(&crate::consensus::Specification::local()).expect("a good specification").header
}

#[test]
fn blocks_are_filled_to_the_last_byte_and_never_over() {
    let world = World::with(&[(1, 10_000), (2, 10_000), (3, 10_000)]);
    let mut pool = Mempool::new(limits());
    let (long, short, shortest) =
        (transfer_of(1, 0, 900, 1, 60), transfer_of(2, 0, 100, 1, 20), transfer_of(3, 0, 50, 1, 0));
    for transaction in [&long, &short, &shortest] {
        insert(&mut pool, transaction.clone(), &world).expect("room");
    }
    for bytes in 0..long.bytes() + short.bytes() + shortest.bytes() + 2 {
        let room = Room { bytes, ..room() };
        let mut selection = pool.select(room);
        let taken: usize = selection.by_ref().map(|transaction| transaction.bytes()).sum();
        assert_eq!(taken + selection.room().bytes, bytes);
    }
    assert_eq!(offered(&pool, Room { bytes: long.bytes() + shortest.bytes(), ..room() }), [long.id(), shortest.id()]);
    assert_eq!(offered(&pool, Room { transactions: 2, ..room() }), [long.id(), short.id()]);
    assert_eq!(offered(&pool, Room { transactions: 0, ..room() }), []);
}

#[test]
fn what_a_block_refuses_leaves_its_room_to_others_and_takes_its_followers_along() {
    let world = World::with(&[(1, 10_000), (2, 10_000)]);
    let mut pool = Mempool::new(limits());
    let all = [
        transfer(1, 0, 900),
        transfer(1, 1, 900),
        transfer(2, 0, 100),
        register(None, 0, 0, 1),
        register(None, 0, 0, 2),
    ];
    for transaction in all.clone() {
        insert(&mut pool, transaction, &world).expect("room");
    }
    let [refused, _, other, free, second] = all.map(|transaction| transaction.id());
    let mut selection = pool.select(Room { transactions: 2, registrations: 1, ..room() });
    assert_eq!(selection.next().map(|found| found.id()), Some(free));
    selection.refuse();
    selection.refuse();
    assert_eq!(selection.next().map(|found| found.id()), Some(second), "the second may take its place");
    assert_eq!(selection.next().map(|found| found.id()), Some(refused));
    selection.refuse();
    assert_eq!(selection.next().map(|found| found.id()), Some(other));
    assert_eq!(selection.next().map(|found| found.id()), None);
    assert_eq!(selection.room().transactions, 0);
}

#[test]
fn what_nobody_pays_for_does_not_fill_a_block() {
    let mut world = World::with(&[(1, 1_000_000)]);
    let mut pool = Mempool::new(limits());
    for plot in 0..20 {
        insert(&mut pool, activate(None, 0, 0, plot), &world).expect("room");
    }
    for nonce in 0..20 {
        insert(&mut pool, activate(Some(1), nonce, 1000, 100 + nonce as u8), &world).expect("room");
    }
    let bytes = 8 * activate(Some(1), 0, 1000, 100).bytes();
    world.set(2, 10_000_000, 0);
    for nonce in 0..20 {
        insert(&mut pool, transfer(2, nonce, 100_000), &world).expect("room");
    }
    let taken: Vec<_> = pool.select(Room { bytes, ..room() }).map(|found| found.get()).collect();
    let part = |of: &dyn Fn(&Transaction) -> bool| {
        taken.iter().filter(|found| of(found)).map(|found| found.encoded_len()).sum::<usize>()
    };
    assert!((1..=bytes / 4).contains(&part(&|found| found.sender.is_none())));
    let paid = part(&|found| found.sender.is_some() && found.payload.name() == "activate plot");
    assert!((1..=bytes / 2).contains(&paid), "beyond a half they compete with dearer transfers");
    assert!(part(&|found| found.payload.name() == "transfer") > 0);
}
