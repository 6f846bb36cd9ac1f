//! Networks in one process, and what is waited for from them.

use std::future::Future;
use std::time::Duration;

use spacetime_node::chain::{BlockId, Capped, Epoch, Height, MinerKey};
use spacetime_node::consensus::Weight;
use spacetime_node::network::PeerId;
use spacetime_node::network::identity::Identity;
use spacetime_node::network::message::{
    Gossip, GossipId, Hello, PROTOCOL_VERSION, ProofSubmission, Request, Response, Tip,
};
use spacetime_node::network::swarm::{Command, Network, NetworkOptions};
use spacetime_node::participant::{Input, RequestFailure, RequestId, Ticket};
use spacetime_prover::Proof;

pub(crate) const GENESIS: BlockId = BlockId([7; 32]);
pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// Nothing here takes longer, however slow the machine.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: it did not come"),
    }
}

/// Waits until something has come about that nobody is told of, however short it is.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let becomes = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    soon(what, becomes).await;
}

pub(crate) fn tip() -> Tip {
    Tip { id: GENESIS, height: Height(0), epoch: Epoch(0), weight: Weight::ZERO }
}

pub(crate) fn hello() -> Hello {
    let software = Capped::new(b"test".to_vec()).expect("short");
    Hello { version: PROTOCOL_VERSION, genesis: GENESIS, tip: tip(), capabilities: 0, software, time_ms: 0 }
}

pub(crate) fn proof() -> Proof {
    Proof {
        challenge: [1; 32],
        column: 2,
        seed: [3; 32],
        rows: 4,
        leaf: [5; 32],
        leaf_index: 6,
        siblings: Vec::new(),
        root: [7; 32],
    }
}

pub(crate) fn submission(number: u64) -> Gossip {
    let submission = ProofSubmission { epoch: Epoch(number), miner_key: MinerKey([8; 48]), proof: proof() };
    Gossip::Submission(Box::new(submission))
}

pub(crate) fn id_of(gossip: &Gossip) -> GossipId {
    GossipId::of(&borsh::to_vec(gossip).expect("memory can be written"))
}

/// A network and who it is.
pub(crate) struct Node {
    pub(crate) id: PeerId,
    pub(crate) network: Network,
    requests: u64,
    passed_over: Vec<Input>,
}

impl Node {
    pub(crate) async fn new(secret: u8, listen: &[&str], change: impl FnOnce(&mut NetworkOptions)) -> Self {
        let identity = Identity::from_secret([secret; 32]);
        let mut options = NetworkOptions::new(GENESIS);
        options.listen = listen.iter().map(ToString::to_string).collect();
        change(&mut options);
        let network = soon("a start", Network::start(&identity, &options)).await.expect("it starts");
        Self { id: identity.peer_id(), network, requests: 0, passed_over: Vec::new() }
    }

    pub(crate) fn address(&self) -> String {
        self.network.addresses.borrow()[0].clone()
    }

    pub(crate) async fn tell(&self, command: Command) {
        soon("room for a command", self.network.commands.send(command)).await.expect("it runs");
    }

    /// What happened, or happens next, that `wanted` wants. All else is kept for who waits for that.
    pub(crate) async fn wait<T>(&mut self, what: &str, mut wanted: impl FnMut(&Input) -> Option<T>) -> T {
        for at in 0..self.passed_over.len() {
            if let Some(found) = wanted(&self.passed_over[at]) {
                self.passed_over.remove(at);
                return found;
            }
        }
        let next = async {
            loop {
                let input = self.network.inputs.next().await.expect("it runs");
                if let Some(found) = wanted(&input) {
                    return found;
                }
                self.passed_over.push(input);
            }
        };
        soon(what, next).await
    }

    pub(crate) async fn dial(&mut self, other: &Node) {
        self.tell(Command::Dial { peer: Some(other.id), address: other.address() }).await;
    }

    pub(crate) async fn ask(&mut self, peer: PeerId, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.tell(Command::Request { peer, id, request, timeout: Duration::from_secs(10) }).await;
        id
    }

    pub(crate) async fn asked(&mut self) -> (PeerId, Ticket, Request) {
        self.wait("a question", |input| match input {
            Input::Request { peer, ticket, request } => Some((*peer, *ticket, request.clone())),
            _ => None,
        })
        .await
    }

    pub(crate) async fn answered(&mut self, wanted: RequestId) -> Result<Response, RequestFailure> {
        self.wait("an answer", |input| match input {
            Input::Response { id, result, .. } if *id == wanted => Some(result.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn said(&mut self) -> (PeerId, GossipId, Gossip) {
        self.wait("a gossip", |input| match input {
            Input::Gossip { peer, id, message } => Some((*peer, *id, message.clone())),
            _ => None,
        })
        .await
    }

    pub(crate) async fn connected(&mut self) -> (PeerId, String, bool) {
        self.wait("a connection", |input| match input {
            Input::Connected { peer, address, outbound } => Some((*peer, address.clone(), *outbound)),
            _ => None,
        })
        .await
    }
}

/// Connects two and lets each one's gossip in at the other.
pub(crate) async fn befriend(a: &mut Node, b: &mut Node) {
    a.dial(b).await;
    assert_eq!(a.connected().await, (b.id, b.address(), true));
    let (peer, _, outbound) = b.connected().await;
    assert_eq!((peer, outbound), (a.id, false));
    greet(a, b).await;
    greet(b, a).await;
}

/// One asks HELLO, and the other answers.
pub(crate) async fn greet(asking: &mut Node, answering: &mut Node) {
    let id = asking.ask(answering.id, Request::Hello(hello())).await;
    let (peer, ticket, request) = answering.asked().await;
    assert_eq!((peer, request), (asking.id, Request::Hello(hello())));
    answering.tell(Command::Respond { ticket, response: Response::Hello(hello()) }).await;
    assert_eq!(asking.answered(id).await, Ok(Response::Hello(hello())));
}

/// Publishes until it arrives: the mesh needs a moment.
pub(crate) async fn publish_until_heard(from: &mut Node, to: &mut Node, first: u64) -> (PeerId, GossipId, Gossip) {
    for number in first..first + 200 {
        from.tell(Command::Publish(submission(number))).await;
        let next = to.said();
        if let Ok(said) = tokio::time::timeout(Duration::from_millis(300), next).await {
            return said;
        }
    }
    panic!("nothing that was published arrived");
}
