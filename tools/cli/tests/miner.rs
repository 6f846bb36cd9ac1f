//! `spacetime miner`, with plots on disk and a node that says what it is told to.

#[path = "support/node.rs"]
mod node;
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use node::FakeNode;
use serde_json::{Value, json};
use spacetime_kernels::{Challenge, Score, Target, score, tagged_hash};
use spacetime_node::chain::bls::{self, PublicKey};
use spacetime_node::chain::{
    Address, Amount, BlockId, Epoch, HEADER_VERSION, Hash, Header, Height, MinerKey, MinerSignature, Payload, PlotId,
    Signatures, Transaction, proof_id,
};
use spacetime_node::consensus::Parameters;
use spacetime_node::miner::work::{
    ChainWork, CoinbaseProof, EpochChallenge, EpochWork, GroupWork, MinerProof, MinerSigned, ResultWork, SignWork, Work,
};
use spacetime_node::testing::MemoryPlot;
use spacetime_prover::Expected;
use support::{MINER_KEY, Running, command, run, run_with_input};
use tempfile::TempDir;

/// Longer than any stall of a busy machine: nothing here waits for an epoch's end.
const EPOCH_MS: u64 = 600_000;
const COLUMN: u32 = 17;
const GENESIS: BlockId = BlockId([9; 32]);
const EASY: Hash = Hash([0xff; 32]);

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn key() -> MinerKey {
    MinerKey(const_hex::decode_to_array(MINER_KEY).expect("hex"))
}

fn payout() -> String {
    Address([7; 20]).encode("lst")
}

/// A folder with a keystore `key` of [`MINER_KEY`] and a plot `plots/x.plot`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = format!("{:064x}\n", 1);
    run_with_input(folder.path(), &["keys", "import", "--insecure", "--out", "key", "-q"], &secret);
    fs::create_dir(folder.path().join("plots")).expect("a folder");
    let parameters = Parameters::local();
    let plot = MemoryPlot::grow(&parameters, key(), [3; 32], 64);
    fs::write(folder.path().join("plots/x.plot"), plot.file(&parameters, 64)).expect("a small plot");
    folder
}

fn arguments<'a>(node: &'a str, payout: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["miner", "--node", node, "--keys", "key", "--payout", payout, "--threads", "1"];
    arguments.extend(more);
    arguments.push("plots");
    arguments
}

/// What a node says at the beginning of epoch 0, and what is asked in it.
struct Asked {
    began_ms: u64,
}

impl Asked {
    fn now() -> Self {
        Self { began_ms: now_ms() }
    }

    fn challenge(epoch: u64) -> Hash {
        Hash(tagged_hash("test", &[&epoch.to_le_bytes()]))
    }

    fn chain(&self) -> ChainWork {
        let parameters = Parameters::local();
        ChainWork {
            network: parameters.network.clone(),
            hrp: parameters.hrp.clone(),
            genesis: GENESIS,
            genesis_time_ms: self.began_ms,
            epoch_ms: EPOCH_MS,
            window_ms: EPOCH_MS * 9 / 10,
            beacon_interval: 4,
            log2_columns: parameters.log2_columns,
            rounds: parameters.rounds,
            min_rows: parameters.min_rows,
            openings: parameters.openings,
            plot_maturity: parameters.plot_maturity,
            plot_lifetime: parameters.plot_lifetime,
            fees: parameters.fees,
            time_ms: now_ms(),
        }
    }

    fn say(&self, node: &FakeNode) {
        let known = |epoch| EpochChallenge {
            epoch: Epoch(epoch),
            challenge: Self::challenge(epoch),
            start_ms: self.began_ms + epoch * EPOCH_MS,
        };
        node.say(&Work::Chain(self.chain()));
        let challenges = (0..4).map(known).collect();
        node.say(&Work::Group(GroupWork { group: 0, column: COLUMN, challenges, target: EASY }));
        node.say(&Work::Epoch(EpochWork {
            epoch: Epoch(0),
            challenge: Self::challenge(0),
            column: COLUMN,
            target: EASY,
            parent: BlockId([1; 32]),
            height: Height(1),
            closes_ms: self.began_ms + EPOCH_MS * 9 / 10,
            time_ms: self.began_ms,
        }));
    }

