//! One plot from parts that were grown elsewhere.

use std::path::{Path, PathBuf};

use spacetime_prover::{Plot, PlotHeader, PlotState};

use crate::copy::{CopyError, CopyOptions, copy};
use crate::create::Created;
use crate::error::CreateError;
use crate::params::PlotParams;
use crate::trailer::{Plan, PlanKind};

/// Makes the plot `out` from `parts`, given in any order, which together hold
/// its rows without a gap, all of them of one plot and with segments of one
/// size. Every strip is verified on the way. The result is byte for byte what
/// [`crate::create`] makes in one go; the parts stay as they are.
///
/// # Errors
/// If a part cannot be read, is damaged, is none, or is of another plot; if
/// rows are missing or there twice; if the name is taken, space or memory is not
/// there, the system refuses, or the work is stopped. Nothing is left behind then.
///
/// # Panics
/// If [`CopyOptions::threads`] is zero.
pub fn merge(out: &Path, parts: &[PathBuf], options: &CopyOptions<'_>) -> Result<Created, CopyError> {
    let mut sources = parts.iter().map(|part| Plot::open_any(part)).collect::<Result<Vec<_>, _>>()?;
    sources.sort_by_key(|source| source.header().first_row);
    let first = sources.first().ok_or(CopyError::NoParts)?;
    let mut rows = 0;
    let mut before: Option<&Plot> = None;
    for source in &sources {
        let path = source.path().to_owned();
        let header = source.header();
        match header.state {
            PlotState::Part => {}
            PlotState::Complete => return Err(CopyError::NotAPart(path)),
            PlotState::Building => return Err(CreateError::Unfinished(path).into()),
        }
        if let Some(field) = differing_field(header, first.header()) {
            return Err(CopyError::OtherPlot { path, first: first.path().to_owned(), field });
        }
        let first_row = header.first_row;
        match before {
            Some(other) if first_row < rows => {
                return Err(CopyError::Overlap { path, first_row, other: other.path().to_owned(), last_row: rows - 1 });
            }
            _ if first_row != rows => return Err(CopyError::Gap { path, first_row, expected: rows }),
            _ => {}
        }
        rows += header.rows;
        before = Some(source);
    }
    let &PlotHeader { miner_key, seed, network, shape, rows_per_segment, .. } = first.header();
    let rows_per_segment = Some(rows_per_segment);
    let params = PlotParams { miner_key, seed, network, shape, rows, rows_per_segment, first_row: None };
    let (header, state) = params.header().map_err(CreateError::from)?;
    copy(
        out,
        &Plan { header, state, kind: PlanKind::Copied, replace: options.force, destination: None },
        &sources,
        options,
    )
}

/// What must be the same in all parts and is not.
fn differing_field(left: &PlotHeader, right: &PlotHeader) -> Option<&'static str> {
    [
        ("miner key", left.miner_key == right.miner_key),
        ("seed", left.seed == right.seed),
        ("network", left.network == right.network),
        ("number of columns", left.shape.log2_columns() == right.shape.log2_columns()),
        ("number of rounds", left.shape.rounds() == right.shape.rounds()),
        ("number of rows per segment", left.rows_per_segment == right.rows_per_segment),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}
