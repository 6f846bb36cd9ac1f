//! Making a store, and opening one that is there.

use thiserror::Error;

/// The format that this program writes. Later ones are refused.
pub const FORMAT: u32 = 1;

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {}
