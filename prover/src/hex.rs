//! Bytes as plain lower-case hex in serde formats: exact length, no prefix.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

/// `N` bytes that serialise as hex.
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&const_hex::encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != 2 * N {
            return Err(D::Error::custom(format!("expected {} hex digits, found {} characters", 2 * N, text.len())));
        }
        const_hex::decode_to_array(&text).map(Self).map_err(|error| D::Error::custom(format!("wrong hex: {error}")))
    }
}

/// For `#[serde(with = "hex::array")]`.
pub(crate) mod array {
    use super::{Deserialize, Deserializer, Hex, Serialize, Serializer};

    pub(crate) fn serialize<const N: usize, S: Serializer>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
        Hex(*bytes).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; N], D::Error> {
        Hex::deserialize(deserializer).map(|hex| hex.0)
    }
}

/// For `#[serde(with = "hex::optional")]`.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, Hex, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.map(Hex).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
        Option::<Hex<32>>::deserialize(deserializer).map(|hex| hex.map(|hex| hex.0))
    }
}

/// For `#[serde(with = "hex::siblings")]`: a list no longer than a path can be.
pub(crate) mod siblings {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use spacetime_kernels::Cell;

    use super::{Deserializer, Hex, Serializer};
    use crate::proof::MAX_SIBLINGS;

    pub(crate) fn serialize<S: Serializer>(siblings: &[Cell], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(siblings.iter().map(|sibling| Hex(*sibling)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cell>, D::Error> {
        struct Siblings;
        impl<'de> Visitor<'de> for Siblings {
            type Value = Vec<Cell>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_SIBLINGS} siblings")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Cell>, A::Error> {
                let mut siblings = Vec::new();
                while let Some(Hex(sibling)) = list.next_element()? {
                    if siblings.len() == MAX_SIBLINGS {
                        return Err(A::Error::custom(format!("more than {MAX_SIBLINGS} siblings")));
                    }
                    siblings.push(sibling);
                }
                Ok(siblings)
            }
        }
        deserializer.deserialize_seq(Siblings)
    }
}
