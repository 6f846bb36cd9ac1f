//! Networks by name, and what is usual on those the protocol knows.
//!
//! Only the command line looks at these values: a plot of any shape can be
//! made, read and proved for any network, and is warned about where no chain
//! would take it (PROTOCOL §11).

use std::fmt::{self, Display};
use std::time::Duration;

use spacetime_kernels::{Shape, network_tag};

/// Longest name, in bytes: names are typed, and go into messages.
const MAX_NAME_BYTES: usize = 64;

/// A network's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network(String);

/// What a network asks of its plots (PROTOCOL §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Its name.
    pub name: &'static str,
    /// Its `p`.
    pub log2_columns: u8,
    /// Its `R`.
    pub rounds: u8,
    /// Fewest rows of a plot.
    pub min_rows: u64,
    /// From one challenge to the next.
    pub epoch: Duration,
    /// From a challenge to the last moment that a proof counts.
    pub window: Duration,
    /// Challenges for one column.
    pub beacon_interval: usize,
}

impl Rules {
    /// From one column to the next.
    #[must_use]
    pub fn group(&self) -> Duration {
        self.epoch * self.beacon_interval as u32
    }
}

/// The networks of PROTOCOL §11.
pub const KNOWN: [Rules; 3] = [
    MAIN,
    Rules { name: "test", log2_columns: 10, rounds: 7, min_rows: 256, ..MAIN },
    Rules {
        name: "local",
        log2_columns: 6,
        rounds: 5,
        min_rows: 16,
        epoch: Duration::from_secs(1),
        window: Duration::from_millis(600),
        beacon_interval: 4,
    },
];

/// The main network, of which anything is said where no network is named.
pub const MAIN: Rules = Rules {
    name: "main",
    log2_columns: 13,
    rounds: 31,
    min_rows: 4096,
    epoch: Duration::from_secs(10),
    window: Duration::from_secs(8),
    beacon_interval: 8,
};

/// Reads a network's name.
///
/// # Errors
/// If it is empty, longer than 64 bytes, or holds blanks or control characters.
pub fn network(text: &str) -> Result<Network, String> {
    if text.is_empty() {
        return Err("a network has a name".to_owned());
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(format!("{} bytes long, at most {MAX_NAME_BYTES} are a network's name", text.len()));
    }
    if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err("a network's name holds no blanks or control characters".to_owned());
    }
    Ok(Network(text.to_owned()))
}

impl Network {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Its tag, as plot headers hold it (PROTOCOL §2).
    #[must_use]
    pub fn tag(&self) -> [u8; 32] {
        network_tag(&self.0)
    }

    /// What it asks of plots, if the protocol knows it.
    #[must_use]
    pub fn rules(&self) -> Option<&'static Rules> {
        KNOWN.iter().find(|rules| rules.name == self.0)
    }

    /// What the known network with this tag asks for.
    #[must_use]
    pub fn rules_of(tag: &[u8; 32]) -> Option<&'static Rules> {
        KNOWN.iter().find(|rules| network_tag(rules.name) == *tag)
    }

    /// The name of a known network with this tag.
    #[must_use]
    pub fn name_of(tag: &[u8; 32]) -> Option<&'static str> {
        Self::rules_of(tag).map(|rules| rules.name)
    }

    /// Why the network would not take a plot like this, one line each; none if it would.
    #[must_use]
    pub fn warnings(&self, shape: Shape, rows: u64) -> Vec<String> {
        let Some(rules) = self.rules() else {
            return vec![format!("network \"{self}\" is none of main, test and local: is its name right?")];
        };
        let mut warnings = Vec::new();
        let (p, rounds) = (shape.log2_columns(), shape.rounds());
        if p != rules.log2_columns {
            warnings.push(format!("log2 of columns is {p}, network {self} takes {}", rules.log2_columns));
        }
        if rounds != rules.rounds {
            warnings.push(format!("rounds are {rounds}, network {self} takes {}", rules.rounds));
        }
        if rows < rules.min_rows {
            warnings.push(format!("rows are {rows}, network {self} takes no fewer than {}", rules.min_rows));
        }
        warnings
    }
}

/// As [`Network::warnings`], of a plot file, which has its network's tag alone.
#[must_use]
pub fn warnings_of(tag: &[u8; 32], shape: Shape, rows: u64) -> Vec<String> {
    match Network::name_of(tag) {
        Some(name) => Network(name.to_owned()).warnings(shape, rows),
        None => vec![format!("its network, of the tag {}, is none of main, test and local", const_hex::encode(tag))],
    }
}

impl Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["main", "test", "local", "public", "devnet-3"] {
            assert_eq!(network(name).map(|network| network.name().to_owned()), Ok(name.to_owned()));
        }
        for text in ["", "ma in", "main\n", &"x".repeat(65)] {
            assert!(network(text).is_err(), "{text:?}");
        }
        assert_eq!(Network::name_of(&network_tag("test")), Some("test"));
        assert_eq!(Network::name_of(&network_tag("public")), None);
        assert_eq!(KNOWN.map(|rules| rules.group().as_secs()), [80, 80, 4]);
    }

    #[test]
    fn other_values_than_the_networks_are_warned_about() {
        let main = network("main").expect("a name");
        let shape = |p, rounds| Shape::new(p, rounds).expect("within bounds");
        assert!(main.warnings(shape(13, 31), 4096).is_empty());
        assert_eq!(main.warnings(shape(13, 31), 4095).len(), 1);
        assert_eq!(main.warnings(shape(8, 5), 1).len(), 3);
        assert_eq!(network("mian").expect("a name").warnings(shape(13, 31), 4096).len(), 1);
    }
}
