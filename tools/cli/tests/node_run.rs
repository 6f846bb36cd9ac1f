//! `spacetime node run` and `node config`, from the outside.

#![cfg(feature = "node")]

#[path = "support/node_process.rs"]
mod node_process;
mod support;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use node_process::{Node, account, arguments, chain};
use serde_json::Value;
use support::{command, run};
use tempfile::TempDir;

/// What a node has to stop in.
const STOP: Duration = Duration::from_secs(5);

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let rich = account(folder.path());
    chain(folder.path(), &rich, Vec::new());
    folder
}

/// `node run` with further flags, which ends by itself.
fn refused(folder: &Path, flags: &[&str], code: i32, words: &[&str]) {
    let mut all = arguments();
    all.extend(flags);
    run(folder, &all).expect(code, words);
}

#[test]
fn a_node_stops_in_time_and_goes_on_where_it_was() {
    let folder = folder();
    let folder = folder.path();
    let node = Node::start(folder, &[]);
    let data = folder.join("data");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!((mode(&data.join("node.key")), mode(&data.join("rpc.token"))), (0o600, 0o600));
    let peer = node.whereabouts["peer_id"].clone();
    let health: Value = ureq::get(format!("{}/health", node.url())).call().unwrap().body_mut().read_json().unwrap();
    assert_eq!(health["height"], 0);

    // Nobody else may have the folder meanwhile, and is told who has it.
    let pid = node.running.0.id();
    let holder = format!("process {pid} holds it since 2");
    refused(folder, &[], 1, &["data: ", &holder]);
    run(folder, &["node", "db", "check", "--chain", "chain.toml", "--data", "data"]).expect(1, &["data: ", &holder]);

    let (code, took) = node.end("-TERM");
    assert_eq!(code, Some(0));
    assert!(took < STOP, "{took:?}");
    assert!(!data.join("run.json").exists(), "it is no longer to be found");
    assert!(data.join("peers").exists() && data.join("pool").exists());
    run(folder, &["node", "db", "check", "--chain", "chain.toml", "--data", "data"]).expect(0, &[]);

    let node = Node::start(folder, &[]);
    assert_eq!(node.whereabouts["peer_id"], peer, "it is the same node");
    let (code, took) = node.end("-INT");
    assert_eq!(code, Some(130), "Ctrl-C is what a person does");
    assert!(took < STOP, "{took:?}");
}

#[test]
fn a_killed_node_comes_back_without_repair() {
    let folder = folder();
    let folder = folder.path();
    for _ in 0..3 {
        let (code, _) = Node::start(folder, &[]).end("-KILL");
        assert_eq!(code, None);
    }
    assert_eq!(Node::start(folder, &[]).end("-TERM").0, Some(0));
}

