//! WGSL for growing rows, hashing Merkle nodes and scoring cells on a GPU.
//!
//! Each [`Shader`] is one file in `wgsl/`, put together with `wgsl/lib/` and
//! with constants that are computed here. [`layout`] holds what the host and a
//! shader have to agree on; a test compares both sides. Whatever runs them is
//! another crate's business.

mod constants;
pub mod layout;

use std::fmt::Write;

pub use constants::{CELLS_EACH, MAX_CHALLENGES, MAX_GROUPS, MAX_TABLES, WORKGROUP};

/// A WGSL module: a file of `wgsl/` with what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shader {
    /// Grows rows: entry points `expand` and `mix`, over so many tables.
    Grow {
        /// 1 to [`MAX_TABLES`].
        tables: u32,
    },
    /// Copies columns out of so many tables into strips: entry point `transpose`.
    Transpose {
        /// 1 to [`MAX_TABLES`].
        tables: u32,
    },
    /// Picks one cell of each row in so many tables: entry point `gather`.
    Gather {
        /// 1 to [`MAX_TABLES`].
        tables: u32,
    },
    /// Hashes one level of Merkle trees: entry point `merkle`.
    Merkle,
    /// Scores cells: entry point `score`.
    Score,
    /// Bare compression, to measure it: entry point `compress_chains`.
    Compress,
}

impl Shader {
    /// The file's name without its extension.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grow { .. } => "grow",
            Self::Transpose { .. } => "transpose",
            Self::Gather { .. } => "gather",
            Self::Merkle => "merkle",
            Self::Score => "score",
            Self::Compress => "compress",
        }
    }

    /// The whole module, ready to be compiled.
    ///
    /// # Panics
    /// If the tables are none or more than [`MAX_TABLES`].
    #[must_use]
    pub fn source(self) -> String {
        let body = match self {
            Self::Grow { .. } => include_str!("../wgsl/grow.wgsl"),
            Self::Transpose { .. } => include_str!("../wgsl/transpose.wgsl"),
            Self::Gather { .. } => include_str!("../wgsl/gather.wgsl"),
            Self::Merkle => include_str!("../wgsl/merkle.wgsl"),
            Self::Score => include_str!("../wgsl/score.wgsl"),
            Self::Compress => include_str!("../wgsl/compress.wgsl"),
        };
        let mut source = include_str!("../wgsl/lib/sha256.wgsl").to_owned();
        source.push_str(&constants::wgsl());
        match self {
            Self::Grow { tables } => source.push_str(&table_access(tables, Access::ReadWrite)),
            Self::Transpose { tables } | Self::Gather { tables } => {
                source.push_str(&table_access(tables, Access::Read));
            }
            Self::Merkle | Self::Score | Self::Compress => (),
        }
        source.push_str(body);
        source
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    ReadWrite,
}

/// Bindings of so many tables, and the way to their cells. A binding has a
/// limit that the memory in use may exceed: a table is a buffer of its own, and
/// all invocations of a workgroup use the same.
fn table_access(tables: u32, access: Access) -> String {
    assert!((1..=MAX_TABLES).contains(&tables), "1 to {MAX_TABLES} tables");
    let mode = if access == Access::Read { "read" } else { "read_write" };
    let mut text = String::new();
    let mut loads = String::new();
    let mut stores = String::new();
    for table in 0..tables {
        let binding = layout::FIRST_TABLE + table;
        let _ = writeln!(text, "@group(0) @binding({binding}) var<storage, {mode}> table_{table}: array<Cell>;");
        // The last one stands for the rest, so that every path returns.
        let case = if table + 1 == tables { "default".to_owned() } else { format!("case {table}u") };
        let _ = writeln!(loads, "        {case}: {{ return table_{table}[at]; }}");
        let _ = writeln!(stores, "        {case}: {{ table_{table}[at] = cell; }}");
    }
    let _ = writeln!(text, "\nfn load(table: u32, at: u32) -> Cell {{\n    switch table {{\n{loads}    }}\n}}\n");
    if access == Access::ReadWrite {
        let _ =
            writeln!(text, "fn store(table: u32, at: u32, cell: Cell) {{\n    switch table {{\n{stores}    }}\n}}\n");
    }
    text
}
