//! `spacetime wallet`, by way of a node that mines.

#![cfg(feature = "node")]

#[path = "support/node_process.rs"]
mod node_process;
mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use node_process::{Node, SECRET, account, chain};
use serde_json::Value;
use spacetime_node::chain::{Hash, MinerKey};
use spacetime_node::consensus::GenesisPlot;
use support::{Ran, names_in, run, run_with_input};

const OTHER: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";

/// Makes a miner's keystore `miner.json` and a plot of it in `plots`, and says what genesis says of it.
fn plot(folder: &Path) -> GenesisPlot {
    run(folder, &["-q", "keys", "new", "--insecure", "--out", "miner.json"]).expect(0, &["WARNING"]);
    let arguments = ["-q", "plot", "create", "--network", "local", "--keys", "miner.json", "--rows", "64", "--json"];
    let created = run(folder, &[&arguments[..], &["--out", "plots"]].concat());
    let created = last(&created);
    let info = run(folder, &["plot", "info", created["path"].as_str().expect("a path"), "--json"]).expect(0, &[]);
    let info = last(&info);
    let hash = |name: &str| {
        let mut bytes = [0; 32];
        const_hex::decode_to_slice(info[name].as_str().expect("hex"), &mut bytes).expect("64 digits");
        Hash(bytes)
    };
    let mut miner_key = [0; 48];
    const_hex::decode_to_slice(info["miner_key"].as_str().expect("hex"), &mut miner_key).expect("96 digits");
    GenesisPlot { miner_key: MinerKey(miner_key), seed: hash("seed"), rows: 64, root: hash("root") }
}

/// The last line of standard output, as JSON.
fn last(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(ran.stdout.lines().last().expect("a line")).expect("JSON")
}

fn wallet(folder: &Path, node: &Node, arguments: &[&str]) -> Ran {
    let url = node.url();
    run(folder, &[&["wallet"], arguments, &["--node", &url]].concat())
}

/// Lines of JSON.
fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Another account, `other.json`, and its address.
fn other(folder: &Path) -> String {
    let arguments = ["-q", "keys", "import", "--kind", "account", "--insecure", "--out", "other.json"];
    run_with_input(folder, &arguments, OTHER).expect(0, &["WARNING"]);
    run(folder, &["wallet", "address", "other.json", "--network", "local"]).expect(0, &[]).stdout.trim().to_owned()
}

#[test]
fn keys_of_accounts_are_kept_like_those_of_miners() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let address = account(folder);
    // RFC 8032 §7.1, the first test.
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(run(folder, &["keys", "show", "account.json"]).expect(0, &[]).stdout.trim(), public);
    assert_eq!(run(folder, &["keys", "export", "account.json"]).expect(0, &[]).stdout.trim(), SECRET);
    assert!(address.starts_with("lst1"), "{address}");
    let main = run(folder, &["wallet", "address", "account.json", "--network", "main"]).expect(0, &[]).stdout;
    assert!(main.starts_with("st1"), "{main}");
    // Under a passphrase.
    fs::write(folder.join("passphrase"), "correct horse\n").unwrap();
    let sealed = ["keys", "new", "--kind", "account", "--out", "sealed.json", "--passphrase-file", "passphrase"];
    let made = run(folder, &sealed).expect(0, &[]).stdout;
    assert_eq!((made.trim().len(), run(folder, &["keys", "show", "sealed.json"]).expect(0, &[]).stdout), (64, made));
    run(folder, &["keys", "export", "sealed.json"]).expect(1, &["no terminal"]);
    run(folder, &["keys", "export", "sealed.json", "--passphrase-file", "passphrase"]).expect(0, &[]);
    // One kind is not the other.
    run(folder, &["keys", "new", "--insecure", "--out", "miner.json"]).expect(0, &[]);
    run(folder, &["wallet", "address", "miner.json", "--network", "local"]).expect(
        3,
        &["miner.json", "found \"spacetime-keystore\", of a miner's key", "\"spacetime-account\" is expected"],
    );
    // A changed byte is found.
    let text = fs::read_to_string(folder.join("account.json")).unwrap();
    fs::write(folder.join("account.json"), text.replacen("d75a", "d75b", 1)).unwrap();
    run(folder, &["keys", "show", "account.json"]).expect(3, &["account.json", "checksum"]);
}

