//! What an adapter can do at best: the limits that growing is held against.

use std::time::{Duration, Instant};

use bytemuck::{bytes_of, cast_slice};
use spacetime_shaders::Shader;
use spacetime_shaders::layout::{CompressParams, FIRST_BUFFER, MerkleParams, PARAMS, SECOND_BUFFER};
use wgpu::BufferUsages;

use crate::bulk::BulkError;
use crate::gpu::device::Device;
use crate::gpu::handover::merkle_pipeline;
use crate::gpu::pace::MAX_STEPS;
use crate::gpu::pipeline::{Pipeline, Use, groups};
use crate::merkle::Cell;

/// How often something was done, and in what time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// How often: compressions, pairs or bytes.
    pub count: f64,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Rate {
    /// As many a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.count / self.seconds
    }
}

/// A submission shall take about so long, so that its start does not count.
const SLICE: Duration = Duration::from_millis(40);

/// Bytes of each buffer that is copied: more than caches hold.
const COPY_BYTES: u64 = 512 << 20;

/// Slices of the buffer of Merkle pairs, and most of them in a submission.
const SLICES: u64 = 64;
const MOST_SLICES: u32 = 64 * 1024;

/// Most chains of bare compressions: more than any card has lanes.
const MAX_CHAINS: u64 = 1 << 18;

/// Measures one adapter.
#[derive(Debug)]
pub struct Meter {
    device: Device,
    compress: Pipeline,
    merkle: Pipeline,
}

impl Meter {
    pub(crate) fn new(device: Device) -> Result<Self, BulkError> {
        let uses = [(PARAMS, Use::Params), (FIRST_BUFFER, Use::Write)];
        let compress = Pipeline::new(&device, Shader::Compress, &uses, &["compress_chains"])?;
        let merkle = merkle_pipeline(&device)?;
        Ok(Self { device, compress, merkle })
    }

