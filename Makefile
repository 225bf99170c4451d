# make demo: the whole system on this machine, one picture per reference request. make test: everything that CI runs.
# Prerequisites: Python 3.11-3.13 and make; pip and the Go module proxy bring the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
COLLECTION := build/collections/ansible_collections/stable_diffusion/eks
READY := .venv/.ready $(COLLECTION)
IMAGES := queue-agent:0.1.0 a1111:1.10.1

.PHONY: help programs demo sandbox-up sandbox-down test lint sanity unit system molecule bench soak lock clean

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.venv/.ready: requirements/dev.txt pyproject.toml agent/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "make: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv \
		|| { echo "make: $(PYTHON) cannot make virtual environments (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	echo "installing the pinned Python packages into .venv (about a minute)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable agent
	touch $@

$(COLLECTION):  # ansible finds a collection by its directory's name
	@mkdir -p $(@D)
	ln -sfn ../../../.. $@

sandbox-up: $(READY)  ## start the sandbox of this checkout (embedded AWS + Kubernetes)
	@$(BIN)/sandbox up

sandbox-down: $(READY)  ## end every process that the sandbox of this checkout started
	@$(BIN)/sandbox down

demo: $(READY)  ## the whole path: sandbox, site.yml, two requests, two pictures
	@start=$$(date +%s)
	$(BIN)/sandbox down
	$(BIN)/sandbox up
	$(BIN)/sandbox push $(IMAGES)
	eval "$$($(BIN)/sandbox env)"
	export PATH="$(CURDIR)/$(BIN):$$PATH"
	ansible-playbook playbooks/site.yml --inventory inventories/sandbox
	echo "ready for requests after $$(($$(date +%s) - start)) s; the sandbox stays up (make sandbox-down ends it)"
	python -m sandbox.demo

programs: $(READY)  ## compile Kubernetes, helm, KEDA and Karpenter, unless the cache has them
	@$(BIN)/sandbox build

test: programs lint sanity unit system molecule  ## everything that CI runs

lint: $(READY)  ## style, types and documentation
	@export PATH="$(CURDIR)/$(BIN):$$PATH"
	ruff check .
	ruff format --check .
	mypy agent/sd_agent sandbox
	yamllint --strict .
	ansible-lint --offline --profile production
	antsibull-changelog lint
	cd $(COLLECTION)/
	# It copies what git knows of the collections that ours stands on; those in .venv are not git's.
	GIT_CEILING_DIRECTORIES="$(CURDIR)/.venv" antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=self .

sanity: $(READY)  ## ansible-test sanity and units
	@tests/ansible-test.sh sanity
	tests/ansible-test.sh units tests/unit/plugins/

unit: $(READY)  ## pytest without a sandbox
	@$(BIN)/pytest tests/unit

system: $(READY)  ## pytest on a sandbox of its own
	@$(BIN)/pytest tests/system

molecule: $(READY)  ## the roles' scenarios on an embedded AWS of their own
	@tests/molecule.sh

bench: $(READY)  ## figures, each beside a reference timed in the same run
	@PYTHONPATH=tests $(BIN)/python tests/benchmarks/run.py $(BENCH)

soak: $(READY)  ## the long runs
	@SOAK_TASKS=1000 $(BIN)/pytest tests/system/test_burst.py

lock: .venv/.ready  ## renew requirements/dev.txt from the pinned names
	@$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-header --allow-unsafe --strip-extras \
		--extra dev --output-file requirements/dev.txt pyproject.toml agent/pyproject.toml

clean: sandbox-down  ## take down the sandbox and remove what was made in this checkout
	rm -rf build .venv
