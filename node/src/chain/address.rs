//! Addresses as people write them: bech32m (BIP 350) over the first 20 bytes of a key's SHA-256 (PROTOCOL §6).

use bech32::primitives::decode::{ChecksumError, UncheckedHrpstring, UncheckedHrpstringError};
use bech32::{Bech32m, Hrp};
use thiserror::Error;

use super::types::Address;

/// Longest first part of an address, in characters.
pub const MAX_HRP_LENGTH: usize = 16;
/// Characters between the separator and the checksum: 20 bytes, five bits each.
const DATA_CHARACTERS: usize = 32;
/// Longest text that is looked at: first part, separator, data, checksum.
const MAX_CHARACTERS: usize = MAX_HRP_LENGTH + 1 + DATA_CHARACTERS + 6;

/// Why a text is no address of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// It is longer than any address.
    #[error("an address has at most {MAX_CHARACTERS} characters, this has {0}")]
    TooLong(usize),
    /// Upper and lower case are mixed, which bech32 forbids.
    #[error("an address is all lower or all upper case")]
    MixedCase,
    /// It has not the form of bech32: a separator, and letters and digits of its alphabet.
    #[error("not an address: {0}")]
    Malformed(UncheckedHrpstringError),
    /// It is of another chain.
    #[error("an address of this chain begins with {expected}1, this with {found}1")]
    WrongPrefix {
        /// The chain's.
        expected: String,
        /// The address's.
        found: String,
    },
    /// Its checksum is that of bech32, without the m.
    #[error("the checksum is bech32's, not bech32m's")]
    NotBech32m,
    /// Something in it is mistyped.
    #[error("the checksum is wrong: a character is mistyped or missing")]
    Checksum,
    /// It holds more or less than 20 bytes.
    #[error("an address has {DATA_CHARACTERS} characters before its checksum, this has {0}")]
    Length(usize),
}

/// Whether `hrp` may be the first part of a chain's addresses: 1 to 16 characters of bech32, none in upper case.
#[must_use]
pub fn is_valid_hrp(hrp: &str) -> bool {
    hrp.len() <= MAX_HRP_LENGTH && Hrp::parse(hrp).is_ok() && !hrp.bytes().any(|byte| byte.is_ascii_uppercase())
}

impl Address {
    /// The address as people write it on the chain whose addresses begin with `hrp`.
    ///
    /// # Panics
    /// If `hrp` is not valid ([`is_valid_hrp`]), which that of checked parameters is.
    #[must_use]
    pub fn encode(&self, hrp: &str) -> String {
        let hrp = Hrp::parse(hrp).expect("parameters were checked");
        bech32::encode_lower::<Bech32m>(hrp, &self.0).expect("20 bytes are far below bech32m's limit")
    }

    /// Reads an address of the chain whose addresses begin with `hrp`.
    ///
    /// # Errors
    /// If it is none; see [`AddressError`].
    pub fn parse(text: &str, hrp: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_CHARACTERS {
            return Err(AddressError::TooLong(text.len()));
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) && text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(AddressError::MixedCase);
        }
        let parts = UncheckedHrpstring::new(text).map_err(AddressError::Malformed)?;
        let found = parts.hrp().to_lowercase();
        if found != hrp {
            return Err(AddressError::WrongPrefix { expected: hrp.to_owned(), found });
        }
        match parts.validate_checksum::<Bech32m>() {
            Ok(()) => {}
            Err(ChecksumError::InvalidResidue(residue)) if residue.matches_bech32_checksum() => {
                return Err(AddressError::NotBech32m);
            }
            Err(_) => return Err(AddressError::Checksum),
        }
        let data = parts.remove_checksum::<Bech32m>();
        // Counted in characters: 33 of them would hold 20 bytes as well, and some spare bits.
        let length = data.data_part_ascii_no_checksum().len();
        if length != DATA_CHARACTERS {
            return Err(AddressError::Length(length));
        }
        let mut address = Self::ZERO;
        address.0.iter_mut().zip(data.byte_iter()).for_each(|(to, from)| *to = from);
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use bech32::{Bech32, Fe32, Fe32IterExt};
    use proptest::prelude::*;

