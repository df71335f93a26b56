# `make help` lists the targets. Requires Python 3.11+ with venv, make and git; everything else is installed as wheels.

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := common auth tickets orders payments expiration client infra/operations infra/stripe-stand-in infra/local \
  infra/deploy infra/chaos infra/bench
SOURCES := $(addsuffix /src,$(PACKAGES)) $(wildcard infra/contract/*.py)
TESTS := $(addsuffix /tests,$(PACKAGES)) infra/contract/tests infra/tests
# Tests are type-checked folder by folder, because several have a conftest.py. Their functions need no annotations.
TESTS_TYPES := --check-untyped-defs --allow-untyped-defs --allow-incomplete-defs --allow-untyped-calls

.PHONY: help up demo chaos bench screenshots images deploy test test-all coverage asyncapi lint format lock clean venv
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 20

up: venv ## run everything on http://localhost:8000 (PORT, DATA_DIR, EXPIRATION_WINDOW_SECONDS, LOG_LEVEL)
	@exec $(BIN)/python -P -m ticketing_local.up

demo: venv ## in a second shell: list, order, pay, decline, refund and expire a ticket
	@$(BIN)/python -P -m ticketing_local.demo

bench: venv ## benchmark each route against a minimal baseline, about eight minutes (ROUND_SECONDS, DOCUMENTS, WORKERS=2)
	@$(BIN)/python -P -m ticketing_bench.command

chaos: venv ## test the promises under load while processes are killed (SECONDS, SEED, OLD=other checkout, GUARD=all: negative controls)
	@$(BIN)/python -P -m ticketing_chaos.command

screenshots: venv ## write a picture of every page into screenshots/ (requires chromium)
	@$(BIN)/python -P -m ticketing_local.screenshots

images: venv ## build and start every image (IMAGES, TARGET, TAG, ENGINE, BASE=debootstrap without a registry)
	@$(BIN)/python -P -m ticketing_deploy.build $(if $(TARGET),--target $(TARGET)) $(if $(TAG),--tag $(TAG)) \
	  $(if $(ENGINE),--engine $(ENGINE)) $(if $(BASE),--base $(BASE)) $(IMAGES)

deploy: ## deploy this commit to the cluster of kubectl, roll back if that fails (REGISTRY)
	@test -n "$(REGISTRY)" || { echo "REGISTRY is not set: make deploy REGISTRY=registry.digitalocean.com/..."; exit 1; }
	@PYTHONPATH=infra/deploy/src $(PYTHON) -m ticketing_deploy.deploy apply --registry $(REGISTRY)

test: venv ## run the tests on real servers, in two processes
	@$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder -m "not nightly"

test-all: venv ## run all tests, the long ones of every night included
	@$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder

coverage: venv ## run the tests and print which lines and branches none of them runs
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --numprocesses 2 --no-loadscope-reorder -m "not nightly" || { echo "Tests failed: fix them first, then run make coverage again"; exit 1; }
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

asyncapi: venv ## write docs/asyncapi.yaml, the contract of the events
	@$(BIN)/python infra/contract/asyncapi.py > docs/asyncapi.yaml

lint: venv ## check formatting, style, types and imports
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy $(SOURCES)
	@for folder in $(TESTS); do MYPYPATH=$$folder $(BIN)/mypy $(TESTS_TYPES) --no-error-summary $$folder || exit 1; done
	@$(BIN)/lint-imports

format: venv ## format, and correct what ruff can correct
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

# The packages of this repository are not pinned.
OURS := ticketing-common ticketing-auth ticketing-tickets ticketing-orders ticketing-payments \
  ticketing-expiration ticketing-client ticketing-operations stripe-stand-in ticketing-local ticketing-deploy ticketing-chaos ticketing-bench
PIN := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
  --custom-compile-command 'make lock' $(foreach p,pip setuptools $(OURS),--no-emit-package $(p)) --upgrade

lock: ## pin all dependencies again, in constraints.txt and for the images (requires uv)
	$(PIN) --output-file constraints.txt requirements.in
	$(PIN) --constraints constraints.txt --output-file infra/docker/wheels.txt infra/docker/wheels.in

clean: ## remove the virtual environment; the data in .data stays
	rm -rf .venv

# A virtual environment contains absolute paths: in a copied checkout it would run the code of the original.
venv: .venv/installed ## create the virtual environment
	@$(BIN)/python -P -c 'import os, ticketing_local as t; assert t.__file__.startswith(os.getcwd() + "/")' 2> /dev/null || \
	  { echo "This .venv was created in another folder or for another Python: run 'make clean', then try again."; exit 1; }

.venv/installed: constraints.txt $(addsuffix /pyproject.toml,$(PACKAGES))
	@command -v $(PYTHON) > /dev/null || \
	  { echo "$(PYTHON) is missing: on Debian run 'apt-get install python3 python3-venv', or make PYTHON=... with the path of one"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is required: make PYTHON=python3.12 ...")'
	@echo "Installing into .venv (once, about a minute)"
	@$(PYTHON) -m venv .venv || { echo "venv is missing: on Debian run 'apt-get install python3-venv'"; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --requirement constraints.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --quiet $(addprefix --editable ./,$(PACKAGES))
	@touch $@
