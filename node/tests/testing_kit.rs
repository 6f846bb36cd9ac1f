//! What the kit makes is valid by the rules that everybody else's blocks are judged by.

use std::collections::HashSet;
use std::panic::catch_unwind;

use spacetime_node::builder::{BuildError, Ground, Payout, build};
use spacetime_node::chain::rules::{HeaderError, check_body, check_form, check_header};
use spacetime_node::chain::verify::{HeaderCheck, Verifier};
use spacetime_node::chain::{Amount, Block, BlockId, Hash, Payload, Transaction, plot_key};
use spacetime_node::consensus::{Fees, Parameters};
use spacetime_node::state::tree::commit;
use spacetime_node::state::{Execution, Place};
use spacetime_node::testing::{Fabric, Order, Random, Setup, parameters};

/// Judges a block by every rule there is, signatures and rows included.
fn judge(fabric: &Fabric, verifier: &Verifier, block: &Block) -> Result<(), String> {
    let parameters = fabric.parameters();
    let (genesis, parent) = (&fabric.genesis.lineage, &fabric.made(&block.header.parent).lineage);
    let now = Some(block.header.timestamp_ms);
    let checked = check_header(&fabric.engine, parameters, genesis, parent, &block.header, &block.proof, now)
        .map_err(|error| error.to_string())?;
    let header = HeaderCheck { header: &block.header, leaf: block.proof.leaf, checked: &checked };
    verifier.headers(&[header]).remove(0).map_err(|error| error.to_string())?;
    check_body(block, parameters).map_err(|error| error.to_string())?;
    let all: Vec<_> = block.transactions.iter().collect();
    for result in verifier.transactions(&all) {
        result.map_err(|error| error.to_string())?;
    }
    let place = Place { parameters, parent, lineage: &checked.lineage, miner_key: block.header.miner_key };
    let winner = Hash(plot_key(parameters, &block.header.miner_key, &block.proof.seed).0);
    let state = fabric.state(&parent.id);
    let mut execution =
        Execution::begin(place, winner, block.header.plot_id, state).map_err(|error| error.to_string())?;
    for transaction in &block.transactions {
        let claims = execution.apply(transaction).map_err(|error| error.to_string())?;
        let requests: Vec<_> = claims.iter().map(|claim| claim.request).collect();
        let grown = verifier.cells(&requests);
        if !claims.iter().zip(grown).all(|(claim, grown)| claim.cell == grown) {
            return Err("an opening was never grown".to_owned());
        }
    }
    let Payload::Coinbase(coinbase) = &block.transactions[0].payload else { return Err("no coinbase".to_owned()) };
    let changes = execution.finish(coinbase).map_err(|error| error.to_string())?;
    let leaves = changes.iter().map(|(key, value)| (key.hash(), value.as_deref()));
    let update = commit(&state, Some(parent.height.0), leaves).map_err(|error| error.to_string())?;
    if update.root != block.header.state_root {
        return Err("another state root".to_owned());
    }
    Ok(())
}

fn judge_all(fabric: &Fabric) {
    let verifier = fabric.verifier();
    for made in &fabric.all()[1..] {
        judge(fabric, &verifier, &made.block).unwrap_or_else(|error| panic!("{:?}: {error}", made.lineage.height));
    }
}

#[test]
fn chains_are_valid() {
    let mut fabric = Fabric::default();
    let trunk = fabric.chain(&fabric.genesis_id(), 30, 3);
    let fork = fabric.chain(&trunk[20], 15, 1);
    assert_eq!(fabric.made(&fork[14]).lineage.height.0, 36);
    assert_ne!(trunk[21], fork[0], "forks differ");
    judge_all(&fabric);
}

