//! What the host and a shader have to agree on: bindings and the structures
//! behind them. All bindings are in group 0.

use bytemuck::{Pod, Zeroable};

use crate::constants::MAX_CHALLENGES;

/// Binding of every shader's parameters, a uniform buffer.
pub const PARAMS: u32 = 0;
/// Of what it reads, or in [`crate::Shader::Transpose`] and [`crate::Shader::Compress`] writes.
pub const FIRST_BUFFER: u32 = 1;
/// Of what [`crate::Shader::Merkle`], [`crate::Shader::Score`] and [`crate::Shader::Gather`] write.
pub const SECOND_BUFFER: u32 = 2;
/// Of the first table.
pub const FIRST_TABLE: u32 = 3;

/// `GrowParams` of `grow.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct GrowParams {
    /// Rows in flight.
    pub rows: u32,
    /// Rows that each table has room for.
    pub table_rows: u32,
    /// The first step: of `expand` below `P`, of `mix` counted from the first round.
    pub first: u32,
    /// Steps to do: of `expand` no further than `P`.
    pub steps: u32,
    /// `P`.
    pub columns: u32,
    /// Zero.
    pub unused: [u32; 3],
}

/// `Seed` of `grow.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Seed {
    /// `V[0]`, as words.
    pub cell: [u32; 8],
    /// The plot key, as words.
    pub key: [u32; 8],
    /// The row's number: its high half, then its low half.
    pub number: [u32; 2],
    /// Zero.
    pub unused: [u32; 2],
}

/// `TransposeParams` of `transpose.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct TransposeParams {
    /// The run's first row among those in flight.
    pub first_row: u32,
    /// Its rows.
    pub rows: u32,
    /// Its rows with the padding.
    pub padded_rows: u32,
    /// Rows that each table has room for.
    pub table_rows: u32,
    /// The first column wanted.
    pub first_column: u32,
    /// Cells of all strips wanted: columns times padded rows.
    pub cells: u32,
    /// Zero.
    pub unused: [u32; 2],
}

/// `GatherParams` of `gather.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct GatherParams {
    /// Rows in flight, of each of which one cell is wanted.
    pub rows: u32,
    /// Rows that each table has room for.
    pub table_rows: u32,
    /// Zero.
    pub unused: [u32; 2],
}

/// `MerkleParams` of `merkle.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct MerkleParams {
    /// Nodes to compute, from twice as many below.
    pub nodes: u32,
    /// Zero.
    pub unused: [u32; 3],
}

/// `ScoreParams` of `score.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct ScoreParams {
    /// The challenges, as words.
    pub challenges: [[u32; 8]; MAX_CHALLENGES],
    /// Cells of the strip.
    pub cells: u32,
    /// Zero.
    pub unused: [u32; 3],
}

/// `Found` of `score.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Found {
    /// The score, as words.
    pub score: [u32; 8],
    /// Place of its cell in the strip; the strip's length if there was no cell.
    pub place: u32,
    /// Not to be relied on.
    pub unused: [u32; 3],
}

/// `CompressParams` of `compress.wgsl`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct CompressParams {
    /// Chains.
    pub chains: u32,
    /// Compressions upon each.
    pub times: u32,
    /// Zero.
    pub unused: [u32; 2],
}
