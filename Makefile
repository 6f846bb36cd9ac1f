# `make demo` and `make test` do all set-up themselves. One profile, release,
# for the program, its tests and the lints, so that nothing is built twice.

# rustup's programs, for shells that were opened before it was installed.
export PATH := $(PATH):$(HOME)/.cargo/bin

CARGO ?= cargo
PROGRAM := target/release/spacetime
# Cargo's own variable moves what it builds elsewhere; the program is put in its place all the same.
BUILT := $(or $(CARGO_TARGET_DIR),target)/release/spacetime
PLACE = if [ "$(BUILT)" != "$(PROGRAM)" ]; then install -D "$(BUILT)" "$(PROGRAM)"; fi

.PHONY: build plotter demo soak test lint bench clean help

help:
	@echo "make demo    builds the program, shows plots grown, searched, proved and verified, and a network win blocks"
	@echo "make test    builds it and runs all tests"
	@echo "make lint    checks format, lints and documentation"
	@echo "make soak    builds it and lets a network of three nodes and two miners make 1,000 blocks"
	@echo "make bench   measures the kernels and paths"
	@echo "make build   builds target/release/spacetime"
	@echo "make plotter builds it without the node: no database, minutes instead of half an hour"

build:
	@tools/setup.sh build
	$(CARGO) build --release --locked --workspace --bin spacetime
	@$(PLACE)

# Whoever plots and proves needs no node.
plotter:
	@tools/setup.sh plotter
	$(CARGO) build --release --locked -p spacetime --no-default-features --features gpu
	@$(PLACE)

demo: build
	@tools/demo.sh "$(PROGRAM)"

soak: build
	@tools/soak.sh "$(PROGRAM)"

test:
	@tools/setup.sh test
	@tools/test-setup.sh
	@python3 -B tools/test_read_plot.py
	@python3 -B tools/netsim/test_relay.py
	@if [ -x tools/test-shani-qemu.sh ]; then tools/test-shani-qemu.sh; fi
	NODEVICE_SELECT=1 $(CARGO) test --release --locked --workspace
	@$(PLACE)

lint:
	@tools/setup.sh build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release --locked --workspace --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps
	@if command -v shellcheck >/dev/null; then shellcheck -x .ci/run tools/*.sh tools/setup/*.sh; fi

bench:
	@tools/setup.sh build
	$(CARGO) bench --locked -p spacetime-benches --features node

clean:
	$(CARGO) clean
