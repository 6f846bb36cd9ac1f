//! Batches name exactly those that single verification refuses.

use proptest::prelude::*;

use super::*;

/// `count` signatures, two a key, as headers have them.
fn items(count: u64) -> Vec<(PublicKey, Vec<u8>, MinerSignature)> {
    let sign = |n: u64| {
        let secret = secret(1 + n / 2);
        let message = format!("message {n}").into_bytes();
        (secret.public_key(), message.clone(), secret.sign(&message))
    };
    (0..count).map(sign).collect()
}

fn batch(items: &[(PublicKey, Vec<u8>, MinerSignature)]) -> Batch {
    let mut batch = Batch::new();
    for (key, message, signature) in items {
        batch.push(*key, message.clone(), *signature);
    }
    batch
}

/// Scalars that anybody can cheat: every one is 1.
const ONES: fn(usize) -> [u8; 8] = |_| 1u64.to_le_bytes();

/// What single verification refuses.
fn refused(items: &[(PublicKey, Vec<u8>, MinerSignature)]) -> Vec<usize> {
    let bad = |(place, (key, message, signature)): (usize, &(PublicKey, Vec<u8>, MinerSignature))| {
        verify(key, message, signature).is_err().then_some(place)
    };
    items.iter().enumerate().filter_map(bad).collect()
}

/// Breaks a signature in one of several ways.
fn spoil(item: &mut (PublicKey, Vec<u8>, MinerSignature), way: u8) {
    match way % 6 {
        0 => item.2 = MinerSignature(point(0xc0, 0)),
        1 => item.2 = MinerSignature(point(0x80, 2)),
        2 => item.2 = MinerSignature(point(0x80, 1)),
        3 => item.2 = MinerSignature([0xff; 96]),
        4 => item.2.0[0] ^= 0x20, // the point with the other sign
        _ => item.1.push(0),
    }
}

#[test]
fn good_batches_of_any_size_verify() {
    assert!(Batch::new().verify(&[0; 32]) && Batch::new().is_empty());
    assert!(Batch::new().find_invalid(&[0; 32]).is_empty());
    // blst works off eight pairs at a time.
    for count in [1, 2, 3, 7, 8, 9, 16, 17, 33] {
        let batch = batch(&items(count));
        assert_eq!(batch.len() as u64, count);
        assert!(batch.verify(&[count as u8; 32]), "{count}");
        assert!(batch.find_invalid(&[count as u8; 32]).is_empty());
    }
}

#[test]
fn one_bad_signature_among_many_is_named() {
    let good = items(40);
    for way in 0..6 {
        for place in [0, 1, 19, 20, 38, 39] {
            let mut bad = good.clone();
            spoil(&mut bad[place], way);
            assert!(!batch(&bad).verify(&[way; 32]), "way {way} at {place}");
            assert_eq!(batch(&bad).find_invalid(&[way; 32]), [place], "way {way}");
        }
    }
}

#[test]
fn errors_that_cancel_are_refused_because_of_the_scalars() {
    // Two signatures change places: their sum stays.
    let mut swapped = items(6);
    let signature = swapped[1].2;
    swapped[1].2 = swapped[4].2;
    swapped[4].2 = signature;
    let naive = batch(&swapped).holds(ONES);
    assert!(naive, "the control: without scalars this cheat passes");
    assert_eq!(refused(&swapped), [1, 4]);
    for seed in 0..20 {
        assert!(!batch(&swapped).verify(&[seed; 32]));
        assert_eq!(batch(&swapped).find_invalid(&[seed; 32]), [1, 4]);
    }

    // The same with the two signatures of one key, where the pairs' left sides are equal.
    let mut same_key = items(2);
    assert_eq!(same_key[0].0, same_key[1].0);
    let signature = same_key[0].2;
    same_key[0].2 = same_key[1].2;
    same_key[1].2 = signature;
    assert!(batch(&same_key).holds(ONES));
    assert!(!batch(&same_key).verify(&[7; 32]));
    assert_eq!(batch(&same_key).find_invalid(&[7; 32]), [0, 1]);

    let mut wrong = items(6);
    wrong[3].1.push(0);
    assert!(!batch(&wrong).holds(ONES), "the sum is not good for everything");
}

#[test]
fn a_batch_full_of_bad_signatures_is_named_in_full() {
    let mut bad = items(50);
    bad.iter_mut().for_each(|item| item.1.push(0));
    assert_eq!(batch(&bad).find_invalid(&[3; 32]), (0..50).collect::<Vec<_>>());
    assert!(!batch(&bad).holds(ONES));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_refuse_what_single_verification_refuses(
        count in 0u64..20,
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        swapped in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
        seed: [u8; 32],
    ) {
        let mut items = items(count);
        if count > 0 {
            for (place, way) in spoilt {
                spoil(&mut items[place.index(count as usize)], way);
            }
            if let Some((a, b)) = swapped {
                let (a, b) = (a.index(count as usize), b.index(count as usize));
                let signature = items[a].2;
                items[a].2 = items[b].2;
                items[b].2 = signature;
            }
        }
        let refused = refused(&items);
        prop_assert_eq!(batch(&items).verify(&seed), refused.is_empty());
        prop_assert_eq!(batch(&items).find_invalid(&seed), refused);
    }
}
