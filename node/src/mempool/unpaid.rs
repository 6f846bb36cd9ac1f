//! Registrations and activations without a fee: one for each plot, first come, first served.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::checked::CheckedTransaction;
use super::queue::is_allowed;
use super::refusal::Refusal;
use super::view::PoolView;
use super::{MAX_UNPAID_ACTIVATIONS, MAX_UNPAID_BYTES, MAX_UNPAID_REGISTRATIONS};
use crate::chain::{Hash, Payload};
use crate::state::StateError;

#[derive(Clone, Debug)]
struct Slot {
    transaction: Arc<CheckedTransaction>,
    plot_key: Hash,
    since: u64,
}

/// What nobody pays for, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Unpaid {
    slots: BTreeMap<u64, Slot>,
    by_plot: HashMap<Hash, u64>,
    registrations: usize,
    bytes: usize,
    next_number: u64,
}

impl Unpaid {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, number: u64) -> Option<&Arc<CheckedTransaction>> {
        self.slots.get(&number).map(|slot| &slot.transaction)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<CheckedTransaction>> {
        self.slots.values().map(|slot| &slot.transaction)
    }

    /// Whether there is room for it.
    pub(super) fn check(&self, transaction: &CheckedTransaction, plot_key: Hash) -> Result<(), Refusal> {
        if let Some(holder) = self.by_plot.get(&plot_key).and_then(|number| self.get(*number)) {
            return Err(Refusal::UnpaidPlot { plot_key, holder: holder.id() });
        }
        self.check_room(is_registration(transaction), transaction.bytes())
    }

    /// Whether there is room for one more of its kind, and its length.
    pub(super) fn check_room(&self, registration: bool, bytes: usize) -> Result<(), Refusal> {
        let (kind, held, limit) = match registration {
            true => ("registrations", self.registrations, MAX_UNPAID_REGISTRATIONS),
            false => ("activations", self.slots.len() - self.registrations, MAX_UNPAID_ACTIVATIONS),
        };
        if held >= limit {
            return Err(Refusal::UnpaidCount { kind, held });
        }
        let (bytes, limit) = (self.bytes + bytes, MAX_UNPAID_BYTES);
        if bytes > limit { Err(Refusal::UnpaidBytes { bytes, limit }) } else { Ok(()) }
    }

    /// Takes what was checked, and returns its number.
    pub(super) fn push(&mut self, transaction: Arc<CheckedTransaction>, plot_key: Hash, since: u64) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.registrations += usize::from(is_registration(&transaction));
        self.bytes += transaction.bytes();
        self.by_plot.insert(plot_key, number);
        self.slots.insert(number, Slot { transaction, plot_key, since });
        number
    }

    /// Lets go of what came before the tip `oldest`, and of what the state no longer lets in.
    pub(super) fn judge(
        &mut self,
        oldest: u64,
        view: &impl PoolView,
    ) -> Result<Vec<Arc<CheckedTransaction>>, StateError> {
        let mut stale = Vec::new();
        for (number, slot) in &self.slots {
            if slot.since < oldest || !is_allowed(&slot.transaction, view)? {
                stale.push(*number);
            }
        }
        Ok(stale.into_iter().filter_map(|number| self.remove(number)).collect())
    }

    fn remove(&mut self, number: u64) -> Option<Arc<CheckedTransaction>> {
        let slot = self.slots.remove(&number)?;
        self.by_plot.remove(&slot.plot_key);
        self.registrations -= usize::from(is_registration(&slot.transaction));
        self.bytes -= slot.transaction.bytes();
        Some(slot.transaction)
    }
}

pub(super) fn is_registration(transaction: &CheckedTransaction) -> bool {
    matches!(transaction.get().payload, Payload::RegisterPlot(_))
}
