//! Golden vectors of what the protocol leaves to the implementation (PROTOCOL §10): layouts, ids, keys and roots.
//!
//! `SPACETIME_BLESS=1 cargo test --release -p spacetime-node --test golden` writes them anew, which is right before
//! the chains are launched and never after. `data/golden.py` encodes most of them again with nothing of ours.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use borsh::BorshSerialize;
use serde_json::{Map, Value as Json, json};
use spacetime_kernels::{Score, Target};
use spacetime_node::chain::{
    AccountKey, AccountSignature, ActivatePlot, Address, Amount, Block, BlockId, Capped, Coinbase, Epoch, Evidence,
    HEADER_BYTES, HEADER_VERSION, Hash, Header, Height, MinerKey, MinerSignature, Opening, Output, Payload, PlotId,
    RegisterPlot, RetirePlot, Signatures, Transaction, Transfer, proof_id, transaction_root,
};
use spacetime_node::consensus::{
    Beacon, Difficulty, Emission, GenesisAccount, GenesisPlot, Lineage, Schedule, Specification, Weight, reveal_message,
};
use spacetime_node::state::genesis::parameters_hash;
use spacetime_node::state::tree::value_hash;
use spacetime_node::state::{Account, BeaconEntry, ChainRecord, PlotRecord, Rewards, StateKey, Value, genesis};
use spacetime_node::store::StoredHeader;
use spacetime_prover::Proof;

const BLESS: &str = "SPACETIME_BLESS";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn bytes(object: &impl BorshSerialize) -> Vec<u8> {
    borsh::to_vec(object).expect("memory can be written")
}

fn hex(bytes: impl AsRef<[u8]>) -> Json {
    Json::String(const_hex::encode(bytes))
}

/// The genesis block that signatures of the vectors are made for.
const GENESIS: BlockId = BlockId([0xee; 32]);

/// Every field differs from every other.
fn header() -> Header {
    Header {
        version: HEADER_VERSION,
        height: Height(0x0102),
        epoch: Epoch(0x030405),
        timestamp_ms: 0x0001_9bcd_ef01_2345,
        parent: BlockId([1; 32]),
        target: Target(std::array::from_fn(|at| at as u8)),
        miner_key: MinerKey([2; 48]),
        plot_id: PlotId([3; 32]),
        plot_root: Hash([4; 32]),
        score: Score(std::array::from_fn(|at| 0x40 + at as u8)),
        proof_id: Hash([5; 32]),
        transaction_root: Hash([6; 32]),
        state_root: Hash([7; 32]),
        extension: Hash::ZERO,
        reveal: MinerSignature([8; 96]),
        signature: MinerSignature([9; 96]),
    }
}

fn proof() -> Proof {
    Proof {
        challenge: [0x11; 32],
        column: 0x1213,
        seed: [0x14; 32],
        rows: 0x0015_1617,
        leaf: [0x18; 32],
        leaf_index: 0x0019_1a1b_1c1d,
        siblings: vec![[0x1e; 32], [0x1f; 32]],
        root: [0x20; 32],
    }
}

fn capped<T, const MAX: usize>(items: Vec<T>) -> Capped<T, MAX> {
    Capped::new(items).expect("few enough")
}

fn outputs() -> Capped<Output, 16> {
    let output = |name, amount| Output { address: Address([name; 20]), amount: Amount(amount) };
    capped(vec![output(0x21, 5_000_000_000), output(0x22, 1)])
}

