# The commands of the README. Each does its own set-up.
CARGO ?= cargo

.PHONY: bench demo docs fuzz lint policy test

## Format, lints, documentation, tests. CI runs this and `policy`.
test: lint docs
	@scripts/ensure-influxd
	if command -v influxd >/dev/null; then export REQUIRE_INFLUXD=1; fi; \
	$(CARGO) test --workspace --all-features

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	$(CARGO) clippy --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps

## A small service, a few seconds of requests, and what InfluxDB has of them beside the client's books.
demo:
	@[ -n "$$INFLUXDB_URL$$INFLUXDB_SCHEME$$INFLUXDB_HOST$$INFLUXDB_PORT" ] || scripts/ensure-influxd
	$(CARGO) run --package sprockets-influxdb --example demo

## Every fuzz target, for FUZZ_SECONDS each (60).
fuzz:
	@scripts/fuzz

## Licences and sources of the dependencies, each feature by itself, the oldest Rust.
policy:
	@scripts/policy

## This project beside its peers, as ratios in one run; `make bench SECTIONS="encoding adding"` for some of it.
bench:
	@scripts/ensure-influxd
	$(CARGO) run --release --manifest-path bench/Cargo.toml -- $(SECTIONS)
