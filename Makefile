# `make` says what there is. Everything runs in .venv, which .ci/bootstrap makes from hash-checked requirements.

PYTHON := .venv/bin/python
SUITE = $(PYTHON) .ci/suite.py
# Those of fleets need root and network namespaces; what cannot be measured here says so, and exits with 2.
BENCHES = run flavors audit drain fleet fleet_prepare
.DEFAULT_GOAL := help
.PHONY: help bootstrap demo test test-chain check unit property crash packaging python39 lint types format lab-host bench docs zipapp collection dist lock clean

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || grep '##' Makefile

bootstrap:  ## make .venv (instant when nothing changed)
	@python3 .ci/bootstrap

demo: bootstrap  ## a bundled two-card host: checked, prepared, restored
	@$(PYTHON) -m tests.demo.demo

check: bootstrap  ## format, lint, types, import rules, unit and case tests: a minute
	@$(SUITE) check

test: bootstrap  ## everything: check, property, crash and packaging tests, Python 3.9, a real kernel in QEMU
	@$(SUITE) test

unit property crash packaging python39: bootstrap  ## one part of `make test`
	@$(SUITE) $@

lab-host: bootstrap  ## the part that boots a real kernel in QEMU
	@$(SUITE) lab_host

test-chain: bootstrap  ## two QEMU hosts as computes of a real Nova, a card moved, broken and recovered (not in `make test`)
	@$(PYTHON) -m tests.lab.chain

lint: bootstrap  ## ruff: format and rules
	@$(SUITE) format lint

types: bootstrap  ## mypy, strict
	@$(SUITE) types

format: bootstrap  ## let ruff format and mend what it can
	@$(PYTHON) -m ruff check --fix --quiet . || true
	@$(PYTHON) -m ruff format .

bench: bootstrap  ## all measurements, one after the other, against the tools that one would use instead (half an hour)
	@python3 .ci/bootstrap bench && python3 .ci/bootstrap ansible
	@worst=0; for one in $(BENCHES); do echo "== $$one"; $(PYTHON) -m tests.bench.$$one; code=$$?; \
	  if [ $$code -gt $$worst ]; then worst=$$code; fi; done; exit $$worst

docs: bootstrap  ## the documentation, as HTML in .cache/docs-html
	@$(PYTHON) docs/generate.py && $(PYTHON) docs/generate_audit.py
	@python3 .ci/bootstrap docs
	@.cache/docs-venv/bin/python -m sphinx -q -W --keep-going -b html docs .cache/docs-html && echo "docs: .cache/docs-html/index.html"

zipapp: bootstrap  ## dist/gpuctl-host.pyz: the host's half as one file
	@$(PYTHON) -m gpuctl.zipapp dist/gpuctl-host.pyz

collection: bootstrap  ## dist/gpuctl-host-VERSION.tar.gz: the Ansible collection gpuctl.host
	@python3 .ci/bootstrap ansible
	@PATH="$(CURDIR)/.cache/ansible-venv/bin:$$PATH" $(PYTHON) -m gpuctl.fleet.ansible.collection dist

dist: bootstrap zipapp  ## wheel, sdist and zipapp in dist/
	@$(PYTHON) -m hatchling build -d dist

lock:  ## requirements/*.txt anew (needs uv)
	@.ci/lock

clean:  ## remove everything that was made
	rm -rf .venv .cache dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
