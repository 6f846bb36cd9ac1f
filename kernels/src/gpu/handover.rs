//! Handing rows over: transposed into strips and hashed on the card, then read back.

use std::ops::Range;
use std::time::Instant;

use bytemuck::{bytes_of, cast_slice};
use spacetime_shaders::Shader;
use spacetime_shaders::layout::{FIRST_BUFFER, FIRST_TABLE, MerkleParams, PARAMS, SECOND_BUFFER, TransposeParams};
use wgpu::BufferUsages;

use crate::bulk::{BulkError, Part, Run};
use crate::gpu::device::{Device, Mapping};
use crate::gpu::flight::Flight;
use crate::gpu::pipeline::{Pipeline, Use, groups};
use crate::merkle::Cell;
use crate::plot::Shape;

/// Most cells of a part: 16 MiB, enough for the full rate of a bus.
const PART_CELLS: usize = 1 << 19;

/// Parts that are on their way at a time.
const PARTS: usize = 8;

/// Levels of a run's trees.
const MAX_LEVELS: u64 = 32;

/// Bytes of a cell.
const CELL_BYTES: u64 = size_of::<Cell>() as u64;

/// The shaders and the buffers between rows in flight and the host.
#[derive(Debug)]
pub(crate) struct Handover {
    columns: usize,
    part_cells: usize,
    transpose: Pipeline,
    merkle: Pipeline,
    transpose_params: wgpu::Buffer,
    merkle_params: wgpu::Buffer,
    merkle_stride_bytes: u64,
    strips: wgpu::Buffer,
    /// Nodes of odd levels, and of even ones.
    nodes: [wgpu::Buffer; 2],
    /// From strips to odd, odd to even, and even to odd levels.
    levels: [wgpu::BindGroup; 3],
    free: Vec<wgpu::Buffer>,
}

/// A part on its way.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) run: usize,
    columns: Range<usize>,
    shape: Run,
    began: Instant,
    buffer: wgpu::Buffer,
    mapping: Mapping,
    pub(crate) submission: wgpu::SubmissionIndex,
}

impl Pending {
    fn cells(&self) -> usize {
        self.columns.len() * self.shape.padded_rows()
    }

    /// Bytes of strips and roots; leaves that are roots are not read twice.
    fn bytes(&self) -> u64 {
        let roots = if self.shape.level == 0 { 0 } else { self.columns.len() };
        (self.cells() + roots) as u64 * CELL_BYTES
    }
}

