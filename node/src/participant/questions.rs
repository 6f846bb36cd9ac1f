//! What peers ask, and what they answer.

use super::{Effect, NOTICE_MS, Participant, RequestFailure, RequestId, Ticket};
use borsh::BorshSerialize;

use crate::chain::codec::Counter;
use crate::chain::{Capped, Epoch, Hash};
use crate::consensus::Engine;
use crate::network::PeerId;
use crate::network::message::{CAPABLE_POOL, MAX_POOL, MAX_POOL_BYTES, NewChallenge, Request, Response, Tip};
use crate::network::offence::Offence;
use crate::network::peers::{Asked, Notice};
use crate::store::{Database, StoreError};
use crate::sync::serve;

/// Pools that are asked for at a time: one peer's holds most of what another's does.
const MAX_POOLS_ASKED: usize = 3;
/// How long a peer's pool is waited for, in milliseconds.
const POOL_MS: u64 = 20_000;

impl<D: Database> Participant<D> {
    pub(super) fn question(
        &mut self,
        peer: PeerId,
        ticket: Ticket,
        request: Request,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let (ticket, request) = match self.peers.request(&peer, ticket, request, now_ms) {
            Asked::Done(effects) => {
                self.effects.extend(effects);
                return Ok(());
            }
            Asked::Pass(ticket, request) => (ticket, request),
        };
        let response = match request {
            Request::Headers(ask) => serve::headers(self.chain.store(), &ask)?,
            Request::Blocks(ids) => serve::blocks(self.chain.store(), &ids)?,
            Request::Pool => Response::Pool(self.pool_sample()),
            Request::NewChallenge(NewChallenge { tip, .. }) | Request::BlockAccepted(tip) => {
                // A block that is being looked at needs no catching up with.
                if !self.chain.is_pending(&tip.id) {
                    self.sync.peer_tip(&peer, tip);
                }
                Response::Done
            }
            Request::Hello(_) | Request::Peers | Request::Ping(_) => Response::Refused,
        };
        if matches!(response, Response::Headers(_) | Response::Blocks(_) | Response::Pool(_)) {
            self.peers.sent(&peer, encoded_len(&response), now_ms);
        }
        self.effects.push(Effect::Respond { ticket, response });
        Ok(())
    }

    pub(super) fn answer(
        &mut self,
        peer: PeerId,
        id: RequestId,
        result: Result<Response, RequestFailure>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        if self.sync.asked(id) {
            if let Ok(response) = &result {
                self.peers.answered(&peer, matches!(response, Response::Refused));
            }
            self.sync.response(&peer, id, result, now_ms);
            return Ok(());
        }
        if self.peers.asked(id) {
            let effects = self.peers.response(&peer, id, result, now_ms);
            self.effects.extend(effects);
            return Ok(());
        }
        match (self.pools_asked.remove(&id), result) {
            (true, Ok(Response::Pool(transactions))) => self.take_pool(peer, transactions.into_inner(), now_ms),
            (true, Ok(Response::Done | Response::Refused) | Err(_)) => Ok(()),
            (true, Ok(_)) => {
                self.offence(peer, Offence::WrongAnswer, now_ms);
                Ok(())
            }
            // What was told needs no answer. And what was asked may have been given up while its answer waited: the
            // edge lets nothing through that is no answer to a question.
            (false, _) => Ok(()),
        }
    }

    /// Who became ready takes part, who is gone does not.
    pub(super) fn notice_peers(&mut self, now_ms: u64) {
        for notice in self.peers.notices() {
            match notice {
                Notice::Gone(peer) => self.sync.peer_gone(&peer),
                Notice::Ready(peer, tip) => {
                    let capabilities = self.peers.capabilities(&peer);
                    self.sync.peer_ready(peer, tip, capabilities);
                    let has_pool = capabilities & CAPABLE_POOL != 0;
                    if has_pool && self.pools_asked.len() < MAX_POOLS_ASKED && !self.is_behind() {
                        let id = self.ids.next();
                        self.pools_asked.insert(id);
                        let deadline_ms = now_ms + POOL_MS;
                        self.effects.push(Effect::Request { peer, id, request: Request::Pool, deadline_ms });
                    }
                }
            }
        }
    }

    /// Tells all peers something that needs no answer.
    pub(super) fn tell_peers(&mut self, request: &Request, now_ms: u64) {
        let deadline_ms = now_ms + NOTICE_MS;
        for (peer, _) in self.peers.ready() {
            let id = self.ids.next();
            self.effects.push(Effect::Request { peer, id, request: request.clone(), deadline_ms });
        }
    }

    /// The best of the pool that fit into one answer.
    fn pool_sample(&self) -> Capped<crate::chain::Transaction, MAX_POOL> {
        let (mut transactions, mut bytes) = (Vec::new(), 0);
        for transaction in self.pool.pool().iter() {
            bytes += transaction.bytes();
            if transactions.len() == MAX_POOL || bytes > MAX_POOL_BYTES {
                break;
            }
            transactions.push(transaction.get().clone());
        }
        Capped::new(transactions).expect("no more were taken")
    }

    /// Tells all peers once an epoch what is drawn on this chain: whoever draws something else, or has missed a block,
    /// finds out.
    pub(super) fn tell_challenge(&mut self, now_ms: u64) {
        let Some(epoch) = self.chain.engine().epoch_of(now_ms).filter(|epoch| *epoch > Epoch(0)) else { return };
        if self.challenged == Some(epoch) || self.is_behind() {
            return;
        }
        self.challenged = Some(epoch);
        let tip = self.chain.tip();
        let challenge = Hash(self.chain.engine().claim(tip, epoch).challenge.0);
        let told = NewChallenge { epoch, challenge, tip: Tip::from(tip) };
        self.tell_peers(&Request::NewChallenge(told), now_ms);
    }
}

/// Bytes of an answer.
fn encoded_len(response: &Response) -> usize {
    let mut counter = Counter(0);
    response.serialize(&mut counter).expect("counting bytes does not fail");
    counter.0
}
