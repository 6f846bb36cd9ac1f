//! Many blocks in order, as from a file: the three hands side by side.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::apply::Outcome;
use super::{Candidate, ChainManager, Event, Refusal, Verdict, verify};
use crate::chain::rules::{BlockError, HeaderError};
use crate::chain::{Block, BlockId};
use crate::store::{Database, StoreError};

/// Most blocks in one piece: enough signatures to share a batch on every core.
const MAX_PIECE: u64 = 256;
/// A piece ends with the block that exceeds this: blocks may be large.
const MAX_PIECE_BYTES: usize = 8 << 20;
/// Pieces in flight: one is verified while the one before it is executed and the next one waits.
const PIECES: usize = 3;

/// What an import did.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Blocks that are on the best chain now.
    pub connected: u64,
    /// Blocks that were there before.
    pub known: u64,
    /// Blocks that were refused, but for those that fork off too deep: a chain that is known has long decided them.
    pub refused: u64,
    /// How often another branch took over.
    pub reorganisations: u64,
    /// Other blocks, and why they are not on the best chain: the first of them, the refused before all others.
    pub others: Vec<(BlockId, Verdict)>,
    /// What happened to the chain but for blocks added at the tip.
    pub events: Vec<Event>,
}

/// Most blocks whose fate is reported one by one.
const MAX_OTHERS: usize = 64;

/// Whether a block was refused for what it is, and not for where it forks off.
fn is_refused(verdict: &Verdict) -> bool {
    let Verdict::Refused(refusal) = verdict else { return false };
    !matches!(refusal, Refusal::Rule(BlockError::Header(HeaderError::TooDeep { .. })))
}

impl ImportReport {
    /// The first block that was refused, but for those that fork off too deep, and why.
    #[must_use]
    pub fn first_refused(&self) -> Option<(&BlockId, &Refusal)> {
        self.others.iter().filter(|(_, verdict)| is_refused(verdict)).find_map(|(id, verdict)| match verdict {
            Verdict::Refused(refusal) => Some((id, refusal)),
            _ => None,
        })
    }

    fn add(&mut self, outcome: Outcome) {
        for (id, verdict) in outcome.verdicts {
            match verdict {
                Verdict::Connected => self.connected += 1,
                Verdict::Known => self.known += 1,
                other => {
                    let refused = is_refused(&other);
                    self.refused += u64::from(refused);
                    if refused && self.others.len() >= MAX_OTHERS {
                        let good = self.others.iter().rposition(|(_, other)| !is_refused(other));
                        good.map(|place| self.others.remove(place));
                    }
                    if self.others.len() < MAX_OTHERS {
                        self.others.push((id, other));
                    }
                }
            }
        }
        let switched = outcome.events.iter().filter(|event| matches!(event, Event::Reorganised { .. }));
        self.reorganisations += switched.count() as u64;
        let told = outcome.events.into_iter().filter(|event| !matches!(event, Event::Connected { .. }));
        self.events.extend(told.take(MAX_OTHERS.saturating_sub(self.events.len())));
    }
}

impl<D: Database> ChainManager<D> {
    /// Takes many blocks in order, the next verified on other threads while one is executed here. `see` is told the
    /// tip's height after each piece, and stops the import by `false`. `now_ms` is the clock.
    ///
    /// # Errors
    /// If `blocks` does, after those before were taken, or the store cannot be read or written.
    pub fn import<E: From<StoreError>>(
        &mut self,
        blocks: impl IntoIterator<Item = Result<Block, E>>,
        now_ms: u64,
        mut see: impl FnMut(u64) -> bool,
    ) -> Result<ImportReport, E> {
        // All pieces together must not run further ahead of the state than plots' maturity lets judge.
        let longest = (self.parameters().plot_maturity / (PIECES as u64 + 1)).clamp(1, MAX_PIECE) as usize;
        let verifier = self.verifier.clone();
        let mut blocks = blocks.into_iter();
        thread::scope(|scope| {
            let (to_verify, unverified): (SyncSender<Vec<Candidate>>, Receiver<_>) = sync_channel(PIECES);
            let (to_apply, verified) = sync_channel::<Vec<(Candidate, Result<(), BlockError>)>>(PIECES);
            scope.spawn(move || {
                for candidates in unverified {
                    let results = verify(&verifier, &candidates);
                    if to_apply.send(candidates.into_iter().zip(results).collect()).is_err() {
                        break;
                    }
                }
            });
            let (mut report, mut in_flight, mut failure) = (ImportReport::default(), 0, None);
            let (mut ended, mut stopped) = (false, false);
            loop {
                if !ended && in_flight < PIECES {
                    let mut piece = Vec::with_capacity(longest);
                    let mut bytes = 0;
                    while failure.is_none() && piece.len() < longest && bytes < MAX_PIECE_BYTES {
                        match blocks.next() {
                            Some(Ok(block)) => {
                                bytes += block.encoded_len();
                                piece.push(block);
                            }
                            Some(Err(error)) => failure = Some(error),
                            None => break,
                        }
                    }
                    ended = piece.is_empty() || failure.is_some();
                    let admission = self.admit(piece, now_ms)?;
                    report.add(Outcome { verdicts: admission.verdicts, events: admission.events });
                    if !admission.candidates.is_empty() {
                        in_flight += 1;
                        to_verify.send(admission.candidates).expect("the verifier runs until this end is dropped");
                    }
                    continue;
                }
                if in_flight == 0 {
                    break;
                }
                let piece = verified.recv().expect("the verifier answers each piece");
                in_flight -= 1;
                let applied = self.apply(piece)?;
                report.add(applied);
                if !stopped && !see(self.tip.height.0) {
                    (ended, stopped) = (true, true);
                }
            }
            drop(to_verify);
            match failure {
                Some(error) => Err(error),
                None => Ok(report),
            }
        })
    }
}