    /// What it is, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        self.device.name()
    }

    /// `times` compressions upon each of `chains`, in registers alone: each is
    /// `C(v, v || u)` of the chaining value `v` and the one before it, `u`,
    /// zero at first.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If there are no chains, or more than 2^18, or `times` is above 4096.
    pub fn compress_chains(&self, chains: &mut [[u32; 8]], times: u32) -> Result<(), BulkError> {
        assert!((1..=MAX_CHAINS).contains(&(chains.len() as u64)) && times <= MAX_STEPS);
        let bytes = size_of_val(chains) as u64;
        let buffer = self.device.buffer(
            "chains",
            bytes,
            BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
        )?;
        self.device.write(&buffer, 0, cast_slice(chains));
        let readable = self.device.buffer("chains", bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
        self.run_chains(&buffer, chains.len() as u32, times)?;
        let submission =
            self.device.submit(|encoder| encoder.copy_buffer_to_buffer(&buffer, 0, &readable, 0, bytes))?;
        self.device.read(&readable, bytes, &submission, |bytes| {
            chains.copy_from_slice(&bytemuck::pod_collect_to_vec::<u8, [u32; 8]>(bytes));
        })
    }

    fn run_chains(&self, buffer: &wgpu::Buffer, chains: u32, times: u32) -> Result<wgpu::SubmissionIndex, BulkError> {
        let params_bytes = size_of::<CompressParams>();
        let params = self.device.params(params_bytes)?;
        self.device.write(&params, 0, bytes_of(&CompressParams { chains, times, unused: [0; 2] }));
        let bindings = self.compress.bind(&self.device, &params, params_bytes, &[(FIRST_BUFFER, buffer)]);
        self.device.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.compress.dispatch(&mut pass, 0, &bindings, 0, groups(u64::from(chains)));
        })
    }

    /// Bare compressions in so many chains.
    ///
    /// # Errors
    /// If the device fails.
    pub fn bare(&self, chains: usize, time: Duration) -> Result<Rate, BulkError> {
        let chains = (chains as u64).clamp(1, MAX_CHAINS);
        let bytes = chains * size_of::<Cell>() as u64;
        let buffer = self.device.buffer("chains", bytes, BufferUsages::STORAGE | BufferUsages::COPY_DST)?;
        let run = |times: u32| {
            let submission = self.run_chains(&buffer, chains as u32, times)?;
            Ok((submission, (chains * u64::from(times)) as f64))
        };
        self.repeat(time, MAX_STEPS, run)
    }

    /// Merkle pairs, from buffers of the card into others; each is two compressions.
    ///
    /// # Errors
    /// If the device fails.
    pub fn pairs(&self, time: Duration) -> Result<Rate, BulkError> {
        let most = (32 << 20).min(self.device.buffer_bytes()) / size_of::<Cell>() as u64 / 2;
        let below = self.device.buffer("cells", most * 64, BufferUsages::STORAGE)?;
        let above = self.device.buffer("cells", most * 32, BufferUsages::STORAGE)?;
        let params_bytes = size_of::<MerkleParams>();
        let params = self.device.params(params_bytes)?;
        let buffers = [(FIRST_BUFFER, &below), (SECOND_BUFFER, &above)];
        let bindings = self.merkle.bind(&self.device, &params, params_bytes, &buffers);
        // A slow adapter is not held for long by a slice of the buffer; a fast one is done with all of
        // it in less than a submission takes, and does it many times in one.
        let slice = (most / SLICES).max(1);
        let run = |slices: u32| {
            let nodes = slice * u64::from(slices).min(SLICES);
            let times = u64::from(slices).div_ceil(SLICES);
            self.device.write(&params, 0, bytes_of(&MerkleParams { nodes: nodes as u32, unused: [0; 3] }));
            let submission = self.device.submit(|encoder| {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                for _ in 0..times {
                    self.merkle.dispatch(&mut pass, 0, &bindings, 0, groups(nodes));
                }
            })?;
            Ok((submission, (nodes * times) as f64))
        };
        self.repeat(time, MOST_SLICES, run)
    }

    /// Bytes read and written while a buffer is copied into another on the card: twice its size.
    ///
    /// # Errors
    /// If the device fails.
    pub fn copy(&self, time: Duration) -> Result<Rate, BulkError> {
        let bytes = self.copy_bytes();
        let from = self.device.buffer("copied", bytes, BufferUsages::COPY_SRC)?;
        let to = self.device.buffer("copied", bytes, BufferUsages::COPY_DST)?;
        let run = |copies: u32| {
            let submission = self.device.submit(|encoder| {
                for _ in 0..copies {
                    encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
                }
            })?;
            Ok((submission, 2.0 * f64::from(copies) * bytes as f64))
        };
        self.repeat(time, 256, run)
    }

    fn copy_bytes(&self) -> u64 {
        COPY_BYTES.min(self.device.buffer_bytes()) / 4096 * 4096
    }

    /// Bytes copied from the card into memory of the host, mapped and read there.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read_back(&self, time: Duration) -> Result<Rate, BulkError> {
        let bytes = (64 << 20).min(self.copy_bytes());
        let from = self.device.buffer("read back", bytes, BufferUsages::COPY_SRC)?;
        let readable = || self.device.buffer("read back", bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        let buffers = [readable()?, readable()?, readable()?];
        let mut host = vec![0; bytes as usize];
        let copy =
            |to: &wgpu::Buffer| self.device.submit(|encoder| encoder.copy_buffer_to_buffer(&from, 0, to, 0, bytes));
        let mut submissions = buffers.iter().map(copy).collect::<Result<Vec<_>, _>>()?;
        let (mut began, mut count) = (Instant::now(), 0);
        for turn in 0.. {
            let at = turn % buffers.len();
            self.device.read(&buffers[at], bytes, &submissions[at], |bytes| host.copy_from_slice(bytes))?;
            submissions[at] = copy(&buffers[at])?;
            // The first ones warm up.
            if turn < buffers.len() {
                began = Instant::now();
                continue;
            }
            count += bytes;
            if began.elapsed() >= time {
                break;
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        submissions.iter().try_for_each(|submission| self.device.wait(submission))?;
        Ok(Rate { count: count as f64, seconds })
    }

    /// Repeats `run`, with as many units a time as take a [`SLICE`], for about `time`; the best slice counts, as
    /// whatever disturbs one only slows it.
    fn repeat(
        &self,
        time: Duration,
        most: u32,
        run: impl Fn(u32) -> Result<(wgpu::SubmissionIndex, f64), BulkError>,
    ) -> Result<Rate, BulkError> {
        let (mut units, mut best) = (1, Rate { count: 0.0, seconds: 1.0 });
        // Drivers compile a shader when it first runs.
        let (warm, _) = run(1)?;
        self.device.wait(&warm)?;
        let began = Instant::now();
        while best.count == 0.0 || began.elapsed() < time {
            let slice_began = Instant::now();
            let (submission, count) = run(units)?;
            self.device.wait(&submission)?;
            let took = slice_began.elapsed();
            let seen = Rate { count, seconds: took.as_secs_f64() };
            if seen.per_second() > best.per_second() {
                best = seen;
            }
            if took < SLICE && units < most {
                units = (units * 2).min(most);
            }
        }
        Ok(best)
    }
}
