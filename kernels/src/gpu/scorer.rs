//! Scoring strips on a card.

use bytemuck::{bytes_of, cast_slice};
use spacetime_shaders::layout::{FIRST_BUFFER, Found, PARAMS, SECOND_BUFFER, ScoreParams};
use spacetime_shaders::{CELLS_EACH, Shader, WORKGROUP};
use wgpu::BufferUsages;

use crate::bulk::{BulkError, BulkScorer};
use crate::gpu::device::Device;
use crate::gpu::pipeline::{Pipeline, Use};
use crate::merkle::Cell;
use crate::score::{Best, Challenge, MAX_CHALLENGES, Score};
use crate::sha256::{bytes_of as bytes_of_words, words_of};

/// Most cells scored in one go: 32 MiB.
const MOST_CELLS: usize = 1 << 20;

/// Cells of a workgroup.
const GROUP_CELLS: usize = (WORKGROUP * CELLS_EACH) as usize;

const _: () = assert!(MAX_CHALLENGES == spacetime_shaders::MAX_CHALLENGES);
const _: () = assert!(MOST_CELLS / GROUP_CELLS <= spacetime_shaders::MAX_GROUPS as usize);

/// Scores strips on one adapter.
#[derive(Debug)]
pub struct GpuScorer {
    device: Device,
    pipeline: Pipeline,
    params: wgpu::Buffer,
    strip: wgpu::Buffer,
    found: wgpu::Buffer,
    readable: wgpu::Buffer,
    bindings: wgpu::BindGroup,
}

impl GpuScorer {
    pub(crate) fn new(device: Device) -> Result<Self, BulkError> {
        let uses = [(PARAMS, Use::Params), (FIRST_BUFFER, Use::Read), (SECOND_BUFFER, Use::Write)];
        let pipeline = Pipeline::new(&device, Shader::Score, &uses, &["score"])?;
        let params_bytes = size_of::<ScoreParams>();
        let params = device.params(params_bytes)?;
        let strip_bytes = (MOST_CELLS * size_of::<Cell>()) as u64;
        let strip = device.buffer("a strip", strip_bytes, BufferUsages::STORAGE | BufferUsages::COPY_DST)?;
        let found_bytes = (MOST_CELLS / GROUP_CELLS * MAX_CHALLENGES * size_of::<Found>()) as u64;
        let found = device.buffer("scores", found_bytes, BufferUsages::STORAGE | BufferUsages::COPY_SRC)?;
        let readable = device.buffer("scores", found_bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
        let bindings =
            pipeline.bind(&device, &params, params_bytes, &[(FIRST_BUFFER, &strip), (SECOND_BUFFER, &found)]);
        Ok(Self { device, pipeline, params, strip, found, readable, bindings })
    }

    /// Scores cells that fit the buffers.
    fn score_some(
        &mut self,
        challenges: &[Challenge],
        cells: &[Cell],
        first_row: u64,
        best: &mut [Option<Best>],
    ) -> Result<(), BulkError> {
        let mut params = ScoreParams { cells: cells.len() as u32, ..ScoreParams::default() };
        for (words, challenge) in params.challenges.iter_mut().zip(challenges) {
            *words = words_of(&challenge.0);
        }
        self.device.write(&self.params, 0, bytes_of(&params));
        self.device.write(&self.strip, 0, cast_slice(cells));
        let groups = cells.len().div_ceil(GROUP_CELLS);
        let bytes = (groups * challenges.len() * size_of::<Found>()) as u64;
        let submission = self.device.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let groups = [groups as u32, challenges.len() as u32];
            self.pipeline.dispatch(&mut pass, 0, &self.bindings, 0, groups);
            drop(pass);
            encoder.copy_buffer_to_buffer(&self.found, 0, &self.readable, 0, bytes);
        })?;
        self.device.read(&self.readable, bytes, &submission, |bytes| {
            let found = bytemuck::pod_collect_to_vec::<u8, Found>(bytes);
            for (best, found) in best.iter_mut().zip(found.chunks(groups)) {
                // A place that is none can only come from an adapter that computes wrong; it must not be indexed by.
                for found in found.iter().filter(|found| (found.place as usize) < cells.len()) {
                    let row = first_row + u64::from(found.place);
                    let seen = Best { row, score: Score(bytes_of_words(&found.score)) };
                    if best.is_none_or(|best| seen.beats(&best)) {
                        *best = Some(seen);
                    }
                }
            }
        })
    }
}

impl BulkScorer for GpuScorer {
    fn name(&self) -> String {
        self.device.name().to_owned()
    }

    fn score_best(
        &mut self,
        challenges: &[Challenge],
        strip: &[Cell],
        first_row: u64,
        best: &mut [Option<Best>],
    ) -> Result<(), BulkError> {
        assert!((1..=MAX_CHALLENGES).contains(&challenges.len()), "one to {MAX_CHALLENGES} challenges a pass");
        assert_eq!(challenges.len(), best.len(), "one best leaf for each challenge");
        let mut seen = best.to_vec();
        for (cells, start) in strip.chunks(MOST_CELLS).zip((first_row..).step_by(MOST_CELLS)) {
            self.score_some(challenges, cells, start, &mut seen)?;
        }
        best.copy_from_slice(&seen);
        Ok(())
    }
}
