//! Values of the state: each decodes, is new, and together they are what was ever issued.

use super::{CheckError, Flaw, Phase, Walk};
use crate::chain::{Hash, Height};
use crate::consensus::Beacon;
use crate::state::genesis::parameters_hash;
use crate::state::{StateKey, Value};
use crate::store::{Column, Database};

/// Columns that hold values.
pub(super) const VALUE_COLUMNS: [Column; 2] = [Column::State, Column::Registry];

/// What was counted among values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// Entries of versions that can be taken back.
    pub(super) recent: u64,
    /// Values at the tip.
    pub(super) values: u64,
    balances: u128,
    immature: u128,
    rewards: u64,
}

/// An entry of a column of values, taken apart.
pub(super) struct ValueEntry<'a> {
    pub(super) key: StateKey,
    pub(super) version: Height,
    /// None where the version removed it.
    pub(super) value: Option<&'a [u8]>,
}

/// What is the matter with an entry that is none.
pub(super) fn parse_entry<'a>(column: Column, key: &[u8], value: &'a [u8]) -> Result<ValueEntry<'a>, Flaw> {
    let (state_key, version) = key.split_last_chunk::<8>().ok_or(Flaw::Key)?;
    let version = Height(!u64::from_be_bytes(*version));
    let key = StateKey::parse(state_key).filter(|key| key.column() == column).ok_or(Flaw::Key)?;
    match value.split_first() {
        Some((1, value)) => Ok(ValueEntry { key, version, value: Some(value) }),
        Some((0, [])) => Ok(ValueEntry { key, version, value: None }),
        _ => Err(Flaw::Malformed("its first byte says neither that it is there nor that it was removed".to_owned())),
    }
}

/// The entry before, of which this one may be an earlier version.
struct Newer {
    state_key: StateKey,
    version: Height,
    entry: Vec<u8>,
    value: Vec<u8>,
    /// Whether the value at the tip was seen.
    at_tip: bool,
}

impl<D: Database> Walk<'_, D> {
    /// Walks all values of all versions.
    pub(super) fn check_values(&mut self) -> Result<Counted, CheckError> {
        self.begin(Phase::Values, None);
        let mut counted = Counted::default();
        for column in VALUE_COLUMNS {
            let mut newer: Option<Newer> = None;
            self.pages(column, |walk, key, value| {
                match parse_entry(column, key, value) {
                    Ok(entry) => walk.value(&mut counted, &mut newer, &entry, key, value),
                    Err(flaw) => walk.note(column, key, flaw),
                }
                walk.advance(1)
            })?;
        }
        self.totals.values = counted.values;
        self.check_supply(&counted)?;
        Ok(counted)
    }

    fn value(
        &mut self,
        counted: &mut Counted,
        newer: &mut Option<Newer>,
        entry: &ValueEntry<'_>,
        key: &[u8],
        value: &[u8],
    ) {
        let ValueEntry { key: state_key, version, value: held } = *entry;
        let (tip, oldest, column) = (self.span.tip, self.span.oldest_state, state_key.column());
        let behind = newer.take().filter(|newer| newer.state_key == state_key);
        if version > tip {
            self.note(column, key, Flaw::Above { found: version, tip });
        }
        if let Some(newer) = &behind {
            if newer.value == value {
                self.note(column, &newer.entry, Flaw::Repeated(newer.version));
            }
            if newer.version <= oldest {
                self.note(column, key, Flaw::Pruned { found: version, oldest });
            }
        }
        if version <= oldest && held.is_none() {
            self.note(column, key, Flaw::Pruned { found: version, oldest });
        }
        counted.recent += u64::from(version > oldest);
        let decoded = held.map(|bytes| Value::decode(&state_key, bytes)).transpose();
        let seen = behind.is_some_and(|newer| newer.at_tip);
        match decoded {
            Err(error) => self.note(column, key, Flaw::Malformed(error.to_string())),
            Ok(Some(value)) if !seen && version <= tip => self.value_at_tip(counted, &state_key, key, &value),
            Ok(_) => {}
        }
        let at_tip = seen || version <= tip;
        counted.values += u64::from(!seen && at_tip && held.is_some());
        *newer = Some(Newer { state_key, version, entry: key.to_vec(), value: value.to_vec(), at_tip });
    }

    fn value_at_tip(&mut self, counted: &mut Counted, state_key: &StateKey, key: &[u8], value: &Value) {
        let column = state_key.column();
        match (state_key, value) {
            (_, Value::Account(account)) => {
                self.totals.accounts += 1;
                counted.balances = counted.balances.saturating_add(account.balance.0.into());
            }
            (StateKey::Rewards(height), Value::Rewards(rewards)) => {
                counted.rewards += 1;
                let oldest = Height((self.span.tip.0 + 1).saturating_sub(self.parameters.coinbase_maturity));
                if *height > self.span.tip {
                    self.note(column, key, Flaw::Above { found: *height, tip: self.span.tip });
                } else if *height < oldest {
                    self.note(column, key, Flaw::Pruned { found: *height, oldest });
                }
                let outputs = rewards.outputs.iter().map(|output| u128::from(output.amount.0));
                counted.immature = counted.immature.saturating_add(outputs.sum());
            }
            (StateKey::Plot(plot_key), Value::Plot(plot)) => {
                self.totals.plots += 1;
                let plot_key = spacetime_kernels::PlotKey(plot_key.0);
                let expected = Hash(spacetime_kernels::plot_id(&plot_key, plot.rows, &plot.root.0));
                let found = Hash(plot.plot_id.0);
                if found != expected {
                    self.note(column, key, Flaw::PlotId { found, expected });
                }
            }
            (_, Value::Parameters(found)) => {
                let expected = parameters_hash(&self.parameters);
                if *found != expected {
                    self.note(column, key, Flaw::Parameters { found: *found, expected });
                }
            }
            _ => {}
        }
    }

    /// Whether what was issued is what is there, and the chain's record is the tip's (PROTOCOL §8, §10).
    fn check_supply(&mut self, counted: &Counted) -> Result<(), CheckError> {
        let wanted = StateKey::Chain.bytes();
        let mut ledger = crate::state::Ledger::new(self.store.state(self.span.tip));
        let read = ledger.chain();
        let Some(record) = self.sound(Column::State, &wanted, read)? else { return Ok(()) };
        let (issued, burnt) = (record.issued.0, record.burnt.0);
        let Counted { balances, immature, rewards, .. } = *counted;
        if balances.saturating_add(immature).saturating_add(burnt.into()) != u128::from(issued) {
            self.note(Column::State, &wanted, Flaw::Supply { issued, balances, immature, burnt });
        }
        let expected = self.span.tip.0.min(self.parameters.coinbase_maturity);
        if rewards != expected {
            self.note(Column::State, &[6], Flaw::Rewards { found: rewards, expected });
        }
        let Some(lineage) = &self.span.lineage else { return Ok(()) };
        // A state cannot hold its own block's id, which the beacon of genesis is.
        let beacon = match lineage.height {
            Height(0) => Beacon { mix: Hash::ZERO, active: Hash::ZERO },
            _ => lineage.beacon,
        };
        if record.difficulty != lineage.difficulty || record.beacon != beacon {
            self.note(Column::State, &wanted, Flaw::Chain);
        }
        Ok(())
    }
}
