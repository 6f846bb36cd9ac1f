//! Single cells of rows that were grown again, as checking proofs takes them.

use bytemuck::{bytes_of, cast_slice};
use spacetime_shaders::Shader;
use spacetime_shaders::layout::{FIRST_BUFFER, FIRST_TABLE, GatherParams, PARAMS, SECOND_BUFFER};
use wgpu::BufferUsages;

use crate::bulk::BulkError;
use crate::gpu::device::Device;
use crate::gpu::flight::Flight;
use crate::gpu::pipeline::{Pipeline, Use, groups};
use crate::merkle::Cell;
use crate::plot::ColumnIndex;

/// Picks a cell of each row of one flight.
#[derive(Debug)]
pub(crate) struct Gather {
    pipeline: Pipeline,
    table_rows: u32,
    params: wgpu::Buffer,
    columns: wgpu::Buffer,
    cells: wgpu::Buffer,
    readable: wgpu::Buffer,
    bindings: wgpu::BindGroup,
}

impl Gather {
    pub(crate) fn new(device: &Device, flight: &Flight) -> Result<Self, BulkError> {
        let tables = flight.layout.count;
        let mut uses = vec![(PARAMS, Use::Params), (FIRST_BUFFER, Use::Read), (SECOND_BUFFER, Use::Write)];
        uses.extend((0..tables).map(|table| (FIRST_TABLE + table, Use::Read)));
        let pipeline = Pipeline::new(device, Shader::Gather { tables }, &uses, &["gather"])?;
        let rows = flight.layout.rows();
        let (columns_bytes, cells_bytes) = ((rows * size_of::<u32>()) as u64, (rows * size_of::<Cell>()) as u64);
        let params_bytes = size_of::<GatherParams>();
        let params = device.params(params_bytes)?;
        let columns = device.buffer("columns", columns_bytes, BufferUsages::STORAGE | BufferUsages::COPY_DST)?;
        let cells = device.buffer("cells", cells_bytes, BufferUsages::STORAGE | BufferUsages::COPY_SRC)?;
        let readable = device.buffer("cells", cells_bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
        let mut buffers = vec![(FIRST_BUFFER, &columns), (SECOND_BUFFER, &cells)];
        buffers.extend((FIRST_TABLE..).zip(&flight.tables));
        let bindings = pipeline.bind(device, &params, params_bytes, &buffers);
        let table_rows = flight.layout.rows_each;
        Ok(Self { pipeline, table_rows, params, columns, cells, readable, bindings })
    }

    /// The cell in `columns[k]` of the k-th row in flight, for as many rows as there are columns.
    pub(crate) fn cells(
        &self,
        device: &Device,
        columns: impl Iterator<Item = ColumnIndex>,
        cells: &mut [Cell],
    ) -> Result<(), BulkError> {
        let columns: Vec<u32> = columns.map(|column| column.0).collect();
        let params = GatherParams { rows: columns.len() as u32, table_rows: self.table_rows, unused: [0; 2] };
        device.write(&self.params, 0, bytes_of(&params));
        device.write(&self.columns, 0, cast_slice(&columns));
        let bytes = size_of_val(cells) as u64;
        let submission = device.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.pipeline.dispatch(&mut pass, 0, &self.bindings, 0, groups(columns.len() as u64));
            drop(pass);
            encoder.copy_buffer_to_buffer(&self.cells, 0, &self.readable, 0, bytes);
        })?;
        device.read(&self.readable, bytes, &submission, |bytes| cells.copy_from_slice(cast_slice(bytes)))
    }
}
