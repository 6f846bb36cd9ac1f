//! A light client follows what full nodes follow, and is shown nothing that is not so (PROTOCOL §7, §10).
#![cfg(feature = "light")]

#[allow(dead_code, reason = "shared with the tests of the rules, which ask for more")]
mod forge;

use forge::{forge, win_of};
use spacetime_node::chain::rules::{BlockError, HeaderError, SignatureRule};
use spacetime_node::chain::{Amount, Block, BlockId, Hash, Height, plot_key};
use spacetime_node::light::{LightClient, LightError, LightHeader, TrustedBlock};
use spacetime_node::state::proof::{StateProof, StateProofError, prove};
use spacetime_node::state::{Account, PlotRecord, PlotStatus, StateKey};
use spacetime_node::testing::{Fabric, MemoryPlot, Order, Wallet, report};

const LATER_MS: u64 = 4_000_000_000_000;
const MATURITY: u64 = 16;

/// A proof of what a key holds in the state after a block.
fn shown(fabric: &Fabric, at: &BlockId, key: StateKey) -> StateProof {
    prove(&fabric.state(at), fabric.made(at).lineage.height.0, &key.hash()).expect("memory can be read")
}

/// The ancestor of a block, or the block itself, at a height.
fn ancestor(fabric: &Fabric, of: &BlockId, height: u64) -> BlockId {
    let mut at = *of;
    while fabric.made(&at).lineage.height.0 > height {
        at = fabric.made(&at).lineage.parent;
    }
    at
}

/// Where the plot of a child of `parent` is looked up.
fn looked_up_at(fabric: &Fabric, parent: &BlockId) -> BlockId {
    let height = fabric.made(parent).lineage.height.0 + 1;
    ancestor(fabric, parent, height.saturating_sub(MATURITY))
}

/// What a light client is shown of a block, the plot as it is in the state after `at`.
fn light_at(fabric: &Fabric, block: &Block, at: &BlockId) -> LightHeader {
    let key = Hash(plot_key(fabric.parameters(), &block.header.miner_key, &block.proof.seed).0);
    LightHeader {
        header: block.header.clone(),
        proof: block.proof.clone(),
        plot: fabric.plot(at, key).unwrap_or_else(|| nothing(block)),
        plot_proof: shown(fabric, at, StateKey::Plot(key)),
        barred_proof: shown(fabric, at, StateKey::Barred(block.header.miner_key)),
    }
}

/// A record that would let the block win, where the state has none.
fn nothing(block: &Block) -> PlotRecord {
    PlotRecord {
        miner_key: block.header.miner_key,
        plot_id: block.header.plot_id,
        rows: block.proof.rows,
        root: block.header.plot_root,
        registered: Height(0),
        draw: 2,
        mature_from: Some(Height(1)),
        last: Height(0),
        retired: false,
    }
}

fn light(fabric: &Fabric, block: &Block) -> LightHeader {
    light_at(fabric, block, &looked_up_at(fabric, &block.header.parent))
}

fn lights(fabric: &Fabric, ids: &[BlockId]) -> Vec<LightHeader> {
    ids.iter().map(|id| light(fabric, fabric.block(id))).collect()
}

fn trusted(fabric: &Fabric, id: &BlockId) -> TrustedBlock {
    let height = fabric.made(id).lineage.height.0;
    let below = height.saturating_sub(MATURITY)..height;
    TrustedBlock {
        header: fabric.block(id).header.clone(),
        record: fabric.ledger(id).chain().expect("memory can be read"),
        record_proof: shown(fabric, id, StateKey::Chain),
        ancestors: below.map(|height| fabric.block(&ancestor(fabric, id, height)).header.clone()).collect(),
    }
}

fn client(fabric: &Fabric) -> LightClient {
    LightClient::new(&fabric.specification, [1; 32]).expect("the specification makes a genesis")
}

fn start(fabric: &Fabric, id: &BlockId, block: &TrustedBlock) -> Result<LightClient, LightError> {
    LightClient::start_at(&fabric.specification, [1; 32], *id, block)
}

/// A hundred blocks, a transfer in each.
fn hundred() -> (Fabric, Vec<BlockId>) {
    let mut fabric = Fabric::default();
    let ids = fabric.chain(&fabric.genesis_id(), 100, 1);
    (fabric, ids)
}

