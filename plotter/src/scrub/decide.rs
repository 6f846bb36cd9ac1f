//! Which of cells and cached roots are right where they contradict each other.

use std::collections::BTreeMap;

use spacetime_kernels::Cell;
use spacetime_prover::{PlotState, tree};
use tracing::info;

use super::inside::{Fault, Inside};
use super::survey::Survey;
use crate::columns::ColumnSet;
use crate::progress::{Phase, Step};
use crate::roots::RootStack;

/// What is wrong, and what the column roots should be.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Strips with wrong cells, by segment.
    pub(super) strips: BTreeMap<u64, ColumnSet>,
    /// Wrong cached subtree roots, by segment.
    pub(super) subtree_roots: BTreeMap<u64, ColumnSet>,
    /// Wrong cached column roots.
    pub(super) wrong_column_roots: ColumnSet,
    /// What they should be: zero in a part.
    pub(super) column_roots: Vec<Cell>,
}

impl Verdict {
    fn new(columns: usize) -> Self {
        Self {
            strips: BTreeMap::new(),
            subtree_roots: BTreeMap::new(),
            wrong_column_roots: ColumnSet::new(columns),
            column_roots: Vec::new(),
        }
    }

    fn judge(&mut self, columns: usize, segment: u64, column: usize, cells_right: bool, root_right: bool) {
        let note = |wrong: &mut BTreeMap<u64, ColumnSet>| {
            wrong.entry(segment).or_insert_with(|| ColumnSet::new(columns)).insert(column);
        };
        if !cells_right {
            note(&mut self.strips);
        }
        if !root_right {
            note(&mut self.subtree_roots);
        }
    }

    fn set_column_roots(&mut self, right: Vec<Cell>, cached: &[Cell]) {
        for (column, _) in right.iter().zip(cached).enumerate().filter(|(_, (right, cached))| right != cached) {
            self.wrong_column_roots.insert(column);
        }
        self.column_roots = right;
    }
}

/// Which segments are grown again to decide.
#[derive(Clone, Copy)]
enum Grow<'a> {
    /// Those with suspects in these columns.
    Suspects(&'a ColumnSet),
    /// All of them.
    All,
}

