//! A pool in step with a chain manager: what comes in, what blocks are made of it, and what other branches give back.

use std::collections::HashSet;
use std::sync::Arc;

use spacetime_node::builder::Payout;
use spacetime_node::chain::rules::{SignatureRule, TransactionError, check_body};
use spacetime_node::chain::{
    AccountSignature, Address, Amount, Block, BlockId, Capped, Hash, Height, MinerSignature, Payload, Transaction,
    TransactionId, Transfer,
};
use spacetime_node::chain_pool::{ChainPool, PoolError};
use spacetime_node::consensus::{Fees, Parameters};
use spacetime_node::manager::{ChainManager, Event, Options, Verdict};
use spacetime_node::mempool::{Limits, MAX_QUEUE, Refusal};
use spacetime_node::store::MemoryDatabase;
use spacetime_node::testing::{Fabric, MemoryPlot, Random, Setup, Wallet, parameters, report, sign};

type Manager = ChainManager<MemoryDatabase>;

const LATER_MS: u64 = 4_000_000_000_000;
const TO: Address = Address([7; 20]);

fn open(fabric: &Fabric) -> Manager {
    let specification = Arc::new(fabric.specification.clone());
    ChainManager::open(specification, Arc::new(MemoryDatabase::new()), [3; 32], Options::default())
        .expect("a new store")
}

fn free() -> Limits {
    Limits::new(Fees { base: Amount(0), per_byte: Amount(0) })
}

fn submit(manager: &mut Manager, blocks: Vec<Block>) -> Vec<Event> {
    manager.submit(blocks, LATER_MS).expect("memory can be read and written").events
}

fn blocks(fabric: &Fabric, ids: &[BlockId]) -> Vec<Block> {
    ids.iter().map(|id| fabric.block(id).clone()).collect()
}

fn ids(transactions: &[Transaction]) -> Vec<TransactionId> {
    transactions.iter().map(Transaction::id).collect()
}

fn transfer(fabric: &Fabric, wallet: usize, nonce: u64, fee: u64) -> Transaction {
    fabric.wallets[wallet].transfer(&fabric.genesis_id(), nonce, Amount(fee), TO, Amount(1))
}

/// All of them are taken.
fn take(pool: &mut ChainPool, manager: &Manager, transactions: &[Transaction]) {
    for verdict in pool.offer(manager, transactions.to_vec()).expect("memory can be read") {
        verdict.expect("it is taken");
    }
}

/// A block out of the pool upon the manager's tip, which takes it.
fn mine(fabric: &mut Fabric, manager: &mut Manager, pool: &mut ChainPool) -> BlockId {
    let tip = manager.tip().id;
    let (miner, win) = fabric.win(&tip, 0, None);
    let payout = Payout::all_to(fabric.miners[miner].wallet.address);
    let template = pool.template(manager, &win, &payout).expect("the winner may win");
    let id = fabric.finish(miner, template);
    let outcome = manager.submit([fabric.block(&id).clone()], LATER_MS).expect("memory can be read and written");
    assert_eq!(outcome.verdicts, [(id, Verdict::Connected)]);
    pool.follow(manager, outcome.events).expect("memory can be read");
    id
}

fn mined(fabric: &Fabric, block: &BlockId) -> Vec<Transaction> {
    fabric.block(block).transactions[1..].to_vec()
}

/// Whatever comes in from a network: good, too early, twice, replaced, with a bad signature.
fn random_transaction(fabric: &Fabric, tip: &BlockId, random: &mut Random) -> Transaction {
    let genesis = fabric.genesis_id();
    let wallet = random.pick(&fabric.wallets);
    let nonce = fabric.account(tip, wallet.address).nonce + random.below(5);
    let payer = wallet.paying(nonce, Amount(random.below(100_000)));
    let miners: Vec<_> = fabric.miners.iter().filter(|miner| !miner.plots.is_empty()).collect();
    let miner = random.pick(&miners);
    let paid = !random.one_in(3);
    let mut made = match random.below(10) {
        0 => miner.register(&genesis, random.pick(&miner.plots), paid.then_some(payer)),
        1..=3 => {
            let plot = random.pick(&miner.plots);
            let mix = fabric.drawn_mix(tip, plot.key()).unwrap_or(Hash::ZERO);
            miner.activate(&genesis, plot, &mix, fabric.parameters().openings, paid.then_some(payer))
        }
        4 if random.one_in(20) && fabric.miners.len() > 2 => {
            let header = &fabric.block(tip).header;
            report(&genesis, fabric.miners[2].equivocate(&genesis, header), payer)
        }
        _ => wallet.transfer(&genesis, nonce, payer.fee, random.pick(&fabric.wallets).address, Amount(1)),
    };
    if let Some(signature) = made.signatures.account.as_mut().filter(|_| random.one_in(10)) {
        signature.0[0] ^= 1;
    }
    made
}

