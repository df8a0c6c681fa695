# Every command installs or builds what it needs.
CARGO ?= cargo
PYTHON ?= python3
VENV ?= target/venv

# With -j, cargo would ask for the slots of this make.
unexport MAKEFLAGS MFLAGS

.PHONY: attack bench bench-python bench-rust demo docs fleet fuzz generated gibibyte \
  instructions kill-harness lint matrix matrix-pythons matrix-servers miri models poison-load \
  policy python python-lint python-test rust-test sanitize screenshots site soak \
  status-screenshot test timestamps wheels

## Lints, documentation, and all tests. CI runs this and `policy`. TESTS selects some.
TESTS := lint python docs rust-test models instructions
test: $(TESTS)

## The Rust tests, with cargo-nextest if it is installed.
rust-test:
	@scripts/ensure influxd nats-server nginx haproxy
	CARGO="$(CARGO)" scripts/test-rust

## Loom runs the buffer in every order of its threads' steps.
models:
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/models \
	  $(CARGO) test --profile models --package sprockets-influxdb --lib -- buffer::tests::models

## Formatting, line lengths, and Clippy with and without the optional features.
lint:
	scripts/check-lines
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	$(CARGO) clippy --workspace --all-targets -- -D warnings

## The Rust documentation, without broken links.
docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps

## The Python package: lints, types, tests, and the documentation.
python: python-lint python-test

python-lint: $(VENV)/built
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	scripts/check-configuration
	scripts/check-with-node
	$(VENV)/bin/stubtest --mypy-config-file pyproject.toml \
	  --allowlist tests/stubtest-allowlist sprockets_influxdb

python-test: $(VENV)/built
	@scripts/ensure influxd nats-server redis-server chromium
	WHEEL=$$(echo target/dist/*.whl) $(VENV)/bin/python -m pytest

## Counts the instructions of the hot paths, and compares them with bench/instructions.json.
## UPDATE=1 publishes the counts. With the flags of the wheel, so that its dependencies are built.
instructions: $(VENV)/built
	@scripts/ensure valgrind
	RUSTFLAGS="$$RUSTFLAGS $(WHEEL_FLAGS)" \
	  $(CARGO) build --quiet --release --package instruction-counts
	$(VENV)/bin/python bench/python/count.py target/release/instruction-counts

## The documentation: docs/_build/index.html. The Python tests check its links and examples.
site: $(VENV)/built
	$(VENV)/bin/python -m sphinx -W -b html docs docs/_build

## Five pages at two widths, light and dark: target/screenshots.
screenshots: site
	@scripts/ensure --required chromium
	$(VENV)/bin/python tests/browser.py docs/_build target/screenshots

## What is generated: the tables of settings, the command's reference, the dashboards, and the
## README of the packages.
generated: $(VENV)/built
	UPDATE_DOCS=1 $(CARGO) test --package sprockets-influxdb --all-features --test documentation
	$(VENV)/bin/python docs/command_reference.py
	$(VENV)/bin/python docs/package_readme.py
	$(VENV)/bin/python dashboards/build.py

$(VENV)/tools: pyproject.toml
	@scripts/ensure-python $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade "pip>=25.1"
	$(VENV)/bin/pip install --quiet --group docs --group test
	$(VENV)/bin/pip install --quiet --group services || \
	  echo "clients of services cannot be installed here: their tests are skipped"
	$(VENV)/bin/pip install --quiet uwsgi || \
	  echo "uWSGI cannot be built here: its tests are skipped"
	touch $@

SOURCES := $(shell find crates/*/src python -name '*.rs' -o -name '*.py*' -not -name '*.pyc')

