//! Many peers of one network, who would like to be all that a node knows.

use std::error::Error;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::attack::Report;
use crate::chain::Chain;
use crate::peer::Peer;
use crate::{Plan, attack};

/// Peers from each address.
const EACH: u64 = 3;

/// Connects as many peers as it is let, and holds them.
pub(crate) async fn run(plan: &Plan) -> Result<Report, Box<dyn Error>> {
    let chain = Chain::new(&plan.specification, plan.seed)?;
    let until = Instant::now() + plan.lasts;
    let mut report = Report { kind: Some(attack::Kind::Eclipse), ..Report::default() };
    let (mut peers, mut number) = (Vec::new(), 0);
    let anywhere = [None];
    let from: Vec<_> = plan.from.iter().copied().map(Some).collect();
    for _ in 0..EACH {
        for from in if from.is_empty() { &anywhere[..] } else { &from } {
            let mut peer = Peer::new(plan.secret(number), chain.genesis(), chain.tip(), *from)?;
            number += 1;
            report.sent += 1;
            if peer.connect(&plan.target).await && peer.greet().await {
                report.welcome = true;
                peers.push(peer);
            }
            if Instant::now() >= until {
                break;
            }
        }
    }
    // All of them answer what they are asked, so that none is let go for silence.
    while Instant::now() < until {
        for peer in &mut peers {
            peer.linger(Instant::now() + Duration::from_millis(20)).await;
        }
        peers.retain(|peer| peer.ended().is_none());
        if peers.is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    }
    report.let_in = Some(peers.len());
    Ok(report)
}
