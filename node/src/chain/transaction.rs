//! Transactions (PROTOCOL §10).
//!
//! Encoding: kind (a byte), sender (an option of 32 bytes), nonce, fee, the
//! payload's fields, then the two signatures as options, the account's first.
//! Kinds: 0 coinbase, 1 transfer, 2 register plot, 3 activate plot, 4 retire
//! plot, 5 evidence. Others are refused until a later version of the chain has them.

use std::io::{self, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use spacetime_kernels::{Cell, PlotKey, tagged_hash};
use spacetime_prover::MAX_SIBLINGS;

use super::codec::{Capped, encode, invalid};
use super::header::Header;
use super::types::{
    AccountKey, AccountSignature, Address, Amount, BlockId, Hash, Height, MinerKey, MinerSignature, TransactionId,
};
use crate::consensus::Parameters;

/// Most bytes of a transfer's memo.
pub const MAX_MEMO_BYTES: usize = 64;
/// Most bytes of a coinbase's extra data.
pub const MAX_EXTRA_BYTES: usize = 100;
/// Most outputs of a coinbase.
pub const MAX_OUTPUTS: usize = 16;
/// Most openings of any chain.
pub const MAX_OPENINGS: usize = 255;

/// A change of the state that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The account that pays the fee and whose nonce counts; none in a coinbase and where a plot's miner pays nothing.
    pub sender: Option<AccountKey>,
    /// The sender's next nonce; 0 without a sender.
    pub nonce: u64,
    /// The fee; 0 without a sender.
    pub fee: Amount,
    /// What is asked for.
    pub payload: Payload,
    /// Of the sender and of the miner, where each has to sign.
    pub signatures: Signatures,
}

/// What a transaction asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The block's reward.
    Coinbase(Coinbase),
    /// Money from the sender to an address.
    Transfer(Transfer),
    /// The first step of a plot's life (PROTOCOL §9).
    RegisterPlot(RegisterPlot),
    /// The second step, and the renewal of its lifetime.
    ActivatePlot(ActivatePlot),
    /// The end of a plot.
    RetirePlot(RetirePlot),
    /// Two headers that no honest miner signs.
    Evidence(Box<Evidence>),
}

/// The first transaction of every block, and only it (PROTOCOL §8).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Coinbase {
    /// The block's height.
    pub height: Height,
    /// The header's miner key.
    pub miner_key: MinerKey,
    /// Who is paid.
    pub outputs: Capped<Output, MAX_OUTPUTS>,
    /// Whatever the miner likes.
    pub extra: Capped<u8, MAX_EXTRA_BYTES>,
}

/// One payment of a coinbase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Output {
    /// Who is paid.
    pub address: Address,
    /// How much, above zero.
    pub amount: Amount,
}

/// Money for somebody.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Transfer {
    /// Whom.
    pub to: Address,
    /// How much, above zero.
    pub amount: Amount,
    /// A note for whoever reads it.
    pub memo: Capped<u8, MAX_MEMO_BYTES>,
}

/// Fixes a plot's size and content before its openings can be known.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RegisterPlot {
    /// Whose plot.
    pub miner_key: MinerKey,
    /// The miner's proof of possession.
    pub possession: MinerSignature,
    /// The plot's seed.
    pub seed: Hash,
    /// Its rows.
    pub rows: u64,
    /// Its root.
    pub root: Hash,
}

/// Shows cells that could not be known before, so that the plot must exist.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ActivatePlot {
    /// Whose plot.
    pub miner_key: MinerKey,
    /// Its plot key (PROTOCOL §2).
    pub plot_key: Hash,
    /// As many openings as the chain asks for, in the order in which they are drawn.
    pub openings: Capped<Opening, MAX_OPENINGS>,
}

/// A cell with its path; its row and column are drawn, not said.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// The cell.
    pub cell: Cell,
    /// Siblings bottom-up, `d + p` of them.
    pub siblings: Capped<Cell, MAX_SIBLINGS>,
}

/// Ends a plot.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RetirePlot {
    /// Whose plot.
    pub miner_key: MinerKey,
    /// Its plot key.
    pub plot_key: Hash,
}

/// Two different headers of one miner for one epoch (PROTOCOL §7).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Evidence {
    /// One of them.
    pub first: Header,
    /// The other.
    pub second: Header,
}

/// Signatures over the genesis id and everything before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signatures {
    /// Of the sender.
    pub account: Option<AccountSignature>,
    /// Of the plot's miner.
    pub miner: Option<MinerSignature>,
}

