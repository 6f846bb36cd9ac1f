//! Peers that speak libp2p and keep to nothing else.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures::{FutureExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::request_response::{Behaviour as Exchange, Codec, Config, Event, Message, ProtocolSupport};
use libp2p::swarm::{Config as SwarmConfig, NetworkBehaviour, SwarmEvent};
use libp2p::{StreamProtocol, Swarm, SwarmBuilder, gossipsub, noise, yamux};
use spacetime_node::chain::{
    AccountKey, AccountSignature, Address, Amount, Block, Capped, HEADER_BYTES, Header, Payload, Signatures,
    Transaction, Transfer, decode,
};
use spacetime_node::network::PeerId;
use spacetime_node::network::message::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Request, Response};
use spacetime_node::network::offence::Offence;
use spacetime_node::network::swarm::Command;
use spacetime_node::participant::{Input, RequestFailure, Verdict};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::common::{GENESIS, Node, TCP, befriend, hello, proof, soon, submission};

/// Bytes as they are, both ways. Answers are read where they are to be.
#[derive(Clone, Copy)]
struct Raw {
    reads: bool,
}

async fn rest<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await.map(|_| bytes)
}

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        rest(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        if self.reads { rest(io).await } else { std::future::pending().await }
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}

#[derive(NetworkBehaviour)]
struct Parts {
    exchange: Exchange<Raw>,
    gossip: gossipsub::Behaviour,
}

fn name(what: &str) -> String {
    format!("/spacetime/{}/{what}", const_hex::encode(GENESIS.0))
}

fn topic(what: &str) -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(format!("spacetime/{}/{what}/1", const_hex::encode(GENESIS.0)))
}

/// A swarm that is driven while something is waited for.
struct Rogue {
    swarm: Swarm<Parts>,
    node: libp2p::PeerId,
}

impl Rogue {
    /// Dials a node, and is let in by its HELLO.
    async fn befriend(node: &mut Node, reads: bool) -> Self {
        let mut rogue = Self::dial(node, reads, Keypair::generate_ed25519(), Handle::current());
        rogue.greet(node, reads).await;
        rogue
    }

    /// Dials a node. Its connections are run by `tasks`.
    fn dial(node: &Node, reads: bool, key: Keypair, tasks: Handle) -> Self {
        let protocol = StreamProtocol::try_from_owned(name("exchange/1")).expect("a name");
        let config = Config::default().with_request_timeout(Duration::from_secs(50));
        let exchange = Exchange::with_codec(Raw { reads }, [(protocol, ProtocolSupport::Full)], config);
        let config = gossipsub::ConfigBuilder::default()
            .protocol_id_prefix(name("gossip"))
            .validation_mode(gossipsub::ValidationMode::Anonymous)
            .max_transmit_size(8 << 20)
            .message_id_fn(|message| {
                // The same in two topics is twice the same for others only.
                gossipsub::MessageId::from([message.topic.as_str().as_bytes(), &message.data].concat())
            })
            .build()
            .expect("a configuration");
        let mut gossip = gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config).expect("made");
        for what in ["proposal", "submission", "transaction"] {
            gossip.subscribe(&topic(what)).expect("subscribed");
        }
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(libp2p::tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("TCP")
            .with_behaviour(|_| Parts { exchange, gossip })
            .expect("parts")
            .with_swarm_config(|_| {
                let run = move |task| drop(tasks.spawn(task));
                SwarmConfig::with_executor(run).with_idle_connection_timeout(Duration::from_secs(600))
            })
            .build();
        let id = libp2p::PeerId::from_bytes(&node.id.to_multihash()).expect("an id");
        let address: libp2p::Multiaddr = node.address().parse().expect("an address");
        swarm.dial(address.with(libp2p::multiaddr::Protocol::P2p(id))).expect("dialled");
        Self { swarm, node: id }
    }

