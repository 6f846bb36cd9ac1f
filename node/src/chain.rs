//! Objects of the chain, their encoding and ids, and the rules that one block
//! can be judged by (PROTOCOL §6, §9, §10).

pub mod types;

pub use types::{
    AccountKey, AccountSignature, Address, Amount, BlockId, Epoch, Hash, Height, MinerKey, MinerSignature, PlotId,
    TransactionId,
};
