//! Many participants, a network between them, and one clock, all out of one seed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use spacetime_node::chain::decode;
use spacetime_node::network::PeerId;
use spacetime_node::network::message::{
    Gossip, GossipId, MAX_GOSSIP_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Request, Response,
};
use spacetime_node::participant::{Effect, Input, Refused, RequestFailure, RequestId, Ticket, Verdict};
use spacetime_node::testing::Random;

use super::member::{Member, Setting};

/// Place of a participant.
pub(crate) type Place = usize;

/// How the network treats what is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Least delay in milliseconds, one way.
    pub(crate) delay_ms: u64,
    /// What chance may add to it.
    pub(crate) jitter_ms: u64,
    /// One in so many messages is lost, at each hop; none with 0.
    pub(crate) loss_one_in: u64,
}

/// What happens at a moment.
#[derive(Debug)]
enum Event {
    /// Something reaches a participant, if it is still the one that it was meant for.
    Input { to: Place, life: u64, input: Input },
    /// Bytes of a gossip reach a participant.
    Gossip { from: Place, to: Place, life: u64, id: GossipId, bytes: Vec<u8> },
    /// A question reaches a participant.
    Question { from: Place, to: Place, life: u64, id: RequestId, bytes: Vec<u8> },
    /// A deadline of a question.
    Deadline { from: Place, life: u64, to: Place, id: RequestId },
    /// Two get in touch.
    Connect { from: Place, life: u64, to: Place },
    /// A participant wants to be woken.
    Wake { to: Place, life: u64 },
}

/// The network and all that takes part in it.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) weather: Weather,
    pub(crate) now_ms: u64,
    pub(crate) members: Vec<Member>,
    /// Which side of a partition each is on; those of the same number hear each other.
    pub(crate) sides: Vec<u8>,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    connected: BTreeSet<(Place, Place)>,
    /// Questions that have no answer yet: who asked whom.
    open: HashMap<(Place, u64, RequestId), Place>,
    tickets: HashMap<Ticket, (Place, u64, RequestId, Place)>,
    next_ticket: u64,
    /// Gossips that each has seen, oldest first, and the bytes of those that are not judged yet.
    seen: Vec<(HashSet<GossipId>, VecDeque<GossipId>)>,
    unjudged: HashMap<(Place, GossipId), Vec<u8>>,
    /// When each block first reached each participant's best chain.
    pub(crate) offences: Vec<(Place, PeerId, Refused)>,
}

/// Gossips that each remembers: those of some minutes.
const MAX_SEEN: usize = 4096;

impl World {
    pub(crate) fn new(seed: u64, setting: &Setting, weather: Weather) -> Self {
        let mut random = Random::new(seed);
        let members = setting.members(&mut random);
        let count = members.len();
        let mut world = Self {
            random,
            weather,
            now_ms: setting.start_ms(),
            members,
            sides: vec![0; count],
            events: BTreeMap::new(),
            sequence: 0,
            connected: BTreeSet::new(),
            open: HashMap::new(),
            tickets: HashMap::new(),
            next_ticket: 0,
            seen: vec![Default::default(); count],
            unjudged: HashMap::new(),
            offences: Vec::new(),
        };
        for place in 0..count {
            world.start(place);
        }
        world
    }

    fn schedule(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((at_ms.max(self.now_ms), self.sequence), event);
    }

    /// How long something is under way, or nothing if it is lost.
    fn travel(&mut self, from: Place, to: Place) -> Option<u64> {
        let lost = self.weather.loss_one_in > 0 && self.random.one_in(self.weather.loss_one_in);
        if lost || self.sides[from] != self.sides[to] {
            return None;
        }
        let jitter = self.weather.jitter_ms.max(1);
        Some(self.weather.delay_ms + self.random.below(jitter))
    }

    fn is_connected(&self, one: Place, other: Place) -> bool {
        self.connected.contains(&(one.min(other), one.max(other)))
    }

    /// Starts a participant that is down.
    pub(crate) fn start(&mut self, place: Place) {
        self.members[place].start(self.now_ms);
        self.wake(place);
    }

    /// Ends a participant as SIGKILL does: what it had written is all that is left.
    pub(crate) fn kill(&mut self, place: Place) {
        self.members[place].kill();
        self.seen[place] = Default::default();
        for other in 0..self.members.len() {
            self.disconnect(place, other);
        }
    }

