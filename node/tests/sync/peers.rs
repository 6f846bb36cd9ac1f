//! Peers, honest and not.

use spacetime_node::chain::{Block, BlockId, Capped, Height};
use spacetime_node::consensus::Weight;
use spacetime_node::network::message::{
    CAPABLE_ARCHIVE, GetHeaders, MAX_HEADERS, ProvedHeader, Request, Response, Tip,
};
use spacetime_node::network::offence::Offence;
use spacetime_node::testing::Random;

use crate::world::{Chain, WORLD};

/// What a peer is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Honest,
    /// Answers late, but within deadlines.
    Slow,
    /// Answers Refused for most of the time.
    Busy,
    /// Keeps the latest bodies alone.
    Pruned,
    /// Never answers.
    Silent,
    /// Half of what goes to it or comes from it is lost.
    Lossy,
    /// Claims all the weight there can be, and serves what it is given.
    Boaster,
    /// Claims the same, and refuses to show anything of it.
    Evasive,
    /// Claims that a block which stands on nothing known is the next one, and shows that block alone.
    Baiter,
    /// Claims the next claim as soon as one is disproved.
    TirelessBoaster,
    /// Serves headers of which one breaks a cheap rule.
    BadHeader,
    /// Serves headers of which one has a wrong signature.
    Forger,
    /// Serves headers that do not stand one on another.
    Gaps,
    /// Serves blocks whose transactions are not their headers'.
    BadBody,
    /// Serves blocks whose proofs are not their headers'.
    BadProof,
    /// Serves headers and no blocks.
    Withholder,
    /// Serves blocks that nobody asked for.
    Stranger,
    /// Answers with something else.
    Confused,
    /// Its chain has a block that breaks a rule.
    Breaker,
}

impl Kind {
    pub(crate) const GOOD: [Self; 4] = [Self::Honest, Self::Slow, Self::Busy, Self::Pruned];
    pub(crate) const BAD: [Self; 13] = [
        Self::Silent,
        Self::Lossy,
        Self::Boaster,
        Self::TirelessBoaster,
        Self::BadHeader,
        Self::Forger,
        Self::Gaps,
        Self::BadBody,
        Self::BadProof,
        Self::Withholder,
        Self::Stranger,
        Self::Confused,
        Self::Breaker,
    ];

    pub(crate) fn is_good(self) -> bool {
        Self::GOOD.contains(&self)
    }

    /// What it may be blamed for.
    pub(crate) fn deserves(self) -> &'static [Offence] {
        match self {
            Self::Honest | Self::Slow | Self::Busy | Self::Pruned | Self::Evasive | Self::Baiter => &[],
            Self::Silent | Self::Lossy => &[Offence::Slow],
            Self::Boaster | Self::TirelessBoaster => &[Offence::Overstated],
            // What is left out of headers may leave them shorter than what was claimed.
            Self::BadHeader | Self::Forger => &[Offence::BadHeader],
            Self::Gaps => &[Offence::WrongAnswer, Offence::Overstated],
            Self::BadBody | Self::BadProof => &[Offence::BadBlock],
            Self::Withholder => &[Offence::Withheld],
            Self::Confused => &[Offence::WrongAnswer],
            Self::Stranger => &[Offence::WrongAnswer, Offence::Withheld],
            Self::Breaker => &[Offence::BadBlock],
        }
    }
}

/// One of them.
#[derive(Debug)]
pub(crate) struct MockPeer {
    pub kind: Kind,
    /// Its best chain.
    pub chain: Chain,
    pub latency_ms: u64,
    /// How often it boasted.
    boasts: u8,
}

impl MockPeer {
    pub(crate) fn new(kind: Kind, chain: Chain, latency_ms: u64) -> Self {
        Self { kind, chain, latency_ms, boasts: 0 }
    }

    pub(crate) fn tip(&self) -> Tip {
        let tip = WORLD.tip(&self.chain);
        match self.kind {
            Kind::Boaster | Kind::Evasive => {
                Tip { weight: Weight::MAX, id: BlockId([8; 32]), height: Height(1_000_000), ..tip }
            }
            Kind::Baiter => Tip { weight: Weight::MAX, height: Height(1), ..tip },
            Kind::TirelessBoaster => {
                Tip { weight: Weight::MAX, id: BlockId([self.boasts; 32]), height: Height(1_000_000), ..tip }
            }
            _ => tip,
        }
    }

