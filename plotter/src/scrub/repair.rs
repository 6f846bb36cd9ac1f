//! Healing what a scrub found, and seeing that it is healed.

use bytemuck::cast_slice;
use spacetime_kernels::{Cell, ColumnIndex};
use spacetime_prover::PlotState;
use tracing::info;

use super::decide::Verdict;
use super::inside::{Fault, Inside};
use super::report::Damage;
use super::survey::Survey;
use crate::batch::Batch;
use crate::columns::ColumnSet;
use crate::progress::{Phase, Step};
use crate::regrow::Regrower;
use crate::roots::RootStack;
use crate::write::{Gather, WRITE_CELLS, write_batch};

impl Inside<'_> {
    /// Repairs what the verdict says and verifies it. The answer is `false`, and
    /// the segment at hand stays as it is, if the rows grown are not the
    /// plot's. Also returns the rows grown.
    pub(super) fn repair(&self, survey: &Survey, verdict: &Verdict) -> Result<(bool, u64), Fault> {
        let layout = &self.layout;
        let none = ColumnSet::new(self.columns());
        let total = verdict.strips.keys().map(|segment| layout.segment_rows(*segment)).sum();
        let mut rows_grown = 0;
        if total > 0 {
            (self.tools.steps)(Step::Began { phase: Phase::Growing, total });
            let mut regrower = self.regrower();
            for (segment, strips) in &verdict.strips {
                let wrong_roots = verdict.subtree_roots.get(segment).unwrap_or(&none);
                let healed = self.repair_segment(&mut regrower, *segment, strips, wrong_roots)?;
                if !healed {
                    return Ok((false, regrower.rows_grown));
                }
            }
            rows_grown = regrower.rows_grown;
        }
        for (segment, wrong) in
            verdict.subtree_roots.iter().filter(|(segment, _)| !verdict.strips.contains_key(segment))
        {
            let roots = self.strip_roots(&|_| (), *segment, wrong)?;
            let mut row = self.read_roots(layout.subtree_roots_offset(*segment))?;
            wrong.iter().zip(roots).for_each(|(column, root)| row[column] = root);
            self.write_roots(layout.subtree_roots_offset(*segment), &row, wrong)?;
        }
        self.write_roots(layout.roots_offset(), &verdict.column_roots, &verdict.wrong_column_roots)?;
        for gap in &survey.padding {
            let mut at = gap.first;
            while at < gap.end {
                let zeros = vec![0; (gap.end - at).min(32 * self.piece_cells as u64) as usize];
                self.storage.write_at(&zeros, at)?;
                at += zeros.len() as u64;
            }
        }
        self.storage.sync()?;
        self.verify(survey, verdict)?;
        Ok((true, rows_grown))
    }

    /// Grows a segment again and, if it is the plot's, writes `strips` and `wrong_roots`.
    fn repair_segment(
        &self,
        regrower: &mut Regrower<'_>,
        segment: u64,
        strips: &ColumnSet,
        wrong_roots: &ColumnSet,
    ) -> Result<bool, Fault> {
        let layout = &self.layout;
        let rows = layout.segment_rows(segment);
        info!(segment, strips = strips.len(), "growing again");
        // The strips that fit wait here until the roots have proved them right; for the rest it is grown once more.
        let room = usize::try_from(self.held_bytes / (32 * rows)).unwrap_or(usize::MAX);
        let held: Vec<usize> = strips.iter().take(room).collect();
        let mut cells = vec![[0; 32]; held.len() * rows as usize];
        let grown = regrower.segment::<Fault>(segment, |batch| {
            keep(batch, &held, &mut cells, segment * self.header.rows_per_segment, rows as usize);
            Ok(())
        })?;
        let mut row = self.read_roots(layout.subtree_roots_offset(segment))?;
        if (0..self.columns()).any(|column| !wrong_roots.contains(column) && row[column] != grown[column]) {
            return Ok(false);
        }
        let gather = || Gather::new(self.storage, self.tools.control, self.piece_cells.min(WRITE_CELLS));
        let mut held_gather = gather();
        for (column, strip) in held.iter().zip(cells.chunks(rows as usize)) {
            held_gather.put(layout.strip(segment, ColumnIndex(*column as u32)).offset_bytes, strip)?;
        }
        held_gather.flush()?;
        drop((held_gather, cells));
        if (held.len() as u64) < strips.len() {
            regrower.segment::<Fault>(segment, |batch| {
                let rest = strips.iter().skip(held.len());
                Ok(write_batch(layout, self.header.rows_per_segment, batch, rest, gather())?)
            })?;
        }
        wrong_roots.iter().for_each(|column| row[column] = grown[column]);
        self.write_roots(layout.subtree_roots_offset(segment), &row, wrong_roots)?;
        Ok(true)
    }

    /// Writes those of a row of roots that are wrong.
    fn write_roots(&self, offset_bytes: u64, row: &[Cell], wrong: &ColumnSet) -> Result<(), Fault> {
        for run in wrong.runs() {
            self.storage.write_at(cast_slice(&row[run.clone()]), offset_bytes + 32 * run.start as u64)?;
        }
        Ok(())
    }

    /// Reads back what was repaired.
    fn verify(&self, survey: &Survey, verdict: &Verdict) -> Result<(), Fault> {
        let (layout, columns) = (&self.layout, self.columns());
        let strips = verdict.strips.iter();
        let total = strips.clone().map(|(segment, strips)| strips.len() * 32 * layout.segment_rows(*segment)).sum();
        (self.tools.steps)(Step::Began { phase: Phase::Verifying, total });
        self.storage.forget(0, layout.file_bytes());
        for (segment, strips) in strips {
            let cached = self.read_roots(layout.subtree_roots_offset(*segment))?;
            for (column, root) in strips.iter().zip(self.strip_roots(self.tools.steps, *segment, strips)?) {
                if root != cached[column] {
                    return Err(Fault::NotHealed(Damage::Strip { segment: *segment, column: column as u32 }));
                }
            }
        }
        for gap in &survey.padding {
            if let Some(gap) = self.gap(gap.first..gap.end)? {
                return Err(Fault::NotHealed(Damage::Padding { offset_bytes: gap.first, bytes: gap.wrong }));
            }
        }
        let cached = self.read_roots(layout.roots_offset())?;
        if let Some(column) = (0..columns).find(|column| cached[*column] != verdict.column_roots[*column]) {
            return Err(Fault::NotHealed(Damage::ColumnRoot { column: column as u32 }));
        }
        if self.header.state == PlotState::Part {
            return Ok(());
        }
        let mut stack = RootStack::default();
        for segment in 0..layout.segments() {
            self.push(&mut stack, self.read_roots(layout.subtree_roots_offset(segment))?);
        }
        let found = self.finish(&stack);
        match (0..columns).find(|column| cached[*column] != found[*column]) {
            None => Ok(()),
            Some(column) => {
                let segment = verdict
                    .subtree_roots
                    .iter()
                    .find_map(|(segment, wrong)| wrong.contains(column).then_some(*segment))
                    .unwrap_or(0);
                Err(Fault::NotHealed(Damage::SubtreeRoot { segment, column: column as u32 }))
            }
        }
    }
}

/// Copies the batch's cells of `columns` into `cells`, strip after strip of `rows` rows.
fn keep(batch: &Batch, columns: &[usize], cells: &mut [Cell], first_row: u64, rows: usize) {
    let run_rows = batch.run_rows;
    for (column, strip) in columns.iter().zip(cells.chunks_mut(rows)) {
        let from = (batch.start - first_row) as usize;
        for (run, place) in strip[from..from + batch.rows].chunks_mut(run_rows).enumerate() {
            place.copy_from_slice(batch.column_of_run(run, *column));
        }
    }
}