/// One transaction of each kind, registrations also without a sender.
fn transactions() -> Vec<(&'static str, Transaction)> {
    let possession = MinerSignature([0x31; 96]);
    let register = RegisterPlot {
        miner_key: MinerKey([2; 48]),
        possession,
        seed: Hash([0x32; 32]),
        rows: 0x33,
        root: Hash([0x34; 32]),
    };
    let opening = Opening { cell: [0x35; 32], siblings: capped(vec![[0x36; 32]]) };
    let activate = ActivatePlot {
        miner_key: MinerKey([2; 48]),
        plot_key: Hash([0x37; 32]),
        openings: capped(vec![opening.clone(), opening]),
    };
    let second = Header { timestamp_ms: header().timestamp_ms + 1, ..header() };
    let coinbase =
        Coinbase { height: Height(7), miner_key: MinerKey([2; 48]), outputs: outputs(), extra: capped(vec![1, 2]) };
    let transfer = Transfer { to: Address([0x38; 20]), amount: Amount(0x0039_3a3b), memo: capped(b"memo".to_vec()) };
    let (account, miner) = (Some(AccountSignature([0x3c; 64])), Some(MinerSignature([0x3d; 96])));
    let sent = |payload, miner| Transaction {
        sender: Some(AccountKey([0x3e; 32])),
        nonce: 0x3f40,
        fee: Amount(0x0041_4243),
        payload,
        signatures: Signatures { account, miner },
    };
    let unsent = |payload, miner| Transaction {
        sender: None,
        nonce: 0,
        fee: Amount::ZERO,
        payload,
        signatures: Signatures { account: None, miner },
    };
    vec![
        ("coinbase", unsent(Payload::Coinbase(coinbase), None)),
        ("transfer", sent(Payload::Transfer(transfer), None)),
        ("register_plot", sent(Payload::RegisterPlot(register.clone()), miner)),
        ("register_plot_unpaid", unsent(Payload::RegisterPlot(register), miner)),
        ("activate_plot", unsent(Payload::ActivatePlot(activate), miner)),
        (
            "retire_plot",
            sent(Payload::RetirePlot(RetirePlot { miner_key: MinerKey([2; 48]), plot_key: Hash([0x37; 32]) }), miner),
        ),
        ("evidence", sent(Payload::Evidence(Box::new(Evidence { first: header(), second })), None)),
    ]
}

fn beacon() -> Beacon {
    Beacon { mix: Hash([0x51; 32]), active: Hash([0x52; 32]) }
}

fn difficulty() -> Difficulty {
    Difficulty { base: Target([0x53; 32]), blocks: 0x54, start: Epoch(0x55) }
}

fn values() -> Vec<(&'static str, StateKey, Value)> {
    let chain = ChainRecord {
        issued: Amount(0x56),
        burnt: Amount(0x57),
        difficulty: difficulty(),
        beacon: beacon(),
        groups: 0x58,
    };
    let plot = PlotRecord {
        miner_key: MinerKey([2; 48]),
        plot_id: PlotId([3; 32]),
        rows: 0x59,
        root: Hash([4; 32]),
        registered: Height(0x5a),
        draw: 0x5b,
        mature_from: None,
        last: Height(0x5c),
        retired: false,
    };
    let active = PlotRecord { mature_from: Some(Height(0x5d)), retired: true, ..plot.clone() };
    let plot_key = StateKey::Plot(Hash([0x37; 32]));
    let rewards = Rewards { epoch: Epoch(0x5f), miner_key: MinerKey([2; 48]), outputs: outputs() };
    vec![
        ("parameters", StateKey::Parameters, Value::Parameters(Hash([0x60; 32]))),
        ("chain", StateKey::Chain, Value::Chain(chain)),
        (
            "account",
            StateKey::Account(Address([0x38; 20])),
            Value::Account(Account { balance: Amount(0x0061_6263), nonce: 0x64 }),
        ),
        ("plot_pending", plot_key, Value::Plot(plot)),
        ("plot_retired", plot_key, Value::Plot(active)),
        ("barred", StateKey::Barred(MinerKey([2; 48])), Value::Barred(Height(0x65))),
        (
            "beacon",
            StateKey::Beacon(0x6667),
            Value::Beacon(BeaconEntry { height: Height(0x68), mix: Hash([0x51; 32]) }),
        ),
        ("rewards", StateKey::Rewards(Height(0x696a)), Value::Rewards(rewards)),
    ]
}

