# Every target sets up what it needs. `make demo` and `make test` are all that a newcomer has to know.
.PHONY: help demo test check bench plots soak docs sbom audit setup lock clean
.DEFAULT_GOAL := help
PY := .venv/bin/python
ARGS ?=
NAME ?= spine
# One more than there are processors: some tests wait, for a browser, a process or a timer.
WORKERS ?= $(shell echo $$(($$(nproc 2>/dev/null || sysctl -n hw.ncpu) + 1)))

help:
	@echo "make demo    start a running plant and open it in a browser   (ARGS=\"--for 30 --report json\")"
	@echo "make test    run all tests                                    (ARGS=\"tests/history -k wal\")"
	@echo "make check   lint, strict types, import contracts, tidy"
	@echo "make bench   measure one room against its peers                (NAME=spine, history, gateway, exchange, access, compute, operations)"
	@echo "make plots   draw docs/history.md from the recorded results"
	@echo "make soak    long runs, fuzzing, all examples of properties  (SEED=1234 draws the same again)"
	@echo "make docs    regenerate the reference from code"
	@echo "make sbom    the bill of materials of what we ship (CycloneDX)"
	@echo "make audit   known holes in what we depend on"

setup:
	@tools/setup.sh venv

demo: setup
	@tools/setup.sh console
	@$(PY) -m headrace demo $(ARGS)

# Files in the order of tests/conftest.py, the longest first. What is compiled once is kept, for tests start many programs.
test soak: export PYTHONDONTWRITEBYTECODE :=
test: setup
	@tools/setup.sh console services
	@$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup
	@tools/check.sh

bench: setup
	@if [ "$(NAME)" = history ]; then tools/setup.sh bench; fi
	@case "$(NAME)" in gateway|exchange|compute) tools/setup.sh services ;; esac
	@$(PY) -m bench $(NAME) $(ARGS)

plots: setup
	@$(PY) -m tools.plots

# What is drawn at random is drawn from one seed, which is told.
soak: SEED := $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))
soak: setup
	@tools/setup.sh console services
	@echo "seed $(SEED); the same again: make soak SEED=$(SEED)"
	@HEADRACE_SEED=$(SEED) $(PY) -m pytest -m "soak or seeded or hypothesis" --override-ini addopts="-q --strict-markers --import-mode=importlib" \
		--hypothesis-profile thorough --hypothesis-seed $(SEED) --timeout 7200 $(ARGS)

docs: setup
	@$(PY) -m tools.reference
	@$(PY) -m tools.conformance
	@$(PY) -m tools.security_clauses
	@$(PY) -m tools.route_matrix
	@$(PY) -m tools.functions

sbom: setup
	@$(PY) -m tools.sbom

audit: setup
	@$(PY) -m tools.audit

lock: setup
	@$(PY) -m pip install -q uv
	@$(PY) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock
	@$(PY) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate bench/peers.in -o bench/peers.lock
	@$(PY) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate bench/mqtt-peers.in -o bench/mqtt-peers.lock
	@tools/setup.sh venv
	@$(PY) -m tools.sbom

clean:
	rm -rf .venv .venv-bench .venv-mqtt .cache console/node_modules tests/peers/node_modules src/headrace/api/console build *.egg-info