#[test]
fn what_a_node_can_do_without_is_put_aside_when_it_is_damaged() {
    let folder = folder();
    let folder = folder.path();
    assert_eq!(Node::start(folder, &[]).end("-TERM").0, Some(0));
    let data = folder.join("data");
    for name in ["peers", "pool"] {
        let mut bytes = fs::read(data.join(name)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(data.join(name), bytes).unwrap();
    }
    let mut node = Node::start(folder, &[]);
    let errors = node.running.0.stderr.take().expect("a pipe");
    assert_eq!(node.end("-TERM").0, Some(0));
    let told = std::io::read_to_string(errors).unwrap();
    for name in ["peers", "pool"] {
        assert!(data.join(name).exists(), "a new one was written");
        assert!(data.join(format!("{name}.damaged")).exists() && told.contains(&format!("{name}.damaged")), "{told}");
    }
}

#[test]
fn a_store_that_has_lost_blocks_is_told_of() {
    let folder = folder();
    let folder = folder.path();
    let told = || {
        let mut node = Node::start(folder, &[]);
        let errors = node.running.0.stderr.take().expect("a pipe");
        assert_eq!(node.end("-TERM").0, Some(0));
        std::io::read_to_string(errors).unwrap()
    };
    assert!(!told().contains("ends below"));
    let last_tip = folder.join("data/last-tip");
    assert!(fs::read_to_string(&last_tip).unwrap().starts_with("0 "));
    assert!(!told().contains("ends below"));
    fs::write(&last_tip, format!("586 {}\n", "07".repeat(32))).unwrap();
    let words = told();
    assert!(words.contains("ends below") && words.contains("586"), "{words}");
    // Nothing depends on it.
    fs::write(&last_tip, [0xff; 4096]).unwrap();
    assert!(!told().contains("ends below"));
}

#[test]
fn the_token_stops_a_node() {
    let folder = folder();
    let mut node = Node::start(folder.path(), &[]);
    let url = format!("{}/rpc/admin/stop", node.url());
    let denied = ureq::post(&url).config().http_status_as_error(false).build().send_empty().unwrap();
    assert_eq!(denied.status(), 401);
    let token = fs::read_to_string(folder.path().join("data/rpc.token")).unwrap();
    ureq::post(&url).header("authorization", format!("Bearer {}", token.trim())).send_empty().unwrap();
    assert_eq!(node.running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_node_without_http_runs_until_it_is_stopped() {
    let folder = folder();
    let mut node = Node::start(folder.path(), &["--set", "rpc.enabled=false"]);
    assert_eq!(node.whereabouts["rpc"], Value::Null);
    assert!(node.running.0.try_wait().unwrap().is_none(), "it runs");
    assert_eq!(node.end("-TERM").0, Some(0));
}

#[test]
fn what_is_wrong_is_said_plainly() {
    let folder = folder();
    let folder = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (rpc, tcp) = (address.to_string(), format!("/ip4/127.0.0.1/tcp/{}", address.port()));
    refused(folder, &["--set", &format!("rpc.listen={rpc}")], 1, &["HTTP cannot be listened on", &rpc, "in use"]);
    refused(folder, &["--set", &format!("peers.listen={tcp}")], 1, &["cannot listen on", &tcp, "in use"]);
    refused(
        folder,
        &["--payout", "st1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "--mine", "x", "--keys", "y"],
        2,
        &["payout"],
    );
    refused(folder, &["--mine", "plots"], 2, &["--payout"]);
    refused(folder, &["--seed", "seed.example.org:1"], 2, &["peers.seeds", "seed.example.org:1", "/ip4"]);
    refused(folder, &["--set", "rpc.listen=0.0.0.0:0"], 2, &["--rpc-public"]);
    refused(folder, &["--set", "peers.mots=3"], 2, &["no setting \"peers.mots\""]);
    refused(folder, &["--config", "missing.toml"], 1, &["missing.toml"]);
    fs::write(folder.join("bad.toml"), "[peers]\nmost = 20\nmosst = 3\n").unwrap();
    refused(folder, &["--config", "bad.toml"], 2, &["bad.toml: line 3: mosst: unknown field `mosst`"]);
    run(folder, &["node", "run", "--chain", "chain.toml"]).expect(2, &["--data"]);
    fs::write(folder.join("file"), "").unwrap();
    run(folder, &["node", "run", "--chain", "chain.toml", "--data", "file"])
        .expect(1, &["file: cannot make the folder"]);
    // Nothing of it has hurt; and then another chain's node comes to this folder.
    assert_eq!(Node::start(folder, &[]).end("-TERM").0, Some(0));
    let mut other = arguments();
    other[3] = "other.toml";
    let specification = fs::read_to_string(folder.join("chain.toml")).unwrap();
    fs::write(folder.join("other.toml"), specification.replacen("time_ms = 1", "time_ms = 2", 1)).unwrap();
    run(folder, &other).expect(2, &["data", "holds the chain of genesis"]);
    // What others may read is no secret.
    fs::set_permissions(folder.join("data/node.key"), fs::Permissions::from_mode(0o644)).unwrap();
    refused(folder, &[], 1, &["node.key", "0644", "chmod 600"]);
}

#[test]
fn where_it_listens_is_printed() {
    let folder = folder();
    let mut node = Node::start(folder.path(), &["--json"]);
    node.running.signal("-TERM");
    let mut stdout = String::new();
    node.running.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let told: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    assert_eq!(told, node.whereabouts);
    let listen = told["listen"][0].as_str().unwrap();
    assert!(listen.starts_with("/ip4/127.0.0.1/tcp/") && listen.contains("/p2p/12D3KooW"), "{listen}");
    let mut stderr = String::new();
    node.running.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("INFO") && stderr.contains("the node has stopped"), "{stderr}");
}

#[test]
fn settings_come_from_flags_then_the_environment_then_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/config.toml"), "network = \"test\"\n[peers]\nmost = 20\noutbound = 5\ninbound = 6\n")
        .unwrap();
    let print = |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = command(folder, &[&["node", "config"], flags].concat());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let has = |text: &str, line: &str| assert!(text.lines().any(|found| found == line), "{line}: {text}");
    let text = print(&["--data", "data", "--set", "peers.outbound=7"], &[("SPACETIME_PEERS_INBOUND", "8")]);
    for line in ["network = \"test\"", "most = 20", "outbound = 7", "inbound = 8", "listen = \"127.0.0.1:21221\""] {
        has(&text, line);
    }
    has(&text, &format!("data = {:?}", folder.join("data")));
    // What was printed is read back as the same.
    fs::write(folder.join("printed.toml"), &text).unwrap();
    assert_eq!(print(&["--config", "printed.toml"], &[]), text);
    // The environment names folder and file too.
    let named = print(&[], &[("SPACETIME_DATA", "data")]);
    has(&named, "outbound = 5");
    has(&print(&[], &[("SPACETIME_CONFIG", "printed.toml")]), "outbound = 7");
    has(&print(&["--network", "local"], &[]), "network = \"local\"");
    // Lists, and paths beside where they are named.
    let lists =
        print(&["--seed", "/dns/a.example/tcp/1", "--seed", "/dns/b.example/tcp/2", "--set", "rpc.hosts=a, b"], &[]);
    has(&lists, "    \"/dns/b.example/tcp/2\",");
    has(&lists, "    \"b\",");
    run(folder, &["node", "config", "--set", "peers.most=many"]).expect(2, &["peers.most: \"many\""]);
}
