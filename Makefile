# make demo | test | lint | bench | build | install | clean. Each works as the first command after the clone:
# what is missing on a Debian machine is installed by .ci/setup (which asks sudo if you are not root).

PREFIX ?= /usr/local
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: build demo test lint audit bench install setup clean

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

bench:
	@.ci/setup test
	$(CARGO) build --release --locked -p tracenet
	$(CARGO) bench --locked -p tracenet-tests

install: build
	install -D -m 755 $${CARGO_TARGET_DIR:-target}/release/tracenet $(DESTDIR)$(PREFIX)/bin/tracenet

clean:
	$(CARGO) clean
