//! `spacetime node config`.

use clap::Args;

use super::settings::Settings;
use crate::{Failure, out};

/// `spacetime node config`.
#[derive(Debug, Args)]
pub struct ConfigVerb {
    #[command(flatten)]
    settings: Settings,
}

impl ConfigVerb {
    pub(super) fn run(self) -> Result<(), Failure> {
        out::write_all(self.settings.read()?.to_toml().as_bytes())
    }
}
