//! Configuration: sources, their order, mistakes and where they are named; and the data directory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use spacetime_node::config::{
    Config, ConfigError, DataDir, DataDirError, Kind, Layers, Network, SETTINGS, Setting, read_file,
    read_or_make_secret,
};
use tempfile::TempDir;
use toml::{Table, Value};

const HERE: &str = "/somewhere";

fn of_file(text: &str) -> Result<Config, ConfigError> {
    Layers::new().file(Path::new("/etc/spacetime/node.toml"), text)?.finish()
}

fn of_environment(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    Layers::new().environment(Path::new(HERE), find)?.finish()
}

fn message(result: Result<Config, ConfigError>) -> String {
    result.expect_err("it is refused").to_string()
}

/// A configuration in which every setting has a value that is not the usual one.
fn all_set() -> String {
    let mut text = String::new();
    let mut section = None;
    for setting in SETTINGS.iter().filter(|setting| setting.path != "network") {
        let (of, key) = setting.parts();
        if of != section {
            section = of;
            text += &format!("[{}]\n", of.unwrap());
        }
        let value = match (setting.path, setting.kind) {
            ("rpc.listen", _) => "\"127.0.0.1:1\"",
            ("peers.listen" | "peers.external" | "peers.seeds" | "peers.relays", _) => {
                "[\"/ip4/192.0.2.1/tcp/1\", \"/dns/a.example/tcp/2\"]"
            }
            ("peers.most", _) => "99",
            ("store.free_bytes" | "peers.upload_bytes_per_second" | "pool.bytes" | "rpc.body_bytes", _) => "2000000",
            (_, Kind::Text) => "\"lst1text\"",
            (_, Kind::Texts) => "[\"a\", \"b\"]",
            (_, Kind::Path) => "\"a/path\"",
            (_, Kind::Paths) => "[\"a/path\", \"/another\"]",
            (_, Kind::Number) => "7",
            (_, Kind::Truth) => "true",
        };
        text += &format!("{key} = {value}\n");
    }
    text
}

#[test]
fn every_field_is_a_setting_and_every_setting_a_field() {
    let config = of_file(&all_set()).unwrap();
    let table = Table::try_from(&config).unwrap();
    let mut fields = BTreeSet::new();
    for (key, value) in &table {
        match value {
            Value::Table(section) => fields.extend(section.keys().map(|inner| format!("{key}.{inner}"))),
            _ => drop(fields.insert(key.clone())),
        }
    }
    let settings: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.path.to_owned()).collect();
    assert_eq!(fields, settings);
    assert_eq!(settings.len(), SETTINGS.len(), "none stands there twice");
}

#[test]
fn what_is_printed_can_be_read_back() {
    for text in ["", "network = \"test\"", "network = \"local\"", "chain = \"x.toml\"", &all_set()] {
        let config = of_file(text).unwrap();
        let printed = config.to_toml();
        assert_eq!(of_file(&printed).unwrap(), config, "{printed}");
        for setting in SETTINGS {
            assert!(printed.contains(setting.what), "{printed}");
        }
    }
    // The control: another configuration is not the same.
    assert_ne!(of_file(&all_set()).unwrap(), of_file("").unwrap());
}

