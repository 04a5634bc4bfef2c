# Two commands do everything: `make run` starts the daemon on ./data, `make test` proves it.
# The other targets are tiers of the same proof; `.ci/run` runs all that must pass before a change goes in.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
# mkfs and mount live in sbin, which an ordinary user's PATH lacks. Tools built here stay in the target directory.
export PATH := $(CARGO_TARGET_DIR)/tools/bin:$(PATH):/usr/local/sbin:/usr/sbin:/sbin

CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(shell sed -n "s,^path = \"targets/\(.*\)\.rs\",\1,p" tests/fuzz/Cargo.toml)
# The switches that weaken an ordering stand once, among the lints.
LOOM_WEAK := $(shell grep -o "weak_[a-z]*" Cargo.toml)

.PHONY: build run test test-root bench loom fuzz-short fuzz soak fmt clippy doc deny toolchain

build: toolchain
	cargo build --release --locked --package hitkeepd

run: build
	@echo "hitkeepd keeps its data in ./data; the owner token will be in ./data/admin.token."
	@echo "Next, in a second terminal here: the quick start in README.md. Ctrl-C stops the daemon."
	@exec "$(CARGO_TARGET_DIR)/release/hitkeepd" serve --data-path ./data --http-addr 127.0.0.1:8080

# strace fails and delays syncs, prlimit fills the disk, curl runs the README, systemd-analyze reads the unit.
test: toolchain
	.ci/need strace=strace prlimit=util-linux curl=curl systemd-analyze=systemd
	cargo test --workspace --locked --no-fail-fast

# Mounts file systems of its own and cuts their power.
test-root: toolchain
	@[ "$$(id -u)" -eq 0 ] || { echo "make test-root mounts file systems: run it as root" >&2; exit 1; }
	.ci/need mkfs.ext4=e2fsprogs mkfs.xfs=xfsprogs xfs_io=xfsprogs mount=mount losetup=mount
	cargo test --locked --package hitkeep-tests --test root -- --test-threads=1

bench: toolchain
	.ci/need wrk=wrk python3=python3
	cargo bench --locked --package hitkeep-tests --bench ingest
	cargo bench --locked --package hitkeep-tests --bench segments
	cargo bench --locked --package hitkeep-tests --bench dashboard

# 10,000 kills instead of 200, and 500,000 histories instead of 10,000.
soak: toolchain
	HITKEEP_TEST_HISTORIES=500000 cargo test --locked --package hitkeep-query --test questions -- --nocapture every_history
	HITKEEP_TEST_KILLS=10000 cargo test --locked --package hitkeep-tests --test durability -- --nocapture killed

fuzz-short: fuzz

# cargo-fuzz asks for options that stable keeps behind this variable, so no other toolchain is needed.
fuzz: toolchain
	.ci/need g++=g++
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked --root "$(CARGO_TARGET_DIR)/tools" cargo-fuzz@$(CARGO_FUZZ_VERSION)
	@for target in $(FUZZ_TARGETS); do \
		corpus="$(CARGO_TARGET_DIR)/fuzz/corpus/$$target"; mkdir -p "$$corpus"; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz --target-dir "$(CARGO_TARGET_DIR)/fuzz" $$target "$$corpus" tests/fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1; \
	done

# Every hand-over between threads, under every interleaving. Then each ordering is weakened in turn, and a model must notice.
# Only the crate itself is built anew for a switch. A backtrace taken on a model's small stack would not end.
loom: export RUST_BACKTRACE := 0
loom: export RUSTFLAGS := --cfg loom
loom: toolchain
	@for weak in none $(LOOM_WEAK); do \
		models=$$(cargo rustc --locked --package hitkeep-format --lib --profile test --target-dir "$(CARGO_TARGET_DIR)/loom" \
			--message-format=json-render-diagnostics -- --cfg "$$weak" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'); \
		if [ "$$weak" = none ]; then \
			"$$models" loom; \
		else \
			status=0; timeout 300 "$$models" loom >"$$models.log" 2>&1 || status=$$?; \
			case $$status in \
				0) echo "no model noticed $$weak" >&2; exit 1;; \
				124) echo "the models of $$weak do not end" >&2; exit 1;; \
				*) echo "a model noticed $$weak, as it must";; \
			esac; \
		fi; \
	done

fmt: toolchain
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check

clippy: toolchain
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

doc: toolchain
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

deny: toolchain
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked --root "$(CARGO_TARGET_DIR)/tools" cargo-deny@$(CARGO_DENY_VERSION)
	cargo deny --locked check bans licenses sources

toolchain:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or newer, for instance with rustup" >&2; exit 1; }
	@.ci/need cc=gcc
