//! Which adapters there are, and opening one.

use std::fmt;

use spacetime_shaders::Shader;
use thiserror::Error;

use crate::bulk::BulkError;
use crate::gpu::device::Device;
use crate::gpu::grower::GpuGrower;
use crate::gpu::memory;
use crate::gpu::meter::Meter;
use crate::gpu::scorer::GpuScorer;
use crate::gpu::self_test::{self, SelfTestError};
use crate::plot::Shape;

/// What an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// Part of the processor, sharing its memory.
    Integrated,
    /// A share of some other machine's card.
    Virtual,
    /// The CPU playing a GPU: slower than its own backends.
    Software,
    /// Something else.
    Other,
}

/// A GPU, or what stands in for one.
#[derive(Clone)]
pub struct Adapter {
    index: usize,
    inner: wgpu::Adapter,
    info: wgpu::AdapterInfo,
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").field("index", &self.index).field("info", &self.info).finish()
    }
}

/// Why an adapter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GpuError {
    /// Its driver does not start it.
    #[error("{name} does not start: {reason}")]
    Open {
        /// Which.
        name: String,
        /// What its driver says.
        reason: String,
    },
    /// It computes something else than the CPU.
    #[error("{name} is refused, it computes wrong results: {difference}")]
    SelfTest {
        /// Which.
        name: String,
        /// The first thing that differs.
        difference: SelfTestError,
    },
    /// One row takes more than a buffer of it can hold.
    #[error("{name} cannot hold a row of {row_bytes} bytes: its buffers hold {buffer_bytes}")]
    RowTooLarge {
        /// Which.
        name: String,
        /// Bytes of a row.
        row_bytes: u64,
        /// Bytes of its largest buffer.
        buffer_bytes: u64,
    },
    /// It may use too little memory for one row in each of its halves.
    #[error("{name} may use {memory_bytes} bytes, rows of this shape take at least {needed_bytes}")]
    SmallMemory {
        /// Which.
        name: String,
        /// What it may use.
        memory_bytes: u64,
        /// What it would need.
        needed_bytes: u64,
    },
    /// It failed.
    #[error(transparent)]
    Bulk(#[from] BulkError),
}

/// Changes a shader's source before it is compiled.
pub type Rewrite = fn(Shader, String) -> String;

/// How an adapter is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// Bytes of its memory that tables may fill; by default most of what it has, a
    /// quarter if it shares the processor's memory, 256 MiB if it is software.
    pub memory_bytes: Option<u64>,
    /// For tests that need an adapter which computes something wrong.
    #[doc(hidden)]
    pub rewrite: Option<Rewrite>,
    /// For measurements: shaders without wgpu's checks of indices and loops.
    #[doc(hidden)]
    pub unchecked: bool,
}

/// Every adapter of this machine, in the order in which the drivers name them;
/// none without a driver.
#[must_use]
pub fn adapters() -> Vec<Adapter> {
    // A card that Vulkan and DirectX both drive shall appear once.
    let found = enumerate(wgpu::Backends::VULKAN | wgpu::Backends::METAL);
    let found = if found.is_empty() { enumerate(wgpu::Backends::DX12) } else { found };
    found
        .into_iter()
        .enumerate()
        .map(|(index, inner)| {
            let info = inner.get_info();
            Adapter { index, inner, info }
        })
        .collect()
}

fn enumerate(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let descriptor = wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty(),
        // Where the driver tells, memory runs out in an error and not in a lost device.
        memory_budget_thresholds: wgpu::MemoryBudgetThresholds {
            for_resource_creation: Some(97),
            for_device_loss: None,
        },
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    };
    pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends))
}

impl Adapter {
    /// Its place among [`adapters`].
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// What it is, for people: `gpu:0 (NVIDIA H200)`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("gpu:{} ({})", self.index, self.info.name)
    }

    /// Its driver, for people.
    #[must_use]
    pub fn driver(&self) -> String {
        format!("{} {}", self.info.driver, self.info.driver_info).trim().to_owned()
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> AdapterKind {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Other,
        }
    }

    /// Whether it is the CPU playing a GPU.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.kind() == AdapterKind::Software
    }

    /// Bytes of memory that it has for itself, where its driver tells.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        memory::device_local_bytes(&self.inner)
    }

    /// Bytes that tables fill unless something else is asked for.
    #[must_use]
    pub fn default_memory_bytes(&self) -> u64 {
        memory::default_bytes(self.kind(), self.memory_bytes())
    }

    /// Starts the adapter for growing rows of `shape`, after a self-test. Each
    /// call opens a device with a queue and memory of its own.
    ///
    /// # Errors
    /// If it does not start, has no room, fails, or computes wrong results.
    pub fn open(&self, shape: Shape, options: &OpenOptions) -> Result<GpuGrower, GpuError> {
        let device = self.device(options)?;
        let memory_bytes = options.memory_bytes.unwrap_or_else(|| self.default_memory_bytes());
        let grower = GpuGrower::new(device, shape, memory_bytes)?;
        self_test::growing(&grower).map_err(|error| self.refused(error))?;
        Ok(grower)
    }

    /// Starts the adapter for scoring strips, after a self-test.
    ///
    /// # Errors
    /// If it does not start, fails, or computes wrong results.
    pub fn open_scorer(&self, options: &OpenOptions) -> Result<GpuScorer, GpuError> {
        let mut scorer = GpuScorer::new(self.device(options)?)?;
        self_test::scoring(&mut scorer).map_err(|error| self.refused(error))?;
        Ok(scorer)
    }

    /// Starts the adapter for measurements.
    ///
    /// # Errors
    /// If it does not start.
    pub fn open_meter(&self, options: &OpenOptions) -> Result<Meter, GpuError> {
        Ok(Meter::new(self.device(options)?)?)
    }

    fn device(&self, options: &OpenOptions) -> Result<Device, GpuError> {
        Device::open(&self.inner, self.name(), options).map_err(|reason| GpuError::Open { name: self.name(), reason })
    }

    fn refused(&self, failure: self_test::Failure) -> GpuError {
        match failure {
            self_test::Failure::Bulk(error) => GpuError::Bulk(error),
            self_test::Failure::Differs(difference) => GpuError::SelfTest { name: self.name(), difference },
        }
    }
}
