//! Objects of the chain, their encoding and ids, and the rules that one block
//! can be judged by (PROTOCOL §6, §9, §10).
//!
//! Everything is encoded with borsh: fields in the order they are declared in,
//! integers little-endian, byte arrays as they are, lists with a count of four
//! bytes before them, options with a byte 0 or 1, truths as a byte 0 or 1, texts
//! as lists of their bytes in UTF-8. Hashes, keys, targets and scores are byte
//! arrays, the last two big-endian numbers. An object's id is
//! `H_"spacetime/<name>/v1"` over its encoding; the names are `header`, `proof`
//! and `transaction`. `node/tests/data/golden.json` has one of each, and
//! `golden.py` beside it makes them again from these words.

pub mod address;
mod block;
pub mod bls;
pub(crate) mod codec;
pub mod ed25519;
mod header;
pub(crate) mod proof;
pub mod rows;
pub mod rules;
mod transaction;
pub mod types;
pub mod verify;

pub use address::AddressError;
pub use block::{
    Block, MAX_METADATA_BYTES, Metadata, first_transaction_path, transaction_root, transaction_root_by_path,
};
pub(crate) use codec::encode;
pub use codec::{Capped, DecodeError, decode};
pub use header::{HEADER_BYTES, HEADER_VERSION, Header};
pub use proof::proof_id;
pub use transaction::{
    ActivatePlot, Coinbase, Evidence, MAX_EXTRA_BYTES, MAX_MEMO_BYTES, MAX_OPENINGS, MAX_OUTPUTS, Opening, Output,
    Payload, RegisterPlot, RetirePlot, Signatures, Transaction, Transfer, plot_key,
};
pub use types::{
    AccountKey, AccountSignature, Address, Amount, BlockId, Epoch, Hash, Height, MinerKey, MinerSignature, PlotId,
    TransactionId,
};
