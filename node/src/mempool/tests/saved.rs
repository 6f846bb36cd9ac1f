//! The pool's file.

use std::fs;

use sha2::{Digest, Sha256};

use super::*;
use crate::mempool::save::{SaveError, Snapshot, load};

fn pool() -> (Mempool, World) {
    let world = World::with(&[(1, 1_000_000), (2, 1_000_000)]);
    let mut pool = Mempool::new(limits());
    let unpaid = [register(None, 0, 0, 9), activate(None, 0, 0, 3), register(None, 0, 0, 1)];
    let paid = [transfer(1, 0, 10), transfer(1, 1, 10), transfer_of(1, 3, 10, 7, 9), register(Some(2), 0, 100, 4)];
    for transaction in unpaid.into_iter().chain(paid) {
        insert(&mut pool, transaction, &world).expect("room");
    }
    (pool, world)
}

#[test]
fn what_was_saved_is_loaded_in_an_order_that_a_new_pool_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mempool");
    assert!(load(&path, &limits()).expect("no file is no pool").is_empty());
    let (pool, world) = pool();
    Snapshot::of(&Mempool::new(limits())).save(&path).expect("an empty one");
    assert!(load(&path, &limits()).expect("empty").is_empty());
    Snapshot::of(&pool).save(&path).expect("saved over it");
    let loaded = load(&path, &limits()).expect("loaded");
    let mut again = Mempool::new(limits());
    for transaction in loaded {
        let transaction = CheckedTransaction::already_checked(transaction, &Parameters::local());
        insert(&mut again, transaction, &world).expect("as before");
    }
    let order = |pool: &Mempool| pool.iter().map(|transaction| transaction.id()).collect::<Vec<_>>();
    assert_eq!(order(&again), order(&pool));
    let names: Vec<_> =
        fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("one").file_name()).collect();
    assert_eq!(names, ["mempool"], "nothing is left beside it");
}

#[test]
fn every_damage_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mempool");
    Snapshot::of(&pool().0).save(&path).expect("saved");
    let good = fs::read(&path).expect("there");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("written");
        let error = load(&path, &limits()).expect_err("damaged");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        error
    };
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        refused(&bad);
        refused(&good[..at]);
    }
    refused(&[&good[..], &[0]].concat());
    fs::write(&path, &good).expect("written");
    load(&path, &limits()).expect("the control: the good one is good");

    // With a checksum that fits, each rule alone.
    let sealed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good[..good.len() - 32].to_vec();
        change(&mut bytes);
        let checksum = Sha256::digest(&bytes);
        refused(&[&bytes[..], &checksum[..]].concat())
    };
    assert!(matches!(sealed(&|bytes| bytes[0] = b'X'), SaveError::Magic { .. }));
    assert!(matches!(sealed(&|bytes| bytes[8] = 2), SaveError::Version { found: 2, .. }));
    assert!(matches!(sealed(&|bytes| bytes[15] = 1), SaveError::Count { .. }));
    assert!(matches!(sealed(&|bytes| bytes[12] += 1), SaveError::Length { index: 7, .. }));
    assert!(matches!(sealed(&|bytes| bytes[12] -= 1), SaveError::Length { index: 6, .. }));
    assert!(matches!(sealed(&|bytes| bytes[19] = 0xff), SaveError::Length { index: 0, .. }));
    assert!(matches!(sealed(&|bytes| bytes[20] = 9), SaveError::Transaction { index: 0, .. }));
    assert!(matches!(refused(&good[..47]), SaveError::TooShort { found: 47, .. }));
    assert!(matches!(refused(&vec![0; 20 << 20]), SaveError::TooLong { .. }), "not read at all");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none").join("mempool");
    assert!(matches!(Snapshot::of(&pool().0).save(&path), Err(SaveError::Io { .. })));
}