#[test]
fn blocks_out_of_the_pool_are_good_everywhere() {
    let mut fabric = Fabric::default();
    let mut random = Random::new(11);
    let (mut manager, mut other) = (open(&fabric), open(&fabric));
    let mut pool = ChainPool::new(&manager, free());
    let (mut used, mut kinds) = (HashSet::new(), HashSet::new());
    let (mut invalid, mut refused) = (0, 0);
    for _ in 0..60 {
        if random.one_in(3) {
            let plot = MemoryPlot::grow(fabric.parameters(), fabric.miners[0].key, random.bytes(), 16);
            fabric.miners[0].plots.push(plot);
        }
        let tip = manager.tip().id;
        let offered: Vec<_> = (0..random.below(20)).map(|_| random_transaction(&fabric, &tip, &mut random)).collect();
        for verdict in pool.offer(&manager, offered).expect("memory can be read") {
            match verdict {
                Ok(_) => {}
                Err(PoolError::Invalid(_)) => invalid += 1,
                Err(PoolError::Refused(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let block = mine(&mut fabric, &mut manager, &mut pool);
        let outcome = other.submit([fabric.block(&block).clone()], LATER_MS).expect("memory can be read and written");
        assert_eq!(outcome.verdicts, [(block, Verdict::Connected)]);
        for transaction in mined(&fabric, &block) {
            assert!(!pool.pool().contains(&transaction.id()), "what is mined is not held");
            kinds.insert(transaction.payload.name());
            if let Some(sender) = transaction.sender {
                assert!(used.insert((sender, transaction.nonce)), "no nonce twice");
            }
        }
    }
    assert!(used.len() > 100, "{}", used.len());
    assert!(invalid > 10 && refused > 10, "{invalid} invalid, {refused} refused");
    assert!(["transfer", "register plot", "activate plot"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    let before = pool.pool().len();
    let gone = pool.follow(&manager, []).expect("memory can be read");
    assert_eq!((gone.len(), pool.pool().len()), (0, before), "nothing is left to be done");
}

/// A trunk of ten, upon it a branch of three with transactions out of the pool, and a heavier one without any.
struct Fork {
    fabric: Fabric,
    manager: Manager,
    pool: ChainPool,
    returned: Vec<Transaction>,
    heavier: Vec<BlockId>,
}

fn fork() -> Fork {
    let mut fabric = Fabric::default();
    let mut manager = open(&fabric);
    let mut pool = ChainPool::new(&manager, free());
    let trunk = fabric.chain(&fabric.genesis_id(), 10, 0);
    let events = submit(&mut manager, blocks(&fabric, &trunk));
    pool.follow(&manager, events).expect("memory can be read");
    let mut returned = Vec::new();
    for round in 0..3 {
        let fees = [(0, 5), (1, 9), (2, 1)];
        let new: Vec<_> =
            (0..2).flat_map(|n| fees.map(|(wallet, fee)| transfer(&fabric, wallet, 2 * round + n, fee))).collect();
        take(&mut pool, &manager, &new);
        let block = mine(&mut fabric, &mut manager, &mut pool);
        returned.extend(mined(&fabric, &block));
    }
    assert_eq!(returned.len(), 18);
    assert!(pool.pool().is_empty());
    let heavier = fabric.chain(&trunk[9], 4, 0);
    Fork { fabric, manager, pool, returned, heavier }
}

fn comes_back(lose_events: bool) {
    let Fork { mut fabric, mut manager, mut pool, returned, heavier } = fork();
    // Waits on the first branch, behind what that one has mined.
    let waiting = transfer(&fabric, 0, 6, 5);
    take(&mut pool, &manager, std::slice::from_ref(&waiting));
    let events = submit(&mut manager, blocks(&fabric, &heavier));
    assert_eq!(manager.tip().id, heavier[3]);
    assert!(events.iter().any(|event| matches!(event, Event::Reorganised { .. })));
    pool.follow(&manager, if lose_events { Vec::new() } else { events }).expect("memory can be read");
    let held: HashSet<_> = pool.pool().iter().map(|transaction| transaction.id()).collect();
    let mut expected: HashSet<_> = ids(&returned).into_iter().collect();
    expected.insert(waiting.id());
    assert_eq!(held, expected);
    let block = mine(&mut fabric, &mut manager, &mut pool);
    assert_eq!(ids(&mined(&fabric, &block)).into_iter().collect::<HashSet<_>>(), expected, "mined on the other branch");
    assert!(pool.pool().is_empty());
}

/// The block that holds the last of these.
fn returned_block(fabric: &Fabric, returned: &[Transaction]) -> BlockId {
    let last = returned.last().expect("not empty");
    let holds = |block: &&Block| block.transactions.contains(last);
    fabric.all().iter().map(|made| &made.block).find(holds).expect("it was mined").id()
}

#[test]
fn what_an_abandoned_branch_held_is_mined_on_the_other() {
    comes_back(false);
}

#[test]
fn abandoned_blocks_are_looked_up_where_events_were_lost() {
    comes_back(true);
}

#[test]
fn there_and_back_leaves_only_what_was_never_mined() {
    let Fork { mut fabric, mut manager, mut pool, returned, heavier } = fork();
    let first = returned_block(&fabric, &returned);
    let mut events = submit(&mut manager, blocks(&fabric, &heavier));
    // The pool looks away until the first branch has won again.
    let back = fabric.chain(&first, 3, 0);
    events.extend(submit(&mut manager, blocks(&fabric, &back)));
    assert_eq!(manager.tip().id, back[2]);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Reorganised { .. })).count(), 2);
    pool.follow(&manager, events).expect("memory can be read");
    assert!(pool.pool().is_empty(), "all of them are mined");
}

#[test]
fn whatever_branch_wins_the_pool_is_good_for_it() {
    let mut fabric = Fabric::default();
    let mut random = Random::new(23);
    let mut manager = open(&fabric);
    let mut pool = ChainPool::new(&manager, free());
    let (mut changes, mut mined_again, mut back) = (0, 0, HashSet::new());
    for _ in 0..80 {
        let tip = manager.tip().id;
        let offered: Vec<_> = (0..random.below(8)).map(|_| random_transaction(&fabric, &tip, &mut random)).collect();
        pool.offer(&manager, offered).expect("memory can be read");
        if random.one_in(4) {
            // A branch of other people's blocks from a few blocks below, one longer than what it leaves behind.
            let depth = random.below(5).min(manager.tip().height.0);
            let mut at = tip;
            for _ in 0..depth {
                at = fabric.block(&at).header.parent;
            }
            let mut branch = Vec::new();
            for _ in 0..=depth {
                at = fabric.random_block(&at, &mut random);
                branch.push(at);
            }
            let events = submit(&mut manager, blocks(&fabric, &branch));
            for event in &events {
                if let Event::Reorganised { returned, .. } = event {
                    changes += 1;
                    back.extend(ids(returned));
                }
            }
            let events = if random.one_in(4) { Vec::new() } else { events };
            pool.follow(&manager, events).expect("memory can be read");
        } else {
            let block = mine(&mut fabric, &mut manager, &mut pool);
            mined_again += mined(&fabric, &block).iter().filter(|found| back.contains(&found.id())).count();
        }
        let tip = manager.tip().id;
        for held in pool.pool().iter() {
            let place = manager.store().transaction_place(&held.id()).expect("memory can be read");
            assert_eq!(place, None, "nothing that is held is on the best chain");
            if let Some(sender) = held.get().sender_address() {
                let next = fabric.account(&tip, sender).nonce;
                assert!((next..next + MAX_QUEUE).contains(&held.get().nonce));
            }
        }
    }
    assert!(changes > 5 && mined_again > 10, "{changes} changes, {mined_again} mined again");
}

#[test]
fn a_chain_that_was_rewound_is_followed() {
    let Fork { fabric, mut manager, mut pool, .. } = fork();
    take(&mut pool, &manager, &[transfer(&fabric, 3, 0, 1), transfer(&fabric, 0, 6, 1)]);
    manager.rewind(Height(5)).expect("the state is kept");
    pool.follow(&manager, []).expect("memory can be read");
    assert_eq!(pool.pool().len(), 2, "what was rewound is forgotten");
    let known: Vec<_> = pool.pool().iter().map(|transaction| transaction.get().clone()).collect();
    for verdict in pool.offer(&manager, known).expect("memory can be read") {
        assert!(matches!(verdict, Err(PoolError::Refused(Refusal::Known { .. }))));
    }
}

#[test]
fn what_was_saved_is_there_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mempool");
    let mut fabric = Fabric::default();
    let mut manager = open(&fabric);
    let mut pool = ChainPool::new(&manager, free());
    assert_eq!(pool.load(&manager, &path).expect("no file is no pool"), 0);
    let (miner, genesis) = (&fabric.miners[0], fabric.genesis_id());
    let plot = MemoryPlot::grow(fabric.parameters(), miner.key, [9; 32], 16);
    let all = [
        transfer(&fabric, 0, 0, 7),
        transfer(&fabric, 0, 1, 7),
        transfer(&fabric, 0, 3, 7),
        miner.register(&genesis, &plot, None),
        transfer(&fabric, 1, 0, 7),
    ];
    take(&mut pool, &manager, &all);
    pool.save(&path).expect("written");
    let held = |pool: &ChainPool| pool.pool().iter().map(|transaction| transaction.id()).collect::<Vec<_>>();
    let mut again = ChainPool::new(&manager, free());
    assert_eq!(again.load(&manager, &path).expect("read"), 5);
    assert_eq!(held(&again), held(&pool));

    // The chain has gone on before the next start.
    mine(&mut fabric, &mut manager, &mut pool);
    let mut later = ChainPool::new(&manager, free());
    assert_eq!(later.load(&manager, &path).expect("read"), 1, "all but what stood behind a gap was mined");
    let mut bytes = std::fs::read(&path).expect("there");
    bytes[50] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let mut damaged = ChainPool::new(&manager, free());
    assert!(matches!(damaged.load(&manager, &path), Err(PoolError::Save(_))));
    assert!(damaged.pool().is_empty());
}

#[test]
fn what_was_refused_is_taken_when_its_time_has_come() {
    let mut fabric = Fabric::default();
    let mut manager = open(&fabric);
    let mut pool = ChainPool::new(&manager, free());
    let early = transfer(&fabric, 0, MAX_QUEUE, 1);
    let mut forged = early.clone();
    forged.signatures.account.as_mut().expect("it is signed").0[7] ^= 1;
    for _ in 0..2 {
        let verdicts = pool.offer(&manager, vec![early.clone()]).expect("memory can be read");
        assert!(matches!(verdicts[0], Err(PoolError::Refused(Refusal::FarNonce { .. }))), "{verdicts:?}");
    }
    take(&mut pool, &manager, &[transfer(&fabric, 0, 0, 1)]);
    mine(&mut fabric, &mut manager, &mut pool);
    // One that claims the same, and whose signature is not the sender's, stands in nobody's way.
    let verdicts = pool.offer(&manager, vec![forged, early.clone()]).expect("memory can be read");
    let unsigned = TransactionError::Signature(SignatureRule::Account);
    assert!(matches!(&verdicts[0], Err(PoolError::Invalid(error)) if *error == unsigned), "{verdicts:?}");
    assert!(verdicts[1].is_ok() && pool.pool().contains(&early.id()));
}

#[test]
fn no_signature_is_checked_of_what_would_not_be_taken() {
    let fabric = Fabric::default();
    let manager = open(&fabric);
    let mut pool = ChainPool::new(&manager, free());
    let genesis = fabric.genesis_id();
    let miner = &fabric.miners[0];
    let nobody = Wallet::new([77; 32]).transfer(&genesis, 0, Amount(1), TO, Amount(1));
    let registered = miner.register(&genesis, &miner.plots[0], None);
    let early = miner.activate(&genesis, &miner.plots[0], &Hash::ZERO, 4, None);
    let mut all = [nobody, registered, early];
    for transaction in &mut all {
        // Whoever looked would find these.
        transaction.signatures.account = transaction.signatures.account.map(|_| AccountSignature::ZERO);
        transaction.signatures.miner = transaction.signatures.miner.map(|_| MinerSignature::ZERO);
    }
    let verdicts = pool.offer(&manager, all.to_vec()).expect("memory can be read");
    assert!(matches!(&verdicts[0], Err(PoolError::Refused(Refusal::Balance { .. }))), "{verdicts:?}");
    for verdict in &verdicts[1..] {
        assert!(matches!(verdict, Err(PoolError::Refused(Refusal::Judged(_)))), "{verdicts:?}");
    }
    // Form is everybody's own fault.
    let nothing = fabric.wallets[0].transfer(&genesis, 0, Amount(1), TO, Amount(0));
    for verdict in pool.offer(&manager, vec![nothing]).expect("memory can be read") {
        assert!(matches!(verdict, Err(PoolError::Invalid(_))), "{verdict:?}");
    }
}

#[test]
fn a_bad_signature_harms_no_other() {
    let fabric = Fabric::new(&Setup { wallets: 200, ..Setup::default() });
    let manager = open(&fabric);
    let mut pool = ChainPool::new(&manager, free());
    let bad = [0, 63, 64, 130, 199];
    let mut all: Vec<_> = (0..200).map(|wallet| transfer(&fabric, wallet, 0, 1)).collect();
    for place in bad {
        all[place].signatures.account.as_mut().expect("it is signed").0[40] ^= 1;
    }
    let verdicts = pool.offer(&manager, all).expect("memory can be read");
    let found: Vec<_> = (0..200).filter(|place| verdicts[*place].is_err()).collect();
    assert_eq!(found, bad);
    assert_eq!(pool.pool().len(), 195);
}

#[test]
fn openings_that_were_never_grown_are_not_taken() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let key = fabric.miners[0].key;
    let forged = MemoryPlot::forge(fabric.parameters(), key, [1; 32], 16);
    let grown = MemoryPlot::grow(fabric.parameters(), key, [2; 32], 16);
    let payer = fabric.wallets[0].paying(0, Amount(0));
    let registrations = vec![
        fabric.miners[0].register(&genesis, &forged, None),
        fabric.miners[0].register(&genesis, &grown, Some(payer)),
    ];
    let registered = fabric.extend(&genesis, registrations);
    let chain = [vec![registered], fabric.chain(&registered, 12, 0)].concat();
    let tip = *chain.last().expect("not empty");
    let mut manager = open(&fabric);
    submit(&mut manager, blocks(&fabric, &chain));
    let mut pool = ChainPool::new(&manager, free());
    let activations = [&forged, &grown].map(|plot| {
        let mix = fabric.drawn_mix(&tip, plot.key()).expect("drawn long ago");
        fabric.miners[0].activate(&genesis, plot, &mix, 4, None)
    });
    let verdicts = pool.offer(&manager, activations.to_vec()).expect("memory can be read");
    assert!(matches!(&verdicts[0], Err(PoolError::Invalid(TransactionError::OpeningCell { .. }))), "{verdicts:?}");
    assert!(verdicts[1].is_ok());
    let block = mine(&mut fabric, &mut manager, &mut pool);
    assert_eq!(ids(&mined(&fabric, &block)), [activations[1].id()]);
}

#[test]
fn blocks_of_the_largest_transactions_keep_to_the_limits() {
    let parameters = Parameters { openings: 255, ..parameters() };
    let setup = Setup { parameters, miners: 4, plots: 12, rows: 1024, wallets: 16, ..Setup::default() };
    let mut fabric = Fabric::new(&setup);
    let genesis = fabric.genesis_id();
    let chain = fabric.chain(&genesis, 12, 0);
    let tip = chain[11];
    let mut manager = open(&fabric);
    submit(&mut manager, blocks(&fabric, &chain));
    let mut pool = ChainPool::new(&manager, Limits { bytes: 8 << 20, ..free() });
    // Each plot's activation comes from a wallet in its turn, evidence and long transfers behind them.
    let mut all = Vec::new();
    let mut nonces = vec![0; fabric.wallets.len()];
    for (place, (miner, plot)) in
        fabric.miners.iter().flat_map(|miner| miner.plots.iter().map(move |plot| (miner, plot))).enumerate()
    {
        let mix = fabric.drawn_mix(&tip, plot.key()).expect("drawn long ago");
        let wallet = place % fabric.wallets.len();
        let payer = fabric.wallets[wallet].paying(nonces[wallet], Amount(1_000_000 + place as u64));
        let unpaid = place % 6 == 0;
        nonces[wallet] += u64::from(!unpaid);
        all.push(miner.activate(&genesis, plot, &mix, 255, (!unpaid).then_some(payer)));
    }
    let longest = all[0].encoded_len();
    assert!(longest > 100_000, "{longest}");
    for (wallet, nonce) in nonces.iter_mut().enumerate() {
        for _ in 0..40 {
            let payer = fabric.wallets[wallet].paying(*nonce, Amount(100 + *nonce));
            let memo = Capped::new(vec![7; 64]).expect("as long as it may be");
            all.push(sign(
                &genesis,
                Payload::Transfer(Transfer { to: TO, amount: Amount(1), memo }),
                Some(payer),
                None,
            ));
            *nonce += 1;
        }
    }
    take(&mut pool, &manager, &all);
    assert!(pool.pool().bytes() > 4 << 20, "{}", pool.pool().bytes());
    let (mut kinds, mut full) = (HashSet::new(), 0);
    for _ in 0..6 {
        let block = mine(&mut fabric, &mut manager, &mut pool);
        let made = fabric.block(&block);
        check_body(made, fabric.parameters()).expect("within the limits");
        let limit = fabric.parameters().max_block_bytes as usize;
        assert!(made.encoded_len() <= limit);
        full += usize::from(limit - made.encoded_len() < longest);
        kinds.extend(made.transactions.iter().map(|transaction| transaction.payload.name()));
    }
    assert!(full >= 3, "{full} blocks are as full as they get");
    assert!(kinds.contains("activate plot") && kinds.contains("transfer"));
}

#[test]
fn what_excludes_each_other_leaves_no_block_empty() {
    // All wallets pay for one and the same activation, which goes before transfers; only one can be mined.
    let parameters = Parameters { max_block_bytes: 16 << 10, ..parameters() };
    let mut fabric = Fabric::new(&Setup { parameters, wallets: 40, ..Setup::default() });
    let genesis = fabric.genesis_id();
    let chain = fabric.chain(&genesis, 12, 0);
    let mut manager = open(&fabric);
    submit(&mut manager, blocks(&fabric, &chain));
    let mut pool = ChainPool::new(&manager, free());
    let miner = &fabric.miners[0];
    let mix = fabric.drawn_mix(&chain[11], miner.plots[0].key()).expect("drawn long ago");
    let pay = |wallet: usize, nonce, fee| fabric.wallets[wallet].paying(nonce, Amount(fee));
    let mut all: Vec<_> =
        (0..20).map(|wallet| miner.activate(&genesis, &miner.plots[0], &mix, 4, Some(pay(wallet, 0, 50)))).collect();
    let activations: HashSet<_> = ids(&all).into_iter().collect();
    let transfers = (20..40)
        .flat_map(|wallet| (0..8).map(move |nonce| (wallet, nonce)))
        .map(|(wallet, nonce)| transfer(&fabric, wallet, nonce, 1));
    all.extend(transfers);
    take(&mut pool, &manager, &all);
    let length = all[20].encoded_len();
    let block = mine(&mut fabric, &mut manager, &mut pool);
    let found = ids(&mined(&fabric, &block));
    assert_eq!(found.iter().filter(|id| activations.contains(id)).count(), 1);
    let left = (16 << 10) - fabric.block(&block).encoded_len();
    assert!(left < length, "{left} bytes are left, a transfer takes {length}");
}