    /// The header that an honest node makes of a proof; `state` tells one from another.
    fn header(&self, proof: &MinerProof, state: u8) -> SignWork {
        let plot_id = plot_id(proof);
        let coinbase = proof.payout.coinbase(Height(1), proof.miner_key, Amount(50));
        let coinbase = Transaction {
            sender: None,
            nonce: 0,
            fee: Amount::ZERO,
            payload: Payload::Coinbase(coinbase),
            signatures: Signatures::default(),
        };
        let coinbase = CoinbaseProof::new(&[coinbase], Amount(50));
        let header = Header {
            version: HEADER_VERSION,
            height: Height(1),
            epoch: Epoch(0),
            timestamp_ms: self.began_ms + 1,
            parent: BlockId([1; 32]),
            target: Target(EASY.0),
            miner_key: proof.miner_key,
            plot_id,
            plot_root: Hash(proof.proof.root),
            score: proof_score(proof),
            proof_id: proof_id(&proof.proof),
            transaction_root: coinbase.root().expect("it has a path"),
            state_root: Hash([state; 32]),
            extension: Hash::ZERO,
            reveal: proof.reveal,
            signature: MinerSignature::ZERO,
        };
        SignWork { header, coinbase, expires_ms: self.began_ms + EPOCH_MS }
    }
}

fn proof_score(proof: &MinerProof) -> Score {
    score(&Challenge(proof.proof.challenge), &proof.proof.leaf)
}

fn plot_id(proof: &MinerProof) -> PlotId {
    let parameters = Parameters::local();
    let key = spacetime_node::chain::plot_key(&parameters, &proof.miner_key, &proof.proof.seed);
    PlotId(spacetime_kernels::plot_id(&key, proof.proof.rows, &proof.proof.root))
}

fn proof_of(node: &FakeNode, number: usize) -> MinerProof {
    serde_json::from_value(node.call("/rpc/submitProof", number).body).expect("a proof")
}

/// Ends a miner as a service manager does, and checks that it takes no longer than five seconds.
fn stop(mut miner: Running) -> String {
    let began = Instant::now();
    miner.signal("-TERM");
    let status = miner.0.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let mut text = String::new();
    miner.0.stderr.take().expect("a pipe").read_to_string(&mut text).expect("UTF-8");
    text
}

#[test]
fn from_work_to_a_signature_and_never_a_second_one() {
    let (folder, node, asked, payout) = (folder(), FakeNode::start(), Asked::now(), payout());
    asked.say(&node);
    let mut miner = Running::start(folder.path(), &arguments(&node.url, &payout, &["--json"]));
    let proof = proof_of(&node, 0);
    assert_eq!((proof.epoch, proof.miner_key), (Epoch(0), key()));
    assert_eq!(
        node.call("/rpc/submitProof", 0).body["payout"]["shares"],
        json!([{ "address": "07".repeat(20), "parts": 1 }])
    );
    let expected = Expected {
        network: Parameters::local().network_tag().0,
        miner_key: key().0,
        shape: Parameters::local().shape(),
        challenge: Challenge(Asked::challenge(0).0),
        column: spacetime_kernels::ColumnIndex(COLUMN),
        plot_id: plot_id(&proof).0,
        root: None,
        score: None,
        target: None,
    };
    assert_eq!(spacetime_prover::verify(&proof.proof, &expected, None), Ok(()));

    let header = asked.header(&proof, 2);
    node.say(&Work::Sign(Box::new(header.clone())));
    let signed: MinerSigned = serde_json::from_value(node.call("/rpc/submitBlock", 0).body).expect("a signature");
    let public = PublicKey::parse(&key()).expect("a key");
    bls::verify(&public, &header.header.signed_bytes(&GENESIS), &signed.signature).expect("it signs the header");
    // Another header of the epoch is refused; the same one is what comes next.
    node.say(&Work::Sign(Box::new(asked.header(&proof, 3))));
    node.say(&Work::Sign(Box::new(header.clone())));
    let again: MinerSigned = serde_json::from_value(node.call("/rpc/submitBlock", 1).body).expect("a signature");
    assert_eq!(signed, again);

    node.say(&Work::Result(ResultWork { epoch: Epoch(0), best: None, block: Some((BlockId([5; 32]), key())) }));
    let mut line = String::new();
    BufReader::new(miner.0.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["epoch"], &line["result"], &line["signed"]), (&json!(0), &json!("won"), &json!(true)), "{line}");
    assert_eq!((&line["plots"], &line["leaves"], &line["column"]), (&json!(1), &json!(64), &json!(COLUMN)), "{line}");
    let said = stop(miner);
    assert!(said.contains("another header was signed for epoch 0"), "{said}");

    // It was killed, the node has lost everything, and asks for something else.
    node.restart();
    asked.say(&node);
    let miner = Running::start(folder.path(), &arguments(&node.url, &payout, &[]));
    assert_eq!(proof_of(&node, 1).proof, proof.proof);
    node.say(&Work::Sign(Box::new(asked.header(&proof, 3))));
    node.say(&Work::Sign(Box::new(header)));
    let third: MinerSigned = serde_json::from_value(node.call("/rpc/submitBlock", 2).body).expect("a signature");
    assert_eq!(signed, third);
    assert!(stop(miner).contains("another header was signed for epoch 0"));
    assert_eq!(node.calls("/rpc/submitBlock"), 3);
}

