# The commands of the README. Each does its own set-up.
CARGO ?= cargo

.PHONY: test lint docs

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
