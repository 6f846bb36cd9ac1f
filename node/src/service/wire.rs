//! The network as the participant's wire.

use tokio::sync::mpsc;

use super::{Wire, now_ms};
use crate::network::swarm::{Command, Inputs};
use crate::participant::{Effect, Input};

/// The queues between participant and network.
#[derive(Debug)]
pub(super) struct NetworkWire {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) inputs: Inputs,
}

impl Wire for NetworkWire {
    async fn next(&mut self) -> Option<Input> {
        self.inputs.next().await
    }

    async fn act(&mut self, effect: Effect) {
        match Command::of(effect, now_ms()) {
            // A network that has ended takes nothing any more: so the participant will hear when it looks for inputs.
            Ok(command) => drop(self.commands.send(command).await),
            Err(effect) => tracing::error!(?effect, "nobody does what the participant wants"),
        }
    }
}