/// A plot's key (PROTOCOL §2).
#[must_use]
pub fn plot_key(parameters: &Parameters, miner_key: &MinerKey, seed: &[u8; 32]) -> PlotKey {
    PlotKey::derive(&parameters.network_tag().0, &miner_key.0, seed, parameters.shape())
}

impl Transaction {
    /// Its id, signatures included.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        TransactionId(tagged_hash("spacetime/transaction/v1", &[&encode(self)]))
    }

    /// Its encoding, signatures included: what is sent.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        encode(self)
    }

    /// Length of its encoding, which the least fee is reckoned by.
    ///
    /// # Panics
    /// Never: no list in it is longer than its cap.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        borsh::object_length(self).expect("counting bytes does not fail")
    }

    /// What is signed: the genesis block's id, then all but the signatures.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    #[must_use]
    pub fn signed_bytes(&self, genesis: &BlockId) -> Vec<u8> {
        let mut bytes = genesis.0.to_vec();
        self.write_unsigned(&mut bytes).expect("writing to memory does not fail");
        bytes
    }

    /// The address that pays the fee and whose nonce counts.
    #[must_use]
    pub fn sender_address(&self) -> Option<Address> {
        self.sender.map(|key| key.address())
    }

    fn write_unsigned<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.payload.kind().serialize(writer)?;
        self.sender.serialize(writer)?;
        self.nonce.serialize(writer)?;
        self.fee.serialize(writer)?;
        self.payload.write(writer)
    }
}

impl Payload {
    /// The byte that tells kinds apart.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Coinbase(_) => 0,
            Self::Transfer(_) => 1,
            Self::RegisterPlot(_) => 2,
            Self::ActivatePlot(_) => 3,
            Self::RetirePlot(_) => 4,
            Self::Evidence(_) => 5,
        }
    }

    /// The kind's name in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Coinbase(_) => "coinbase",
            Self::Transfer(_) => "transfer",
            Self::RegisterPlot(_) => "register plot",
            Self::ActivatePlot(_) => "activate plot",
            Self::RetirePlot(_) => "retire plot",
            Self::Evidence(_) => "evidence",
        }
    }

    /// The miner who has to sign, where one does.
    #[must_use]
    pub fn signing_miner(&self) -> Option<&MinerKey> {
        match self {
            Self::RegisterPlot(payload) => Some(&payload.miner_key),
            Self::ActivatePlot(payload) => Some(&payload.miner_key),
            Self::RetirePlot(payload) => Some(&payload.miner_key),
            Self::Coinbase(_) | Self::Transfer(_) | Self::Evidence(_) => None,
        }
    }

    fn write<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        match self {
            Self::Coinbase(payload) => payload.serialize(writer),
            Self::Transfer(payload) => payload.serialize(writer),
            Self::RegisterPlot(payload) => payload.serialize(writer),
            Self::ActivatePlot(payload) => payload.serialize(writer),
            Self::RetirePlot(payload) => payload.serialize(writer),
            Self::Evidence(payload) => payload.serialize(writer),
        }
    }

    fn read<R: Read>(kind: u8, reader: &mut R) -> io::Result<Self> {
        Ok(match kind {
            0 => Self::Coinbase(Coinbase::deserialize_reader(reader)?),
            1 => Self::Transfer(Transfer::deserialize_reader(reader)?),
            2 => Self::RegisterPlot(RegisterPlot::deserialize_reader(reader)?),
            3 => Self::ActivatePlot(ActivatePlot::deserialize_reader(reader)?),
            4 => Self::RetirePlot(RetirePlot::deserialize_reader(reader)?),
            5 => Self::Evidence(Box::new(Evidence::deserialize_reader(reader)?)),
            _ => return Err(invalid(format!("a transaction of kind {kind}, known are 0 to 5"))),
        })
    }
}

impl BorshSerialize for Transaction {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        self.write_unsigned(writer)?;
        self.signatures.serialize(writer)
    }
}

impl BorshDeserialize for Transaction {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let kind = u8::deserialize_reader(reader)?;
        Ok(Self {
            sender: BorshDeserialize::deserialize_reader(reader)?,
            nonce: u64::deserialize_reader(reader)?,
            fee: Amount::deserialize_reader(reader)?,
            payload: Payload::read(kind, reader)?,
            signatures: Signatures::deserialize_reader(reader)?,
        })
    }
}
