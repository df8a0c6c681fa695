# The commands of the README. Each does its own set-up.
CARGO ?= cargo
PYTHON ?= python3
VENV ?= target/venv

.PHONY: bench bench-python bench-rust demo docs fuzz gibibyte kill-harness lint matrix miri models policy python python-docs python-lint python-test rust-test sanitize soak test

## Format, lints, documentation, tests, the Python package from its wheel. CI runs this and `policy`.
test: lint docs rust-test models python

rust-test:
	@scripts/ensure-influxd
	@scripts/ensure-proxies
	if command -v influxd >/dev/null; then export REQUIRE_INFLUXD=1; fi; \
	if command -v nginx >/dev/null && command -v haproxy >/dev/null; then export REQUIRE_PROXIES=1; fi; \
	$(CARGO) test --workspace --all-features

## The buffer in every order that its threads may run in, by loom.
models:
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/models \
	  $(CARGO) test --profile models --package sprockets-influxdb --lib -- buffer::tests::models

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
	$(VENV)/bin/stubtest --mypy-config-file pyproject.toml --allowlist tests/stubtest-allowlist sprockets_influxdb

python-test: $(VENV)/built
	@scripts/ensure-influxd
	if command -v influxd >/dev/null; then export REQUIRE_INFLUXD=1; fi; \
	WHEEL=$$(echo target/dist/*.whl) $(VENV)/bin/python -m pytest

python-docs: $(VENV)/built
	$(VENV)/bin/python -m sphinx -W -b html docs docs/_build

$(VENV)/tools: pyproject.toml
	@scripts/ensure-python $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade "pip>=25.1"
	$(VENV)/bin/pip install --quiet --group docs --group test
	$(VENV)/bin/pip install --quiet uwsgi || echo "uWSGI cannot be built here: its tests say that they are skipped"
	touch $@

# The wheel, as it would be released.
$(VENV)/built: $(VENV)/tools Cargo.lock $(shell find crates/*/src python -name '*.rs' -o -name '*.py*' -not -name '*.pyc')
	rm -rf target/dist
	$(VENV)/bin/maturin build --quiet --release --out target/dist
	$(VENV)/bin/pip install --quiet --force-reinstall target/dist/*.whl
	touch $@

## A small service, a few seconds of requests, and what InfluxDB has of them beside the client's books.
demo:
	@[ -n "$$INFLUXDB_URL$$INFLUXDB_SCHEME$$INFLUXDB_HOST$$INFLUXDB_PORT" ] || scripts/ensure-influxd
	$(CARGO) run --package sprockets-influxdb --features axum --example demo

## The Python package's tests on every CPython here, with the oldest and the newest Tornado 6; its installation.
matrix: $(VENV)/built
	@scripts/ensure-influxd
	if command -v influxd >/dev/null; then export REQUIRE_INFLUXD=1; fi; \
	scripts/test-matrix

## Every fuzz target, for FUZZ_SECONDS each (60).
fuzz:
	@scripts/fuzz

## Licences and sources of the dependencies, each feature by itself, the oldest Rust.
policy:
	@scripts/policy

## What only computes, in Miri.
miri:
	@scripts/miri

## Buffer and spool under AddressSanitizer and ThreadSanitizer; SANITIZERS names one of them.
sanitize:
	@scripts/sanitize

## This project beside its peers, as ratios in one run; `make bench SECTIONS="encoding adding"` for some of Rust's.
bench: bench-rust bench-python

bench-rust:
	@scripts/ensure-influxd
	$(CARGO) run --release --manifest-path bench/Cargo.toml -- $(SECTIONS)

bench-python: $(VENV)/built
	@scripts/ensure-influxd
	$(VENV)/bin/pip install --quiet --group bench
	$(VENV)/bin/pip install --quiet --no-deps --upgrade --target target/2.2.1 sprockets-influxdb==2.2.1
	SEED=target/2.2.1 $(VENV)/bin/python bench/python/run.py $(PYTHON_SECTIONS)

## Processes killed at any instant, and what InfluxDB has of what they were told is accepted: KILLS (1000), SEED.
kill-harness:
	@scripts/ensure-influxd
	KILLS=$${KILLS:-1000} REQUIRE_INFLUXD=1 $(CARGO) test --release --package sprockets-influxdb --test kill -- \
	  --nocapture what_was_accepted

## The same with servers, networks and disks that fail as well, for SOAK_MINUTES (20), SEED.
soak:
	@scripts/ensure-influxd
	REQUIRE_INFLUXD=1 $(CARGO) test --release --package sprockets-influxdb --test kill -- \
	  --nocapture --ignored --exact soak

## The command writes a gibibyte of lines into an influxd.
gibibyte:
	@scripts/ensure-influxd
	REQUIRE_INFLUXD=1 $(CARGO) test --release --package sprockets-influxdb-cli --test command -- --nocapture --ignored gibibyte
