//! Rows in flight: the tables in which they grow.

use bytemuck::{bytes_of, cast_slice};
use spacetime_shaders::layout::{FIRST_BUFFER, FIRST_TABLE, GrowParams, PARAMS, Seed};
use spacetime_shaders::{MAX_TABLES, Shader, WORKGROUP};
use wgpu::BufferUsages;

use crate::bulk::BulkError;
use crate::gpu::adapter::GpuError;
use crate::gpu::device::Device;
use crate::gpu::pace::MAX_STEPS;
use crate::gpu::pipeline::{Pipeline, Use};
use crate::plot::{PlotKey, RowIndex, Shape};
use crate::sha256::words_of;

/// Most rows in flight, whatever the memory: far more than any card has lanes.
pub(crate) const MAX_ROWS_IN_FLIGHT: u64 = 1 << 18;

/// The entry points of [`Shader::Grow`].
const EXPAND: usize = 0;
const MIX: usize = 1;

/// How rows in flight are spread over buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    /// How many there are.
    pub(crate) count: u32,
    /// Rows that each has room for.
    pub(crate) rows_each: u32,
}

impl Tables {
    /// As many rows as `memory_bytes` hold in `flights` equal parts.
    ///
    /// # Errors
    /// If that is not one row each, or a row does not fit a buffer.
    pub(crate) fn fitting(device: &Device, shape: Shape, memory_bytes: u64, flights: u64) -> Result<Self, GpuError> {
        let row_bytes = shape.row_bytes() as u64;
        let buffer_bytes = device.buffer_bytes();
        let most_each = buffer_bytes / row_bytes;
        if most_each == 0 {
            return Err(GpuError::RowTooLarge { name: device.name().to_owned(), row_bytes, buffer_bytes });
        }
        let needed_bytes = row_bytes * flights;
        if memory_bytes < needed_bytes {
            return Err(GpuError::SmallMemory { name: device.name().to_owned(), memory_bytes, needed_bytes });
        }
        // The shaders' other buffers, at most two, take places too.
        let most_tables = u64::from(device.storage_buffers().saturating_sub(2).clamp(1, MAX_TABLES));
        let rows = (memory_bytes / needed_bytes).min(MAX_ROWS_IN_FLIGHT).min(most_tables * most_each);
        let count = rows.div_ceil(most_each);
        let rows_each = rows / count;
        // Whole workgroups, where there are that many rows.
        let workgroup = u64::from(WORKGROUP);
        let rows_each = if rows_each < workgroup { rows_each } else { rows_each / workgroup * workgroup };
        Ok(Self { count: count as u32, rows_each: rows_each as u32 })
    }

    /// Rows that fit all of them.
    pub(crate) fn rows(self) -> usize {
        self.count as usize * self.rows_each as usize
    }
}

/// What grows rows.
pub(crate) fn grow_pipeline(device: &Device, tables: u32) -> Result<Pipeline, BulkError> {
    let mut uses = vec![(PARAMS, Use::Params), (FIRST_BUFFER, Use::Read)];
    uses.extend((0..tables).map(|table| (FIRST_TABLE + table, Use::Write)));
    Pipeline::new(device, Shader::Grow { tables }, &uses, &["expand", "mix"])
}

/// One lot of rows, or room for it.
#[derive(Debug)]
pub(crate) struct Flight {
    shape: Shape,
    pub(crate) layout: Tables,
    pub(crate) tables: Vec<wgpu::Buffer>,
    seeds: wgpu::Buffer,
    params: wgpu::Buffer,
    bindings: wgpu::BindGroup,
    rows: u32,
    /// Steps done: `P` of the expansion, then `P` a round.
    steps_done: u32,
}

impl Flight {
    pub(crate) fn new(device: &Device, grow: &Pipeline, shape: Shape, layout: Tables) -> Result<Self, BulkError> {
        let table_bytes = u64::from(layout.rows_each) * shape.row_bytes() as u64;
        let table = |_| device.buffer("rows in flight", table_bytes, BufferUsages::STORAGE | BufferUsages::COPY_DST);
        let tables = (0..layout.count).map(table).collect::<Result<Vec<_>, _>>()?;
        let seeds_bytes = (layout.rows() * size_of::<Seed>()) as u64;
        let seeds = device.buffer("seeds", seeds_bytes, BufferUsages::STORAGE | BufferUsages::COPY_DST)?;
        let params_bytes = size_of::<GrowParams>();
        let params = device.params(params_bytes)?;
        let mut buffers = vec![(FIRST_BUFFER, &seeds)];
        buffers.extend((FIRST_TABLE..).zip(&tables));
        let bindings = grow.bind(device, &params, params_bytes, &buffers);
        Ok(Self { shape, layout, tables, seeds, params, bindings, rows: 0, steps_done: 0 })
    }

    /// Columns of its rows.
    pub(crate) fn columns(&self) -> usize {
        self.shape.columns()
    }

    /// Steps that growing takes.
    pub(crate) fn steps(&self) -> u32 {
        self.shape.columns() as u32 * (u32::from(self.shape.rounds()) + 1)
    }

    pub(crate) fn is_grown(&self) -> bool {
        self.steps_done == self.steps()
    }

    /// Takes rows in, of one plot or of many; whatever was in flight is gone.
    ///
    /// # Panics
    /// If there are none, or more than there is room for.
    pub(crate) fn begin(&mut self, device: &Device, rows: impl Iterator<Item = (PlotKey, RowIndex)>) {
        let seed = |(key, row): (PlotKey, RowIndex)| Seed {
            cell: key.first_cell(row),
            key: words_of(&key.0),
            number: [(row.0 >> 32) as u32, row.0 as u32],
            unused: [0; 2],
        };
        let seeds: Vec<Seed> = rows.map(seed).collect();
        assert!((1..=self.layout.rows()).contains(&seeds.len()), "1 to {} rows fly", self.layout.rows());
        device.write(&self.seeds, 0, cast_slice(&seeds));
        (self.rows, self.steps_done) = (seeds.len() as u32, 0);
    }

    /// Begins a dispatch of at most so many steps; how many they are.
    pub(crate) fn advance(
        &mut self,
        device: &Device,
        grow: &Pipeline,
        most: u32,
    ) -> Result<(wgpu::SubmissionIndex, u32), BulkError> {
        let columns = self.shape.columns() as u32;
        let (entry, first, end) = match self.steps_done.checked_sub(columns) {
            None => (EXPAND, self.steps_done, columns),
            Some(mixed) => (MIX, mixed, self.steps() - columns),
        };
        let steps = most.min(MAX_STEPS).min(end - first);
        let params =
            GrowParams { rows: self.rows, table_rows: self.layout.rows_each, first, steps, columns, unused: [0; 3] };
        device.write(&self.params, 0, bytes_of(&params));
        let groups = self.layout.rows_each.min(self.rows).div_ceil(WORKGROUP);
        let tables = self.rows.div_ceil(self.layout.rows_each);
        let submission = device.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            grow.dispatch(&mut pass, entry, &self.bindings, 0, [groups, tables]);
        })?;
        self.steps_done += steps;
        Ok((submission, steps))
    }
}
