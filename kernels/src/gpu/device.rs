//! One opened device: buffers, submissions, and what goes wrong with them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use spacetime_shaders::Shader;

use crate::bulk::BulkError;
use crate::gpu::adapter::{OpenOptions, Rewrite};

/// A device that did not finish a submission of some milliseconds for so long hangs.
const HANGS: Duration = Duration::from_secs(60);

/// A device with its queue.
#[derive(Debug)]
pub(crate) struct Device {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    fault: Fault,
    rewrite: Option<Rewrite>,
    unchecked: bool,
    /// After which a submission counts as hanging.
    patience: Duration,
    hangs: AtomicBool,
    /// For tests: nothing is ever done.
    stalls: bool,
}

/// What the driver said when it gave up.
#[derive(Clone, Debug, Default)]
struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    fn note(&self, reason: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes a device away while it works, as a driver that resets it would: for tests.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Plug(wgpu::Device);

impl Plug {
    /// The device is lost from now on.
    pub fn pull(&self) {
        self.0.destroy();
    }
}

impl Device {
    /// Opens a device of `adapter` with all that the adapter allows.
    ///
    /// # Errors
    /// If the driver does not, with what it says.
    pub(crate) fn open(adapter: &wgpu::Adapter, name: String, options: &OpenOptions) -> Result<Self, String> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("spacetime"),
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) =
            pollster::block_on(adapter.request_device(&descriptor)).map_err(|error| error.to_string())?;
        let fault = Fault::default();
        let noted = fault.clone();
        device.set_device_lost_callback(move |reason, message| noted.note(format!("{reason:?}: {message}")));
        let noted = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error| noted.note(error.to_string())));
        let &OpenOptions { rewrite, unchecked, .. } = options;
        let (patience, hangs, stalls) = (HANGS, AtomicBool::new(false), false);
        Ok(Self { name, device, queue, fault, rewrite, unchecked, patience, hangs, stalls })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn plug(&self) -> Plug {
        Plug(self.device.clone())
    }

    /// From now on nothing is ever done.
    pub(crate) fn hang(&mut self, patience: Duration) {
        (self.stalls, self.patience) = (true, patience);
    }

    /// Bytes of the largest buffer that a shader can use whole.
    pub(crate) fn buffer_bytes(&self) -> u64 {
        buffer_bytes(&self.device.limits())
    }

    /// Storage buffers that one shader can use.
    pub(crate) fn storage_buffers(&self) -> u32 {
        let limits = self.device.limits();
        limits.max_storage_buffers_per_shader_stage.min(limits.max_bindings_per_bind_group - 1)
    }

    /// Distance of parameters that share a buffer.
    pub(crate) fn uniform_stride(&self) -> u64 {
        u64::from(self.device.limits().min_uniform_buffer_offset_alignment)
    }

    /// Fails if anything went wrong since the device was opened.
    pub(crate) fn check(&self) -> Result<(), BulkError> {
        self.fault.reason().map_or(Ok(()), |reason| Err(self.lost(reason)))
    }

    fn lost(&self, reason: String) -> BulkError {
        BulkError::Lost { name: self.name.clone(), reason: one_line(&reason) }
    }

    pub(crate) fn buffer(
        &self,
        label: &'static str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, BulkError> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: false };
        let buffer = self.device.create_buffer(&descriptor);
        if let Some(error) = pollster::block_on(scope.pop()) {
            let reason = format!("no {bytes} bytes for {label}: {}", one_line(&error.to_string()));
            return Err(BulkError::Memory { name: self.name.clone(), reason });
        }
        self.check()?;
        Ok(buffer)
    }

    /// A buffer for so many bytes of parameters.
    pub(crate) fn params(&self, bytes: usize) -> Result<wgpu::Buffer, BulkError> {
        self.buffer("parameters", bytes as u64, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST)
    }

    /// Compiles a shader.
    #[allow(unsafe_code)]
    pub(crate) fn module(&self, shader: Shader) -> Result<wgpu::ShaderModule, BulkError> {
        let source = shader.source();
        let source = self.rewrite.map_or(source.clone(), |rewrite| rewrite(shader, source));
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(shader.name()),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        let module = if self.unchecked {
            // SAFETY: the shaders' indices stay below their buffers' lengths and their loops end, which the
            // checked build of the same shaders shows by its results; only measurements ask for this.
            unsafe { self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        } else {
            self.device.create_shader_module(descriptor)
        };
        self.check()?;
        Ok(module)
    }

    pub(crate) fn raw(&self) -> &wgpu::Device {
        &self.device
    }

    /// Writes before the next submission runs.
    pub(crate) fn write(&self, buffer: &wgpu::Buffer, offset_bytes: u64, bytes: &[u8]) {
        self.queue.write_buffer(buffer, offset_bytes, bytes);
    }

    /// Submits what `record` writes down.
    pub(crate) fn submit(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<wgpu::SubmissionIndex, BulkError> {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        record(&mut encoder);
        let index = self.queue.submit([encoder.finish()]);
        self.check()?;
        Ok(index)
    }

    /// Lets callbacks run for what is done.
    pub(crate) fn poll(&self) -> Result<(), BulkError> {
        self.poll_as(wgpu::PollType::Poll).map(drop)
    }

    /// Whether `submission` is done.
    pub(crate) fn is_done(&self, submission: &wgpu::SubmissionIndex) -> Result<bool, BulkError> {
        self.poll_as(wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(Duration::ZERO) })
    }

    /// Waits until `submission` is done, or half a second is over: whether it is done.
    pub(crate) fn wait_a_moment(&self, submission: &wgpu::SubmissionIndex) -> Result<bool, BulkError> {
        self.poll_as(wgpu::PollType::Wait {
            submission_index: Some(submission.clone()),
            timeout: Some(self.patience.min(Duration::from_millis(500))),
        })
    }

    /// Waits until `submission` is done.
    ///
    /// # Errors
    /// If the device is lost, or hangs.
    pub(crate) fn wait(&self, submission: &wgpu::SubmissionIndex) -> Result<(), BulkError> {
        let began = Instant::now();
        while !self.wait_a_moment(submission)? {
            self.check_patience(began)?;
        }
        Ok(())
    }

    /// Fails if what was begun then should long be done.
    pub(crate) fn check_patience(&self, began: Instant) -> Result<(), BulkError> {
        if began.elapsed() < self.patience {
            return Ok(());
        }
        self.hangs.store(true, Ordering::Relaxed);
        let reason = format!("it did not answer for {} s", self.patience.as_secs_f64());
        self.fault.note(reason.clone());
        Err(self.lost(reason))
    }

    fn poll_as(&self, poll: wgpu::PollType) -> Result<bool, BulkError> {
        if self.stalls {
            if let wgpu::PollType::Wait { timeout: Some(timeout), .. } = poll {
                std::thread::sleep(timeout);
            }
            return self.check().map(|()| false);
        }
        // wgpu 30 panics here, and here alone, where the driver says that the device is lost.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(poll)));
        let done = match polled {
            Ok(Ok(_)) => true,
            Ok(Err(wgpu::PollError::Timeout)) => false,
            Ok(Err(error)) => {
                self.fault.note(error.to_string());
                false
            }
            Err(_) => {
                self.fault.note("its driver says that the device is lost".to_owned());
                false
            }
        };
        self.check()?;
        Ok(done)
    }

    /// Maps `buffer` for reading; `Mapping::is_done` follows from polling.
    pub(crate) fn map(&self, buffer: &wgpu::Buffer, bytes: u64) -> Mapping {
        let mapping = Mapping::default();
        let answer = Arc::clone(&mapping.0);
        buffer.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| {
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.is_ok());
        });
        mapping
    }

    /// Whether `mapping` is done.
    pub(crate) fn is_mapped(&self, mapping: &Mapping) -> Result<bool, BulkError> {
        let answer = *mapping.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answer == Some(false) {
            self.check()?;
            return Err(self.lost("it does not let its memory be read".to_owned()));
        }
        Ok(answer == Some(true))
    }

    /// Waits for `submission` and calls `read` with the first `bytes` of `buffer`, which it has filled.
    pub(crate) fn read<T>(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        submission: &wgpu::SubmissionIndex,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, BulkError> {
        let mapping = self.map(buffer, bytes);
        self.wait(submission)?;
        let began = Instant::now();
        while !self.is_mapped(&mapping)? {
            self.check_patience(began)?;
            self.poll()?;
        }
        self.mapped(buffer, bytes, read)
    }

    /// Calls `read` with the first `bytes` of a buffer that is mapped, and ends the mapping.
    pub(crate) fn mapped<T>(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, BulkError> {
        let view = buffer.slice(..bytes).get_mapped_range().map_err(|error| self.lost(error.to_string()))?;
        let result = read(&view);
        drop(view);
        buffer.unmap();
        Ok(result)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.hangs.load(Ordering::Relaxed) {
            // The last user of a queue waits until it is idle, which this one may never be.
            std::mem::forget(self.queue.clone());
        }
    }
}

/// wgpu tells shaders on Metal how long a buffer is in 32 bits, and their checks keep them below that.
fn buffer_bytes(limits: &wgpu::Limits) -> u64 {
    limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(u64::from(u32::MAX))
}

/// A buffer on its way to be read.
#[derive(Debug, Default)]
pub(crate) struct Mapping(Arc<Mutex<Option<bool>>>);

/// Drivers' messages come in many lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beyond 4 GiB a shader's checks would send indices to the wrong cell.
    #[test]
    fn buffers_are_addressed_in_32_bits() {
        let limits = |binding, buffer| wgpu::Limits {
            max_storage_buffer_binding_size: binding,
            max_buffer_size: buffer,
            ..wgpu::Limits::default()
        };
        assert_eq!(buffer_bytes(&limits(1 << 31, 1 << 40)), 1 << 31);
        assert_eq!(buffer_bytes(&limits(1 << 31, 1 << 30)), 1 << 30);
        assert_eq!(buffer_bytes(&limits(36 << 30, 36 << 30)), u64::from(u32::MAX));
    }
}
