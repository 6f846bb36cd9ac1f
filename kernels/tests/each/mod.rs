//! Runs a check on every adapter of this machine.

use spacetime_kernels::gpu::{Adapter, adapters};

/// Without an adapter says SKIPPED, or fails where one is required.
pub(crate) fn each_adapter(check: impl Fn(&Adapter)) {
    let adapters = adapters();
    if adapters.is_empty() {
        let is_required = std::env::var_os("SPACETIME_REQUIRE_GPU").is_some_and(|value| value == "1");
        assert!(!is_required, "SPACETIME_REQUIRE_GPU=1, and there is no adapter");
        eprintln!("SKIPPED: no GPU adapter, nor Mesa's software Vulkan");
    }
    adapters.iter().for_each(check);
}
