#!/usr/bin/env bash
# Checks for what `make demo` and `make test` need and installs it with apt
# where it may; else prints the one command that does. With everything there
# it changes nothing and asks nobody.
#
#   tools/setup.sh plotter  what building without the node needs
#   tools/setup.sh build    what building and the demo need
#   tools/setup.sh test     that, and what the tests need
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup/apt.sh
. "$here/setup/apt.sh"

# The first release of qemu whose `-cpu max` is known to run SHA instructions.
readonly SHA_QEMU_MAJOR=10

purpose=${1:-build}
case $purpose in
    plotter | build | test) ;;
    *)
        echo "error: tools/setup.sh: unknown purpose \"$purpose\": known are plotter, build and test" >&2
        exit 2
        ;;
esac

# bindgen asks for the library and for the headers that come with it.
libclang_is_there() {
    [ "$(uname -s)" = Linux ] || return 0
    [ -n "${LIBCLANG_PATH:-}" ] && return
    ldconfig -p 2>/dev/null | grep -q 'libclang[-.0-9]*so' || return 1
    compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null ||
        compgen -G '/usr/lib*/clang/*/include/stddef.h' >/dev/null
}

# Debian packages whose commands or files are missing here.
missing_packages() {
    # blst and sha2-asm are compiled with cc, RocksDB with c++, hashtree-rs with cc and make;
    # cargo links with cc against libc's development files.
    if ! command -v cc >/dev/null || ! command -v c++ >/dev/null || ! command -v make >/dev/null || [ ! -e /usr/include/stdlib.h ]; then
        echo build-essential
    fi
    # The node's database is C++, whose Rust face bindgen makes with libclang.
    if [ "$purpose" != plotter ] && ! libclang_is_there; then
        echo libclang-dev
    fi
    # cargo fetches crates over TLS.
    if [ ! -e /etc/ssl/certs/ca-certificates.crt ] && [ -d /etc/apt ]; then
        echo ca-certificates
    fi
    # The independent plot reader, and the network that real nodes are tested on.
    if [ "$purpose" = test ] && ! command -v python3 >/dev/null; then
        echo python3
    fi
}

ensure_packages() {
    local packages
    mapfile -t packages < <(missing_packages)
    [ "${#packages[@]}" -eq 0 ] && return
    if ! apt_may_install; then
        echo "error: missing: ${packages[*]}. This installs what is missing:" >&2
        echo "    sudo sh -c 'apt-get update && apt-get install -y ${packages[*]}'" >&2
        exit 1
    fi
    echo "setup: installing ${packages[*]}"
    apt_get update
    apt_get install "${packages[@]}"
}

ensure_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
    if ! command -v cargo >/dev/null; then
        echo "error: cargo is missing. This installs Rust for this user:" >&2
        echo "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain stable" >&2
        exit 1
    fi
    found=$(cargo --version | cut -d' ' -f2)
    if [ "$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n1)" != "$wanted" ]; then
        echo "error: cargo is $found, $wanted or later is needed. This updates it:" >&2
        echo "    rustup update stable && rustup default stable" >&2
        exit 1
    fi
}

qemu_runs_sha() {
    command -v qemu-x86_64 >/dev/null || return 1
    local major
    major=$(qemu-x86_64 --version | sed -n '1s/^qemu-x86_64 version \([0-9]*\).*/\1/p')
    [ "${major:-0}" -ge "$SHA_QEMU_MAJOR" ]
}

# SHA-NI is tested in an emulator where the CPU lacks it. The tests say SKIPPED
# where the emulator cannot be had, so that is no error here.
ensure_sha_emulator() {
    [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || return 0
    grep -qw sha_ni /proc/cpuinfo && return
    qemu_runs_sha && return
    if apt_may_install && apt_install_at_least qemu-user "$SHA_QEMU_MAJOR" && qemu_runs_sha; then
        return
    fi
    echo "setup: no qemu-x86_64 of version $SHA_QEMU_MAJOR or later: the SHA-NI code stays untested on this CPU" >&2
}

# Where Vulkan's loader looks for drivers, and the loader itself.
vulkan_is_there() {
    ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1' || return 1
    local drivers
    for drivers in /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d; do
        if compgen -G "$drivers/*.json" >/dev/null; then
            return
        fi
    done
    return 1
}

# The GPU engine is tested on whatever adapter there is, Mesa's software
# Vulkan if nothing else. The tests say SKIPPED where there is none.
ensure_vulkan() {
    [ "$(uname -s)" = Linux ] || return 0
    vulkan_is_there && return
    if apt_may_install; then
        echo "setup: installing mesa-vulkan-drivers libvulkan1"
        if apt_get update && apt_get install mesa-vulkan-drivers libvulkan1 && vulkan_is_there; then
            return
        fi
    fi
    echo "setup: no Vulkan driver: the GPU engine stays untested (Debian: mesa-vulkan-drivers)" >&2
}

# Where users' PATH may not lead.
ip_is_there() {
    command -v ip >/dev/null || [ -x /usr/sbin/ip ] || [ -x /sbin/ip ]
}

# Real nodes are tested in network namespaces. The tests say SKIPPED where
# there are none.
ensure_namespace_tools() {
    [ "$(uname -s)" = Linux ] || return 0
    ip_is_there && return
    if apt_may_install; then
        echo "setup: installing iproute2"
        if apt_get update && apt_get install iproute2 && ip_is_there; then
            return
        fi
    fi
    echo "setup: no ip(8): networks of real nodes stay untested (Debian: iproute2)" >&2
}

ensure_packages
ensure_rust
if [ "$purpose" = test ]; then
    ensure_sha_emulator
    ensure_vulkan
    ensure_namespace_tools
fi
