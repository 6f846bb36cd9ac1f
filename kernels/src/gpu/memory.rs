//! How much memory an adapter has: wgpu does not say, Vulkan does.

use crate::gpu::adapter::AdapterKind;

/// Of a card's own memory: a desktop, the driver and staging want the rest.
const SHARE_OF_OWN: f64 = 0.85;
/// Of memory shared with the processor.
const SHARE_OF_SHARED: f64 = 0.25;
/// Where nothing is known.
const UNKNOWN_BYTES: u64 = 1 << 30;
/// Software gains nothing from more.
const SOFTWARE_BYTES: u64 = 256 << 20;

/// What tables may fill unless something else is asked for.
pub(crate) fn default_bytes(kind: AdapterKind, device_local: Option<u64>) -> u64 {
    let share = |share: f64| device_local.map_or(UNKNOWN_BYTES, |bytes| (bytes as f64 * share) as u64);
    match kind {
        AdapterKind::Software => SOFTWARE_BYTES,
        AdapterKind::Integrated | AdapterKind::Other => share(SHARE_OF_SHARED),
        AdapterKind::Discrete | AdapterKind::Virtual => share(SHARE_OF_OWN),
    }
}

/// Bytes of the largest heap that is the device's own.
#[cfg(any(target_os = "linux", target_os = "windows"))]
#[allow(unsafe_code)]
pub(crate) fn device_local_bytes(adapter: &wgpu::Adapter) -> Option<u64> {
    /// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT` (Vulkan 1.3, `VkMemoryHeapFlagBits`).
    const DEVICE_LOCAL: u32 = 1;
    // SAFETY: the handles are only read, while the guard keeps them alive, and nothing is destroyed.
    let properties = unsafe {
        let adapter = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = adapter.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(adapter.raw_physical_device())
    };
    let heaps = &properties.memory_heaps[..properties.memory_heap_count as usize];
    heaps.iter().filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).max()
}

/// Not known here.
#[cfg(not(any(target_os = "linux", target_os = "windows")))]
pub(crate) fn device_local_bytes(_: &wgpu::Adapter) -> Option<u64> {
    None
}
