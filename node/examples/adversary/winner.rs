//! Harm by somebody who wins epochs, or seems to.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;

use spacetime_node::builder::Win;
use spacetime_node::chain::{Block, BlockId, Capped, Epoch, Hash, Metadata};
use spacetime_node::network::message::{Gossip, ProvedHeader, Request, Response};

use crate::attack::Attack;
use crate::peer::Reply;

/// How deep below the tip forged headers leave the chain: less than forks are followed.
const DEPTH: u64 = 40;
/// Blocks that are signed for one epoch.
const SIGNED: u64 = 12;
/// How late in an epoch a win is used at the latest, in milliseconds: its block has to get around.
const LATE_MS: u64 = 700;

/// Waits for an epoch that is won, upon the node's tip. None if the time is over before.
async fn next_win(attack: &mut Attack, after: Epoch) -> Option<Win> {
    while attack.goes_on() {
        if attack.chain.follow(&mut attack.peer).await {
            attack.peer.tip = attack.chain.tip();
            let (epoch, begins_ms) = attack.chain.epoch();
            let late = crate::peer::now_ms().saturating_sub(begins_ms);
            if epoch > after
                && late < LATE_MS
                && let Some(win) = attack.chain.win(epoch, begins_ms + late)
            {
                return Some(win);
            }
        }
        attack.linger_ms(100).await;
    }
    None
}

async fn next_block(attack: &mut Attack, after: Epoch) -> Result<Option<Block>, Box<dyn Error>> {
    let Some(win) = next_win(attack, after).await else { return Ok(None) };
    let genesis = attack.chain.genesis();
    let template = attack.chain.template(&win)?;
    Ok(Some(template.sign(&attack.chain.people.miner.secret, &genesis, None)))
}

fn publish(attack: &mut Attack, block: Block) {
    attack.report.sent += u64::from(attack.peer.publish(&Gossip::Proposal(Box::new(block))));
}

/// Shows headers of a heavy chain which nobody won.
pub(crate) async fn forged_headers(attack: &mut Attack) {
    attack.chain.follow(&mut attack.peer).await;
    let headers = attack.chain.forged_headers(DEPTH);
    attack.report.sent = headers.len() as u64;
    attack.peer.behave(move |request| match request {
        Request::Headers(asked) => {
            let some = headers.iter().take(asked.limit as usize).cloned().collect();
            Capped::new(some).map_or(Reply::Usual, |headers| Reply::Answer(Response::Headers(headers)))
        }
        _ => Reply::Usual,
    });
    // It says so again, so that it is asked.
    let tip = attack.chain.heavy_tip(0);
    while attack.goes_on() {
        attack.peer.tell(tip);
        attack.linger_ms(500).await;
    }
}

/// A header that won, with another block's body.
pub(crate) async fn bad_body(attack: &mut Attack) -> Result<(), Box<dyn Error>> {
    if let Some(mut block) = next_block(attack, Epoch(0)).await? {
        block.transactions.push(block.transactions[0].clone());
        publish(attack, block);
    }
    Ok(())
}

/// A block that says that another state comes of it.
pub(crate) async fn bad_state(attack: &mut Attack) -> Result<(), Box<dyn Error>> {
    if let Some(block) = next_block(attack, Epoch(0)).await? {
        let block = attack.chain.resigned(&block, |header| header.state_root = Hash([0xbd; 32]));
        publish(attack, block);
    }
    Ok(())
}

/// Many blocks for one epoch, all of them right.
pub(crate) async fn equivocation(attack: &mut Attack) -> Result<(), Box<dyn Error>> {
    let mut last = Epoch(0);
    while let Some(block) = next_block(attack, last).await? {
        last = block.header.epoch;
        for number in 0..SIGNED {
            let other = attack.chain.resigned(&block, |header| header.timestamp_ms ^= number);
            publish(attack, other);
            // One after another, so that each is looked at.
            attack.linger_ms(20).await;
        }
    }
    Ok(())
}

/// A block that is claimed and shown, and not given.
pub(crate) async fn withheld(attack: &mut Attack) -> Result<(), Box<dyn Error>> {
    let shown: Rc<RefCell<Option<(BlockId, ProvedHeader)>>> = Rc::default();
    let seen = Rc::clone(&shown);
    attack.peer.behave(move |request| match (request, &*seen.borrow()) {
        (Request::Headers(asked), Some((parent, proved))) if asked.locator.contains(parent) => {
            let headers = Capped::new(vec![proved.clone()]).expect("one is few");
            Reply::Answer(Response::Headers(headers))
        }
        _ => Reply::Usual,
    });
    let mut last = Epoch(0);
    while let Some(block) = next_block(attack, last).await? {
        last = block.header.epoch;
        let tip = attack.chain.tip_with(&block);
        let proved = ProvedHeader { header: block.header.clone(), proof: block.proof.clone() };
        *shown.borrow_mut() = Some((block.header.parent, proved));
        attack.peer.tell(tip);
        attack.report.sent += 1;
        attack.linger_ms(500).await;
    }
    Ok(())
}

/// One block over and over: what it says of the software is not part of its id, so that no two messages are alike.
pub(crate) async fn same_block(attack: &mut Attack) -> Result<(), Box<dyn Error>> {
    let Some(mut block) = next_block(attack, Epoch(0)).await? else { return Ok(()) };
    let mut number = 0_u64;
    while attack.goes_on() {
        block.metadata = Metadata::new(format!("version {number}").into_bytes());
        number += 1;
        publish(attack, block.clone());
        if number.is_multiple_of(50) {
            attack.linger_ms(10).await;
        }
    }
    Ok(())
}
