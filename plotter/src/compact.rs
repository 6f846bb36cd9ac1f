//! A plot written anew with other segments.

use std::path::Path;

use spacetime_prover::{Plot, PlotHeader, tree};

use crate::copy::{CopyError, CopyOptions, copy};
use crate::create::Created;
use crate::error::CreateError;
use crate::params::PlotParams;
use crate::trailer::{Plan, PlanKind};

/// Copies the plot `source` to `out` with segments of `rows_per_segment` rows,
/// which is all of them where it is none: one challenge is one sweep then.
/// Every strip is verified on the way. The result is byte for byte what
/// [`crate::create`] makes with such segments; the source stays as it is.
///
/// # Errors
/// If the source cannot be read, is damaged or no complete plot; if `out` is
/// the source or the name is taken; if the segments are no power of two; if space
/// or memory is not there, the system refuses, or the work is stopped. Nothing
/// is left behind then.
///
/// # Panics
/// If [`CopyOptions::threads`] is zero.
pub fn compact(
    source: &Path,
    out: &Path,
    rows_per_segment: Option<u64>,
    options: &CopyOptions<'_>,
) -> Result<Created, CopyError> {
    let plot = Plot::open(source)?;
    let rows_per_segment = rows_per_segment.unwrap_or(1 << tree::ceil_log2(plot.header().rows));
    let plan = plan_of(plot.header(), rows_per_segment)?;
    copy(out, &plan, std::slice::from_ref(&plot), options)
}

/// The plan of a copy of the plot or part `header` with other segments.
pub(crate) fn plan_of(header: &PlotHeader, rows_per_segment: u64) -> Result<Plan, CopyError> {
    let &PlotHeader { miner_key, seed, network, shape, rows, state, first_row, .. } = header;
    let first_row = (state == spacetime_prover::PlotState::Part).then_some(first_row);
    let rows_per_segment = Some(rows_per_segment);
    let params = PlotParams { miner_key, seed, network, shape, rows, rows_per_segment, first_row };
    let (header, state) = params.header().map_err(CreateError::from)?;
    Ok(Plan { header, state, kind: PlanKind::Copied, replace: false, destination: None })
}