#[test]
fn money_goes_into_a_block() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (rich, poor) = (account(folder), other(folder));
    chain(folder, &rich, vec![plot(folder)]);
    let mine = ["--mine", "plots", "--keys", "miner.json", "--payout", &poor, "--mine-alone"];
    let node = Node::start(folder, &mine);

    let balance = |who: &[&str]| last(&wallet(folder, &node, &[&["balance", "--json"], who].concat()));
    assert_eq!(balance(&[&rich])["mature"], "1000000000000");
    assert_eq!(balance(&["--key", "account.json", "--proof"])["proved"], true);
    let words = wallet(folder, &node, &["balance", &rich]).expect(0, &[]).stdout;
    assert_eq!(words.trim(), "1000 coins");

    let send = ["send", "--key", "account.json", "--to", &poor, "--amount", "1.5", "--memo", "for coffee"];
    let sent = last(&wallet(folder, &node, &[&send[..], &["--fee", "0.000000007", "--wait", "--json"]].concat()));
    assert_eq!((&sent["amount"], &sent["fee"], &sent["nonce"]), (&"1500000000".into(), &"7".into(), &0.into()));
    assert!(sent["height"].as_u64() > Some(0), "{sent}");
    assert_eq!(balance(&[&rich])["mature"], "998499999993");
    // The next goes behind it, whether a block has it or not.
    for nonce in 1..4 {
        let sent = last(&wallet(folder, &node, &[&send[..], &["--json"]].concat()));
        assert_eq!(sent["nonce"], nonce);
    }
    let id = wallet(folder, &node, &[&send[..], &["--wait"]].concat()).expect(0, &[]).stdout;
    assert_eq!(id.trim().len(), 64);

    let history = lines(&wallet(folder, &node, &["history", &rich, "--json"]).expect(0, &[]));
    assert_eq!(history.len(), 6, "{history:?}");
    assert!(history[..5].iter().all(|one| one["kind"] == "sent" && one["memo"] == "for coffee"), "{history:?}");
    assert_eq!((&history[5]["kind"], &history[5]["amount"]), (&"genesis".into(), &"1000000000000".into()));
    let received = lines(&wallet(folder, &node, &["history", &poor, "--json"]).expect(0, &[]));
    assert_eq!(received.iter().filter(|one| one["kind"] == "received").count(), 5);
    assert!(received.iter().any(|one| one["kind"] == "reward" && one["amount"] == "5000000000"), "{received:?}");
    let words = wallet(folder, &node, &["history", &rich, "--limit", "1"]).expect(0, &[]).stdout;
    assert!(words.lines().count() == 1 && words.contains("-1.5") && words.contains(&poor), "{words}");

    // Of the latest block alone what is in it; what waits is in none.
    let of_last = lines(&wallet(folder, &node, &["history", &poor, "--json", "--blocks", "1"]).expect(0, &[]));
    let heights: std::collections::BTreeSet<_> = of_last.iter().filter_map(|one| one["height"].as_u64()).collect();
    assert!(heights.len() <= 1, "{of_last:?}");
    wallet(folder, &node, &["history", &poor, "--blocks", "0"]).expect(2, &["--blocks"]);

    // What cannot be is said before anything is signed.
    let refused = |more: &[&str], code: i32, words: &[&str]| {
        wallet(folder, &node, &[&["send", "--key", "account.json"], more].concat()).expect(code, words);
    };
    refused(&["--to", &poor, "--amount", "1000000"], 1, &["can spend 99", "at least 1000000 are needed"]);
    refused(&["--to", &poor, "--amount", "999999", "--fee", "1"], 1, &["at least 1000000 are needed"]);
    refused(&["--to", &poor, "--amount", "0"], 2, &["above zero"]);
    refused(&["--to", &poor, "--amount", "1.0000000001"], 2, &["nine decimals"]);
    refused(&["--to", &poor.replacen("lst1", "st1", 1), "--amount", "1"], 2, &["begins with lst1"]);
    refused(&["--to", "nobody", "--amount", "1"], 2, &["nobody"]);
    refused(&["--to", &poor, "--amount", "1", "--memo", &"x".repeat(65)], 2, &["64 bytes"]);
    refused(&["--to", &poor, "--amount", "1", "--nonce", "0"], 1, &["refuses", "nonce is 0"]);
    wallet(folder, &node, &["balance", "nobody"]).expect(2, &["nobody"]);
    wallet(folder, &node, &["balance"]).expect(2, &[]);
    assert_eq!(node.end("-TERM").0, Some(0));
}

