//! Which signatures a header or transaction claims, so that those of many can be checked together.

use std::fmt;

use crate::chain::{AccountKey, AccountSignature, BlockId, Header, MinerKey, MinerSignature, Payload, Transaction};

/// Which signature is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureRule {
    /// The header's, over all its other fields (§6).
    Header,
    /// The reveal, over the challenge (§7).
    Reveal,
    /// The sender's (§10).
    Account,
    /// The plot's miner's (§10).
    Miner,
    /// The miner's proof of possession (§6).
    Possession,
    /// That of evidence's first header (§7).
    FirstHeader,
    /// That of evidence's second header (§7).
    SecondHeader,
}

impl fmt::Display for SignatureRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the header's signature",
            Self::Reveal => "the reveal",
            Self::Account => "the sender's signature",
            Self::Miner => "the miner's signature",
            Self::Possession => "the miner's proof of possession",
            Self::FirstHeader => "the signature of the evidence's first header",
            Self::SecondHeader => "the signature of the evidence's second header",
        })
    }
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// A miner, under the ciphersuite for messages.
    Miner(MinerKey, MinerSignature),
    /// A miner, under that for proofs of possession.
    Possession(MinerKey, MinerSignature),
    /// An account.
    Account(AccountKey, AccountSignature),
}

/// A signature that is yet to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureClaim {
    /// Whose it is.
    pub signer: Signer,
    /// What was signed; for a proof of possession the key comes after the genesis id by itself.
    pub message: Vec<u8>,
    /// What is broken if it does not hold.
    pub rule: SignatureRule,
}

/// A header's two signatures; `reveal_message` is what PROTOCOL §7 has revealed.
#[must_use]
pub fn header_claims(header: &Header, genesis: &BlockId, reveal_message: Vec<u8>) -> [SignatureClaim; 2] {
    let claim =
        |signature, message, rule| SignatureClaim { signer: Signer::Miner(header.miner_key, signature), message, rule };
    [
        claim(header.signature, header.signed_bytes(genesis), SignatureRule::Header),
        claim(header.reveal, reveal_message, SignatureRule::Reveal),
    ]
}

/// The signatures of a transaction whose form was checked.
#[must_use]
pub fn transaction_claims(transaction: &Transaction, genesis: &BlockId) -> Vec<SignatureClaim> {
    let mut claims = Vec::new();
    let mut add = |signer, message, rule| claims.push(SignatureClaim { signer, message, rule });
    if let (Some(key), Some(signature)) = (transaction.sender, transaction.signatures.account) {
        add(Signer::Account(key, signature), transaction.signed_bytes(genesis), SignatureRule::Account);
    }
    if let (Some(key), Some(signature)) = (transaction.payload.signing_miner(), transaction.signatures.miner) {
        add(Signer::Miner(*key, signature), transaction.signed_bytes(genesis), SignatureRule::Miner);
    }
    match &transaction.payload {
        Payload::RegisterPlot(register) => {
            let signer = Signer::Possession(register.miner_key, register.possession);
            add(signer, Vec::new(), SignatureRule::Possession);
        }
        Payload::Evidence(evidence) => {
            let headers =
                [(&evidence.first, SignatureRule::FirstHeader), (&evidence.second, SignatureRule::SecondHeader)];
            for (header, rule) in headers {
                let signer = Signer::Miner(header.miner_key, header.signature);
                add(signer, header.signed_bytes(genesis), rule);
            }
        }
        _ => {}
    }
    claims
}
