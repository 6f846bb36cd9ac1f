//! Files of blocks: they come back as they were, and nothing that was done to one goes unnoticed.

use std::sync::Arc;

use spacetime_node::chain::{Block, BlockId, Height};
use spacetime_node::manager::{ChainManager, Options};
use spacetime_node::store::MemoryDatabase;
use spacetime_node::store::archive::{ArchiveError, ArchiveHead, ArchiveReader, ArchiveWriter, ExportError, export};
use spacetime_node::testing::{Fabric, Random};

/// Later than any block here.
const NOW_MS: u64 = 1 << 60;

fn fabric(blocks: usize) -> (Fabric, Vec<BlockId>) {
    let mut fabric = Fabric::default();
    let mut random = Random::new(3);
    let mut chain = vec![fabric.genesis_id()];
    for _ in 0..blocks {
        chain.push(fabric.random_block(&chain[chain.len() - 1], &mut random));
    }
    chain.remove(0);
    (fabric, chain)
}

fn head(fabric: &Fabric, last: usize) -> ArchiveHead {
    ArchiveHead { genesis: fabric.genesis_id(), first: Height(1), last: Height(last as u64) }
}

fn written(fabric: &Fabric, chain: &[BlockId]) -> Vec<u8> {
    let mut archive = ArchiveWriter::begin(Vec::new(), &head(fabric, chain.len().max(1))).expect("memory");
    chain.iter().for_each(|id| archive.add(fabric.block(id)).expect("memory"));
    archive.finish().expect("memory")
}

/// The blocks before the first error, and that.
fn read(fabric: &Fabric, bytes: &[u8]) -> (Vec<Block>, Result<(), ArchiveError>) {
    let reader = ArchiveReader::open(bytes, "x.blocks", &fabric.genesis_id(), fabric.parameters());
    let mut reader = match reader {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut blocks = Vec::new();
    for block in reader.by_ref() {
        match block {
            Ok(block) => blocks.push(block),
            Err(error) => {
                assert!(reader.next().is_none(), "an error is the end");
                return (blocks, Err(error));
            }
        }
    }
    assert_eq!(reader.blocks(), blocks.len() as u64);
    (blocks, Ok(()))
}

#[test]
fn what_was_written_comes_back() {
    let (fabric, chain) = fabric(12);
    for length in [0, 1, 12] {
        let bytes = written(&fabric, &chain[..length]);
        let (blocks, end) = read(&fabric, &bytes);
        end.expect("whole");
        assert!(blocks.iter().eq(chain[..length].iter().map(|id| fabric.block(id))));
    }
}

#[test]
fn an_archive_cut_off_anywhere_gives_what_is_whole_and_says_where_it_ends() {
    let (fabric, chain) = fabric(4);
    let bytes = written(&fabric, &chain);
    let mut seen = 0;
    for length in 0..bytes.len() {
        let (blocks, end) = read(&fabric, &bytes[..length]);
        let error = end.expect_err("cut off");
        match &error {
            ArchiveError::Truncated { offset, block, .. } => {
                assert_eq!((*offset, *block), (length as u64, blocks.len() as u64), "{error}");
            }
            other => panic!("{length}: {other}"),
        }
        assert!(error.to_string().starts_with(&format!("x.blocks: ends at byte {length}, within the ")), "{error}");
        assert!(error.is_damage());
        assert!(blocks.len() >= seen && blocks.iter().zip(&chain).all(|(block, id)| block == fabric.block(id)));
        seen = blocks.len();
    }
    assert_eq!(seen, 4, "all blocks are there before the end is");
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let (fabric, chain) = fabric(3);
    let bytes = written(&fabric, &chain);
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        let (blocks, end) = read(&fabric, &flipped);
        let error = end.expect_err("flipped");
        assert!(blocks.len() < 4 && blocks.iter().zip(&chain).all(|(block, id)| block == fabric.block(id)));
        assert!(error.to_string().starts_with("x.blocks: "), "{error}");
    }
    let mut longer = bytes;
    longer.push(0);
    let (blocks, end) = read(&fabric, &longer);
    assert_eq!(blocks.len(), 3);
    assert!(matches!(end, Err(ArchiveError::Damaged { field: "end", .. })));
}

#[test]
fn lengths_are_bounded_before_there_is_room_for_them() {
    let (fabric, chain) = fabric(1);
    let mut bytes = written(&fabric, &chain);
    bytes[96..100].copy_from_slice(&u32::MAX.to_le_bytes());
    let (_, end) = read(&fabric, &bytes);
    let error = end.expect_err("too long");
    assert!(matches!(error, ArchiveError::Damaged { field: "length", offset: 96, block: 0, .. }), "{error}");
}

