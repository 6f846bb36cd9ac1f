//! What signatures cost on one core: `cargo run --release -p spacetime-node --no-default-features --example signatures`.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use spacetime_node::chain::{bls, ed25519};

/// Each figure is the best of this many rounds, so that neighbours on the machine hardly show.
const ROUNDS: usize = 5;

/// How long a round lasts at least: many ticks of the scheduler's account.
const ROUND: Duration = Duration::from_millis(200);

/// Microseconds of `work`, at its best, for each of `count` things.
fn best(count: usize, mut work: impl FnMut()) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..ROUNDS {
        let (start, mut times) = (now(), 0);
        while now() - start < ROUND {
            work();
            times += 1;
        }
        least = least.min((now() - start).as_secs_f64() / f64::from(times));
    }
    least * 1e6 / count as f64
}

/// How long this thread has run where the system says so (Linux, to a tick), or else the time.
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let ran = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = ran.as_deref().and_then(|text| text.split(' ').next()).and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

fn row(what: &str, micros: f64, single: f64) {
    println!("{what:<44} {micros:>9.1} µs  {:>5.2}", micros / single);
}

fn main() {
    println!("{:<44} {:>12}  of single", "one signature", "");
    // As headers have them: two messages of about 500 bytes for each key.
    let items: Vec<_> = (0..256u32)
        .map(|n| {
            let secret = bls::SecretKey::from_ikm(&[(n / 2) as u8; 32]);
            let message = [&n.to_le_bytes()[..], &[7; 500]].concat();
            (secret.public_key(), message.clone(), secret.sign(&message))
        })
        .collect();
    let single = best(64, || {
        for (key, message, signature) in &items[..64] {
            bls::verify(black_box(key), message, signature).expect("good");
        }
    });
    row("BLS verify", single, single);
    for count in [1, 2, 8, 16, 64, 256] {
        let mut batch = bls::Batch::new();
        items[..count].iter().for_each(|(key, message, signature)| batch.push(*key, message.clone(), *signature));
        row(&format!("BLS batch of {count}"), best(count, || assert!(black_box(&batch).verify(&[1; 32]))), single);
    }
    for bad in [1, 256] {
        let mut batch = bls::Batch::new();
        for (n, (key, message, signature)) in items.iter().enumerate() {
            let mut message = message.clone();
            message[4] ^= u8::from(n % (256 / bad) == 0);
            batch.push(*key, message, *signature);
        }
        let micros = best(256, || assert_eq!(black_box(&batch).find_invalid(&[1; 32]).len(), bad));
        row(&format!("BLS batch of 256, finding {bad} bad"), micros, single);
    }
    row(
        "BLS key, parsed and checked",
        best(64, || {
            items[..64].iter().for_each(|(key, ..)| {
                black_box(bls::PublicKey::parse(&key.to_bytes())).expect("good");
            })
        }),
        single,
    );
    let cache = bls::KeyCache::new();
    row(
        "BLS key, from the cache",
        best(256, || {
            items.iter().for_each(|(key, ..)| {
                black_box(cache.parse(&key.to_bytes())).expect("good");
            })
        }),
        single,
    );
    let (_, _, point) = &items[0];
    row(
        "BLS signature, parsed and checked",
        best(64, || {
            (0..64).for_each(|_| {
                black_box(blst::min_pk::Signature::sig_validate(black_box(&point.0), true)).expect("good");
            })
        }),
        single,
    );
    row("BLS message, hashed to the curve", hash_to_curve(&items[0].1), single);
    let secret = bls::SecretKey::from_ikm(&[1; 32]);
    row(
        "BLS sign",
        best(64, || {
            (0..64).for_each(|_| {
                black_box(secret.sign(black_box(&items[0].1)));
            })
        }),
        single,
    );

    let items: Vec<_> = (0..256u32)
        .map(|n| {
            let mut seed = [3; 32];
            seed[..4].copy_from_slice(&n.to_le_bytes());
            let secret = ed25519::SecretKey::from_bytes(&seed);
            let message = [&n.to_le_bytes()[..], &[7; 150]].concat();
            (secret.account_key(), message.clone(), secret.sign(&message))
        })
        .collect();
    let single = best(256, || {
        for (key, message, signature) in &items {
            ed25519::verify(black_box(key), message, signature).expect("good");
        }
    });
    row("Ed25519 verify", single, single);
    for count in [1, 2, 16, 64, 256] {
        let micros = best(count, || {
            let mut batch = ed25519::Batch::new();
            items[..count].iter().for_each(|(key, message, signature)| batch.push(key, message, signature));
            assert!(black_box(&batch).verify(&[1; 32]));
        });
        row(&format!("Ed25519 batch of {count}"), micros, single);
    }
}

/// A pairing that takes a message without a signature does nothing but hash it, until it has eight:
/// so seven of them, less nothing.
fn hash_to_curve(message: &[u8]) -> f64 {
    let key = blst::min_pk::SecretKey::key_gen(&[1; 32], &[]).expect("32 bytes").sk_to_pk();
    let key: &blst::blst_p1_affine = (&key).into();
    best(7, || {
        let mut pairing = blst::Pairing::new(true, bls::SIGNATURE_DST);
        for _ in 0..7 {
            pairing.aggregate(key, false, &(), false, black_box(message), &[]);
        }
        black_box(pairing);
    })
}
