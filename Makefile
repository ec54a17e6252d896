# make demo | test | lint | scenarios | bench | cost | soak | fuzz | build | install | clean. Each works as the first command after the clone:
# what is missing on a Debian machine is installed by .ci/setup (which asks sudo if you are not root).

PREFIX ?= /usr/local
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: build demo test lint audit scenarios bench cost soak fuzz install setup clean

build:
	@.ci/setup build
	$(CARGO) build --release --locked -p tracenet

setup:
	@.ci/setup test

demo:
	@.ci/setup test
	$(CARGO) build --release --locked -p tracenet
	@.ci/demo

test:
	@.ci/setup test
	$(CARGO) build --release --locked -p tracenet
	@.ci/test

lint:
	@.ci/setup build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --release --locked -p tracenet-tests --test workspace
	@if command -v cargo-deny >/dev/null; then cargo deny check; else \
		echo 'cargo-deny is not installed: licences were checked by the workspace test, advisories were not (make audit)'; fi

# Advisories: builds cargo-deny once (minutes) and needs the RustSec database from the network.
audit:
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	cargo deny check

# Trouble made on purpose, and what tracenet blames the turns on: SCENARIOS='loss tail --seeds 1' runs some of them.
scenarios:
	@.ci/setup test
	$(CARGO) build --release --locked -p tracenet -p tracenet-tests --bins
	$(CARGO) run --release --locked -p tracenet-tests --bin scenarios -- $(SCENARIOS)

bench:
	@.ci/setup test
	$(CARGO) build --release --locked -p tracenet
	$(CARGO) bench --locked -p tracenet-tests

# The tables of docs/cost.md anew, with what they were made of beside them (half an hour on an idle machine).
cost:
	@.ci/setup test
	$(CARGO) build --release --locked -p tracenet
	@.ci/cost

# Storms and faults as large as they come (minutes), then half an hour of mixed load: SOAK_MINUTES says how long.
soak:
	@.ci/setup test
	$(CARGO) build --release --locked -p tracenet
	TRACENET_SOAK=1 $(CARGO) test --release --locked -p tracenet-tests --test storms --test faults --test hostile -- --nocapture
	TRACENET_SOAK=1 $(CARGO) bench --locked -p tracenet-tests --bench soak

# Every parser, the analyser and the core, FUZZ_SECONDS each (FUZZ_TARGETS: which of them). What it finds is kept in
# tests/fuzz/artifacts; what it learns in the target folder, to be merged into tests/fuzz/corpus by hand.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= $(notdir $(wildcard tests/fuzz/corpus/*))
FUZZ_LEARNT = $(or $(CARGO_TARGET_DIR),target)/fuzz

# A nightly compiler, or else the installed one with its unstable options unlocked. FUZZ_SANITIZER=none where the address
# sanitizer doesn't link: panics, hangs and too much memory are found all the same.
FUZZ_SANITIZER ?= address
FUZZ_CARGO = $(shell $(CARGO) +nightly --version >/dev/null 2>&1 && echo '$(CARGO) +nightly' || echo 'env RUSTC_BOOTSTRAP=1 $(CARGO)')

fuzz:
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo 'make fuzz needs cargo-fuzz: cargo install --locked cargo-fuzz' >&2; exit 1; }
	@set -e; for target in $(FUZZ_TARGETS); do \
		learnt=$(abspath $(FUZZ_LEARNT))/$$target; mkdir -p $$learnt; \
		(cd tests && $(FUZZ_CARGO) fuzz run -s $(FUZZ_SANITIZER) $$target $$learnt fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=16384) || { \
			echo "fuzzing $$target failed; if the sanitizer didn't link, try FUZZ_SANITIZER=none" >&2; exit 1; }; \
	done

install: build
	install -D -m 755 $${CARGO_TARGET_DIR:-target}/release/tracenet $(DESTDIR)$(PREFIX)/bin/tracenet

clean:
	$(CARGO) clean
