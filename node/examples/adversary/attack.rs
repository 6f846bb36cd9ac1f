//! What is done, and what becomes of whoever does it.

use std::error::Error;
use std::time::Duration;

use serde::Serialize;
use spacetime_node::chain::Capped;
use spacetime_node::network::message::{Request, Response};
use tokio::time::{Instant, sleep};

use crate::chain::Chain;
use crate::peer::{Peer, Reply, Topic};
use crate::{Plan, eclipse, floods, winner};

macro_rules! kinds {
    ($($name:literal $kind:ident,)*) => {
        /// Kinds of harm.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub(crate) enum Kind {
            $($kind,)*
        }

        impl Kind {
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    "oversized" Oversized,
    "garbage" Garbage,
    "garbage-gossip" GarbageGossip,
    "garbage-answer" GarbageAnswer,
    "silent" Silent,
    "slow-reader" SlowReader,
    "overstated" Overstated,
    "forged-headers" ForgedHeaders,
    "bad-body" BadBody,
    "bad-state" BadState,
    "equivocation" Equivocation,
    "withheld" Withheld,
    "unpaid-transactions" UnpaidTransactions,
    "forged-transaction" ForgedTransaction,
    "same-block" SameBlock,
    "questions" Questions,
    "eclipse" Eclipse,
    "load" Load,
}

/// What became of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) kind: Option<Kind>,
    /// The peer's id.
    pub(crate) peer: String,
    /// Whether it was let in at first.
    pub(crate) welcome: bool,
    /// Messages of harm that were sent.
    pub(crate) sent: u64,
    /// How long after the first of them the connection ended, in milliseconds; none if it did not.
    pub(crate) ended_ms: Option<u64>,
    /// Why, as far as this side can tell.
    pub(crate) why: Option<String>,
    /// Whether it was let in again when it came back, where the connection had ended.
    pub(crate) welcome_again: Option<bool>,
    /// Peers that were let in together, where there are many.
    pub(crate) let_in: Option<usize>,
}

/// One peer, the chain that it follows, and its report.
pub(crate) struct Attack {
    pub(crate) peer: Peer,
    pub(crate) chain: Chain,
    pub(crate) report: Report,
    pub(crate) until: Instant,
}

impl Attack {
    /// Whether it goes on.
    pub(crate) fn goes_on(&self) -> bool {
        self.peer.ended().is_none() && Instant::now() < self.until
    }

    /// Goes on with whatever comes for a time.
    pub(crate) async fn linger_ms(&mut self, ms: u64) {
        self.peer.linger((Instant::now() + Duration::from_millis(ms)).min(self.until)).await;
    }

    /// Comes back after the connection ended. False if it is not let in.
    async fn come_again(&mut self, plan: &Plan) -> Result<bool, Box<dyn Error>> {
        // A connection that has just ended may still be counted.
        sleep(Duration::from_millis(300)).await;
        let from = plan.from.first().copied();
        self.peer = Peer::new(plan.secret(0), self.chain.genesis(), self.chain.tip(), from)?;
        let welcome = self.peer.connect(&plan.target).await && self.peer.greet().await;
        self.report.welcome_again = Some(welcome);
        Ok(welcome)
    }
}

