//! 256-bit numbers as the chain writes them: 32 bytes, big-endian.

use crypto_bigint::U256;
use spacetime_kernels::Target;

/// The number that `target` stands for.
pub(super) fn from_target(target: &Target) -> U256 {
    U256::from_be_slice(&target.0)
}

/// The target that stands for `number`.
pub(super) fn to_target(number: &U256) -> Target {
    Target(to_bytes(number))
}

/// The bytes of `number`.
pub(super) fn to_bytes(number: &U256) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(number.to_be_bytes().as_ref());
    bytes
}
