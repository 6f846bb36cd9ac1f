#!/usr/bin/env bash
# Runs the kernels' tests with SHA-NI where the CPU has none: under
# `qemu-x86_64 -cpu max`, which knows it from release 10 on (Debian 12: from
# backports; tools/setup.sh test installs it). Where the CPU has SHA
# instructions the ordinary tests ran them, and there is nothing to do; where
# neither can be had, it says SKIPPED out loud.
#
#   tools/test-shani-qemu.sh [--always]     --always: emulate in any case
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly QEMU_MAJOR=10

skip() {
    echo "SKIPPED: SHA-NI stays untested: $1" >&2
    exit 0
}

if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then
    skip "it is emulated on Linux on x86-64 alone"
fi
if [ "${1:-}" != --always ] && grep -qw sha_ni /proc/cpuinfo; then
    echo "SHA-NI: this CPU has it, the ordinary tests ran it"
    exit 0
fi
command -v qemu-x86_64 >/dev/null || skip "no qemu-x86_64 here"
major=$(qemu-x86_64 --version | sed -n '1s/^qemu-x86_64 version \([0-9]*\).*/\1/p')
if [ "${major:-0}" -lt "$QEMU_MAJOR" ]; then
    skip "qemu-x86_64 is release ${major:-unknown}, $QEMU_MAJOR or later is needed"
fi

# The tests fail if they did not see the backend that they are run for.
export SPACETIME_REQUIRE_BACKEND=shani
host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${host}_RUNNER=qemu-x86_64 -cpu max"
echo "SHA-NI: under qemu-x86_64 -cpu max, release $major"
exec cargo test --release -p spacetime-kernels --lib --tests
