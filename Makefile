# Needs python3 >= 3.11, python3-venv and make; every target sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEERS := .venv-peers
AUDIT := .venv-audit
SBE := sbe-all-1.34.0.jar
SBE_SHA256 := 105b2fca9bf88f49b8798c97c5353fa6614efb13d30a0d6b89bcfa3cdda86ac4

.PHONY: demo test lint bench examples sessions soak soak-long dashboard peers audit sbe-tool format clean

demo: $(READY)
	$(BIN)/feeder demo

test: $(READY)
	$(BIN)/python -m pytest -q

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# SCENARIO and options: make bench ARGS='crash --seconds 20'
bench: $(READY)
	$(BIN)/python tools/bench.py $(ARGS)

# The scripts of tools/examples, on an exchange simulator of their own: make examples ARGS=rest_orders
examples: $(READY)
	$(BIN)/python tools/run_examples.py $(ARGS)

# A hundred random trading sessions over connections that are cut; some seven minutes. Fewer: make sessions SESSIONS=10
sessions: $(READY)
	SESSIONS=$(or $(SESSIONS),100) $(BIN)/python -m pytest -q tests/integration/test_trading_session.py

# Every fault script, at most 10 minutes: make soak ARGS='--only "late join" --seed 2'
soak: $(READY)
	$(BIN)/python tools/soak.py $(ARGS)

# An hour, or ARGS='--minutes 10'
soak-long: $(READY)
	$(BIN)/python tools/soak_long.py $(ARGS)

# Prometheus watches a feeder through a staged incident, and deploy/grafana/feeder.png shows it as the dashboard does: four
# minutes; needs prometheus on the PATH. Of one that runs: make dashboard ARGS='--prometheus http://HOST:9090 --out FILE'
dashboard: .venv/.plots
	$(BIN)/python tools/dashboard.py $(ARGS)

# The foreign clients of tools/peers.py, apart because ccxt names one version of everything it needs. cryptofeed has no
# wheel: this needs a C compiler and Python's headers besides (gcc, libc6-dev, python3-dev).
peers: $(PEERS)/.ready

# Known vulnerabilities in the pinned versions, by pip-audit in a venv of its own. It asks PyPI: where that has no answer,
# this ends with 3 and says NOT AUDITED.
audit: $(AUDIT)/.ready
	$(AUDIT)/bin/python tools/audit.py deploy/constraints.txt

# The reference SBE tool, from Maven Central by name and version, for tests that read with it what feeder wrote: needs
# mvn, and those tests a JDK.
sbe-tool: .tools/$(SBE)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# `sbe` has no wheel and no build file of its own; --use-pep517 builds it with any pip. Editable by a path, not by an import
# hook: mypy and editors find the types then.
$(READY): pyproject.toml deploy/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "feeder needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 --config-settings editable_mode=compat \
		-c deploy/constraints.txt -e '.[dev,tui]'
	touch $@

.venv/.plots: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -c deploy/constraints.txt -e '.[plots]'
	touch $@

$(PEERS)/.ready: pyproject.toml deploy/constraints-peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c deploy/constraints-peers.txt -e '.[peers]'
	touch $@

$(AUDIT)/.ready: deploy/constraints-audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/pip install --quiet --disable-pip-version-check -c deploy/constraints-audit.txt pip-audit
	touch $@

.tools/$(SBE):
	mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
		-Dartifact=uk.co.real-logic:sbe-all:1.34.0 -DoutputDirectory=.tools/fetched
	echo "$(SBE_SHA256)  .tools/fetched/$(SBE)" | sha256sum --check --quiet
	mv .tools/fetched/$(SBE) $@
	rmdir .tools/fetched

clean:
	rm -rf .venv $(PEERS) $(AUDIT) build *.egg-info
