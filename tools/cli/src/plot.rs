//! `spacetime plot`: makes plots and looks after them.

mod check;
mod copy;
mod create;
mod inspect;
mod many;
mod progress;
mod remove;
mod resume;
mod work;

use clap::Subcommand;
use spacetime_plotter::CreateError;
use spacetime_prover::PlotError;

#[cfg(feature = "node")]
pub(crate) use inspect::plots_at;

use crate::{Code, Failure};

/// The verbs of `spacetime plot`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Grows one plot or several.
    Create(Box<create::Create>),
    /// Goes on with plots that were interrupted.
    Resume(resume::Resume),
    /// Looks at headers and roots, and grows a sample of rows again.
    Check(check::Check),
    /// Reads everything against the roots, and repairs it if asked.
    Scrub(check::Scrub),
    /// Makes one plot of parts.
    Merge(copy::Merge),
    /// Rewrites plots with larger segments.
    Compact(copy::Compact),
    /// Prints all that a plot's header says.
    Info(inspect::Info),
    /// Lists the plots in files and folders, a line each.
    List(inspect::List),
    /// Deletes plots.
    Remove(remove::Remove),
}

/// Does what a verb says.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create(create) => create.run(),
        Verb::Resume(resume) => resume.run(),
        Verb::Check(check) => check.run(),
        Verb::Scrub(scrub) => scrub.run(),
        Verb::Merge(merge) => merge.run(),
        Verb::Compact(compact) => compact.run(),
        Verb::Info(info) => info.run(),
        Verb::List(list) => list.run(),
        Verb::Remove(remove) => remove.run(),
    }
}

/// The exit code of a plot file that cannot be used.
pub(crate) fn plot_code(error: &PlotError) -> Code {
    match error {
        PlotError::Io { .. } | PlotError::NotComplete { .. } => Code::Failed,
        PlotError::Column { .. } | PlotError::Row { .. } => Code::Usage,
        _ => Code::Damaged,
    }
}

/// A plot file that cannot be used, with its exit code.
pub(crate) fn plot_failure(error: &PlotError) -> Failure {
    Failure::new(plot_code(error), error)
}

/// A plot that was not made, with its exit code.
pub(crate) fn create_failure(error: &CreateError) -> Failure {
    use spacetime_plotter::BuildError;
    let code = match error {
        CreateError::Move(error) => return copy::copy_failure(error),
        CreateError::Params(_) | CreateError::SmallBudget { .. } => Code::Usage,
        CreateError::StagedInPlace(_) | CreateError::DestinationPath(_) => Code::Usage,
        CreateError::Build { source: BuildError::WrongCell { .. } | BuildError::WrongRoot { .. }, .. } => Code::Damaged,
        CreateError::NotResumable { .. } => Code::Damaged,
        CreateError::Plot(error) => plot_code(error),
        _ if error.is_stopped() => Code::Interrupted,
        _ => Code::Failed,
    };
    Failure::new(code, error)
}