    pub(crate) fn disconnect(&mut self, one: Place, other: Place) {
        if !self.connected.remove(&(one.min(other), one.max(other))) {
            return;
        }
        for (to, gone) in [(one, other), (other, one)] {
            let (peer, life) = (self.members[gone].peer, self.members[to].life);
            self.schedule(self.now_ms, Event::Input { to, life, input: Input::Disconnected { peer } });
            let open: Vec<_> =
                self.open.iter().filter(|((from, ..), at)| *from == to && **at == gone).map(|(key, _)| *key).collect();
            for key in open {
                self.fail(key, gone, RequestFailure::Disconnected);
            }
        }
    }

    fn fail(&mut self, key: (Place, u64, RequestId), gone: Place, failure: RequestFailure) {
        if self.open.remove(&key).is_some() {
            let (to, life, id) = key;
            let input = Input::Response { peer: self.members[gone].peer, id, result: Err(failure) };
            self.schedule(self.now_ms, Event::Input { to, life, input });
        }
    }

    fn wake(&mut self, place: Place) {
        let life = self.members[place].life;
        self.schedule(self.now_ms, Event::Wake { to: place, life });
    }

    /// Lets time pass.
    pub(crate) fn run_until(&mut self, until_ms: u64) {
        while let Some((&(at_ms, _), _)) = self.events.first_key_value() {
            if at_ms > until_ms {
                break;
            }
            let (_, event) = self.events.pop_first().expect("it was just seen");
            self.now_ms = at_ms;
            self.happen(event);
        }
        self.now_ms = until_ms;
    }

