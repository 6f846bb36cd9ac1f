//! What goes over the wire reads back, and what is out of bounds does not.

use serde_json::{Value, json};

use super::*;
use crate::builder::Share;
use crate::chain::{Address, Capped, HEADER_VERSION, Payload, PlotId, Signatures, transaction_root};
use spacetime_kernels::{Score, Target};

fn header() -> Header {
    Header {
        version: HEADER_VERSION,
        height: Height(7),
        epoch: Epoch(9),
        timestamp_ms: 9_500,
        parent: BlockId([1; 32]),
        target: Target([0x7f; 32]),
        miner_key: MinerKey([2; 48]),
        plot_id: PlotId([3; 32]),
        plot_root: Hash([4; 32]),
        score: Score([5; 32]),
        proof_id: Hash([6; 32]),
        transaction_root: Hash([7; 32]),
        state_root: Hash([8; 32]),
        extension: Hash::ZERO,
        reveal: MinerSignature([9; 96]),
        signature: MinerSignature::ZERO,
    }
}

fn coinbase() -> CoinbaseProof {
    let coinbase = Payout::all_to(Address([1; 20])).coinbase(Height(7), MinerKey([2; 48]), Amount(50));
    let transaction = |nonce| Transaction {
        sender: None,
        nonce,
        fee: Amount::ZERO,
        payload: Payload::Coinbase(coinbase.clone()),
        signatures: Signatures::default(),
    };
    let transactions = [0, 1, 2].map(transaction);
    let ids: Vec<_> = transactions.iter().map(Transaction::id).collect();
    let proof = CoinbaseProof::new(&transactions, Amount(50));
    assert_eq!(proof.root(), Some(transaction_root(&ids)));
    proof
}

fn submission() -> MinerProof {
    let share = |address, parts| Share { address: Address([address; 20]), parts };
    MinerProof {
        epoch: Epoch(9),
        miner_key: MinerKey([2; 48]),
        proof: Proof {
            challenge: [1; 32],
            column: 5,
            seed: [2; 32],
            rows: u64::MAX,
            leaf: [3; 32],
            leaf_index: u64::MAX - 1,
            siblings: vec![[4; 32]; 60],
            root: [5; 32],
        },
        reveal: MinerSignature([7; 96]),
        payout: Payout {
            shares: Capped::new(vec![share(1, 2), share(3, 4)]).unwrap(),
            unclaimed_parts: 5,
            extra: Capped::new(b"hello".to_vec()).unwrap(),
        },
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_str(&value.to_string()).map_err(|error| error.to_string())
}

#[test]
fn all_work_reads_back() {
    let chain = ChainWork {
        network: "local".into(),
        hrp: "lst".into(),
        genesis: BlockId([1; 32]),
        genesis_time_ms: 2,
        epoch_ms: 3,
        window_ms: 4,
        beacon_interval: 5,
        log2_columns: 6,
        rounds: 7,
        min_rows: 8,
        openings: 9,
        plot_maturity: 10,
        plot_lifetime: None,
        fees: Fees { base: Amount(11), per_byte: Amount(12) },
        time_ms: 13,
    };
    let challenge = EpochChallenge { epoch: Epoch(9), challenge: Hash([1; 32]), start_ms: 9_000 };
    let epoch = EpochWork {
        epoch: Epoch(9),
        challenge: Hash([1; 32]),
        column: 5,
        target: Hash([0x7f; 32]),
        parent: BlockId([3; 32]),
        height: Height(7),
        closes_ms: 9_600,
        time_ms: 9_001,
    };
    let work = [
        Work::Chain(chain.clone()),
        Work::Chain(ChainWork { plot_lifetime: Some(500_000), ..chain }),
        Work::Group(GroupWork { group: 2, column: 5, challenges: vec![challenge], target: Hash([2; 32]) }),
        Work::Epoch(epoch),
        Work::Sign(Box::new(SignWork { header: header(), coinbase: coinbase(), expires_ms: 9_900 })),
        Work::Result(ResultWork { epoch: Epoch(9), best: None, block: None }),
        Work::Result(ResultWork {
            epoch: Epoch(9),
            best: Some(Hash([5; 32])),
            block: Some((BlockId([6; 32]), MinerKey([2; 48]))),
        }),
        Work::Pause(Pause::Behind),
        Work::Pause(Pause::NoPeers),
    ];
    for work in work {
        assert_eq!(read::<Work>(&serde_json::to_value(&work).unwrap()), Ok(work));
    }
}

#[test]
fn answers_read_back() {
    let proof = submission();
    assert_eq!(read::<MinerProof>(&serde_json::to_value(&proof).unwrap()), Ok(proof));
    let signed = MinerSigned { epoch: Epoch(1), miner_key: MinerKey([2; 48]), signature: MinerSignature([3; 96]) };
    assert_eq!(read::<MinerSigned>(&serde_json::to_value(signed).unwrap()), Ok(signed));
}

#[test]
fn a_submission_out_of_bounds_is_refused() {
    let refused = |change: fn(&mut Value)| {
        let mut value = serde_json::to_value(submission()).unwrap();
        change(&mut value);
        read::<MinerProof>(&value).expect_err("out of bounds")
    };
    let share = json!({ "address": "00".repeat(20), "parts": 1 });
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 6] = [
        (|value| value["payout"]["extra"] = json!("00".repeat(101)), "too much extra data"),
        (|value| value["payout"]["extra"] = json!("0"), "odd number"),
        (|value| value["proof"]["siblings"] = json!(vec!["00".repeat(32); 61]), "more than 60"),
        (|value| value["reveal"] = json!("00"), "192 hex digits"),
        (|value| value["payout"]["more"] = json!(1), "unknown field"),
        (|value| value["more"] = json!(1), "unknown field"),
    ];
    for (change, why) in changes {
        let error = refused(change);
        assert!(error.contains(why), "{error}");
    }
    let mut many = serde_json::to_value(submission()).unwrap();
    many["payout"]["shares"] = json!(vec![share; 17]);
    assert!(read::<MinerProof>(&many).expect_err("17 shares").contains("too many shares"));
}

#[test]
fn a_header_has_one_length() {
    let work = serde_json::to_value(SignWork { header: header(), coinbase: coinbase(), expires_ms: 1 }).unwrap();
    for change in [|text: &str| text[2..].to_owned(), |text: &str| format!("{text}00"), |text: &str| format!("x{text}")]
    {
        let mut work = work.clone();
        work["header"] = json!(change(work["header"].as_str().unwrap()));
        assert!(read::<SignWork>(&work).is_err());
    }
}