#[test]
fn follows_a_chain_from_genesis() {
    let (fabric, ids) = hundred();
    let headers = lights(&fabric, &ids);
    let mut whole = client(&fabric);
    whole.extend(&headers, LATER_MS).expect("a good chain");
    assert_eq!(whole.tip(), &fabric.made(&ids[99]).lineage);
    let mut pieces = client(&fabric);
    for piece in headers.chunks(7) {
        pieces.extend(piece, LATER_MS).expect("a good chain");
    }
    assert_eq!(pieces.tip(), whole.tip());
    for height in 100 - MATURITY..=100 {
        let root = fabric.block(&ids[height as usize - 1]).header.state_root;
        assert_eq!(whole.state_root(Height(height)).expect("it is kept"), root);
    }
    for height in [0, 99 - MATURITY, 101, u64::MAX] {
        let error = whole.state_root(Height(height)).expect_err("it is not kept");
        let (oldest, newest) = (Height(100 - MATURITY), Height(100));
        let expected = matches!(error, LightError::Height { height: h, oldest: o, newest: n } if (h, o, n) == (Height(height), oldest, newest));
        assert!(expected, "{error}");
    }
}

#[test]
fn follows_a_chain_from_a_trusted_block() {
    let (fabric, ids) = hundred();
    for from in [0, 5, 50, 98] {
        let id = ids[from];
        let mut client = start(&fabric, &id, &trusted(&fabric, &id)).expect("it is the trusted block");
        client.extend(&lights(&fabric, &ids[from + 1..]), LATER_MS).expect("a good chain");
        let mut tip = fabric.made(&ids[99]).lineage.clone();
        // Weights count from the trusted block.
        assert!(client.tip().weight < tip.weight);
        tip.weight = client.tip().weight;
        assert_eq!(client.tip(), &tip);
    }
    let genesis = fabric.genesis_id();
    let mut client = start(&fabric, &genesis, &trusted(&fabric, &genesis)).expect("genesis");
    client.extend(&lights(&fabric, &ids), LATER_MS).expect("a good chain");
    assert_eq!(client.tip(), &fabric.made(&ids[99]).lineage);
}

#[test]
fn starts_at_nothing_else() {
    let (mut fabric, ids) = hundred();
    let fork = fabric.chain(&ids[30], 25, 0);
    let id = ids[49];
    let good = trusted(&fabric, &id);
    assert_eq!(good.ancestors.len(), MATURITY as usize);
    assert!(start(&fabric, &id, &good).is_ok());

    let other = trusted(&fabric, &ids[48]);
    let error = start(&fabric, &id, &other).expect_err("another block");
    assert!(
        matches!(error, LightError::Untrusted { found, expected } if found == ids[48] && expected == id),
        "{error}"
    );
    let mut unsigned = good.clone();
    unsigned.header.signature = unsigned.header.reveal;
    assert!(matches!(start(&fabric, &id, &unsigned), Err(LightError::Untrusted { .. })));

    let mut richer = good.clone();
    richer.record.issued = Amount(1);
    let records = [
        richer,
        TrustedBlock { record: other.record.clone(), ..good.clone() },
        TrustedBlock { record_proof: other.record_proof.clone(), ..good.clone() },
        TrustedBlock { record_proof: shown(&fabric, &id, StateKey::Parameters), ..good.clone() },
    ];
    for bad in records {
        let error = start(&fabric, &id, &bad).expect_err("another record");
        assert!(matches!(error, LightError::State { height: Height(50), key: StateKey::Chain, .. }), "{error}");
    }

    let without = |index: usize| {
        let mut bad = good.clone();
        bad.ancestors.remove(index);
        bad
    };
    let mut foreign = good.clone();
    foreign.ancestors[3] = fabric.block(&ancestor(&fabric, &fork[24], 37)).header.clone();
    let mut changed = good.clone();
    changed.ancestors[15].state_root = Hash::ZERO;
    let mut swapped = good.clone();
    swapped.ancestors.swap(14, 15);
    let none = TrustedBlock { ancestors: Vec::new(), ..good.clone() };
    for (bad, wrong) in
        [(without(0), 34), (without(15), 49), (without(7), 41), (foreign, 37), (changed, 49), (swapped, 49), (none, 49)]
    {
        let error = start(&fabric, &id, &bad).expect_err("wrong ancestors");
        assert!(matches!(error, LightError::Ancestors { height } if height == Height(wrong)), "{wrong}: {error}");
    }
}

