//! Rules that need a block alone, or a block and what its parent leaves behind. None of them looks at a state.

mod block;
mod header;
mod signatures;
mod transaction;

pub(crate) use block::coinbase;
pub use block::{BlockError, check_body};
pub use header::{CLOCK_TOLERANCE_MS, CheckedHeader, HeaderError, check_header};
pub use signatures::{SignatureClaim, SignatureRule, Signer, header_claims, transaction_claims};
pub use transaction::{TransactionError, check_form, least_fee};
