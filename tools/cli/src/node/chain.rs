//! Which chain: one that the program knows, or that of a specification file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use spacetime_node::config;
use spacetime_node::consensus::Specification;
use spacetime_node::consensus::specification::MAX_SPECIFICATION_BYTES;

use crate::{Code, Failure};

/// Chains that the program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    Main,
    Test,
    Local,
}

impl Network {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
            Self::Local => "local",
        }
    }

    /// Its specification.
    pub(crate) fn specification(self) -> Specification {
        match self {
            Self::Main => Specification::main(),
            Self::Test => Specification::test(),
            Self::Local => Specification::local(),
        }
    }
}

impl From<config::Network> for Network {
    fn from(network: config::Network) -> Self {
        match network {
            config::Network::Main => Self::Main,
            config::Network::Test => Self::Test,
            config::Network::Local => Self::Local,
        }
    }
}

/// The specification in a file.
pub(crate) fn read_specification(path: &Path) -> Result<Specification, Failure> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let mut text = Vec::new();
    // One byte more than there may be shows that there are too many.
    let most = MAX_SPECIFICATION_BYTES as u64 + 1;
    file.take(most).read_to_end(&mut text).with_context(|| format!("cannot read {name}"))?;
    let text = String::from_utf8(text).map_err(|_| Failure::damaged(format!("{name}: not UTF-8")))?;
    Specification::parse(&text).map_err(|error| Failure::new(Code::Damaged, format!("{name}: {error}")))
}