#[test]
fn the_judge_notices() {
    let mut fabric = Fabric::default();
    let tip = *fabric.chain(&fabric.genesis_id(), 3, 2).last().unwrap();
    let verifier = fabric.verifier();
    let good = fabric.block(&tip).clone();
    assert_eq!(judge(&fabric, &verifier, &good), Ok(()));
    let mut unsigned = good.clone();
    unsigned.header.signature.0[95] ^= 1;
    assert!(judge(&fabric, &verifier, &unsigned).is_err());
    let mut root = good.clone();
    root.header.state_root = Hash::ZERO;
    assert_eq!(judge(&fabric, &verifier, &fabric.reseal(root)), Err("another state root".to_owned()));
    let mut swapped = good.clone();
    swapped.transactions.swap(0, 1);
    assert!(judge(&fabric, &verifier, &fabric.reseal(swapped)).is_err());
    assert_eq!(judge(&fabric, &verifier, &fabric.reseal(good)), Ok(()), "resealing alone changes nothing");
}

#[test]
fn random_blocks_are_valid_and_have_everything() {
    let setup = Setup {
        parameters: Parameters {
            fees: Fees { base: Amount(1000), per_byte: Amount(10) },
            plot_lifetime: Some(40),
            ..parameters()
        },
        ..Setup::default()
    };
    let mut fabric = Fabric::new(&setup);
    let mut random = Random::new(7);
    let mut tip = fabric.genesis_id();
    for _ in 0..300 {
        tip = fabric.random_block(&tip, &mut random);
    }
    let mut kinds = [0; 6];
    let mut unpaid = 0;
    for transaction in fabric.all().iter().flat_map(|made| &made.block.transactions) {
        kinds[transaction.payload.kind() as usize] += 1;
        unpaid += u32::from(transaction.sender.is_none());
        assert_eq!(check_form(transaction, fabric.parameters()), Ok(()));
    }
    assert!(kinds.iter().all(|count| *count > 1), "{kinds:?}");
    assert!(unpaid > 310, "some registrations and activations are not paid for");
    let winners: HashSet<_> = fabric.all().iter().map(|made| made.block.header.plot_id).collect();
    assert!(winners.len() > 8, "plots that were registered later win too: {}", winners.len());
    judge_all(&fabric);
}

#[test]
fn the_same_seed_makes_the_same() {
    let tip = |seed| {
        let mut fabric = Fabric::new(&Setup { seed, ..Setup::default() });
        let mut random = Random::new(seed);
        (0..40).fold(fabric.genesis_id(), |tip, _| fabric.random_block(&tip, &mut random))
    };
    assert_eq!(tip(1), tip(1));
    assert_ne!(tip(1), tip(2));
}

#[test]
fn pruned_states_are_not_needed_above() {
    let mut kept = Fabric::default();
    let mut pruned = Fabric::new(&Setup { keep: Some(5), ..Setup::default() });
    let all = kept.chain(&kept.genesis_id(), 60, 4);
    assert_eq!(pruned.chain(&pruned.genesis_id(), 60, 4), all);
    let fork = |fabric: &mut Fabric, at: BlockId| fabric.make(&at, Order { skip_epochs: 3, ..Order::default() });
    assert_eq!(fork(&mut kept, all[56]), fork(&mut pruned, all[56]));
    assert!(catch_unwind(|| pruned.account(&all[50], pruned.wallets[0].address)).is_err());
}

#[test]
fn no_block_without_a_win() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let (_, win) = fabric.win(&genesis, 0, None);
    let verifier = fabric.verifier();
    let lineage = &fabric.genesis.lineage;
    let ground = Ground {
        engine: &fabric.engine,
        parameters: fabric.parameters(),
        genesis: lineage,
        parent: lineage,
        state: fabric.state(&genesis),
        nodes: fabric.state(&genesis),
        verifier: &verifier,
    };
    let none: [Transaction; 0] = [];
    let mut other = win.clone();
    other.timestamp_ms += fabric.parameters().epoch_ms;
    let built = build(&ground, &other, &Payout::default(), &none);
    assert!(matches!(built, Err(BuildError::Win(HeaderError::Timestamp { .. }))), "{built:?}");
    let mut other = win.clone();
    other.proof.leaf[0] ^= 1;
    assert!(matches!(build(&ground, &other, &Payout::default(), &none), Err(BuildError::Win(HeaderError::Proof(_)))));
    assert!(build(&ground, &win, &Payout::default(), &none).is_ok());
}