/// What a client that knows all but the last of `ids` says of that.
fn refused(fabric: &Fabric, ids: &[BlockId], bad: LightHeader, now_ms: u64) -> LightError {
    let (last, before) = ids.split_last().expect("some");
    let mut client = client(fabric);
    client.extend(&lights(fabric, before), LATER_MS).expect("a good chain");
    let tip = client.tip().clone();
    let error = client.extend(std::slice::from_ref(&bad), now_ms).expect_err("a bad header");
    assert_eq!(client.tip(), &tip);
    // All or none.
    let newest = ids.len() as u64 - 1;
    let kept = client.state_root(Height(newest)).expect("the tip's");
    let good = light(fabric, fabric.block(last));
    client.extend(&[good.clone(), bad], now_ms).expect_err("a bad header behind a good one");
    assert_eq!((client.tip(), client.state_root(Height(newest)).expect("the tip's")), (&tip, kept));
    client.extend(&[good], LATER_MS).expect("a good header");
    assert_eq!(client.tip().id, *last);
    error
}

fn rule(error: &LightError) -> &BlockError {
    match error {
        LightError::Rule { error, .. } => error,
        other => panic!("{other}"),
    }
}

#[test]
fn headers_that_break_rules_are_refused() {
    let (fabric, ids) = hundred();
    let ids = &ids[..40];
    let (good, parent) = (light(&fabric, fabric.block(&ids[39])), ids[38]);
    let before = light(&fabric, fabric.block(&ids[38]));

    let error = refused(&fabric, ids, before, LATER_MS);
    let expected =
        matches!(error, LightError::Parent { id, parent: p, tip } if (id, p, tip) == (parent, ids[37], parent));
    assert!(expected, "{error}");

    let early_ms = fabric.made(&parent).lineage.timestamp_ms;
    let early = refused(&fabric, ids, good.clone(), early_ms - 1000);
    assert!(matches!(rule(&early), BlockError::Header(HeaderError::Early { .. })), "{early}");
    let mut short = good.clone();
    short.proof.siblings.pop();
    let error = refused(&fabric, ids, short, LATER_MS);
    assert!(matches!(rule(&error), BlockError::Header(HeaderError::ProofId { .. })), "{error}");
    let mut version = good.clone();
    version.header.version = 2;
    let error = refused(&fabric, ids, version, LATER_MS);
    assert_eq!(rule(&error), &HeaderError::Version(2).into());
    let mut unsigned = good.clone();
    unsigned.header.signature = unsigned.header.reveal;
    let error = refused(&fabric, ids, unsigned, LATER_MS);
    assert_eq!(rule(&error), &HeaderError::Signature(SignatureRule::Header).into());
    let mut rootless = good;
    rootless.header.state_root = Hash::ZERO;
    let error = refused(&fabric, ids, rootless, LATER_MS);
    assert_eq!(rule(&error), &HeaderError::Signature(SignatureRule::Header).into());
}

#[test]
fn plots_must_be_shown_as_they_were_and_where() {
    let (fabric, ids) = hundred();
    let ids = &ids[..40];
    let block = fabric.block(&ids[39]);
    let good = light(&fabric, block);
    let key = StateKey::Plot(Hash(plot_key(fabric.parameters(), &block.header.miner_key, &block.proof.seed).0));
    let barred = StateKey::Barred(block.header.miner_key);
    let at = looked_up_at(&fabric, &ids[38]);
    assert_eq!(fabric.made(&at).lineage.height, Height(24));

    let mut changed = good.clone();
    changed.plot.last.0 += 1;
    let mut other_height = good.clone();
    // Each block changes the state's root, if not the plot.
    other_height.plot_proof = shown(&fabric, &ids[24], key);
    let latest = light_at(&fabric, block, &ids[38]);
    let other_plot = fabric.miners.iter().flat_map(|miner| &miner.plots).find(|plot| plot.id() != block.header.plot_id);
    let other = StateKey::Plot(other_plot.expect("there are six").key());
    let other_plot = LightHeader { plot_proof: shown(&fabric, &at, other), ..good.clone() };
    let absent = StateKey::Plot(Hash([1; 32]));
    let absent = LightHeader { plot_proof: shown(&fabric, &at, absent), ..good.clone() };
    for bad in [changed, other_height, latest, other_plot, absent] {
        let error = refused(&fabric, ids, bad, LATER_MS);
        assert!(matches!(error, LightError::State { height: Height(24), key: k, .. } if k == key), "{error}");
    }
    for proof in [good.plot_proof.clone(), shown(&fabric, &ids[38], barred), shown(&fabric, &at, StateKey::Chain)] {
        let bad = LightHeader { barred_proof: proof, ..good.clone() };
        let error = refused(&fabric, ids, bad, LATER_MS);
        assert!(matches!(error, LightError::State { height: Height(24), key: k, .. } if k == barred), "{error}");
    }
}