#[test]
fn a_node_that_comes_later_and_one_that_goes_are_waited_for() {
    let (folder, asked, payout) = (folder(), Asked::now(), payout());
    let address = {
        // A port that is free, and in all likelihood stays so.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").to_string()
    };
    let url = format!("http://{address}/");
    let mut miner = Running::start(folder.path(), &arguments(&url, &payout, &[]));
    let mut stderr = BufReader::new(miner.0.stderr.take().expect("a pipe"));
    let mut next = || {
        let mut line = String::new();
        stderr.read_line(&mut line).expect("a line");
        line
    };
    let line = next();
    assert!(line.contains("a new signing record") && line.contains("key.signed"), "{line}");
    let line = next();
    assert!(line.contains("out of reach"), "{line}");
    miner.0.stderr = Some(stderr.into_inner());
    let node = FakeNode::at(&address);
    asked.say(&node);
    proof_of(&node, 0);
    node.restart();
    node.wait_for_streams(1);
    asked.say(&node);
    // It is told again what was submitted, since it may know nothing any more.
    assert_eq!(proof_of(&node, 1), proof_of(&node, 0));
    stop(miner);
}

#[test]
fn nobody_has_to_read_its_lines() {
    let (folder, node, asked, payout) = (folder(), FakeNode::start(), Asked::now(), payout());
    asked.say(&node);
    let mut miner = Running::start(folder.path(), &arguments(&node.url, &payout, &[]));
    drop(miner.0.stdout.take());
    let proof = proof_of(&node, 0);
    // A line that nobody reads, and after it something to sign.
    node.say(&Work::Result(ResultWork { epoch: Epoch(0), best: None, block: Some((BlockId([5; 32]), key())) }));
    node.say(&Work::Sign(Box::new(asked.header(&proof, 2))));
    node.call("/rpc/submitBlock", 0);
    let said = stop(miner);
    assert!(said.contains("nobody reads the lines"), "{said}");
}

#[test]
fn a_refused_proof_and_one_without_an_answer() {
    let (folder, node, asked, payout) = (folder(), FakeNode::start(), Asked::now(), payout());
    node.answer("/rpc/submitProof", 503, r#"{"error":{"code":"busy","message":"the node is busy"}}"#);
    node.answer(
        "/rpc/submitProof",
        422,
        r#"{"error":{"code":"refused_proof","message":"epoch 0 has a block already"}}"#,
    );
    asked.say(&node);
    let mut miner = Running::start(folder.path(), &arguments(&node.url, &payout, &[]));
    assert_eq!(proof_of(&node, 0), proof_of(&node, 1), "it is handed over again");
    let mut said = BufReader::new(miner.0.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("epoch 0 has a block already")));
    assert_eq!(node.calls("/rpc/submitProof"), 2);
    miner.signal("-INT");
    assert_eq!(miner.0.wait().expect("it ends").code(), Some(130));
}