    /// Is connected, and let in by its HELLO.
    async fn greet(&mut self, node: &mut Node, reads: bool) {
        self.until(|event| matches!(event, SwarmEvent::ConnectionEstablished { .. }).then_some(())).await;
        let own = self.id();
        assert_eq!(self.while_(node.connected()).await.0, own);
        self.send(framed(&borsh::to_vec(&Request::Hello(hello())).expect("memory")));
        let ticket = self
            .while_(node.wait("HELLO", |input| match input {
                Input::Request { peer, ticket, .. } if *peer == own => Some(*ticket),
                _ => None,
            }))
            .await;
        node.tell(Command::Respond { ticket, response: Response::Hello(hello()) }).await;
        if reads {
            self.answer().await;
        }
    }

    fn id(&self) -> PeerId {
        PeerId::from_multihash(&self.swarm.local_peer_id().to_bytes()).expect("an Ed25519 key")
    }

    fn send(&mut self, bytes: Vec<u8>) {
        let node = self.node;
        self.swarm.behaviour_mut().exchange.send_request(&node, bytes);
    }

    /// Goes on until its connection is there, and ended by the node, or does not come to be.
    async fn refused(&mut self) {
        self.until(|event| match event {
            SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => Some(()),
            _ => None,
        })
        .await;
    }

    /// Goes on until something happens.
    async fn until<T>(&mut self, mut wanted: impl FnMut(SwarmEvent<PartsEvent>) -> Option<T>) -> T {
        let next = async {
            loop {
                if let Some(found) = wanted(self.swarm.select_next_some().await) {
                    return found;
                }
            }
        };
        soon("something of libp2p", next).await
    }

    /// Goes on while something else is waited for. Questions are answered with bytes, once.
    async fn while_<T>(&mut self, other: impl Future<Output = T>) -> T {
        self.answering(other, &[]).await
    }

    async fn answering<T>(&mut self, other: impl Future<Output = T>, answer: &[u8]) -> T {
        let other = other.fuse();
        futures::pin_mut!(other);
        loop {
            futures::select! {
                value = other => return value,
                event = self.swarm.select_next_some() => {
                    let SwarmEvent::Behaviour(PartsEvent::Exchange(Event::Message { message, .. })) = event else { continue };
                    if let Message::Request { channel, .. } = message {
                        // It may be gone.
                        let _ = self.swarm.behaviour_mut().exchange.send_response(channel, answer.to_vec());
                    }
                }
            }
        }
    }