    use super::*;
    use crate::chain::AccountKey;

    const ADDRESS: Address = Address([0xab; 20]);

    #[test]
    fn known_text() {
        // The example in the documentation of the crate bech32.
        assert_eq!(ADDRESS.encode("abc"), "abc14w46h2at4w46h2at4w46h2at4w46h2at958ngu");
        assert_eq!(Address::parse("abc14w46h2at4w46h2at4w46h2at4w46h2at958ngu", "abc"), Ok(ADDRESS));
        assert_eq!(Address::parse("ABC14W46H2AT4W46H2AT4W46H2AT4W46H2AT958NGU", "abc"), Ok(ADDRESS));
    }

    #[test]
    fn an_address_is_the_hash_of_the_key() {
        // SHA-256 of 32 zero bytes begins 66687aad.
        assert_eq!(AccountKey::ZERO.address().0[..4], [0x66, 0x68, 0x7a, 0xad]);
    }

    #[test]
    fn each_mistake_has_its_error() {
        let good = ADDRESS.encode("tst");
        assert_eq!(Address::parse(&good.replacen('t', "T", 1), "tst"), Err(AddressError::MixedCase));
        assert_eq!(
            Address::parse(&good, "st"),
            Err(AddressError::WrongPrefix { expected: "st".into(), found: "tst".into() })
        );
        let hrp = Hrp::parse("tst").unwrap();
        let old = bech32::encode::<Bech32>(hrp, &ADDRESS.0).unwrap();
        assert_eq!(Address::parse(&old, "tst"), Err(AddressError::NotBech32m));
        let last = if good.ends_with('q') { "p" } else { "q" };
        let mistyped = format!("{}{last}", &good[..good.len() - 1]);
        assert_eq!(Address::parse(&mistyped, "tst"), Err(AddressError::Checksum));
        assert_eq!(Address::parse(&"q".repeat(1000), "tst"), Err(AddressError::TooLong(1000)));
        assert!(matches!(Address::parse("", "tst"), Err(AddressError::Malformed(_))));
        assert!(matches!(Address::parse("tst", "tst"), Err(AddressError::Malformed(_))));
        assert!(matches!(Address::parse("tst1bbbbbbbb", "tst"), Err(AddressError::Malformed(_))));
        assert_eq!(Address::parse("tst1qq", "tst"), Err(AddressError::Checksum));
        for (bytes, characters) in [(19, 31), (21, 34), (0, 0)] {
            let text = bech32::encode::<Bech32m>(hrp, &vec![0; bytes]).unwrap();
            assert_eq!(Address::parse(&text, "tst"), Err(AddressError::Length(characters)));
        }
        let spare: String = [Fe32::P; 33].into_iter().with_checksum::<Bech32m>(&hrp).chars().collect();
        assert_eq!(Address::parse(&spare, "tst"), Err(AddressError::Length(33)));
    }

    #[test]
    fn first_parts() {
        assert!(["st", "tst", "a", "0123456789abcdef"].iter().all(|hrp| is_valid_hrp(hrp)));
        assert!(!["", "St", "s t", "ä", "0123456789abcdefg", "a\u{7f}"].iter().any(|hrp| is_valid_hrp(hrp)));
    }

    proptest! {
        #[test]
        fn round_trip(bytes: [u8; 20]) {
            let address = Address(bytes);
            prop_assert_eq!(Address::parse(&address.encode("lst"), "lst"), Ok(address));
        }

        #[test]
        fn any_text_is_judged(text in "\\PC{0,60}") {
            let _ = Address::parse(&text, "st");
        }

        #[test]
        fn one_mistyped_character_is_seen(bytes: [u8; 20], at in 3_usize..41, with in "[qpzry9x8gf2tvdw0s3jn54khce6mua7l]") {
            let good = Address(bytes).encode("st");
            let mut text = good.clone();
            text.replace_range(at..=at, &with);
            prop_assert_eq!(Address::parse(&text, "st").is_ok(), text == good);
        }
    }
}
