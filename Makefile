# Everything is set up in ./.venv by the first target that needs it: Python >= 3.10, make and the package
# registries are enough. `make help` lists the targets.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
UV := $(BIN)/uv
LOWEST := .venv-lowest
PYTEST := $(BIN)/python -m pytest
# Trust what the system trusts, as pip does: networks with a proxy of their own add its certificate there.
export UV_SYSTEM_CERTS ?= true
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1
SOURCES := src tools tests examples benchmarks
# The Collector components need Go; everything else does without.
GO ?= go
GOTOOLS := collector/.tools
COLLECTOR := collector/_build/otelcol-cx
GO_SOURCES := $(shell find collector -name '*.go' -not -path 'collector/_build*' 2>/dev/null) collector/go.mod collector/go.sum

.DEFAULT_GOAL := help
.PHONY: help setup test check unit doctest lowest wheel go go-checks collector e2e demo accuracy pictures bench bench-collector bench-desk docs kill outage fuzz
.PHONY: serve-docs gen lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.ready ## make ./.venv with everything in it

.venv/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "cxotel needs Python 3.10 or newer; this is " + sys.version)'
	@test -x $(UV) || { echo "setup: making .venv"; $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv==$(UV_VERSION); }
	@echo "setup: installing what uv.lock names"
	@$(UV) sync --frozen --all-extras --quiet
	@touch $@

test: check unit doctest lowest wheel go ## all checks and tests (what CI runs)

check: .venv/.ready ## style, types, generated files
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/api.py
	$(BIN)/python tools/gen.py --check
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir .venv/site

unit: .venv/.ready ## the tests, with coverage of lines and branches
	$(BIN)/coverage erase
	$(PYTEST) -m "not e2e" --cov --cov-report=term:skip-covered

doctest: .venv/.ready ## every code block of README and docs, run
	$(PYTEST) -q -p no:randomly README.md docs examples

lowest: $(LOWEST)/.ready ## the tests against the lowest supported run-time dependencies
	$(LOWEST)/bin/python -m pytest -q -m "not e2e" -W default --disable-warnings  # old aiortc calls old pyOpenSSL

# Direct dependencies at their lower bounds; the tools of the tests are not what is tested, so they stay new.
$(LOWEST)/.ready: .venv/.ready pyproject.toml
	@echo "setup: making $(LOWEST) with the lowest supported versions"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(LOWEST)
	@$(UV) pip install --quiet --python $(LOWEST) --resolution lowest-direct -e '.[all]'
	@$(UV) pip freeze --quiet --python $(LOWEST) --exclude-editable > $(LOWEST)/bounds.txt
	@$(UV) pip install --quiet --python $(LOWEST) --constraint $(LOWEST)/bounds.txt --group dev
	@touch $@