    /// The bytes of an answer; none where the stream was cut.
    async fn answer(&mut self) -> Option<Vec<u8>> {
        self.until(|event| match event {
            SwarmEvent::Behaviour(PartsEvent::Exchange(Event::Message {
                message: Message::Response { response, .. },
                ..
            })) => Some(Some(response)),
            SwarmEvent::Behaviour(PartsEvent::Exchange(Event::OutboundFailure { .. })) => Some(None),
            _ => None,
        })
        .await
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

async fn offence(node: &mut Node, of: PeerId) -> Offence {
    node.wait("the offence", |input| match input {
        Input::Offence { peer, offence } if *peer == of => Some(*offence),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn questions_that_are_none_are_offences_and_others_go_on() {
    let mut node = Node::new(1, &[TCP], |_| {}).await;
    let mut honest = Node::new(2, &[], |_| {}).await;
    befriend(&mut honest, &mut node).await;
    let mut rogue = Rogue::befriend(&mut node, true).await;
    let ping = borsh::to_vec(&Request::Ping(1)).expect("memory");
    let bad = [
        // A length over the bound, with nothing behind it; a kind that is none; a list that is too long; more behind it.
        u32::MAX.to_le_bytes().to_vec(),
        framed(&vec![0; MAX_REQUEST_BYTES + 1]),
        framed(&[200]),
        framed(&[3, 255, 255, 255, 255]),
        framed(&[&ping[..], &[0]].concat()),
        [framed(&ping), vec![0]].concat(),
        framed(&[]),
    ];
    let own = rogue.id();
    for bytes in bad {
        rogue.send(bytes.clone());
        let found = rogue.while_(offence(&mut node, own)).await;
        assert_eq!(found, Offence::Malformed, "{bytes:?}");
    }
    assert_eq!(node.network.counters.read().malformed, 7);
    // The control: a question that is one.
    rogue.send(framed(&ping));
    let (_, ticket, request) = rogue.while_(node.asked()).await;
    assert_eq!(request, Request::Ping(1));
    node.tell(Command::Respond { ticket, response: Response::Done }).await;
    assert_eq!(rogue.answer().await, Some(framed(&[5])));
    let id = honest.ask(node.id, Request::Ping(2)).await;
    let (_, ticket, _) = node.asked().await;
    node.tell(Command::Respond { ticket, response: Response::Done }).await;
    assert_eq!(honest.answered(id).await, Ok(Response::Done));
}

#[tokio::test]
async fn answers_that_are_none_are_offences() {
    let mut node = Node::new(1, &[TCP], |_| {}).await;
    let mut rogue = Rogue::befriend(&mut node, true).await;
    let own = rogue.id();
    let too_long = (MAX_RESPONSE_BYTES as u32 + 1).to_le_bytes();
    for answer in [&too_long[..], &framed(&[99]), &framed(&[1, 255, 255, 0, 0]), &[&framed(&[5])[..], &[1]].concat()] {
        let id = node.ask(own, Request::Pool).await;
        let mut found = None;
        let both = node.wait("the offence and the failure", |input| {
            match input {
                Input::Offence { offence, .. } => found = Some(*offence),
                Input::Response { id: answered, result, .. } if *answered == id => {
                    return Some((result.clone(), found));
                }
                _ => {}
            }
            None
        });
        let both = rogue.answering(both, answer).await;
        assert_eq!(both, (Err(RequestFailure::Malformed), Some(Offence::Malformed)), "{answer:?}");
    }
    // A stream that ends without an answer is a refusal.
    let id = node.ask(own, Request::Pool).await;
    assert_eq!(rogue.answering(node.answered(id), &[]).await, Ok(Response::Refused));
    let id = node.ask(own, Request::Pool).await;
    assert_eq!(rogue.answering(node.answered(id), &framed(&[5])).await, Ok(Response::Done));
}

#[tokio::test]
async fn gossip_that_is_none_is_rejected_and_an_offence() {
    let mut node = Node::new(1, &[TCP], |_| {}).await;
    let mut rogue = Rogue::befriend(&mut node, true).await;
    let own = rogue.id();
    // As soon as there is a mesh, it is heard.
    let good = |number: u64| borsh::to_vec(&submission(number)).expect("memory");
    let mut number = 0;
    loop {
        number += 1;
        let published = rogue.swarm.behaviour_mut().gossip.publish(topic("submission"), good(number));
        let heard = tokio::time::timeout(Duration::from_millis(300), rogue.while_(node.said())).await;
        if let (Ok(_), Ok((_, id, _))) = (published, heard) {
            node.tell(Command::Judge { peer: own, id, verdict: Verdict::Accept }).await;
            break;
        }
        assert!(number < 200, "nothing arrived");
    }
    let publish = |rogue: &mut Rogue, place: &str, bytes| {
        rogue.swarm.behaviour_mut().gossip.publish(topic(place), bytes).expect("there is a mesh");
    };
    // Garbage; something after it; a message in another's place; too short for what it says that it is.
    let wrong = [
        ("submission", vec![7; 100]),
        ("submission", [good(1000), vec![0]].concat()),
        ("transaction", good(1001)),
        ("proposal", vec![0; 10]),
    ];
    for (place, bytes) in wrong {
        publish(&mut rogue, place, bytes);
        assert_eq!(rogue.while_(offence(&mut node, own)).await, Offence::Malformed);
    }
    // What was in another's place is heard in its own.
    publish(&mut rogue, "submission", good(1001));
    let (from, _, heard) = rogue.while_(node.said()).await;
    assert_eq!((from, heard), (own, submission(1001)));
    assert_eq!(node.network.counters.read().malformed, 4);
}

#[tokio::test]
async fn answers_that_are_not_read_have_a_bound_and_cost_their_reader() {
    let mut node = Node::new(1, &[TCP], |_| {}).await;
    let mut rogue = Rogue::befriend(&mut node, false).await;
    let own = rogue.id();
    // Long answers, which nobody reads: three are sixteen MiB, about.
    let long = long_answer(MAX_RESPONSE_BYTES - (64 << 10));
    for _ in 0..8 {
        rogue.send(framed(&borsh::to_vec(&Request::Pool).expect("memory")));
        let (_, ticket, _) = rogue.while_(node.asked()).await;
        node.tell(Command::Respond { ticket, response: long.clone() }).await;
    }
    // Somebody else is answered all the while.
    let mut honest = Node::new(2, &[], |_| {}).await;
    befriend(&mut honest, &mut node).await;
    assert!(node.network.counters.read().refused_answers >= 4, "{:?}", node.network.counters.read());
    let id = honest.ask(node.id, Request::Pool).await;
    let (_, ticket, _) = rogue.while_(node.asked()).await;
    node.tell(Command::Respond { ticket, response: long.clone() }).await;
    assert_eq!(honest.answered(id).await, Ok(long));
    // When the time of the exchange is over, it pays.
    assert_eq!(rogue.while_(offence(&mut node, own)).await, Offence::Slow);
}

#[tokio::test]
async fn one_peer_has_so_many_questions_open_and_no_more() {
    let mut node = Node::new(1, &[TCP], |_| {}).await;
    let mut rogue = Rogue::befriend(&mut node, true).await;
    for _ in 0..40 {
        rogue.send(framed(&borsh::to_vec(&Request::Pool).expect("memory")));
    }
    // Those beyond are refused by themselves; the others wait for an answer.
    for _ in 0..8 {
        assert_eq!(rogue.answer().await, Some(framed(&[7])));
    }
    let mut open = 0;
    while let Some(input) = node.network.inputs.try_next() {
        open += usize::from(matches!(input, Input::Request { .. }));
    }
    assert_eq!(open, 32);
}

/// A machine that runs what is spawned there until it stops, and then leaves open what is.
struct Machine {
    handle: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Machine {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            // Whoever forgets it stops it too.
            let _ = runtime.block_on(stopped);
            std::mem::forget(runtime);
        });
        Self { handle, stop, thread }
    }

    fn stop(self) {
        drop(self.stop);
        self.thread.join().expect("it stops");
    }
}

#[tokio::test]
async fn who_reads_nothing_more_is_gone_in_time_and_does_not_come_back_before() {
    let mut node = Node::new(1, &[TCP], |_| {}).await;
    let (machine, key) = (Machine::new(), Keypair::generate_ed25519());
    let mut rogue = Rogue::dial(&node, false, key.clone(), machine.handle.clone());
    rogue.greet(&mut node, false).await;
    let own = rogue.id();
    // More than what waits in the system on both sides of a connection: a quarter of a MiB of each goes out.
    let mut tickets = Vec::new();
    for _ in 0..30 {
        rogue.send(framed(&borsh::to_vec(&Request::Pool).expect("memory")));
        tickets.push(rogue.while_(node.asked()).await.1);
    }
    machine.stop();
    for ticket in tickets {
        node.tell(Command::Respond { ticket, response: long_answer(512 << 10) }).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    node.tell(Command::Disconnect { peer: own, banned_until_ms: None }).await;
    // Until that has ended, nobody would hear of another connection.
    let mut again = Rogue::dial(&node, true, key.clone(), Handle::current());
    again.refused().await;
    node.wait("the end", |input| matches!(input, Input::Disconnected { peer } if *peer == own).then_some(())).await;
    Rogue::dial(&node, true, key, Handle::current()).greet(&mut node, true).await;
}

/// So many bytes, about: one block of very many transfers.
fn long_answer(bytes: usize) -> Response {
    let header: Header = decode("header", &[0; HEADER_BYTES], HEADER_BYTES).expect("a header of zeros");
    let transfer = Transfer { to: Address([1; 20]), amount: Amount(2), memo: Capped::default() };
    let transaction = Transaction {
        sender: Some(AccountKey([3; 32])),
        nonce: 4,
        fee: Amount(5),
        payload: Payload::Transfer(transfer),
        signatures: Signatures { account: Some(AccountSignature([6; 64])), miner: None },
    };
    let count = bytes / borsh::to_vec(&transaction).expect("memory").len();
    let block = Block { header, proof: proof(), transactions: vec![transaction; count], metadata: None };
    let answer = Response::Blocks(Capped::new(vec![block]).expect("one"));
    assert!(borsh::to_vec(&answer).expect("memory").len() > bytes - 1024);
    answer
}