#[test]
fn plots_are_registered_at_an_accounts_cost() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let rich = account(folder);
    let genesis = plot(folder);
    let keys = ["--keys", "miner.json"];
    let create = ["-q", "plot", "create", "--network", "local", "--rows", "64", "--out", "more", "--count", "2"];
    run(folder, &[&create[..], &keys[..]].concat()).expect(0, &[]);
    chain(folder, &rich, vec![genesis]);
    let mine = ["--mine", "plots", "--keys", "miner.json", "--payout", &rich, "--mine-alone"];
    let node = Node::start(folder, &mine);
    let register = |plots: &str, key: &str| {
        let arguments = ["register", plots, "--miner-key", key, "--key", "account.json", "--fee", "0.00001", "--json"];
        wallet(folder, &node, &[&arguments[..], &["--wait"]].concat())
    };
    let registered = lines(&register("more", "miner.json").expect(0, &[]));
    assert_eq!(registered.len(), 2);
    assert_eq!((&registered[0]["nonce"], &registered[1]["nonce"]), (&0.into(), &1.into()));
    // Once is enough.
    assert_eq!(lines(&register("more", "miner.json").expect(0, &["registered already"])), Vec::<Value>::new());
    run(folder, &["-q", "keys", "new", "--insecure", "--out", "stranger.json"]).expect(0, &["WARNING"]);
    let one = names_in(&folder.join("more")).swap_remove(0);
    register(&format!("more/{one}"), "stranger.json").expect(2, &["the key is another's"]);
    let create = ["-q", "plot", "create", "--network", "test", "--rows", "256", "--log2-columns", "4", "--out", "odd"];
    run(folder, &[&create[..], &keys[..]].concat()).expect(0, &[]);
    register("odd", "miner.json").expect(2, &["not a plot for network local"]);
    assert_eq!(node.end("-TERM").0, Some(0));
}

#[test]
fn a_registration_that_waits_is_not_sent_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let rich = account(folder);
    chain(folder, &rich, vec![plot(folder)]);
    let create = ["-q", "plot", "create", "--network", "local", "--rows", "64", "--out", "more"];
    run(folder, &[&create[..], &["--keys", "miner.json"]].concat()).expect(0, &[]);
    // Nobody mines.
    let node = Node::start(folder, &["--mine-alone"]);
    let arguments =
        ["register", "more", "--miner-key", "miner.json", "--key", "account.json", "--fee", "0.00001", "--json"];
    let sent = lines(&wallet(folder, &node, &arguments).expect(0, &[]));
    assert_eq!(sent.len(), 1);
    let again =
        wallet(folder, &node, &arguments).expect(0, &["waits for a block already", sent[0]["id"].as_str().unwrap()]);
    assert_eq!(lines(&again), Vec::<Value>::new());
    assert_eq!(node.end("-TERM").0, Some(0));
}

#[test]
fn a_node_that_is_not_there_is_said_to_be_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let address = account(folder);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    run(folder, &["wallet", "balance", &address, "--node", &url]).expect(1, &["cannot reach the node", &url]);
    run(folder, &["wallet", "balance", &address, "--node", "nonsense"]).expect(2, &["no URL"]);
}