#[test]
fn one_miner_signs_with_a_key() {
    let (folder, node, payout) = (folder(), FakeNode::start(), payout());
    let first = Running::start(folder.path(), &arguments(&node.url, &payout, &[]));
    node.wait_for_streams(1);
    let id = format!("process {}", first.0.id());
    run(folder.path(), &arguments(&node.url, &payout, &[])).expect(1, &["key.signed", &id]);
    // Not by another name for its keystore, nor with another place for the record.
    std::os::unix::fs::symlink("key", folder.path().join("link")).expect("a link");
    let by_link = ["miner", "--node", &node.url, "--keys", "link", "--payout", &payout, "plots"];
    run(folder.path(), &by_link).expect(1, &["key.signed", &id]);
    let elsewhere = arguments(&node.url, &payout, &["--data", "data/miner"]);
    run(folder.path(), &elsewhere).expect(2, &["key.signed", "has signed already", "data/miner"]);
    stop(first);
    run(folder.path(), &arguments(&node.url, &payout, &["--keys", "link"])).expect(2, &["one miner key"]);
    fs::remove_file(folder.path().join("key.signed")).expect("it was there");
    let second = Running::start(folder.path(), &elsewhere);
    node.wait_for_streams(2);
    let id = format!("process {}", second.0.id());
    run(folder.path(), &arguments(&node.url, &payout, &[])).expect(1, &["key.signed", &id]);
    stop(second);
    assert!(!folder.path().join("key.signed").exists());
    let kept = fs::read_dir(folder.path().join("data/miner")).expect("it was made");
    assert_eq!(kept.count(), 2, "a record and its lock");
}

#[test]
fn plain_words_for_what_is_wrong() {
    let (folder, node, asked, payout) = (folder(), FakeNode::start(), Asked::now(), payout());
    let url = node.url.as_str();
    run(folder.path(), &["miner", "--node", url, "--keys", "key", "plots"]).expect(2, &["--payout"]);
    run(folder.path(), &["miner", "--node", url, "--payout", &payout, "plots"]).expect(2, &["--keys"]);
    run(folder.path(), &["miner", "--node", url, "--keys", "key", "--payout", &payout]).expect(2, &["PLOTS"]);
    run(folder.path(), &arguments(url, &payout[1..], &[])).expect(2, &["--payout"]);
    for wrong in ["127.0.0.1:21211", "https://127.0.0.1", "ftp://x", "http://", "nonsense"] {
        run(folder.path(), &arguments(wrong, &payout, &[])).expect(2, &["--node", wrong]);
    }
    let other = ["miner", "--node", url, "--keys", "nokey", "--payout", &payout, "plots"];
    run(folder.path(), &other).expect(1, &["nokey"]);
    let other = ["miner", "--node", url, "--keys", "key", "--payout", &payout, "nowhere"];
    run(folder.path(), &other).expect(1, &["nowhere"]);
    fs::write(folder.path().join("x.plot"), "no plot").expect("a file");
    let other = ["miner", "--node", url, "--keys", "key", "--payout", &payout, "x.plot"];
    run(folder.path(), &other).expect(3, &["x.plot"]);
    // What is known only once the node has said something.
    asked.say(&node);
    let main = Address([7; 20]).encode("st");
    // With -q, or it would warn of its new signing record as well.
    run(folder.path(), &arguments(url, &main, &["-q"])).expect(2, &["--payout", "lst1", "st1"]);
    let main = ChainWork { hrp: "st".into(), network: "main".into(), ..asked.chain() };
    node.restart();
    node.say(&Work::Chain(main));
    let paid = Address([7; 20]).encode("st");
    run(folder.path(), &arguments(url, &paid, &[])).expect(3, &["main", "genesis"]);
    node.restart();
    node.say(&Work::Chain(asked.chain()));
    node.say(&Work::Chain(ChainWork { genesis: BlockId([1; 32]), ..asked.chain() }));
    run(folder.path(), &arguments(url, &payout, &["-q"])).expect(3, &["another chain"]);
    // A record that was tampered with.
    let record = folder.path().join("key.signed");
    let mut bytes = fs::read(&record).expect("it was made");
    bytes[60] ^= 1;
    fs::write(&record, bytes).expect("a small file");
    run(folder.path(), &arguments(url, &payout, &[])).expect(3, &["key.signed", "damaged"]);
}

