//! Every setting by name, with what it means.

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the file, with its section: `peers.listen`.
    pub path: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What it means, in a line.
    pub what: &'static str,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word or a line.
    Text,
    /// Several of them; the environment has commas between them.
    Texts,
    /// A file or folder; in a file, one that is not absolute stands beside the file.
    Path,
    /// Several of them; the environment has commas between them.
    Paths,
    /// A number, not negative.
    Number,
    /// `true` or `false`.
    Truth,
}

const fn setting(path: &'static str, kind: Kind, what: &'static str) -> Setting {
    Setting { path, kind, what }
}

/// All of them, those of a section together, as [`crate::config::Config::to_toml`] writes them.
pub const SETTINGS: &[Setting] = &[
    setting("data", Kind::Path, "The folder that all is kept in. Needed by a node."),
    setting("network", Kind::Text, "The chain: main, test or local."),
    setting("chain", Kind::Path, "The chain's specification, in the place of network."),
    setting("peers.listen", Kind::Texts, "Addresses that are listened on, as multiaddrs (TCP, QUIC)."),
    setting(
        "peers.external",
        Kind::Texts,
        "Addresses that others reach this node at, where it cannot see them itself.",
    ),
    setting("peers.seeds", Kind::Texts, "Addresses that are dialled where the peer book holds too few."),
    setting("peers.outbound", Kind::Number, "Peers that are dialled: with fewer, others are looked for."),
    setting("peers.inbound", Kind::Number, "Most peers that dialled this node."),
    setting("peers.most", Kind::Number, "Most peers of both kinds."),
    setting("peers.per_address", Kind::Number, "Most peers at one IP address."),
    setting("peers.per_group", Kind::Number, "Most peers in one /24 of IPv4 or /64 of IPv6."),
    setting("peers.strict_local", Kind::Truth, "Whether those two hold for this machine and private networks too."),
    setting("peers.ban_seconds", Kind::Number, "How long a peer is kept out that broke the rules."),
    setting("peers.upload_bytes_per_second", Kind::Number, "Bytes that all peers together are sent; 0 for no limit."),
    setting(
        "peers.memory_bytes",
        Kind::Number,
        "Takes no more connections while the process has more memory; 0 for any.",
    ),
    setting("peers.kademlia", Kind::Truth, "Looks for peers by Kademlia where too few are known."),
    setting("peers.mdns", Kind::Truth, "Looks for nodes in the local network, and is found there."),
    setting("peers.nat", Kind::Truth, "Finds out with others whether this node can be reached, and helps them to."),
    setting(
        "peers.upnp",
        Kind::Truth,
        "Asks the router to let others in: for local networks where nobody answers in its place.",
    ),
    setting("peers.relays", Kind::Texts, "Relays to be reached through, as multiaddrs with their ids."),
    setting("peers.relay", Kind::Truth, "Is a relay for others."),
    setting("rpc.enabled", Kind::Truth, "Whether there is HTTP at all."),
    setting("rpc.listen", Kind::Text, "Where HTTP is listened: address and port."),
    setting("rpc.public", Kind::Truth, "Allows an rpc.listen that other machines reach. There is no encryption."),
    setting("rpc.hosts", Kind::Texts, "Names in Host that are answered, beside addresses and localhost."),
    setting("rpc.token_file", Kind::Path, "The file of the token that admin calls need, instead of rpc.token in data."),
    setting("rpc.body_bytes", Kind::Number, "Longest body of a request."),
    setting("rpc.requests_per_second", Kind::Number, "Requests a second and address, on average."),
    setting("rpc.burst", Kind::Number, "Requests of one address at once."),
    setting("rpc.connections", Kind::Number, "Most connections."),
    setting("rpc.streams", Kind::Number, "Most miners that follow /rpc/work."),
    setting("mine.plots", Kind::Paths, "Plots, or folders of plots, that this process mines with."),
    setting("mine.keys", Kind::Paths, "Keystores of the plots' miner keys."),
    setting("mine.passphrase_file", Kind::Path, "The file of the keystores' passphrase."),
    setting("mine.payout", Kind::Text, "The address that blocks pay to. Needed where plots are."),
    setting("mine.register", Kind::Truth, "Registers and activates plots that the chain does not know."),
    setting(
        "mine.pay_fees",
        Kind::Path,
        "The keystore of an account that pays for that; else it is sent without a fee.",
    ),
    setting("mine.records", Kind::Path, "Remembers what was signed in this folder, not beside each keystore."),
    setting("mine.pause_file", Kind::Path, "Holds up plotting while there is work, as plot create --pause-file."),
    setting("mine.backend", Kind::Text, "What scores: auto, cpu, cpu:NAME, gpu, gpu:0,2, or both as gpu+cpu."),
    setting("mine.threads", Kind::Number, "Threads that score; else one for each CPU."),
    setting("mine.queue_depth", Kind::Number, "Reads in flight on each disk."),
    setting("mine.block_bytes", Kind::Number, "Bytes of a read, a multiple of 4096."),
    setting("pool.transactions", Kind::Number, "Most transactions that wait for a block."),
    setting("pool.bytes", Kind::Number, "Most bytes of them."),
    setting("pool.fee_base", Kind::Number, "The least fee of a transaction in base units, where the chain's is lower."),
    setting("pool.fee_per_byte", Kind::Number, "The least fee of each of its bytes, where the chain's is lower."),
    setting(
        "store.keep_bodies",
        Kind::Number,
        "Keeps this many blocks' transactions, at least the reorg limit; else all.",
    ),
    setting("store.free_bytes", Kind::Number, "The node ends when less than this is free on the disk."),
    setting("store.sync", Kind::Truth, "Waits for the disk after every block, so that a power cut takes none."),
];

impl Setting {
    /// The one of this path.
    #[must_use]
    pub fn named(path: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.path == path)
    }

    /// The variable of the environment that sets it: `SPACETIME_PEERS_LISTEN`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("SPACETIME_{}", self.path.to_ascii_uppercase().replace('.', "_"))
    }

    /// Its section, if it is in one, and its key in it.
    #[must_use]
    pub fn parts(&self) -> (Option<&'static str>, &'static str) {
        self.path.split_once('.').map_or((None, self.path), |(section, key)| (Some(section), key))
    }
}
