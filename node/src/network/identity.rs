//! Who this node is to others: an Ed25519 key.

use libp2p::identity::Keypair;

use super::PeerId;

/// A node's key.
#[derive(Clone)]
pub struct Identity(Keypair);

impl Identity {
    /// The key of a secret, as [`crate::config::read_or_make_secret`] gives it.
    ///
    /// # Panics
    /// Never: any 32 bytes are the secret of an Ed25519 key.
    #[must_use]
    pub fn from_secret(mut secret: [u8; 32]) -> Self {
        // It wipes what it is given.
        Self(Keypair::ed25519_from_bytes(&mut secret).expect("any 32 bytes are a secret"))
    }

    /// Who that is.
    ///
    /// # Panics
    /// Never: the key is Ed25519.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        from_libp2p(&self.0.public().to_peer_id()).expect("the key is Ed25519")
    }

    pub(super) fn keypair(&self) -> Keypair {
        self.0.clone()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Identity({})", self.peer_id())
    }
}

/// libp2p's id as ours. None if its key is not Ed25519.
pub(super) fn from_libp2p(id: &libp2p::PeerId) -> Option<PeerId> {
    PeerId::from_multihash(&id.to_bytes())
}

/// Our id as libp2p's.
pub(super) fn to_libp2p(id: PeerId) -> libp2p::PeerId {
    libp2p::PeerId::from_bytes(&id.to_multihash()).expect("an identity multihash of 36 bytes is a peer id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_on_both_sides() {
        let identity = Identity::from_secret([7; 32]);
        let ours = identity.peer_id();
        let theirs = identity.0.public().to_peer_id();
        assert_eq!((to_libp2p(ours), from_libp2p(&theirs)), (theirs, Some(ours)));
        assert_eq!(ours.to_string(), theirs.to_base58());
        assert_eq!(format!("{identity:?}"), format!("Identity({ours})"));
        // Whatever key, one on the curve or not.
        for byte in 0..=255 {
            assert_eq!(from_libp2p(&to_libp2p(PeerId([byte; 32]))), Some(PeerId([byte; 32])));
        }
        // A hash of a longer key is nobody.
        let other = libp2p::PeerId::random();
        assert_eq!(
            from_libp2p(&other).is_some(),
            other.to_bytes().len() == 38 && other.to_bytes()[..6] == ours.to_multihash()[..6]
        );
    }
}
