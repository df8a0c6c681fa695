# The commands of the README. Each does its own set-up.
CARGO ?= cargo

.PHONY: test lint docs demo

## Everything that CI checks: format, lints, tests, documentation.
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