    fn lives(&self, place: Place, life: u64) -> bool {
        self.members[place].is_up() && self.members[place].life == life
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Input { to, life, input } if self.lives(to, life) => self.input(to, input),
            Event::Wake { to, life } if self.lives(to, life) && self.members[to].take_wake(self.now_ms) => {
                self.input(to, Input::Tick);
            }
            Event::Gossip { from, to, life, id, bytes } if self.lives(to, life) => self.hear(from, to, id, bytes),
            Event::Question { from, to, life, id, bytes } if self.lives(to, life) => {
                let asker = self.members[from].life;
                self.next_ticket += 1;
                let ticket = Ticket(self.next_ticket);
                self.tickets.insert(ticket, (from, asker, id, to));
                let request: Request = decode("request", &bytes, MAX_REQUEST_BYTES).expect("it was encoded");
                let peer = self.members[from].peer;
                self.input(to, Input::Request { peer, ticket, request });
            }
            Event::Deadline { from, life, to, id } => self.fail((from, life, id), to, RequestFailure::Timeout),
            Event::Connect { from, life, to } if self.lives(from, life) => self.connect(from, to),
            _ => {}
        }
    }

    fn connect(&mut self, from: Place, to: Place) {
        if self.is_connected(from, to) || from == to {
            return;
        }
        if !self.members[to].is_up() || self.sides[from] != self.sides[to] {
            let address = self.members[to].address.clone();
            self.input(from, Input::DialFailed { address });
            return;
        }
        self.connected.insert((from.min(to), from.max(to)));
        for (here, there, outbound) in [(from, to, true), (to, from, false)] {
            let (peer, address) = (self.members[there].peer, self.members[there].address.clone());
            let life = self.members[here].life;
            self.schedule(
                self.now_ms,
                Event::Input { to: here, life, input: Input::Connected { peer, address, outbound } },
            );
        }
    }

    fn hear(&mut self, from: Place, to: Place, id: GossipId, bytes: Vec<u8>) {
        if !self.is_connected(from, to) || !self.note(to, id) {
            return;
        }
        let message: Gossip = decode("gossip", &bytes, MAX_GOSSIP_BYTES).expect("it was encoded");
        self.unjudged.insert((to, id), bytes);
        let peer = self.members[from].peer;
        self.input(to, Input::Gossip { peer, id, message });
    }

    /// Whether a gossip is news to a participant.
    fn note(&mut self, place: Place, id: GossipId) -> bool {
        let (seen, order) = &mut self.seen[place];
        if !seen.insert(id) {
            return false;
        }
        order.push_back(id);
        if order.len() > MAX_SEEN {
            order.pop_front().map(|oldest| seen.remove(&oldest));
        }
        true
    }

    fn spread(&mut self, from: Place, id: GossipId, bytes: &[u8], except: Option<Place>) {
        for to in 0..self.members.len() {
            if to == from || Some(to) == except || !self.is_connected(from, to) {
                continue;
            }
            if let Some(delay) = self.travel(from, to) {
                let life = self.members[to].life;
                self.schedule(self.now_ms + delay, Event::Gossip { from, to, life, id, bytes: bytes.to_vec() });
            }
        }
    }

    fn place_of(&self, peer: &PeerId) -> Place {
        self.members.iter().position(|member| member.peer == *peer).expect("nobody else is there")
    }

    /// Hands something to a participant, and does what it wants.
    pub(crate) fn input(&mut self, place: Place, input: Input) {
        let mut effects: VecDeque<_> = self.members[place].handle(input, self.now_ms).into();
        while let Some(effect) = effects.pop_front() {
            self.act(place, effect);
            effects.extend(self.members[place].mine(self.now_ms));
        }
        if let Some(wake_ms) = self.members[place].next_wake(self.now_ms) {
            let life = self.members[place].life;
            self.schedule(wake_ms, Event::Wake { to: place, life });
        }
    }

    fn act(&mut self, place: Place, effect: Effect) {
        let life = self.members[place].life;
        match effect {
            Effect::Request { peer, id, request, deadline_ms } => {
                let to = self.place_of(&peer);
                self.open.insert((place, life, id), to);
                let deadline = deadline_ms.saturating_sub(self.members[place].clock(self.now_ms)) + self.now_ms;
                self.schedule(deadline, Event::Deadline { from: place, life, to, id });
                if !self.is_connected(place, to) {
                    self.fail((place, life, id), to, RequestFailure::Disconnected);
                } else if let Some(delay) = self.travel(place, to) {
                    let bytes = borsh::to_vec(&request).expect("memory takes it");
                    let its = self.members[to].life;
                    self.schedule(self.now_ms + delay, Event::Question { from: place, to, life: its, id, bytes });
                }
            }
            Effect::Respond { ticket, response } => {
                let Some((to, its, id, _)) = self.tickets.remove(&ticket) else { return };
                let Some(delay) = self.travel(place, to) else { return };
                if self.open.remove(&(to, its, id)).is_none() {
                    return;
                }
                let bytes = borsh::to_vec(&response).expect("memory takes it");
                let response: Response = decode("response", &bytes, MAX_RESPONSE_BYTES).expect("it was encoded");
                let input = Input::Response { peer: self.members[place].peer, id, result: Ok(response) };
                self.schedule(self.now_ms + delay, Event::Input { to, life: its, input });
            }
            Effect::Publish(message) => {
                let bytes = borsh::to_vec(&message).expect("memory takes it");
                let id = GossipId::of(&bytes);
                if self.note(place, id) {
                    self.spread(place, id, &bytes, None);
                }
            }
            Effect::Judge { peer, id, verdict } => {
                let Some(bytes) = self.unjudged.remove(&(place, id)) else { return };
                if verdict == Verdict::Accept {
                    let source = self.place_of(&peer);
                    self.spread(place, id, &bytes, Some(source));
                }
            }
            Effect::Dial { address, .. } => {
                let to = self.members.iter().position(|member| member.address == address);
                let delay = self.weather.delay_ms * 2 + 1;
                match to {
                    Some(to) => self.schedule(self.now_ms + delay, Event::Connect { from: place, life, to }),
                    None => {
                        let input = Input::DialFailed { address };
                        self.schedule(self.now_ms + delay, Event::Input { to: place, life, input });
                    }
                }
            }
            Effect::Disconnect { peer, why } => {
                self.offences.push((place, peer, why));
                let other = self.place_of(&peer);
                self.disconnect(place, other);
            }
            effect @ (Effect::VerifyBlocks(_) | Effect::VerifyHeaders(_)) => {
                let (took_ms, input) = self.members[place].verify(effect);
                self.schedule(self.now_ms + took_ms, Event::Input { to: place, life, input });
            }
            // Nobody connects here but who is told to.
            Effect::Ban { .. } | Effect::Pardon(_) => {}
            Effect::Work(work) => self.members[place].told(work),
        }
    }
}
