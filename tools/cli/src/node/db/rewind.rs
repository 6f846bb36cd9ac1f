//! `spacetime node db rewind`.

use clap::Args;
use serde::Serialize;
use spacetime_node::chain::Height;
use spacetime_node::manager::Options;

use super::fail::rewind_failure;
use super::open::{Place, Room};
use crate::{Failure, out};

/// Goes back to an earlier block and forgets all that came after it. Blocks that were taken away can be had again from
/// peers or a file.
#[derive(Debug, Args)]
pub struct Rewind {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    room: Room,
    /// The height to go back to; not below the oldest state that is kept.
    #[arg(long, value_name = "HEIGHT")]
    to: u64,
    /// Prints a JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    event: &'static str,
    height: u64,
    tip: String,
    state_root: String,
    blocks_removed: u64,
}

impl Rewind {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let folder = self.place.folder();
        let mut manager = self.place.manager(&self.room, Options::default())?;
        let before = manager.tip().height.0;
        manager.rewind(Height(self.to)).map_err(|error| rewind_failure(&folder, &error))?;
        let tip = manager.tip();
        let state_root = super::import::state_root(&manager, &folder)?;
        let removed = before - tip.height.0;
        if self.json {
            return out::json(&Line {
                event: "done",
                height: tip.height.0,
                tip: tip.id.to_string(),
                state_root,
                blocks_removed: removed,
            });
        }
        out::line(format_args!("{}: height {}, tip {}; {removed} blocks removed", folder.display(), tip.height, tip.id))
    }
}