/// A block that no full node takes, upon the last of a chain, and what a light client says that follows the chain.
fn judged(fabric: &Fabric, ids: &[BlockId], miner: usize, plot: &MemoryPlot) -> (LightHeader, Result<(), LightError>) {
    let tip = ids.last().expect("some");
    let block = forge(fabric, tip, &fabric.miners[miner], win_of(fabric, tip, plot), Vec::new());
    let bad = light(fabric, &block);
    let mut client = client(fabric);
    client.extend(&lights(fabric, ids), LATER_MS).expect("a good chain");
    let result = client.extend(std::slice::from_ref(&bad), LATER_MS);
    (bad, result)
}

#[test]
fn a_barred_miner_wins_no_more() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let mut ids = fabric.chain(&genesis, 3, 0);
    let accused = fabric.miners[2].equivocate(&genesis, &fabric.block(&ids[2]).header);
    let reported = report(&genesis, accused, fabric.wallets[0].paying(0, Amount(1)));
    ids.push(fabric.extend(&ids[2], vec![reported]));
    let more = fabric.chain(&ids[3], 20, 0);
    ids.extend(more);
    let miner = &fabric.miners[2];
    let plot = miner.plots[0].clone();
    // At height 19 the state of height 3 says nothing of it; a full node knows better.
    let (_, result) = judged(&fabric, &ids[..18], 2, &plot);
    result.expect("a light client looks that far back");
    let (shown, result) = judged(&fabric, &ids[..19], 2, &plot);
    let error = result.expect_err("barred at height 4");
    let key = StateKey::Barred(miner.key);
    let present = matches!(&error, LightError::State { height: Height(4), key: k, error } if *k == key && **error == StateProofError::Present);
    assert!(present, "{error}");
    // Nor with the proof of the height before.
    let before = LightHeader { barred_proof: self::shown(&fabric, &ids[2], key), ..shown };
    let mut client = client(&fabric);
    client.extend(&lights(&fabric, &ids[..19]), LATER_MS).expect("a good chain");
    let error = client.extend(&[before], LATER_MS).expect_err("another height's proof");
    assert!(matches!(error, LightError::State { height: Height(4), key: k, .. } if k == key), "{error}");
}

#[test]
fn a_plot_wins_when_it_is_mature_and_no_sooner() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let plot = MemoryPlot::grow(fabric.parameters(), fabric.miners[0].key, [9; 32], 16);
    let register = fabric.miners[0].register(&genesis, &plot, None);
    let mut ids = vec![fabric.extend(&genesis, vec![register])];
    let mix = loop {
        let tip = *ids.last().expect("some");
        match fabric.drawn_mix(&tip, plot.key()) {
            Some(mix) => break mix,
            None => ids.extend(fabric.chain(&tip, 1, 0)),
        }
    };
    let activation = fabric.miners[0].activate(&genesis, &plot, &mix, 4, None);
    ids.push(fabric.extend(ids.last().expect("some"), vec![activation]));
    let activated = ids.len();
    let more = fabric.chain(&ids[activated - 1], MATURITY, 0);
    ids.extend(more);

    // Registered or not, a state that lacks it shows nothing.
    let (_, result) = judged(&fabric, &ids[..MATURITY as usize - 1], 0, &plot);
    let error = result.expect_err("unknown at genesis");
    assert!(matches!(&error, LightError::State { height: Height(0), .. }), "{error}");
    // A block too soon, it is registered and not active.
    let last = activated + MATURITY as usize - 2;
    let (_, result) = judged(&fabric, &ids[..last], 0, &plot);
    let error = result.expect_err("immature");
    let height = Height(last as u64 + 1);
    assert_eq!(rule(&error), &BlockError::PlotStatus { plot_id: plot.id(), status: PlotStatus::Pending, height });
    let (_, result) = judged(&fabric, &ids[..=last], 0, &plot);
    result.expect("mature");

    // A twin of a plot that may win is not that plot.
    let own = &fabric.miners[0].plots[0];
    let twin = MemoryPlot::grow(fabric.parameters(), fabric.miners[0].key, own.description().seed.0, 17);
    let (_, result) = judged(&fabric, &ids, 0, &twin);
    let error = result.expect_err("other rows");
    assert_eq!(rule(&error), &BlockError::OtherPlot { found: twin.id(), registered: own.id() });
}

