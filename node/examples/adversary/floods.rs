//! Harm by too much.

use std::time::Duration;

use spacetime_node::chain::{Amount, Capped};
use spacetime_node::network::message::{GetHeaders, Gossip, MAX_BLOCKS, Request};
use spacetime_node::testing::{Random, Wallet};
use tokio::time::Instant;

use crate::attack::Attack;
use crate::peer::encoded;
use crate::wire::framed;

/// Messages between two looks at what comes back.
const LOT: u64 = 500;
/// Transactions of each account that are paid for: as many as a pool holds of one.
const EACH: u64 = 60;
/// A fee that nodes take.
const FEE: Amount = Amount(100_000);
/// How long a slow reader reads nothing at all at a time.
const DEAF: Duration = Duration::from_secs(2);

/// Transfers of accounts that nobody ever paid, each signed as it should be.
pub(crate) async fn unpaid_transactions(attack: &mut Attack) {
    let genesis = attack.chain.genesis();
    let mut random = Random::new(99);
    let receiver = Wallet::new(random.bytes()).address;
    while attack.goes_on() {
        // A new account each time: of one account only so many nonces would be looked at.
        for _ in 0..LOT {
            let transaction = Wallet::new(random.bytes()).transfer(&genesis, 0, Amount::ZERO, receiver, Amount(1));
            attack.report.sent += u64::from(attack.peer.publish(&Gossip::Transaction(Box::new(transaction))));
        }
        attack.linger_ms(5).await;
    }
}

/// A transfer that its account did not sign, and nothing else is wrong with: what is cheap to see is seen before.
pub(crate) fn forged_transaction(attack: &mut Attack) {
    let (genesis, wallets) = (attack.chain.genesis(), &attack.chain.people.wallets);
    let (Some(forged), other) = (wallets.last(), &wallets[0]) else { return };
    let mut transaction = forged.transfer(&genesis, 0, FEE, other.address, Amount(1));
    let other = other.transfer(&genesis, 0, FEE, other.address, Amount(1));
    transaction.signatures = other.signatures;
    attack.report.sent = u64::from(attack.peer.publish(&Gossip::Transaction(Box::new(transaction))));
}

/// Transfers among accounts that have money, but for the last of them.
pub(crate) async fn load(attack: &mut Attack) {
    let genesis = attack.chain.genesis();
    let count = attack.chain.people.wallets.len() - 1;
    for nonce in 0..EACH {
        for number in 0..count {
            let wallets = &attack.chain.people.wallets;
            let to = wallets[(number + 1) % count].address;
            let transaction = wallets[number].transfer(&genesis, nonce, FEE, to, Amount(1));
            attack.report.sent += u64::from(attack.peer.publish(&Gossip::Transaction(Box::new(transaction))));
        }
        attack.linger_ms(20).await;
    }
}

/// All that is large, over and over: headers from genesis, all blocks, the pool.
fn large_questions(attack: &Attack) -> Vec<Request> {
    let genesis = attack.chain.genesis();
    let headers = GetHeaders { locator: Capped::new(vec![genesis]).expect("one is few"), limit: 2000 };
    let blocks = Capped::new(attack.chain.latest(MAX_BLOCKS)).expect("as many as fit");
    vec![Request::Headers(headers), Request::Blocks(blocks), Request::Pool]
}

/// Questions as fast as they can be written.
pub(crate) async fn questions(attack: &mut Attack) {
    attack.chain.follow(&mut attack.peer).await;
    let questions: Vec<_> = large_questions(attack).iter().map(|question| framed(&encoded(question))).collect();
    while attack.goes_on() {
        for question in &questions {
            attack.report.sent += u64::from(attack.peer.send(question.clone()).is_some());
        }
        attack.linger_ms(1).await;
    }
}

/// As many questions as a node takes, whose answers are not read: neither their streams nor, for a while at a time, the
/// connection itself.
pub(crate) async fn slow_reader(attack: &mut Attack) {
    attack.chain.follow(&mut attack.peer).await;
    let questions: Vec<_> = large_questions(attack).iter().map(|question| framed(&encoded(question))).collect();
    attack.peer.read_nothing();
    while attack.goes_on() {
        for _ in 0..10 {
            for question in &questions {
                attack.report.sent += u64::from(attack.peer.send(question.clone()).is_some());
            }
        }
        attack.linger_ms(200).await;
        // Nothing of the connection is read meanwhile.
        tokio::time::sleep_until(attack.until.min(Instant::now() + DEAF)).await;
    }
}
