//! Gossip: three topics, messages without a sender, named by their content, each judged before it is forwarded.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, DataTransform, IdentTopic, IdentityTransform, Message, MessageAuthenticity, MessageId,
    RawMessage, TopicHash, ValidationMode, WhitelistSubscriptionFilter,
};

use crate::chain::BlockId;
use crate::network::message::{GOSSIP_SEEN_MS, Gossip, GossipId, MAX_GOSSIP_BYTES};

/// Gossip, with the topics that peers may subscribe to: others would only take room.
pub(super) type Gossipsub = Behaviour<OwnTopics, WhitelistSubscriptionFilter>;

/// What surrounds a message on its way: the topic's name, and what was read behind it already.
const ENVELOPE_BYTES: usize = 32 << 10;

/// The topics of a chain.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    proposal: TopicHash,
    submission: TopicHash,
    transaction: TopicHash,
}

impl Topics {
    pub(super) fn new(genesis: &BlockId) -> Self {
        let topic = |name: &str| TopicHash::from_raw(format!("spacetime/{}/{name}/1", const_hex::encode(genesis.0)));
        Self { proposal: topic("proposal"), submission: topic("submission"), transaction: topic("transaction") }
    }

    fn all(&self) -> [&TopicHash; 3] {
        [&self.proposal, &self.submission, &self.transaction]
    }

    /// Whether bytes begin as a message of a topic does. Of the rest nothing is looked at.
    fn begins_well(&self, topic: &TopicHash, data: &[u8]) -> bool {
        // What borsh begins an enum with.
        let expected = match data.first() {
            Some(0) => &self.proposal,
            Some(1) => &self.submission,
            Some(2) => &self.transaction,
            _ => return false,
        };
        expected == topic
    }

    /// What a message is known again by: its content, but where it is in a topic that is not its own. Whoever says it there
    /// first must not keep it away from us.
    fn id_of(&self, topic: &TopicHash, data: &[u8]) -> GossipId {
        match self.begins_well(topic, data) {
            true => GossipId::of(data),
            false => GossipId::of(&[topic.as_str().as_bytes(), data].concat()),
        }
    }

    /// Where a message belongs.
    pub(super) fn of(&self, gossip: &Gossip) -> &TopicHash {
        match gossip {
            Gossip::Proposal(_) => &self.proposal,
            Gossip::Submission(_) => &self.submission,
            Gossip::Transaction(_) => &self.transaction,
        }
    }
}

/// Lets in what stands in the topics of the chain: what is said in others would take room, and nobody would look at it.
pub(super) struct OwnTopics(Topics);

impl DataTransform for OwnTopics {
    fn inbound_transform(&self, raw: RawMessage) -> io::Result<Message> {
        match self.0.all().contains(&&raw.topic) {
            true => IdentityTransform.inbound_transform(raw),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}

/// A message's name.
pub(super) fn message_id(id: GossipId) -> MessageId {
    MessageId::from(id.0.to_vec())
}

/// The name's message.
pub(super) fn gossip_id(id: &MessageId) -> Option<GossipId> {
    id.0.as_slice().try_into().ok().map(GossipId)
}

/// Gossip on a chain, all topics subscribed to.
pub(super) fn gossipsub(genesis: &BlockId) -> Result<Gossipsub, Box<dyn std::error::Error + Send + Sync>> {
    let topics = Topics::new(genesis);
    let named = topics.clone();
    let mut config = ConfigBuilder::default();
    config
        .protocol_id_prefix(format!("/spacetime/{}/gossip", const_hex::encode(genesis.0)))
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(move |message: &Message| message_id(named.id_of(&message.topic, &message.data)))
        .max_transmit_size(MAX_GOSSIP_BYTES + ENVELOPE_BYTES)
        .duplicate_cache_time(Duration::from_millis(GOSSIP_SEEN_MS))
        // What we make ourselves goes to all at once.
        .flood_publish(true)
        // All peers of a small network, half a dozen of a large one.
        .mesh_n(6)
        .mesh_n_low(4)
        .mesh_n_high(12)
        .mesh_outbound_min(2)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .heartbeat_interval(Duration::from_secs(1))
        // "I have it, do not send it" is said to all before a message is looked at, even where it comes from somebody
        // whose messages are not taken yet: whoever is quick could keep a block away from us.
        .idontwant_message_size_threshold(usize::MAX)
        // Blocks wait for a slow reader no longer than they are news.
        .connection_handler_queue_len(1024);
    let allowed: HashSet<_> = topics.all().map(TopicHash::clone).into();
    let mut gossip = Gossipsub::new_with_subscription_filter_and_transform(
        MessageAuthenticity::Anonymous,
        config.build()?,
        WhitelistSubscriptionFilter(allowed),
        OwnTopics(topics.clone()),
    )?;
    for topic in topics.all() {
        // Its hash is its name.
        gossip.subscribe(&IdentTopic::new(topic.as_str()))?;
    }
    Ok(gossip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::encode;
    use crate::chain::{Address, Amount};
    use crate::testing::Wallet;

    #[test]
    fn a_message_in_another_topic_is_another_message() {
        let topics = Topics::new(&BlockId([7; 32]));
        let sent = Wallet::new([1; 32]).transfer(&BlockId([7; 32]), 0, Amount(1), Address([2; 20]), Amount(3));
        let gossip = Gossip::Transaction(Box::new(sent));
        let data = encode(&gossip);
        assert_eq!(topics.id_of(topics.of(&gossip), &data), GossipId::of(&data));
        for topic in [&topics.proposal, &topics.submission] {
            assert_ne!(topics.id_of(topic, &data), GossipId::of(&data));
        }
        assert!(!topics.begins_well(topics.of(&gossip), &[]) && !topics.begins_well(topics.of(&gossip), &[3]));
    }

    #[test]
    fn what_is_said_in_topics_of_nobody_does_not_come_in() {
        let topics = Topics::new(&BlockId([7; 32]));
        let said_in = |topic| {
            let raw = RawMessage {
                source: None,
                data: vec![2],
                sequence_number: None,
                topic,
                signature: None,
                key: None,
                validated: false,
            };
            OwnTopics(topics.clone()).inbound_transform(raw).is_ok()
        };
        assert!(said_in(topics.transaction.clone()) && !said_in(TopicHash::from_raw("x")));
    }
}