impl Inside<'_> {
    /// Decides what is wrong, and how many rows that took to grow; no verdict
    /// if the plot was never right.
    pub(super) fn decide(&self, survey: &Survey) -> Result<(Option<Verdict>, u64), Fault> {
        let columns = self.columns();
        if self.header.state == PlotState::Part {
            return self.decide_part(survey);
        }
        let (settled, doubtful) = self.settle(survey);
        if doubtful.is_empty() && self.leads_to_root(&settled) {
            return Ok((Some(self.follow(survey, settled, &doubtful, Verdict::new(columns))), 0));
        }
        let mut rows_grown = 0;
        if !doubtful.is_empty() {
            info!(columns = doubtful.len(), "cells and roots are in doubt: growing the suspects again");
            let (judged, mut found, rows) = self.grow_and_judge(survey, Grow::Suspects(&doubtful))?;
            rows_grown += rows;
            let decided = (0..columns).filter(|column| !doubtful.contains(*column));
            decided.for_each(|column| found[column] = settled[column]);
            if self.leads_to_root(&found) {
                return Ok((Some(self.follow(survey, found, &doubtful, judged)), rows_grown));
            }
        }
        info!("neither cells nor roots lead to the plot root: growing the whole plot again");
        let (mut judged, found, rows) = self.grow_and_judge(survey, Grow::All)?;
        rows_grown += rows;
        let right = self.leads_to_root(&found);
        judged.set_column_roots(found, &survey.column_roots);
        Ok((right.then_some(judged), rows_grown))
    }

    fn leads_to_root(&self, column_roots: &[Cell]) -> bool {
        let log2_columns = u32::from(self.header.shape.log2_columns());
        tree::root(self.tools.engine.hasher(), column_roots, self.layout.depth(), log2_columns) == self.header.root
    }

    /// The root of each column that two of three witnesses agree on: cells,
    /// cached subtree roots, cached column root. Columns where no two do are
    /// in doubt, unless the plot root confirms cells or cache for all of them.
    fn settle(&self, survey: &Survey) -> (Vec<Cell>, ColumnSet) {
        let Survey { from_cells, from_cache, column_roots, .. } = survey;
        let mut doubtful = ColumnSet::new(self.columns());
        let mut settled = from_cells.clone();
        for column in 0..self.columns() {
            if from_cells[column] == from_cache[column] || from_cells[column] == column_roots[column] {
                continue;
            }
            settled[column] = from_cache[column];
            if from_cache[column] != column_roots[column] {
                doubtful.insert(column);
            }
        }
        for witness in [from_cells, from_cache] {
            doubtful.iter().for_each(|column| settled[column] = witness[column]);
            if self.leads_to_root(&settled) {
                return (settled, ColumnSet::new(self.columns()));
            }
        }
        (settled, doubtful)
    }

    /// Adds to `verdict` what follows for the suspects from the true column
    /// roots, where these are not in doubt.
    fn follow(&self, survey: &Survey, truth: Vec<Cell>, doubtful: &ColumnSet, mut verdict: Verdict) -> Verdict {
        for (segment, suspects) in &survey.suspects {
            for column in suspects.iter().filter(|column| !doubtful.contains(*column)) {
                let cells_right = survey.from_cells[column] == truth[column];
                verdict.judge(self.columns(), *segment, column, cells_right, !cells_right);
            }
        }
        verdict.set_column_roots(truth, &survey.column_roots);
        verdict
    }

    /// In a part, growing alone decides.
    fn decide_part(&self, survey: &Survey) -> Result<(Option<Verdict>, u64), Fault> {
        let all = ColumnSet::all(self.columns());
        let (mut verdict, _, rows_grown) = self.grow_and_judge(survey, Grow::Suspects(&all))?;
        let wrong_unseen = |wrong: &BTreeMap<u64, ColumnSet>| {
            wrong.iter().any(|(segment, columns)| {
                let suspects = &survey.suspects[segment];
                columns.iter().any(|column| !suspects.contains(column))
            })
        };
        // Cells that lead to their root and are wrong: where these are not one and the same, no accident does that.
        if self.layout.subtree_depth() > 0 && wrong_unseen(&verdict.strips) {
            return Ok((None, rows_grown));
        }
        verdict.set_column_roots(vec![[0; 32]; self.columns()], &survey.column_roots);
        Ok((Some(verdict), rows_grown))
    }

    /// Grows segments again and judges their cells and subtree roots. Also
    /// returns the column roots that follow if those that were not grown are
    /// taken as cached, and the rows grown.
    fn grow_and_judge(&self, survey: &Survey, grow: Grow<'_>) -> Result<(Verdict, Vec<Cell>, u64), Fault> {
        let (layout, columns) = (&self.layout, self.columns());
        let wanted = |segment: u64| match grow {
            Grow::All => true,
            Grow::Suspects(among) => {
                survey.suspects.get(&segment).is_some_and(|suspects| suspects.iter().any(|c| among.contains(c)))
            }
        };
        let judged = |column| match grow {
            Grow::All => true,
            Grow::Suspects(among) => among.contains(column),
        };
        let part = self.header.state == PlotState::Part;
        let segments = || (0..layout.segments()).filter(|segment| wanted(*segment));
        let total = segments().map(|segment| layout.segment_rows(segment)).sum();
        let mut verdict = Verdict::new(columns);
        let mut stack = RootStack::default();
        if total == 0 && part {
            return Ok((verdict, Vec::new(), 0));
        }
        (self.tools.steps)(Step::Began { phase: Phase::Growing, total });
        let mut regrower = self.regrower();
        let none = ColumnSet::new(columns);
        for segment in 0..layout.segments() {
            if part && !wanted(segment) {
                continue;
            }
            let mut row = self.read_roots(layout.subtree_roots_offset(segment))?;
            if wanted(segment) {
                let suspects = survey.suspects.get(&segment).unwrap_or(&none);
                let grown = regrower.segment::<Fault>(segment, |_| Ok(()))?;
                let mut from_cells = row.clone();
                for (column, root) in suspects.iter().zip(self.strip_roots(&|_| (), segment, suspects)?) {
                    from_cells[column] = root;
                }
                for column in (0..columns).filter(|column| judged(*column)) {
                    let right = grown[column];
                    verdict.judge(columns, segment, column, from_cells[column] == right, row[column] == right);
                }
                row = grown;
            }
            if !part {
                self.push(&mut stack, row);
            }
        }
        let column_roots = if part { Vec::new() } else { self.finish(&stack) };
        Ok((verdict, column_roots, regrower.rows_grown))
    }
}