impl Handover {
    /// For runs of up to `rows` rows, in tables of which there are so many.
    pub(crate) fn new(device: &Device, shape: Shape, rows: usize, tables: u32) -> Result<Self, BulkError> {
        let columns = shape.columns();
        let part_cells = PART_CELLS.min(rows.next_power_of_two() * columns).max(2);
        let mut uses = vec![(PARAMS, Use::Params), (FIRST_BUFFER, Use::Write)];
        uses.extend((0..tables).map(|table| (FIRST_TABLE + table, Use::Read)));
        let transpose = Pipeline::new(device, Shader::Transpose { tables }, &uses, &["transpose"])?;
        let merkle = merkle_pipeline(device)?;
        let inner = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        let cells = |cells: usize, usage| device.buffer("strips and nodes", cells as u64 * CELL_BYTES, usage);
        let strips = cells(part_cells, inner)?;
        let nodes = [cells(part_cells / 2, inner)?, cells((part_cells / 4).max(1), inner)?];
        let merkle_stride_bytes = device.uniform_stride().max(size_of::<MerkleParams>() as u64);
        let transpose_params = device.params(size_of::<TransposeParams>())?;
        let merkle_params = device.params((MAX_LEVELS * merkle_stride_bytes) as usize)?;
        let level = |below: &wgpu::Buffer, above: &wgpu::Buffer| {
            let buffers = [(FIRST_BUFFER, below), (SECOND_BUFFER, above)];
            merkle.bind(device, &merkle_params, size_of::<MerkleParams>(), &buffers)
        };
        let levels = [level(&strips, &nodes[0]), level(&nodes[0], &nodes[1]), level(&nodes[1], &nodes[0])];
        let free = (0..PARTS)
            .map(|_| cells(part_cells + part_cells / 2, BufferUsages::MAP_READ | BufferUsages::COPY_DST))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            columns,
            part_cells,
            transpose,
            merkle,
            transpose_params,
            merkle_params,
            merkle_stride_bytes,
            strips,
            nodes,
            levels,
            free,
        })
    }

    /// What lets [`Self::begin`] read the tables of `flight`.
    pub(crate) fn bind(&self, device: &Device, flight: &Flight) -> wgpu::BindGroup {
        let mut buffers = vec![(FIRST_BUFFER, &self.strips)];
        buffers.extend((FIRST_TABLE..).zip(&flight.tables));
        self.transpose.bind(device, &self.transpose_params, size_of::<TransposeParams>(), &buffers)
    }

    /// Whether another part can begin.
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// The columns that go together, of those from `first` on, in one part of a run.
    pub(crate) fn columns_from(&self, first: usize, run: Run) -> Range<usize> {
        let together = (self.part_cells / run.padded_rows()).max(1);
        first..self.columns.min(first + together)
    }

    /// Begins a part: `columns` of the run that begins with `first_row` of those in flight.
    ///
    /// # Panics
    /// If there is no room, or the part is larger than [`Self::columns_from`] allows.
    pub(crate) fn begin(
        &mut self,
        device: &Device,
        tables: &wgpu::BindGroup,
        table_rows: u32,
        (run, shape, first_row): (usize, Run, usize),
        columns: Range<usize>,
    ) -> Result<Pending, BulkError> {
        let cells = columns.len() * shape.padded_rows();
        assert!((1..=self.part_cells).contains(&cells), "a part has 1 to {} cells", self.part_cells);
        let params = TransposeParams {
            first_row: first_row as u32,
            rows: shape.rows as u32,
            padded_rows: shape.padded_rows() as u32,
            table_rows,
            first_column: columns.start as u32,
            cells: cells as u32,
            unused: [0; 2],
        };
        device.write(&self.transpose_params, 0, bytes_of(&params));
        self.write_levels(device, cells, shape.level);
        let buffer = self.free.pop().expect("the caller saw that there is room");
        let roots = if shape.level % 2 == 1 { &self.nodes[0] } else { &self.nodes[1] };
        let submission = device.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.transpose.dispatch(&mut pass, 0, tables, 0, groups(cells as u64));
            for level in 1..=shape.level {
                let bindings = if level == 1 { &self.levels[0] } else { &self.levels[1 + level as usize % 2] };
                let offset = u64::from(level - 1) * self.merkle_stride_bytes;
                self.merkle.dispatch(&mut pass, 0, bindings, offset, groups(cells as u64 >> level));
            }
            drop(pass);
            let strips_bytes = cells as u64 * CELL_BYTES;
            encoder.copy_buffer_to_buffer(&self.strips, 0, &buffer, 0, strips_bytes);
            if shape.level > 0 {
                let roots_bytes = columns.len() as u64 * CELL_BYTES;
                encoder.copy_buffer_to_buffer(roots, 0, &buffer, strips_bytes, roots_bytes);
            }
        })?;
        let mut pending =
            Pending { run, columns, shape, began: Instant::now(), buffer, mapping: Mapping::default(), submission };
        pending.mapping = device.map(&pending.buffer, pending.bytes());
        Ok(pending)
    }

    fn write_levels(&self, device: &Device, cells: usize, levels: u32) {
        let stride = self.merkle_stride_bytes as usize;
        let mut bytes = vec![0; levels as usize * stride];
        for (level, bytes) in (1..=levels).zip(bytes.chunks_mut(stride)) {
            let params = MerkleParams { nodes: (cells >> level) as u32, unused: [0; 3] };
            bytes[..size_of::<MerkleParams>()].copy_from_slice(bytes_of(&params));
        }
        if !bytes.is_empty() {
            device.write(&self.merkle_params, 0, &bytes);
        }
    }

    /// Whether a part has arrived.
    pub(crate) fn has_arrived(&self, device: &Device, pending: &Pending) -> Result<bool, BulkError> {
        let arrived = device.is_mapped(&pending.mapping)?;
        if !arrived {
            device.check_patience(pending.began)?;
        }
        Ok(arrived)
    }

    /// Hands over a part that has arrived.
    pub(crate) fn finish<T>(
        &mut self,
        device: &Device,
        pending: Pending,
        take: impl FnOnce(Part<'_>) -> T,
    ) -> Result<T, BulkError> {
        let taken = device.mapped(&pending.buffer, pending.bytes(), |bytes| {
            let (strips, roots) = cast_slice::<u8, Cell>(bytes).split_at(pending.cells());
            let roots = if pending.shape.level == 0 { strips } else { roots };
            take(Part { run: pending.run, columns: pending.columns.clone(), strips, roots })
        })?;
        self.free.push(pending.buffer);
        Ok(taken)
    }

    /// Takes back a part that nobody wants any more.
    pub(crate) fn forget(&mut self, pending: Pending) {
        pending.buffer.unmap();
        self.free.push(pending.buffer);
    }
}

/// What hashes one level of Merkle trees.
pub(crate) fn merkle_pipeline(device: &Device) -> Result<Pipeline, BulkError> {
    let uses = [(PARAMS, Use::Params), (FIRST_BUFFER, Use::Read), (SECOND_BUFFER, Use::Write)];
    Pipeline::new(device, Shader::Merkle, &uses, &["merkle"])
}
