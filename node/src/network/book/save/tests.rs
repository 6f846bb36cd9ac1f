use std::fs;
use std::net::Ipv4Addr;

use super::*;
use crate::network::address::Transport;
use crate::network::lots::Lots;

fn address(a: u8, d: u8) -> PeerAddress {
    PeerAddress::new(Ipv4Addr::new(a, 1, 2, d).into(), Transport::Quic, 7)
}

fn full_book() -> Book {
    let mut book = Book::new([9; 32], false);
    for n in 0..200 {
        let told = PeerAddress { peer: Some(PeerId([n; 32])), ..address(n / 2 + 11, n) };
        book.heard(&told, Group::of([93, n, 0, 1].into()), 1000);
        if n % 3 == 0 {
            book.answered(&told, PeerId([n; 32]), 2000);
            book.anchor(told.clone());
        }
    }
    book.failed(&address(12, 2), &mut Lots::new([1; 32]), 3000);
    for (n, ip) in ["192.0.2.1", "2001:db8::1"].iter().enumerate() {
        book.record.ban(Banned::ip(ip.parse().expect("an address")), 5000 + n as u64, 0);
    }
    book.record.ban(Banned::Peer(PeerId([7; 32])), 6000, 0);
    book.record.remember(PeerId([8; 32]), Fading::restored(40_000, 100), 100);
    book
}

fn same(a: &Book, b: &Book) {
    assert_eq!((a.secret, &a.heard, &a.tried, &a.places), (b.secret, &b.heard, &b.tried, &b.places));
    assert_eq!((&a.anchors, &a.record), (&b.anchors, &b.record));
}

#[test]
fn what_was_saved_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peers");
    assert!(Book::load(&path, false).expect("no file is no error").is_none());
    let book = full_book();
    book.save(&path).expect("saved");
    same(&book, &Book::load(&path, false).expect("read").expect("there"));
    // Again, over the one that is there, and nothing is left beside it.
    book.save(&path).expect("saved");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peers");
    Book::new([1; 32], false).save(&path).expect("saved");
    // Something is in the way of the new one.
    fs::create_dir(folder.path().join("peers.unfinished")).expect("made");
    let error = full_book().save(&path).expect_err("in the way");
    assert!(error.to_string().contains("peers.unfinished: cannot create it"), "{error}");
    assert_eq!(Book::load(&path, false).expect("read").expect("there").counts(), (0, 0));
}

#[test]
fn every_damage_is_seen_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peers");
    let good = full_book().to_bytes();
    let error = |bytes: &[u8]| Book::from_bytes(&path, bytes, false).expect_err("damaged").to_string();
    for at in (0..good.len()).step_by(7).chain(0..HEAD_BYTES) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        assert!(error(&bytes).starts_with(&format!("peer book {}: ", path.display())), "byte {at}");
    }
    for length in [0, 1, HEAD_BYTES, HEAD_BYTES + CHECKSUM_BYTES - 1, good.len() - 1] {
        error(&good[..length]);
    }
    let sealed = |body: &[u8]| [body, &Sha256::digest(body)[..]].concat();
    let body = &good[..good.len() - CHECKSUM_BYTES];
    assert!(Book::from_bytes(&path, &sealed(body), false).is_ok(), "the control");
    // With a right checksum: too short, too long, a count over its cap, a text that is no address.
    error(&sealed(&body[..body.len() - 1]));
    error(&sealed(&[body, &[0]].concat()));
    let mut counted = body.to_vec();
    counted[HEAD_BYTES + 32..HEAD_BYTES + 36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(error(&sealed(&counted)).contains("4294967295"));
    let mut text = body.to_vec();
    text[HEAD_BYTES + 40] = b'?';
    assert!(error(&sealed(&text)).contains("is no address of a peer"));
    let mut newer = body.to_vec();
    newer[8] = 2;
    assert!(error(&sealed(&newer)).contains("version is 2, known is 1"));
}

#[test]
fn a_file_longer_than_any_book_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peers");
    let file = File::create(&path).expect("made");
    file.set_len(MAX_FILE_BYTES as u64 + 1).expect("longer");
    assert!(
        matches!(Book::load(&path, false), Err(BookError::TooLong { found, .. }) if found == MAX_FILE_BYTES as u64 + 1)
    );
}