#[test]
fn what_is_no_archive_of_this_chain_is_refused() {
    let (fabric, chain) = fabric(2);
    let (_, end) = read(&fabric, &[b'x'; 200]);
    assert!(matches!(end, Err(ArchiveError::Magic { .. })));
    let mut newer = written(&fabric, &chain);
    newer[8] = 2;
    assert!(matches!(read(&fabric, &newer).1, Err(ArchiveError::Newer { found: 2, .. })));
    let other = ArchiveHead { genesis: BlockId([5; 32]), ..head(&fabric, 2) };
    let bytes = ArchiveWriter::begin(Vec::new(), &other).expect("memory").finish().expect("memory");
    assert!(matches!(read(&fabric, &bytes).1, Err(ArchiveError::OtherChain { .. })));
    let low = ArchiveHead { last: Height(1), ..head(&fabric, 2) };
    let mut archive = ArchiveWriter::begin(Vec::new(), &low).expect("memory");
    chain.iter().for_each(|id| archive.add(fabric.block(id)).expect("memory"));
    let (blocks, end) = read(&fabric, &archive.finish().expect("memory"));
    assert_eq!(blocks.len(), 1);
    assert!(end.expect_err("too high").to_string().contains("its height is 2, the archive's are 1 to 1"));
    let upside_down = ArchiveHead { first: Height(3), ..head(&fabric, 2) };
    let bytes = ArchiveWriter::begin(Vec::new(), &upside_down).expect("memory").finish().expect("memory");
    assert!(matches!(read(&fabric, &bytes).1, Err(ArchiveError::Damaged { .. })));
}

#[test]
fn one_store_s_export_is_another_s_import() {
    let (fabric, chain) = fabric(40);
    let specification = Arc::new(fabric.specification.clone());
    let open = |options| {
        let database = Arc::new(MemoryDatabase::new());
        ChainManager::open(Arc::clone(&specification), database, [1; 32], options).expect("opens")
    };
    let mut source = open(Options::default());
    source.submit(chain.iter().map(|id| fabric.block(id).clone()), NOW_MS).expect("memory works");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.blocks");
    let genesis = fabric.genesis_id();
    let mut written = 0;
    let see = |_| {
        written += 1;
        true
    };
    export(source.store(), &genesis, Height(1)..=Height(40), &path, see).expect("written");
    assert_eq!(written, 40);
    assert_eq!(std::fs::read_dir(folder.path()).expect("ours").count(), 1, "nothing else is left");

    let bytes = std::fs::read(&path).expect("ours");
    let mut target = open(Options { keep_bodies: Some(10) });
    let archive = ArchiveReader::open(&bytes[..], "x", &genesis, fabric.parameters()).expect("an archive");
    let report = target.import(archive, NOW_MS, |_| true).expect("all good");
    assert_eq!(report.connected, 40);
    assert_eq!(target.tip(), source.tip());

    // Cut off in the last block: what is whole is taken, and then it says so.
    let mut cut = open(Options::default());
    let archive = ArchiveReader::open(&bytes[..bytes.len() - 100], "x", &genesis, fabric.parameters()).expect("a head");
    let error = cut.import(archive, NOW_MS, |_| true).expect_err("cut off");
    assert!(matches!(error, ArchiveError::Truncated { block: 39, .. }), "{error}");
    assert_eq!(cut.tip().height, Height(39));

    let missing = |first, last| {
        let path = folder.path().join("other");
        let error = export(target.store(), &genesis, Height(first)..=Height(last), &path, |_| true);
        assert!(!path.exists() && std::fs::read_dir(folder.path()).expect("ours").count() == 1);
        error.expect_err("no such blocks")
    };
    assert!(matches!(missing(0, 40), ExportError::Range { .. }));
    assert!(matches!(missing(31, 41), ExportError::Range { .. }));
    assert!(matches!(missing(35, 34), ExportError::Range { .. }));
    assert!(matches!(missing(29, 40), ExportError::Pruned { oldest: Height(30), .. }));
    let stopped = export(source.store(), &genesis, Height(1)..=Height(40), &path, |height| height < Height(9));
    assert!(matches!(stopped, Err(ExportError::Stopped)));
    assert!(std::fs::read(&path).expect("ours") == bytes, "the file of that name is still whole");
}