wheel: .venv/.ready ## build the wheel and try it in an empty environment
	@rm -rf dist && $(UV) build --quiet --wheel --out-dir dist
	@rm -rf .venv-wheel && $(UV) venv --quiet --python $(BIN)/python .venv-wheel
	@$(UV) pip install --quiet --python .venv-wheel dist/*.whl
	.venv-wheel/bin/python tests/wheel_smoke.py core
	@$(UV) pip install --quiet --python .venv-wheel "$$(ls dist/*.whl)[all]"
	.venv-wheel/bin/python tests/wheel_smoke.py all

go: ## the Collector components: vet, staticcheck, tests with the race detector
	@if command -v $(GO) >/dev/null; then $(MAKE) --no-print-directory go-checks; \
	elif [ "$$CI" = true ]; then echo "go: Go is missing, and CI must not skip the Collector components"; exit 1; \
	else echo "go: SKIPPED the Collector components: there is no Go here (1.26 or newer)"; fi

go-checks: $(GOTOOLS)/.ready
	@cd collector && unformatted=$$(gofmt -l cmd cximpactprocessor cximpactconnector internal monitoring); \
	test -z "$$unformatted" || { echo "not formatted by gofmt: $$unformatted"; exit 1; }
	@cd collector && generated="cximpactprocessor cximpactconnector" && before=$$(find $$generated -type f | sort | xargs sha256sum) && \
	for part in $$generated; do (cd $$part && ../.tools/mdatagen metadata.yaml) || exit 1; done && \
	test "$$before" = "$$(find $$generated -type f | sort | xargs sha256sum)" || \
	{ echo "what mdatagen generates from metadata.yaml differs: commit what it has written now"; exit 1; }
	cd collector && $(GO) vet ./...
	cd collector && .tools/staticcheck ./...
	cd collector && $(GO) test -race ./...

$(GOTOOLS)/.ready: collector/tools/go.mod collector/tools/go.sum
	@echo "setup: building mdatagen, staticcheck and the Collector Builder"
	@cd collector/tools && $(GO) build -o ../.tools/ go.opentelemetry.io/collector/cmd/mdatagen \
		honnef.co/go/tools/cmd/staticcheck go.opentelemetry.io/collector/cmd/builder
	@touch $@

collector: $(COLLECTOR) ## build otelcol-cx, a Collector with our parts

$(COLLECTOR): $(GOTOOLS)/.ready collector/builder-config.yaml $(GO_SOURCES)
	cd collector && .tools/builder --config builder-config.yaml

e2e: .venv/.ready ## real browser, real backends, real Collector (installs Debian's Chromium and Prometheus where it may)
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }
	@# Debian starts the server that it installs; the tests start their own.
	@command -v prometheus >/dev/null || test "$$(id -u)" != 0 || { apt-get update -qq && \
	RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus >/dev/null && \
	{ systemctl disable --now prometheus prometheus-node-exporter 2>/dev/null || true; }; }
	@if command -v $(GO) >/dev/null; then $(MAKE) --no-print-directory collector; \
	elif [ "$$CI" = true ]; then echo "e2e: Go is missing, and CI must not skip the Collector components"; exit 1; \
	else echo "e2e: there is no Go here (1.26 or newer); the tests of otelcol-cx are skipped unless it is built"; fi
	$(PYTEST) -m e2e

fuzz: .venv-fuzz/.ready ## a million bodies and a hundred thousand requests that nobody should send (about 8 minutes)
	.venv-fuzz/bin/python tests/fuzz/bodies.py $(BODIES)
	.venv-fuzz/bin/python tests/fuzz/requests.py $(REQUESTS)

.venv-fuzz/.ready: .venv/.ready
	@echo "setup: making .venv-fuzz, with atheris (Python 3.11 to 3.13 on Linux x86-64)"
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv-fuzz
	@$(UV) export --quiet --frozen --all-extras --group dev --no-hashes --no-emit-project | $(UV) pip install --quiet --python .venv-fuzz -r - atheris==3.0.0
	@$(UV) pip install --quiet --python .venv-fuzz --no-deps -e .
	@touch $@

kill: .venv/.ready $(COLLECTOR) ## SIGKILL otelcol-cx 200 times under load, with and without a queue, and a desk 100 times (20 minutes)
	$(BIN)/python tests/e2e/kill.py $(KILL)

outage: .venv/.ready $(COLLECTOR) ## the same without a backend for 3 minutes; OUTAGE="--what desk --outage 600" for 10
	$(BIN)/python tests/e2e/kill.py --outage 180 $(OUTAGE)

demo: .venv/.ready ## place real calls and judge them (see README)
	@$(BIN)/cxotel demo $(DEMO)

accuracy: .venv/.ready ## hundreds of impaired calls against their recorded truth (about 15 minutes)
	$(BIN)/python -m cxotel.demo.accuracy $(ACCURACY)

pictures: .venv/.ready $(COLLECTOR) ## the desk's and Jaeger's pages as PNG, in docs/img
	$(BIN)/python tools/pictures.py
	$(BIN)/python tools/pictures_jaeger.py

bench: .venv/.ready ## side-by-side speed, as ratios
	$(BIN)/python benchmarks/sdk.py
	$(BIN)/python benchmarks/impact_model.py
	$(BIN)/python benchmarks/softphone.py
	$(MAKE) --no-print-directory bench-desk
	@! command -v $(GO) >/dev/null || $(MAKE) --no-print-directory bench-collector

bench-desk: .venv/.ready ## only that of the desk, beside Phoenix (about 40 minutes; BENCH="burst steady" for some of it)
	$(BIN)/python benchmarks/desk.py $(BENCH)

bench-collector: .venv/.ready collector/_build_bench/otelcol-bench ## only that of the Collector components
	cd collector && $(GO) test -run '^$$' -bench . -benchmem ./internal/impact
	cd collector && $(GO) test -run '^$$' -bench 'PassedSpan$$|WholeCall' -benchmem ./cximpactprocessor
	cd collector && $(GO) test -run '^$$' -bench StatePerCall -benchtime 1x ./cximpactprocessor
	cd collector && $(GO) test -run '^$$' -bench Parallel -cpu 1,2 ./cximpactprocessor
	$(BIN)/python benchmarks/collector.py

collector/_build_bench/otelcol-bench: $(GOTOOLS)/.ready collector/bench-config.yaml $(GO_SOURCES)
	cd collector && .tools/builder --config bench-config.yaml

docs: .venv/.ready ## the documentation, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

serve-docs: .venv/.ready ## the documentation on 127.0.0.1:8000
	$(BIN)/mkdocs serve

gen: .venv/.ready ## write the generated files anew from spec/
	$(BIN)/python tools/gen.py
	@! command -v $(GO) >/dev/null || { $(MAKE) --no-print-directory $(GOTOOLS)/.ready && cd collector && \
	for part in cximpactprocessor cximpactconnector; do (cd $$part && ../.tools/mdatagen metadata.yaml) || exit 1; done; }

lock: .venv/.ready ## resolve the newest supported versions into uv.lock
	$(UV) lock --upgrade

clean: ## remove everything made here
	rm -rf .venv .venv-* dist site collector/_build collector/_build_bench collector/.tools .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