#[test]
fn a_retired_plot_wins_no_more() {
    let mut fabric = Fabric::default();
    let genesis = fabric.genesis_id();
    let plot = fabric.miners[1].plots[0].clone();
    let retire = fabric.miners[1].retire(&genesis, &plot, fabric.wallets[0].paying(0, Amount(1)));
    let mut ids = vec![fabric.make(&genesis, Order { transactions: vec![retire], ..Order::default() })];
    let more = fabric.chain(&ids[0], MATURITY, 0);
    ids.extend(more);
    let (_, result) = judged(&fabric, &ids[..MATURITY as usize], 1, &plot);
    let error = result.expect_err("retired");
    let height = Height(MATURITY + 1);
    assert_eq!(rule(&error), &BlockError::PlotStatus { plot_id: plot.id(), status: PlotStatus::Retired, height });
}

#[test]
fn accounts_are_shown_or_shown_to_be_absent() {
    let (fabric, ids) = hundred();
    let ids = &ids[..30];
    let mut client = client(&fabric);
    client.extend(&lights(&fabric, ids), LATER_MS).expect("a good chain");
    let stranger = Wallet::new([0xaa; 32]).address;
    for (height, id) in (1..).zip(ids).skip(29 - MATURITY as usize) {
        let height = Height(height);
        for wallet in &fabric.wallets {
            let address = wallet.address;
            let account = fabric.account(id, address);
            let proof = shown(&fabric, id, StateKey::Account(address));
            client.check_account(height, address, Some(&account), &proof).expect("as it is");
            assert!(proof.encode().len() < 1024);
            let richer = Account { balance: Amount(account.balance.0 + 1), ..account };
            let newer = Account { nonce: account.nonce + 1, ..account };
            for wrong in [Some(&richer), Some(&newer), None] {
                client.check_account(height, address, wrong, &proof).expect_err("as it is not");
            }
            client.check_account(height, stranger, Some(&account), &proof).expect_err("another's");
            if height.0 < 30 {
                client.check_account(height.next(), address, Some(&account), &proof).expect_err("another height's");
            }
        }
        let proof = shown(&fabric, id, StateKey::Account(stranger));
        client.check_account(height, stranger, None, &proof).expect("it never was");
        client.check_account(height, stranger, Some(&Account::default()), &proof).expect_err("it never was");
        client.check_account(height, fabric.wallets[0].address, None, &proof).expect_err("it is there");
        let bytes = proof.encode();
        assert!(bytes.len() < 1024);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let Ok(changed) = StateProof::decode(&changed) else { continue };
            client.check_account(height, stranger, None, &changed).expect_err("a changed proof");
        }
    }
    let old = Height(29 - MATURITY);
    let proof = shown(&fabric, &ids[old.0 as usize - 1], StateKey::Account(stranger));
    let error = client.check_account(old, stranger, None, &proof).expect_err("not kept any more");
    assert!(matches!(error, LightError::Height { .. }), "{error}");
}

/// What a light client is sent for a header: 556 bytes, a proof, a record and two proofs of state.
#[test]
fn headers_are_sent_in_few_bytes() {
    let (fabric, ids) = hundred();
    for light in lights(&fabric, &ids) {
        let (plot, barred) = (light.plot_proof.encode().len(), light.barred_proof.encode().len());
        let record = borsh::to_vec(&light.plot).expect("memory can be written").len();
        assert!(plot < 1024 && barred < 1024 && record < 256, "{plot}, {barred}, {record}");
        assert_eq!(StateProof::decode(&light.plot_proof.encode()).expect("a proof"), light.plot_proof);
    }
}