fn lineage() -> Lineage {
    Lineage {
        id: BlockId([0x70; 32]),
        parent: BlockId([1; 32]),
        height: Height(0x0102),
        epoch: Epoch(0x030405),
        timestamp_ms: 0x0001_9bcd_ef01_2345,
        score: header().score,
        beacon: beacon(),
        difficulty: difficulty(),
        weight: Weight::from_bytes(&[0x71; 32]),
    }
}

/// An emission of each schedule.
fn emissions() -> Json {
    let schedules = [
        ("fixed", Schedule::Fixed { initial_reward: Amount(0x91) }),
        ("halving", Schedule::Halving { initial_reward: Amount(0x92), interval: 0x93 }),
        ("linear", Schedule::Linear { initial_reward: Amount(0x94), decay_per_block: Amount(0x95) }),
        ("exponential", Schedule::Exponential { initial_reward: Amount(0x96), ratio_q64: 0x97 }),
        ("table", Schedule::Table { steps: vec![(0x98, Amount(0x99)), (0x9a, Amount(0x9b))] }),
    ];
    let emission = |(name, schedule): (&str, Schedule)| {
        let emission = Emission { schedule, reward_floor: Amount(0x9c), emission_cap: Some(Amount(0x9d)) };
        (name.to_owned(), hex(bytes(&emission)))
    };
    Json::Object(schedules.into_iter().map(emission).collect())
}

fn chain(specification: &Specification) -> Json {
    let first = genesis(specification).expect("the specification makes a genesis");
    let state: Map<String, Json> = first
        .changes
        .iter()
        .map(|(key, value)| (const_hex::encode(key.bytes()), hex(value.as_ref().expect("nothing is removed"))))
        .collect();
    json!({
        "network": specification.parameters.network,
        "parameters": hex(bytes(&specification.parameters)),
        "parameters_hash": hex(parameters_hash(&specification.parameters)),
        "state": state,
        "state_root": hex(first.update.root),
        "genesis_header": hex(bytes(&first.header)),
        "genesis_id": hex(first.lineage.id),
    })
}

/// The local chain with accounts and a plot.
fn peopled() -> Specification {
    let mut specification = Specification::local();
    let account = |name, balance| GenesisAccount { address: Address([name; 20]), balance: Amount(balance) };
    specification.genesis.accounts = vec![account(0x80, 10), account(0x81, 20), account(0x82, 30)];
    // The generator of G1: a miner key that nobody has to make first.
    let generator = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
    let miner_key = MinerKey(const_hex::decode_to_array(generator).expect("48 bytes"));
    specification.genesis.plots =
        vec![GenesisPlot { miner_key, seed: Hash([0x83; 32]), rows: 16, root: Hash([0x84; 32]) }];
    specification
}

fn vectors() -> Json {
    let transactions = transactions();
    let all: Vec<_> = transactions.iter().map(|(_, transaction)| transaction.clone()).collect();
    let ids: Vec<_> = all.iter().map(Transaction::id).collect();
    let roots: Vec<_> = (0..=ids.len()).map(|count| hex(transaction_root(&ids[..count]))).collect();
    let metadata = Some(capped(b"spacetime/0.1".to_vec()));
    let block = Block { header: header(), proof: proof(), transactions: all[..2].to_vec(), metadata };
    let bare = bytes(&Block { transactions: Vec::new(), metadata: None, ..block.clone() });
    let proof_bytes = &bare[HEADER_BYTES..bare.len() - 5];
    let stored = StoredHeader { header: header(), proof: proof(), lineage: lineage() };
    let transactions: Map<String, Json> = transactions
        .iter()
        .map(|(name, transaction)| {
            let vector = json!({
                "bytes": hex(bytes(transaction)),
                "signed": hex(transaction.signed_bytes(&GENESIS)),
                "id": hex(transaction.id()),
            });
            ((*name).to_owned(), vector)
        })
        .collect();
    let state: Map<String, Json> = values()
        .iter()
        .map(|(name, key, value)| {
            let vector = json!({
                "key": hex(key.bytes()),
                "key_hash": hex(key.hash().0),
                "value": hex(value.encode()),
                "value_hash": hex(value_hash(&value.encode())),
            });
            ((*name).to_owned(), vector)
        })
        .collect();
    let key = AccountKey([0x3e; 32]);
    let specifications = [Specification::main(), Specification::test(), Specification::local(), peopled()];
    json!({
        "genesis": hex(GENESIS),
        "header": { "bytes": hex(bytes(&header())), "signed": hex(header().signed_bytes(&GENESIS)), "id": hex(header().id()) },
        "proof": { "bytes": hex(proof_bytes), "id": hex(proof_id(&proof())) },
        "transactions": transactions,
        "transaction_ids": ids.iter().map(hex).collect::<Vec<_>>(),
        "transaction_roots": roots,
        "block": hex(bytes(&block)),
        "stored_header": hex(bytes(&stored)),
        "lineage": hex(bytes(&lineage())),
        "state": state,
        "account": { "key": hex(key), "address": hex(key.address()), "text": key.address().encode("st") },
        "reveal": hex(reveal_message(&GENESIS, &spacetime_kernels::Challenge([0x85; 32]))),
        "emissions": emissions(),
        "chains": specifications.iter().map(chain).collect::<Vec<_>>(),
    })
}

