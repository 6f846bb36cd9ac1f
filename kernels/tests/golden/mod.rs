//! Reads the protocol's golden vectors.

use serde_json::Value;
use spacetime_kernels::{PlotKey, Shape, network_tag};

pub(crate) fn vectors() -> Value {
    serde_json::from_str(include_str!("../data/spacetime.json")).expect("the vectors are JSON")
}

pub(crate) fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    const_hex::decode_to_array(value.as_str().expect("a hex string")).expect("hex of the right length")
}

pub(crate) fn shape(item: &Value) -> Shape {
    let number = |name: &str| u8::try_from(item[name].as_u64().expect("a number")).expect("a byte");
    Shape::new(number("log2_columns"), number("rounds")).expect("the vectors keep to the protocol's bounds")
}

pub(crate) fn network(vectors: &Value) -> [u8; 32] {
    network_tag(vectors["network"]["name"].as_str().expect("a name"))
}

pub(crate) fn key(vectors: &Value, item: &Value) -> PlotKey {
    PlotKey::derive(&network(vectors), &bytes(&item["miner_key"]), &bytes(&item["seed"]), shape(item))
}