/// Does what the plan says until it is over.
pub(crate) async fn run(plan: &Plan) -> Result<Report, Box<dyn Error>> {
    if plan.kind == Kind::Eclipse {
        return eclipse::run(plan).await;
    }
    let chain = Chain::new(&plan.specification, plan.seed)?;
    let from = plan.from.first().copied();
    let peer = Peer::new(plan.secret(0), chain.genesis(), chain.tip(), from)?;
    let report = Report { kind: Some(plan.kind), peer: peer.id(), ..Report::default() };
    let mut attack = Attack { peer, chain, report, until: Instant::now() + plan.lasts };
    prepare(&mut attack, plan.kind);
    attack.report.welcome = attack.peer.connect(&plan.target).await;
    if plan.kind != Kind::Silent && attack.report.welcome {
        attack.report.welcome = attack.peer.greet().await;
    }
    let began = Instant::now();
    loop {
        // Who answers HELLO with garbage is not welcome from the first.
        if attack.peer.ended().is_none() && attack.report.welcome {
            act(&mut attack, plan.kind).await?;
            let until = attack.until;
            attack.peer.linger(until).await;
        }
        attack.report.ended_ms = attack.peer.ended().map(|_| began.elapsed().as_millis() as u64);
        attack.report.why = attack.peer.ended().map(str::to_owned);
        if attack.report.ended_ms.is_none() {
            break;
        }
        // Who opens more streams than a connection has is cut off for that, before it has asked too much.
        let insists = plan.kind == Kind::Questions && Instant::now() < attack.until;
        if !(attack.come_again(plan).await? && insists) {
            break;
        }
    }
    Ok(attack.report)
}

/// What has to be so before HELLO.
fn prepare(attack: &mut Attack, kind: Kind) {
    match kind {
        Kind::Silent => attack.peer.behave(|_| Reply::Silence),
        Kind::Overstated | Kind::ForgedHeaders => attack.peer.tip = attack.chain.heavy_tip(0),
        Kind::GarbageAnswer => {
            let mut greeted = false;
            attack.peer.behave(move |request| match request {
                // The first HELLO is answered, so that there is somebody to be banned.
                Request::Hello(_) if !std::mem::replace(&mut greeted, true) => Reply::Usual,
                _ => Reply::Raw([&8_u32.to_le_bytes()[..], &[0xff; 8]].concat()),
            });
        }
        _ => {}
    }
}

async fn act(attack: &mut Attack, kind: Kind) -> Result<(), Box<dyn Error>> {
    match kind {
        Kind::Oversized => {
            attack.peer.send([&u32::MAX.to_le_bytes()[..], &[7; 4096]].concat());
            attack.report.sent = 1;
        }
        Kind::Garbage => {
            attack.peer.send([&64_u32.to_le_bytes()[..], &[0xff; 64]].concat());
            attack.report.sent = 1;
        }
        Kind::GarbageGossip => {
            for (place, byte) in [(Topic::Proposal, 1), (Topic::Submission, 2), (Topic::Transaction, 3)] {
                attack.report.sent += u64::from(attack.peer.publish_raw(place, vec![byte; 100]));
            }
        }
        Kind::Overstated => overstated(attack).await,
        Kind::ForgedHeaders => winner::forged_headers(attack).await,
        Kind::BadBody => winner::bad_body(attack).await?,
        Kind::BadState => winner::bad_state(attack).await?,
        Kind::Equivocation => winner::equivocation(attack).await?,
        Kind::Withheld => winner::withheld(attack).await?,
        Kind::SameBlock => winner::same_block(attack).await?,
        Kind::UnpaidTransactions => floods::unpaid_transactions(attack).await,
        Kind::ForgedTransaction => floods::forged_transaction(attack),
        Kind::Load => floods::load(attack).await,
        Kind::Questions => floods::questions(attack).await,
        Kind::SlowReader => floods::slow_reader(attack).await,
        // The node asks by itself; many peers are a matter of their own.
        Kind::GarbageAnswer | Kind::Silent | Kind::Eclipse => {}
    }
    Ok(())
}

/// Claims one heavy chain after another, and has no headers of any.
async fn overstated(attack: &mut Attack) {
    attack.peer.behave(|request| match request {
        Request::Headers(_) => Reply::Answer(Response::Headers(Capped::default())),
        _ => Reply::Usual,
    });
    while attack.goes_on() {
        attack.report.sent += 1;
        let tip = attack.chain.heavy_tip(attack.report.sent);
        attack.peer.tell(tip);
        attack.linger_ms(500).await;
    }
}