/// Each vector that differs, by its path.
fn differences(path: &str, found: &Json, expected: &Json, all: &mut Vec<String>) {
    match (found, expected) {
        (Json::Object(found), Json::Object(expected)) => {
            for name in found.keys().chain(expected.keys().filter(|name| !found.contains_key(*name))) {
                let [found, expected] = [found, expected].map(|map| map.get(name).unwrap_or(&Json::Null));
                differences(&format!("{path}/{name}"), found, expected, all);
            }
        }
        (Json::Array(found), Json::Array(expected)) if found.len() == expected.len() => {
            for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                differences(&format!("{path}/{index}"), found, expected, all);
            }
        }
        _ if found == expected => {}
        _ => all.push(format!("{path}: {found}, expected {expected}")),
    }
}

#[test]
fn layouts_are_what_they_were() {
    let found = vectors();
    let path = data("golden.json");
    if env::var_os(BLESS).is_some() {
        let text = serde_json::to_string_pretty(&found).expect("JSON") + "\n";
        fs::create_dir_all(data("")).expect("the folder can be made");
        fs::write(&path, text).expect("the vectors can be written");
    }
    let text = fs::read_to_string(&path).expect("the vectors are there");
    let expected: Json = serde_json::from_str(&text).expect("JSON");
    let mut all = Vec::new();
    differences("", &found, &expected, &mut all);
    assert!(all.is_empty(), "{}", all.join("\n"));

    let mut changed = expected;
    changed["transactions"]["transfer"]["id"] = Json::Null;
    changed["chains"][1]["network"] = json!("best");
    changed["more"] = json!(1);
    differences("", &found, &changed, &mut all);
    assert_eq!(all.len(), 3, "{all:?}");
}

/// What golden.py says of vectors.
fn python(vectors: &Path) -> std::process::Output {
    let python = Command::new("python3").arg("-B").arg(data("golden.py")).arg(vectors).output();
    python.expect("python3 is there: tools/setup.sh installs it")
}

#[test]
fn another_implementation_makes_the_same() {
    let output = python(&data("golden.json"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // One changed digit anywhere that it looks is found.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("changed.json");
    let good: Json = serde_json::from_str(&fs::read_to_string(data("golden.json")).expect("readable")).expect("JSON");
    for pointer in ["/header/bytes", "/transactions/evidence/id", "/state/account/key_hash", "/chains/3/state_root"] {
        let mut bad = good.clone();
        let place = bad.pointer_mut(pointer).expect("the vector is there");
        let text = place.as_str().expect("hex").to_owned();
        let last = if text.ends_with('0') { "1" } else { "0" };
        *place = json!(format!("{}{last}", &text[..text.len() - 1]));
        fs::write(&path, bad.to_string()).expect("written");
        let output = python(&path);
        assert_eq!(output.status.code(), Some(1), "{pointer}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
