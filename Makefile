# The commands of the README. Each does its own set-up.
CARGO ?= cargo
PYTHON ?= python3
VENV ?= target/venv

.PHONY: bench demo docs fuzz lint policy python python-docs python-lint python-test test

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

## The Python package: built, linted, its stubs held against it, tested, and its guide.
python: python-lint python-test python-docs

python-lint: $(VENV)/built
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/stubtest sprockets_influxdb

python-test: $(VENV)/built
	@scripts/ensure-influxd
	if command -v influxd >/dev/null; then export REQUIRE_INFLUXD=1; fi; \
	$(VENV)/bin/python -m pytest

python-docs: $(VENV)/built
	$(VENV)/bin/python -m sphinx -W -b html docs docs/_build

$(VENV)/tools: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade "pip>=25.1"
	$(VENV)/bin/pip install --quiet --group docs --group test
	touch $@

# The editable package: of the sources in Python nothing has to be built.
$(VENV)/built: $(VENV)/tools Cargo.lock $(shell find crates/*/src -name '*.rs')
	VIRTUAL_ENV=$(abspath $(VENV)) $(VENV)/bin/maturin develop --quiet
	touch $@

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