    pub(crate) fn capabilities(&self) -> u32 {
        if self.kind == Kind::Pruned { 0 } else { CAPABLE_ARCHIVE }
    }

    /// It was caught: says whether it claims something new.
    pub(crate) fn caught(&mut self) -> bool {
        self.boasts = self.boasts.wrapping_add(1);
        self.kind == Kind::TirelessBoaster
    }

    /// Its answer, and after how many milliseconds; none, if it does not answer.
    pub(crate) fn answer(&self, request: &Request, random: &mut Random) -> Option<(Response, u64)> {
        let mut delay = 2 * self.latency_ms + random.below(20);
        match self.kind {
            Kind::Silent => return None,
            Kind::Lossy if random.one_in(2) => return None,
            Kind::Slow => delay += 1000 + random.below(4000),
            Kind::Busy if !random.one_in(4) => return Some((Response::Refused, delay)),
            Kind::Evasive => return Some((Response::Refused, delay)),
            Kind::Baiter if matches!(request, Request::Headers(_)) => return Some((Response::Refused, delay)),
            Kind::Confused => return Some((Response::Done, delay)),
            _ => {}
        }
        let response = match request {
            Request::Headers(wanted) => self.headers(wanted, random),
            Request::Blocks(ids) => self.blocks(ids, random),
            other => panic!("{other:?} is no question of sync"),
        };
        Some((response, delay))
    }

    fn headers(&self, wanted: &GetHeaders, random: &mut Random) -> Response {
        let genesis = WORLD.fabric.genesis_id();
        let above = wanted.locator.iter().find_map(|id| match *id == genesis {
            true => Some(0),
            false => self.chain.iter().position(|of| of == id).map(|place| place + 1),
        });
        let Some(above) = above else { return Response::Refused };
        let limit = (wanted.limit as usize).min(MAX_HEADERS);
        let header = |id: &BlockId| {
            let Block { header, proof, .. } = WORLD.block(id).clone();
            ProvedHeader { header, proof }
        };
        let mut headers: Vec<_> = self.chain[above..].iter().take(limit).map(header).collect();
        if !headers.is_empty() {
            let place = random.below(headers.len() as u64) as usize;
            match self.kind {
                Kind::BadHeader => headers[place].header.target.0[3] ^= 1,
                Kind::Forger => headers[place].header.signature.0[7] ^= 1,
                Kind::Gaps if headers.len() > 2 => {
                    headers.remove(headers.len() / 2);
                }
                _ => {}
            }
        }
        if let Kind::BadHeader | Kind::Forger = self.kind {
            relink(&mut headers);
        }
        Response::Headers(Capped::new(headers).unwrap())
    }

    fn blocks(&self, ids: &[BlockId], random: &mut Random) -> Response {
        let has = |id: &&BlockId| {
            let place = self.chain.iter().position(|of| of == *id);
            let oldest = if self.kind == Kind::Pruned { self.chain.len().saturating_sub(8) } else { 0 };
            place.is_some_and(|place| place >= oldest)
        };
        let mut blocks: Vec<_> = ids.iter().filter(has).map(|id| WORLD.block(id).clone()).collect();
        let some = random.below(blocks.len().max(1) as u64) as usize;
        match self.kind {
            Kind::BadBody => blocks.iter_mut().skip(some).for_each(|block| {
                let coinbase = block.transactions[0].clone();
                block.transactions.push(coinbase);
            }),
            Kind::BadProof => blocks.iter_mut().skip(some).for_each(|block| block.proof.leaf[0] ^= 1),
            Kind::Withholder => blocks.clear(),
            Kind::Stranger => blocks = vec![WORLD.block(&WORLD.far_fork[25]).clone()],
            _ => {}
        }
        Response::Blocks(Capped::new(blocks).unwrap())
    }
}

/// Lets headers stand one on another again, after one was changed. Their signatures are gone.
fn relink(headers: &mut [ProvedHeader]) {
    for place in 1..headers.len() {
        headers[place].header.parent = headers[place - 1].header.id();
    }
}
