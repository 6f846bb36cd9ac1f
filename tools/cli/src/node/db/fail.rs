//! Exit codes of what can go wrong with a store.

use std::path::Path;

use spacetime_node::manager::{ManagerError, RewindError};
use spacetime_node::store::archive::{ArchiveError, ExportError};
use spacetime_node::store::check::CheckError;
use spacetime_node::store::{DatabaseError, OpenError, StoreError};

use crate::{Code, Failure};

fn database_code(error: &DatabaseError) -> Code {
    match error {
        DatabaseError::Corrupt { .. } => Code::Damaged,
        _ => Code::Failed,
    }
}

fn store_code(error: &StoreError) -> Code {
    if error.is_damage() { Code::Damaged } else { Code::Failed }
}

fn open_code(error: &OpenError) -> Code {
    match error {
        OpenError::Newer { .. } | OpenError::Empty | OpenError::Unfinished => Code::Failed,
        OpenError::OtherChain { .. } => Code::Usage,
        OpenError::NoStore { .. } | OpenError::Tip { .. } => Code::Damaged,
        OpenError::Store(error) => store_code(error),
    }
}

/// The message of an error that may not name the folder itself.
fn in_folder(folder: &Path, code: Code, error: &impl ToString) -> Failure {
    let (message, folder) = (error.to_string(), folder.display().to_string());
    if message.contains(&folder) {
        Failure::new(code, message)
    } else {
        Failure::new(code, format!("{folder}: {message}"))
    }
}

pub(in crate::node) fn database_failure(error: &DatabaseError) -> Failure {
    Failure::new(database_code(error), error)
}

pub(in crate::node) fn store_failure(folder: &Path, error: &StoreError) -> Failure {
    in_folder(folder, store_code(error), error)
}

pub(in crate::node) fn open_failure(folder: &Path, error: &OpenError) -> Failure {
    in_folder(folder, open_code(error), error)
}

pub(in crate::node) fn manager_failure(folder: &Path, error: &ManagerError) -> Failure {
    let code = match error {
        ManagerError::Genesis(_) => Code::Damaged,
        ManagerError::Open(error) => open_code(error),
        ManagerError::Store(error) => store_code(error),
        ManagerError::KeepBodies { .. } => Code::Usage,
    };
    in_folder(folder, code, error)
}

pub(in crate::node) fn rewind_failure(folder: &Path, error: &RewindError) -> Failure {
    let code = match error {
        RewindError::Pruned { .. } | RewindError::Above { .. } => Code::Usage,
        RewindError::Store(error) => store_code(error),
    };
    in_folder(folder, code, error)
}

pub(in crate::node) fn export_failure(folder: &Path, error: &ExportError) -> Failure {
    match error {
        ExportError::Io { .. } => Failure::failed(error),
        ExportError::Range { .. } | ExportError::Pruned { .. } => in_folder(folder, Code::Usage, error),
        ExportError::Store(error) => store_failure(folder, error),
        ExportError::Stopped => Failure::interrupted("stopped; nothing was written"),
    }
}

pub(in crate::node) fn archive_failure(folder: &Path, error: &ArchiveError) -> Failure {
    match error {
        ArchiveError::Store(error) => store_failure(folder, error),
        ArchiveError::OtherChain { .. } => Failure::usage(error),
        ArchiveError::Newer { .. } => Failure::failed(error),
        error if error.is_damage() => Failure::damaged(error),
        error => Failure::failed(error),
    }
}

pub(in crate::node) fn check_failure(folder: &Path, error: &CheckError) -> Failure {
    match error {
        CheckError::Genesis(error) => Failure::damaged(error),
        CheckError::Open(error) => open_failure(folder, error),
        CheckError::Database(error) => in_folder(folder, database_code(error), error),
        CheckError::Stopped => Failure::interrupted("stopped before its end; nothing was changed"),
    }
}