# The release wheel, without the paths of the machine that builds it.
CARGO_DIRECTORY := $(or $(CARGO_HOME),$(HOME)/.cargo)
WHEEL_FLAGS := --remap-path-prefix=$(CARGO_DIRECTORY)=/cargo --remap-path-prefix=$(CURDIR)=/src
$(VENV)/built: $(VENV)/tools Cargo.lock $(SOURCES)
	rm -rf target/dist
	RUSTFLAGS="$$RUSTFLAGS $(WHEEL_FLAGS)" \
	  $(VENV)/bin/maturin build --quiet --release --out target/dist
	scripts/strip-paths target/dist/*.whl
	$(VENV)/bin/pip install --quiet --force-reinstall target/dist/*.whl
	touch $@

# As the wheels of a release: compiled a second time, by a profile of what `scripts/train` runs.
# In a directory of its own, as each of the three builds has other flags.
PROFILED := target/profiled
$(PROFILED)/built: $(VENV)/built scripts/train $(wildcard bench/python/*.py)
	rustup component add llvm-tools
	rm -rf $(PROFILED)/dist $(PROFILED)/package
	TRAIN_ALL=1 CARGO_TARGET_DIR=$(PROFILED)/cargo RUSTFLAGS="$$RUSTFLAGS $(WHEEL_FLAGS)" \
	  $(VENV)/bin/maturin build --quiet --release --pgo --out $(PROFILED)/dist
	scripts/strip-paths $(PROFILED)/dist/*.whl
	MAX_WHEEL_SIZE=4500000 WHEEL=$$(echo $(PROFILED)/dist/*.whl) \
	  $(VENV)/bin/python -m pytest -q tests/test_wheel.py
	$(VENV)/bin/pip install --quiet --no-deps --target $(PROFILED)/package $(PROFILED)/dist/*.whl
	touch $@

## The wheels of a release for Linux and macOS: target/wheels. TARGETS selects some.
wheels: $(VENV)/tools
	scripts/build-wheels

## An instrumented service, five seconds of requests, and what InfluxDB has of them.
demo:
	@[ -n "$$INFLUXDB_URL$$INFLUXDB_SCHEME$$INFLUXDB_HOST$$INFLUXDB_PORT" ] || \
	  scripts/ensure influxd
	$(CARGO) run --package sprockets-influxdb --features axum --example demo

## The status page under load, in Chromium: target/status.png.
status-screenshot: $(VENV)/built
	@scripts/ensure --required chromium
	$(VENV)/bin/python tests/screenshot.py target/status.png

## The Python tests on each installed CPython, and every way to stop each server.
matrix: matrix-pythons matrix-servers

## The Python tests on each installed CPython with the oldest and the newest Tornado 6.
matrix-pythons: $(VENV)/built
	@scripts/ensure influxd
	scripts/test-matrix

## Stops servers and writes what arrives into the table of docs/process-ends.md.
matrix-servers: $(VENV)/built
	$(VENV)/bin/pip install --quiet --group servers || \
	  echo "some servers cannot be installed: the table says so"
	$(VENV)/bin/python tests/stops.py docs/process-ends.md

## Each fuzz target for FUZZ_SECONDS (60).
fuzz:
	@scripts/fuzz

## Dependencies, each feature alone, packages, the oldest versions of Rust and of frameworks.
# `.ci/run` runs the three groups at once.
WORKSPACE_POLICIES := policy-packages policy-without-nats policy-bench
OTHER_POLICIES := policy-dependencies policy-features policy-minimal-versions policy-fuzz
policy: policy-workspace policy-others policy-frameworks
policy-workspace: $(WORKSPACE_POLICIES)
policy-others: $(OTHER_POLICIES)
policy-frameworks: $(VENV)/built
	@scripts/policy oldest-frameworks
.PHONY: $(WORKSPACE_POLICIES) $(OTHER_POLICIES) policy-workspace policy-others policy-frameworks
$(WORKSPACE_POLICIES) $(OTHER_POLICIES): policy-%:
	@scripts/policy $*

## Attacks by other users, servers, networks, disks and crash loops. A release must pass them.
attack: $(VENV)/built
	@scripts/ensure influxd
	@scripts/attack

## Unit tests without system calls, in Miri.
miri:
	@scripts/miri

## Buffer and spool under AddressSanitizer and ThreadSanitizer, or one of them (SANITIZERS).
sanitize:
	@scripts/sanitize

## Benchmarks against other libraries, as ratios; SECTIONS="encoding adding" selects some.
## CHECK=1 fails if a ratio is over 10 % worse than that in bench/published.json; UPDATE=1
## publishes the ratios there.
bench: bench-rust bench-python

BENCH_RATIOS := $(CURDIR)/target/bench-ratios
CHECK_RATIOS := $(PYTHON) bench/python/check.py
bench-rust:
	@scripts/ensure influxd nats-server
	@mkdir -p target && rm -f $(BENCH_RATIOS)-rust
	BENCH_RATIOS=$(BENCH_RATIOS)-rust \
	  $(CARGO) run --release --manifest-path bench/Cargo.toml -- $(SECTIONS)
	@CHECK=$(CHECK) UPDATE=$(UPDATE) $(CHECK_RATIOS) $(BENCH_RATIOS)-rust

# PGO=0 measures the wheel that is not compiled by a profile.
PGO ?= 1
override PGO := $(filter-out 0,$(PGO))
bench-python: $(if $(PGO),$(PROFILED)/built,$(VENV)/built)
	@scripts/ensure influxd
	$(VENV)/bin/pip install --quiet --group bench
	$(VENV)/bin/pip install --quiet --no-deps --upgrade --target target/2.2.1 \
	  sprockets-influxdb==2.2.1
	@rm -f $(BENCH_RATIOS)-python
	$(if $(PGO),PYTHONPATH=$(PROFILED)/package) WHEEL_PROFILE=$(PGO) \
	  ORIGINAL=target/2.2.1 BENCH_RATIOS=$(BENCH_RATIOS)-python \
	  $(VENV)/bin/python bench/python/run.py $(PYTHON_SECTIONS)
	@CHECK=$(CHECK) UPDATE=$(UPDATE) WHEEL_PROFILE=$(PGO) \
	  $(CHECK_RATIOS) $(BENCH_RATIOS)-python

## Kills KILLS (1000) processes, and checks what InfluxDB has of theirs. SEED repeats a run.
kill-harness:
	@scripts/ensure influxd
	KILLS=$${KILLS:-1000} REQUIRE_INFLUXD=1 $(CARGO) test --release \
	  --package sprockets-influxdb --test killed_processes -- \
	  --nocapture accepted_measurements

## The same for SOAK_MINUTES (20), with faults of servers, networks and disks as well.
soak:
	@scripts/ensure influxd
	REQUIRE_INFLUXD=1 $(CARGO) test --release \
	  --package sprockets-influxdb --test killed_processes -- \
	  --nocapture --ignored --exact soak

## 200,000 measurements (FLEET_MEASUREMENTS) of 20 processes through a cluster of nats-servers and
## 3 forwarders into influxd, while all of them are killed. FLEET_SEED repeats a run. Then, in
## simulation, a database that is away from 10,000 processes for a day, and its backlog.
fleet:
	@scripts/ensure influxd nats-server
	REQUIRE_INFLUXD=1 REQUIRE_NATS=1 $(CARGO) test --release --package sprockets-influxdb-cli \
	  --test fleet -- --nocapture --ignored --test-threads 1 a_large_fleet ten_thousand
	$(CARGO) test --release --package sprockets-influxdb --all-features --lib -- --nocapture \
	  --ignored ten_thousand_processes

## The command writes a gibibyte of lines to an influxd.
gibibyte:
	@scripts/ensure influxd
	REQUIRE_INFLUXD=1 $(CARGO) test --release --package sprockets-influxdb-cli --test command -- \
	  --nocapture --ignored gibibyte

## 2,000 lines a second for a minute. One in 5,000 breaks InfluxDB 3.6 down, over v3 and v1.
poison-load:
	$(CARGO) test --release --package sprockets-influxdb --all-features --test server_faults -- \
	  --nocapture --ignored poison_under_load

## How many of 1,600,000 timestamps of 4 and of 8 processes at full speed are equal.
timestamps:
	$(CARGO) test --release --package sprockets-influxdb --test timestamps -- \
	  --nocapture no_two