fn transaction_of(node: &FakeNode, number: usize) -> Transaction {
    let sent = node.call("/rpc/sendTx", number).body["transaction"].as_str().expect("hex").to_owned();
    let bytes = const_hex::decode(sent).expect("hex");
    spacetime_node::chain::decode("transaction", &bytes, 1 << 20).expect("a transaction")
}

#[test]
fn a_new_plot_is_registered() {
    let (folder, node, asked, payout) = (folder(), FakeNode::start(), Asked::now(), payout());
    node.answer("/rpc/plot/", 200, r#"{"status":"absent"}"#);
    asked.say(&node);
    let miner = Running::start(folder.path(), &arguments(&node.url, &payout, &[]));
    let transaction = transaction_of(&node, 0);
    assert_eq!(transaction.payload.name(), "register plot");
    assert_eq!(transaction.sender, None);
    stop(miner);
    // An account pays, where one is named.
    run(folder.path(), &["keys", "new", "--kind", "account", "--insecure", "--out", "purse", "-q"]).expect(0, &[]);
    node.restart();
    node.answer("/rpc/plot/", 200, r#"{"status":"absent"}"#);
    node.answer("/rpc/getBalance/lst1", 200, r#"{"next_nonce":7}"#);
    asked.say(&node);
    let miner = Running::start(folder.path(), &arguments(&node.url, &payout, &["--pay-fees", "purse"]));
    let transaction = transaction_of(&node, 1);
    assert_eq!((transaction.payload.name(), transaction.nonce), ("register plot", 7));
    assert!(transaction.sender.is_some());
    stop(miner);
    // Only where it is wanted.
    node.restart();
    node.answer("/rpc/plot/", 200, r#"{"status":"absent"}"#);
    asked.say(&node);
    let asked_before = node.calls("/rpc/sendTx");
    let queries = node.calls_under("/rpc/plot/");
    let miner = Running::start(folder.path(), &arguments(&node.url, &payout, &["--no-register"]));
    node.wait_for_calls("/rpc/plot/", queries + 1);
    stop(miner);
    assert_eq!(node.calls("/rpc/sendTx"), asked_before);
}

/// What the miner writes holds up a plotter, and for no longer than it says.
#[test]
fn a_plotter_waits_for_a_miner() {
    let folder = tempfile::tempdir().expect("a folder");
    let pause = folder.path().join("pause");
    fs::write(&pause, format!("until {}\n", now_ms() + 3_600_000)).expect("a file");
    let arguments = [
        "plot",
        "create",
        "--network",
        "local",
        "--miner-key",
        MINER_KEY,
        "--rows",
        "64",
        "--log2-columns",
        "6",
        "--rounds",
        "5",
        "--out",
        "out",
        "--name",
        "x",
        "--pause-file",
        "pause",
        "-q",
    ];
    let made = folder.path().join("out/x.plot");
    let mut plotting = command(folder.path(), &arguments).spawn().map(Running).expect("the program starts");
    let began = Instant::now();
    while !folder.path().join("out/x.plot.tmp").exists() {
        assert!(began.elapsed() < Duration::from_secs(60) && plotting.0.try_wait().expect("ours").is_none());
        std::thread::yield_now();
    }
    assert!(!made.exists());
    // As if the miner had been killed: nobody takes the file away.
    fs::write(&pause, "until 1\n").expect("a file");
    assert_eq!(plotting.0.wait().expect("it ends").code(), Some(0));
    assert!(made.exists() && pause.exists());
}

#[test]
fn help_says_what_is_needed() {
    let said = run(Path::new("."), &["miner", "--help"]).expect(0, &[]);
    for word in ["--payout", "--keys", "--node", "--data", "--pause-file"] {
        assert!(said.stdout.contains(word), "{word}");
    }
}
