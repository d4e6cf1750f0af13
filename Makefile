# dial-engine: `make help` lists the targets.
SHELL := /bin/bash
PY := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help demo test lint types unit lab bench amd-report setup clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## install, then ring three real phones at once and prove the audio
	@.ci/setup demo
	@$(PY) -m engine demo

test: lint types unit lab ## lint, types, import contracts, all tests, lab included

lint: setup ## ruff and the import contracts
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@.venv/bin/lint-imports --no-cache

types: setup ## mypy, strict, code and tests
	@$(PY) -m mypy

unit: setup ## every test that needs no peer
	@$(PY) -m pytest -q -n 2 -m "not lab"

lab: setup ## tests against real peers: SIPp, pjsua2 phones
	@$(PY) -m pytest -q -n 3 -m lab

bench: setup ## CPU time per dial, per packet, per call; SIPp as the far side
	@$(PY) -m tests.bench

amd-report: setup ## one HTML page with every error of the answering-machine detector
	@$(PY) -m amd.report

setup:
	@.ci/setup test

clean: ## remove .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
