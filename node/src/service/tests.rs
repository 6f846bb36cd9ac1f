//! What becomes of a participant whose surroundings end.

use super::*;
use crate::consensus::{Fees, Specification};
use crate::manager::{self, ChainManager};
use crate::mempool::Limits;
use crate::network::PeerId;
use crate::network::book::Book;
use crate::network::message::Tip;
use crate::network::peers::{PeerOptions, Peers};
use crate::participant::Options;
use crate::store::MemoryDatabase;
use crate::sync::{Sync, SyncOptions};

/// A network in which nothing happens, until it ends.
struct Silent(Option<oneshot::Receiver<()>>);

impl Wire for Silent {
    async fn next(&mut self) -> Option<Input> {
        match &mut self.0 {
            Some(end) => drop(end.await),
            None => std::future::pending().await,
        }
        None
    }

    async fn act(&mut self, _: Effect) {}
}

fn participant() -> Participant<MemoryDatabase> {
    let specification = Arc::new(Specification::local());
    let database = Arc::new(MemoryDatabase::default());
    let chain = ChainManager::open(specification, database, [1; 32], manager::Options { keep_bodies: None });
    let chain = chain.expect("an empty store");
    let options = PeerOptions::new(PeerId([1; 32]), chain.genesis().id);
    let peers = Peers::new(options, Book::new([1; 32], false), Tip::from(chain.tip()), [1; 32], now_ms());
    let floor = Fees::ZERO;
    let options = Options { software: "test".into(), mine_alone: true, pool: Limits::new(floor) };
    Participant::new(options, chain, peers, Sync::new(SyncOptions::default()))
}

#[tokio::test]
async fn a_network_that_ends_by_itself_ends_the_participant_with_a_word() {
    let (end, ends) = oneshot::channel();
    let mut running = Running::start(participant(), Silent(Some(ends))).expect("threads");
    let handle = running.handle().clone();
    assert!(handle.with(|participant, _| participant.chain().tip().height).await.is_ok(), "it runs");
    drop(end);
    running.ended().await;
    assert_eq!(handle.with(|_, _| ()).await, Err(Stopped));
    assert!(matches!(running.stop(), Err(EndError::Network)));
}

#[tokio::test]
async fn a_participant_that_is_stopped_is_given_back() {
    let running = Running::start(participant(), Silent(None)).expect("threads");
    let participant = running.stop().expect("nothing has ended by itself");
    assert_eq!(participant.chain().tip().height.0, 0);
}