#[test]
fn usual_values_follow_from_the_chain() {
    let main = of_file("").unwrap();
    assert_eq!(main, Config::usual(Network::Main));
    assert_eq!(main.rpc.listen.to_string(), "127.0.0.1:21211");
    assert!(main.peers.listen.iter().any(|address| address.contains("0.0.0.0/tcp/21210")));
    let local = of_file("network = \"local\"").unwrap();
    assert!(local.peers.mdns && local.peers.listen.iter().all(|address| address.contains("127.0.0.1")));
    let own = of_file("chain = \"own.toml\"").unwrap();
    assert_eq!(own.peers, local.peers, "of an own specification nothing is known");
    assert_eq!(own.chain.unwrap(), Path::new("/etc/spacetime/own.toml"), "it stands beside the file");
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_what_is_usual() {
    let file = "[peers]\noutbound = 1\nmost = 20\ninbound = 11\n[rpc]\nburst = 1";
    let variables = |name: &str| match name {
        "SPACETIME_PEERS_INBOUND" => Some(OsString::from("12")),
        "SPACETIME_PEERS_OUTBOUND" => Some(OsString::from("2")),
        // One that is set to nothing is as one that is not set.
        "SPACETIME_PEERS_MOST" => Some(OsString::new()),
        _ => None,
    };
    let layers = Layers::new().file(Path::new("node.toml"), file).unwrap().environment(Path::new(HERE), variables);
    let flag = (Setting::named("peers.outbound").unwrap(), vec!["3".to_owned()]);
    let layers = layers.unwrap().flags(Path::new(HERE), [flag]).unwrap();
    let config = layers.finish().unwrap();
    assert_eq!((config.peers.outbound, config.peers.inbound, config.peers.most), (3, 12, 20));
    assert_eq!((config.rpc.burst, config.rpc.streams), (1, 16));
}

#[test]
fn the_chain_that_is_named_last_is_the_chain() {
    let file = |text: &str| Layers::new().file(Path::new("/etc/node.toml"), text).unwrap();
    let flag = |layers: Layers, path, value: &str| {
        let flag = (Setting::named(path).unwrap(), vec![value.to_owned()]);
        layers.flags(Path::new(HERE), [flag]).unwrap().finish().unwrap()
    };
    let config = flag(file("network = \"test\""), "chain", "own.toml");
    assert_eq!(config.chain.unwrap(), Path::new("/somewhere/own.toml"));
    let config = flag(file("chain = \"own.toml\""), "network", "test");
    assert_eq!((config.network, config.chain), (Network::Test, None));
    assert!(message(of_file("chain = \"own.toml\"\nnetwork = \"test\"")).contains("two chains"));
}

#[test]
fn a_mistake_in_a_file_is_named_with_line_and_key() {
    for (text, line, words) in [
        ("network = \"test\"\n\n[peers]\nmosst = 3\n", 4, "unknown field `mosst`, expected one of"),
        ("\nnetwrok = \"test\"", 2, "unknown field `netwrok`"),
        ("[peer]\nmost = 3", 1, "unknown field `peer`"),
        ("[peers]\nmost = \"many\"", 2, "most: invalid type: string \"many\", expected u32"),
        ("[peers]\nmost = -1", 2, "most: invalid value: integer `-1`, expected u32"),
        ("[rpc]\npublic = true\nlisten = \"here\"", 3, "listen: \"here\": invalid socket address"),
        ("network = \"mian\"", 1, "unknown variant `mian`, expected one of `main`, `test`, `local`"),
        ("network = \"test\"\nnetwork = \"main\"", 2, "duplicate key"),
        ("network", 1, "key with no value"),
        ("network = ", 1, "network: "),
    ] {
        let message = message(of_file(text));
        let place = format!("configuration file /etc/spacetime/node.toml: line {line}: ");
        assert!(message.starts_with(&place) && message.contains(words), "{text:?}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn a_mistake_in_the_environment_is_named_with_the_variable() {
    for (variable, value, words) in [
        ("SPACETIME_PEERS_MOST", "many", "\"many\": invalid digit"),
        ("SPACETIME_PEERS_MDNS", "yes", "neither true nor false"),
        ("SPACETIME_RPC_LISTEN", "here", "invalid socket address"),
        ("SPACETIME_NETWORK", "mian", "unknown variant `mian`"),
        ("SPACETIME_RPC_BURST", "99999999999", "invalid value"),
    ] {
        let message = message(of_environment(&[(variable, value)]));
        assert!(message.starts_with(&format!("{variable}: ")) && message.contains(words), "{message}");
    }
    // Others are somebody else's.
    assert!(of_environment(&[("SPACETIME_BACKEND", "cpu"), ("SPACETIME_PEERS_MOSST", "3")]).is_ok());
}

#[test]
fn a_mistake_in_a_flag_is_named_with_the_setting() {
    let flags = |path: &str, texts: &[&str]| {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Layers::new().flags(Path::new(HERE), [(Setting::named(path).unwrap(), texts)])?.finish()
    };
    for (path, texts, words) in [
        ("peers.most", &["many"][..], "peers.most: \"many\": invalid digit"),
        ("peers.most", &["1", "2"], "peers.most: has 2 values"),
        ("rpc.listen", &["here"], "rpc.listen: invalid socket address"),
        ("rpc.public", &["yes"], "neither true nor false"),
    ] {
        let message = message(flags(path, texts));
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(flags("peers.seeds", &["/dns/a/tcp/1", "/dns/b/tcp/1"]).unwrap().peers.seeds.len(), 2);
    assert_eq!(flags("mine.keys", &["a,b"]).unwrap().mine.keys, [Path::new("/somewhere/a,b")], "no comma parts a flag");
}

#[test]
fn the_environment_writes_lists_with_commas() {
    let variables = [
        ("SPACETIME_PEERS_SEEDS", "/ip4/192.0.2.1/tcp/1, /ip4/192.0.2.2/tcp/2"),
        ("SPACETIME_MINE_PLOTS", "plots,/mnt/plots"),
        ("SPACETIME_MINE_KEYS", "miner.json"),
        ("SPACETIME_MINE_PAYOUT", "st1x"),
    ];
    let config = of_environment(&variables).unwrap();
    assert_eq!(config.peers.seeds, ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/2"]);
    assert_eq!(config.mine.plots, [Path::new("/somewhere/plots"), Path::new("/mnt/plots")]);
    assert_eq!(config.mine.payout.as_deref(), Some("st1x"));
}

#[test]
fn every_setting_can_be_set_by_the_environment() {
    for setting in SETTINGS {
        let value = match setting.kind {
            Kind::Text if setting.path == "network" => "local",
            Kind::Text if setting.path == "rpc.listen" => "127.0.0.1:5",
            Kind::Text | Kind::Path | Kind::Texts | Kind::Paths => "/x",
            Kind::Number => "1000",
            Kind::Truth => "true",
        };
        let variables = |name: &str| (name == setting.variable()).then(|| OsString::from(value));
        let layers = Layers::new().environment(Path::new(HERE), variables).unwrap();
        let text = format!("{layers:?}");
        assert!(text.contains(setting.parts().1), "{}: {text}", setting.path);
    }
    assert_eq!(Setting::named("peers.most").unwrap().variable(), "SPACETIME_PEERS_MOST");
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for (text, words) in [
        ("[peers]\nmost = 0", "peers.most is 0, allowed are 1 to 400"),
        ("[peers]\nmost = 5\noutbound = 8", "peers.outbound is 8, which is above peers.most, 5"),
        ("[peers]\ninbound = 33", "peers.inbound is 33"),
        ("[peers]\nseeds = [\"seed.example.org:21210\"]", "\"seed.example.org:21210\": no /ip4"),
        ("[peers]\nlisten = [\"/ip4/1.2.3.4/tcp/1 \"]", "is no port"),
        ("[peers]\nupload_bytes_per_second = 1", "peers.upload_bytes_per_second"),
        ("[rpc]\nlisten = \"0.0.0.0:21211\"", "rpc.public"),
        ("[rpc]\nlisten = \"[::ffff:192.0.2.1]:1\"", "rpc.public"),
        ("[rpc]\nbody_bytes = 10", "rpc.body_bytes"),
        ("[mine]\nplots = [\"p\"]\nkeys = [\"k\"]", "--payout"),
        ("[mine]\nplots = [\"p\"]\npayout = \"st1\"", "--keys"),
        ("[mine]\nthreads = 0", "mine.threads is 0"),
        ("[pool]\ntransactions = 0", "pool.transactions"),
    ] {
        let message = message(of_file(text));
        assert!(message.contains(words), "{text:?}: {message}");
    }
    // The controls.
    for text in [
        "[rpc]\nlisten = \"0.0.0.0:21211\"\npublic = true",
        "[rpc]\nlisten = \"0.0.0.0:21211\"\nenabled = false",
        "[rpc]\nlisten = \"[::1]:21211\"",
        "[rpc]\nlisten = \"[::ffff:127.0.0.1]:1\"",
        "[mine]\nplots = [\"p\"]\nkeys = [\"k\"]\npayout = \"st1\"",
    ] {
        of_file(text).unwrap();
    }
    let few = of_file("[peers]\nmost = 4").unwrap().peers;
    assert_eq!((few.outbound, few.inbound), (4, 3), "what is not said follows");
    let many = format!("[peers]\nseeds = [{}]", "\"/dns/a/tcp/1\",".repeat(4097));
    assert!(message(of_file(&many)).contains("peers.seeds has 4097 entries"));
}

#[test]
fn a_file_that_cannot_be_a_configuration_is_not_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("node.toml");
    assert!(matches!(read_file(&path), Err(ConfigError::Read { .. })));
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(matches!(read_file(&path), Err(ConfigError::TooLong { .. })));
    fs::write(&path, [0xff]).unwrap();
    assert!(matches!(read_file(&path), Err(ConfigError::Read { .. })));
    fs::write(&path, vec![b'#'; 1 << 20]).unwrap();
    assert_eq!(read_file(&path).unwrap().len(), 1 << 20);
}

#[test]
fn a_data_directory_has_one_holder_who_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new/data");
    assert!(matches!(DataDir::open_existing(&path), Err(DataDirError::Missing(_))));
    let held = DataDir::open(&path).unwrap();
    assert_eq!(held.chain(), path.join("chain"));
    for again in [DataDir::open(&path), DataDir::open_existing(&path)] {
        let error = again.expect_err("it is held");
        let DataDirError::Held { holder: Some(holder), .. } = &error else { panic!("{error:?}") };
        assert_eq!(holder.pid, std::process::id());
        let text = error.to_string();
        assert!(text.contains(&format!("process {} holds it since 2", holder.pid)) && text.ends_with(" UTC"), "{text}");
    }
    drop(held);
    DataDir::open_existing(&path).unwrap();
    // Whatever the lock file says, the lock is what counts.
    fs::write(path.join("lock"), "pid 1 since_ms 0\n and more than there usually is").unwrap();
    let held = DataDir::open(&path).unwrap();
    fs::write(path.join("lock"), "").unwrap();
    let error = DataDir::open(&path).expect_err("it is held");
    assert!(matches!(error, DataDirError::Held { holder: None, .. }), "{error:?}");
    assert!(error.to_string().contains("another process holds it"));
    drop(held);
}

#[test]
fn a_file_in_the_folders_place_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("data");
    fs::write(&path, "").unwrap();
    let error = DataDir::open(&path).expect_err("it is a file");
    assert!(matches!(error, DataDirError::Io { .. }) && error.to_string().contains("cannot make the folder"));
}

#[cfg(unix)]
#[test]
fn what_is_made_is_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("data");
    let held = DataDir::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    // What a crash has left behind lies in no way.
    fs::write(path.join("rpc.token.new"), "half").unwrap();
    let token = read_or_make_secret(&held.rpc_token()).unwrap();
    assert_eq!(mode(&held.rpc_token()), 0o600);
    assert_eq!(*read_or_make_secret(&held.rpc_token()).unwrap(), *token, "it is made once");
    assert_ne!(*read_or_make_secret(&held.node_key()).unwrap(), *token, "and at random");
    assert!(!path.join("rpc.token.new").exists());

    fs::set_permissions(held.rpc_token(), fs::Permissions::from_mode(0o640)).unwrap();
    let message = read_or_make_secret(&held.rpc_token()).unwrap_err().to_string();
    assert!(message.contains("0640") && message.contains("chmod 600"), "{message}");
    fs::set_permissions(held.rpc_token(), fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(*read_or_make_secret(&held.rpc_token()).unwrap(), *token);
}

#[cfg(unix)]
#[test]
fn a_secret_of_another_form_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("node.key");
    let hex = "ab".repeat(32);
    let long = "a".repeat(1000);
    for bad in ["", "ab", &hex[1..], &hex.replace('b', "x"), &format!("{hex}00"), "\u{ff}", &long] {
        fs::write(&path, bad).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read_or_make_secret(&path).unwrap_err().to_string().contains("64 hex digits"), "{bad:?}");
    }
    fs::write(&path, format!("{hex}\r\n")).unwrap();
    assert_eq!(*read_or_make_secret(&path).unwrap(), [0xab; 32]);
}
