//! Headers without bodies: what is cheap of them, before anybody asks for their blocks.

use spacetime_prover::Proof;
use thiserror::Error;

use super::{ChainManager, Event, Refusal};
use crate::chain::rules::{BlockError, CheckedHeader, check_header};
use crate::chain::{BlockId, Header, Height};
use crate::consensus::{Engine, Lineage, Weight};
use crate::store::{Database, StoreError};

/// What is cheap of headers that stand one on another.
#[derive(Debug, Default)]
pub struct HeaderChecks {
    /// What is left to be checked of those whose cheap rules hold: of the first of the headers, in their order.
    pub checked: Vec<CheckedHeader>,
    /// Why the next one is not among them, if there is one.
    pub stop: Option<HeaderStop>,
    /// Forks that were too deep.
    pub events: Vec<Event>,
}

/// Why a header, and with it those above it, was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderStop {
    /// It does not stand on the one before it. Who put them together is to blame.
    #[error("stands on {found}, the header before it is {expected}")]
    Unlinked {
        /// Its parent.
        found: BlockId,
        /// The header before it.
        expected: BlockId,
    },
    /// It lies further above what was executed than plots' maturity lets judge. It may be good later.
    #[error("lies at height {height}, at most {limit} above height {fork} can be judged")]
    Ahead {
        /// Its height.
        height: Height,
        /// Where its branch leaves what was executed.
        fork: Height,
        /// The chain's maturity of plots.
        limit: u64,
    },
    /// It was refused, by a block's rules that need no body.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl<D: Database> ChainManager<D> {
    /// What a block that is known, if not refused, leaves to its children, and the height at which its branch leaves
    /// what was executed of the best chain.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn place_of(&self, id: &BlockId) -> Result<Option<(Lineage, Height)>, StoreError> {
        let Some(lineage) = self.find_parent(id)? else { return Ok(None) };
        Ok(self.fork_below(id)?.map(|fork| (lineage, fork)))
    }

    /// Whether a block is kept, on the best chain or beside it, or on its way there: not one that waits.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn holds(&self, id: &BlockId) -> Result<bool, StoreError> {
        let here = self.admitted.contains_key(id) || self.branches.contains_key(id) || self.tip.id == *id;
        Ok(here || self.store.header(id)?.is_some())
    }

    /// Whether a block broke a rule, as far as that is remembered.
    #[must_use]
    pub fn is_condemned(&self, id: &BlockId) -> bool {
        self.condemned.contains(id)
    }

    /// Whether a branch that leaves the best chain at `fork` and weighs `weight` is worth the growing of its rows
    /// (PROTOCOL §7, "Cheap before dear").
    #[must_use]
    pub fn is_worth_rows(&self, fork: Height, weight: Weight) -> bool {
        fork == self.tip.height || self.engine.could_outweigh(weight, self.parent_weight)
    }

    /// Checks what is cheap of headers, lowest first, each on the one before it: all that is cheap of their blocks but
    /// the bodies. The first stands on `parent`, whose branch leaves what was executed of the best chain at `fork`
    /// ([`ChainManager::place_of`]); headers between the two were checked before. `now_ms` is the clock.
    ///
    /// Their rows are worth growing if [`ChainManager::is_worth_rows`] says so of the last one's weight: signatures and
    /// rows are for [`crate::chain::verify::Verifier::headers`].
    ///
    /// # Errors
    /// If the store cannot be read: the headers may be good.
    pub fn check_headers<'a>(
        &mut self,
        parent: &Lineage,
        fork: Height,
        headers: impl IntoIterator<Item = (&'a Header, &'a Proof)>,
        now_ms: u64,
    ) -> Result<HeaderChecks, StoreError> {
        self.look_at_clock(now_ms);
        let mut checks = HeaderChecks::default();
        let mut below = parent.clone();
        let may_fork = self.may_fork_at(fork)?;
        let limit = self.parameters().plot_maturity;
        for (header, proof) in headers {
            let height = header.height;
            if header.parent != below.id {
                checks.stop = Some(HeaderStop::Unlinked { found: header.parent, expected: below.id });
                break;
            }
            if below.height.0 - fork.0 >= limit {
                checks.stop = Some(HeaderStop::Ahead { height, fork, limit });
                break;
            }
            let id = header.id();
            if let Some(refusal) = self.known_refusal(&id, &below.id) {
                checks.stop = Some(refusal.into());
                break;
            }
            let checked =
                check_header(&self.engine, self.parameters(), &self.genesis, &below, header, proof, Some(now_ms));
            let checked = match checked {
                Ok(checked) => checked,
                Err(error) => {
                    checks.stop = Some(self.refuse_header(id, BlockError::Header(error).into()));
                    break;
                }
            };
            if let Err(refusal) = self.check_checkpoint(&checked.lineage) {
                checks.stop = Some(self.refuse_header(id, refusal));
                break;
            }
            if !may_fork {
                let error = self.too_deep(header, proof, &checked, fork, &mut checks.events)?;
                checks.stop = Some(Refusal::Rule(error.into()).into());
                break;
            }
            if let Err(error) = self.check_plot_at(fork, header, proof)? {
                checks.stop = Some(self.refuse_header(id, error.into()));
                break;
            }
            below = checked.lineage.clone();
            checks.checked.push(checked);
        }
        Ok(checks)
    }

    /// Checks what is cheap of a header on its parent, but for what a state says: what can be seen of headers too far ahead
    /// for [`ChainManager::check_headers`]. Nothing is condemned by it. `now_ms` is the clock.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check_unplaced(
        &self,
        parent: &Lineage,
        header: &Header,
        proof: &Proof,
        now_ms: u64,
    ) -> Result<CheckedHeader, Refusal> {
        let checked = check_header(&self.engine, self.parameters(), &self.genesis, parent, header, proof, Some(now_ms))
            .map_err(BlockError::Header)?;
        self.check_checkpoint(&checked.lineage)?;
        match self.is_condemned(&checked.lineage.id) {
            true => Err(Refusal::Condemned { ancestor: checked.lineage.id }),
            false => Ok(checked),
        }
    }

    fn refuse_header(&mut self, id: BlockId, refusal: Refusal) -> HeaderStop {
        let _ = self.refuse(id, refusal.clone());
        HeaderStop::Refused(refusal)
    }

    /// Takes note that a header's signature or row does not hold: neither it nor what stands on it is looked at again.
    pub fn condemn_header(&mut self, id: BlockId) {
        self.condemn(id);
    }

    /// Takes note of headers that stand one on another, lowest first, and whose signatures and rows hold: their blocks
    /// are taken as they come, lowest first, and do not wait for one that shows their branch to be heavy.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn expect_blocks(&mut self, headers: &[Lineage]) -> Result<(), StoreError> {
        let Some(heaviest) = headers.last().map(|last| last.weight) else { return Ok(()) };
        let mut wanted = Vec::new();
        for lineage in headers {
            // What has come by another way meanwhile is nothing that those above it wait for.
            if !self.holds(&lineage.id)? {
                wanted.push(lineage);
            }
        }
        self.waiting.note_heavy(wanted, heaviest);
        Ok(())
    }
}
