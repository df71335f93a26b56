# `make help` says what there is. Needs Python 3.11+ with venv, make and git; everything else comes as Python wheels.

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := common auth tickets orders payments expiration client infra/stripe-stand-in infra/local infra/deploy infra/chaos infra/bench
SOURCES := $(addsuffix /src,$(PACKAGES))

.PHONY: help up demo chaos bench screenshots images deploy test lint format lock clean venv
.DEFAULT_GOAL := help

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1	/'

up: venv ## run the whole market on http://localhost:8000 (PORT, DATA_DIR, EXPIRATION_WINDOW_SECONDS, LOG_LEVEL)
	@exec $(BIN)/python -P -m ticketing_local.up

demo: venv ## in a second shell: list, order, pay, decline, refund and expire, as a timeline
	@$(BIN)/python -P -m ticketing_local.demo

bench: venv ## how fast, beside the least that could do the job; six minutes (ROUND_SECONDS, DOCUMENTS, WORKERS=2)
	@$(BIN)/python -P -m ticketing_bench.command

chaos: venv ## hunt for broken promises while everything is killed (SECONDS, SEED, OLD=another checkout; GUARD=all: the negative control)
	@$(BIN)/python -P -m ticketing_chaos.command

screenshots: venv ## every page of the site as a picture, into screenshots/ (needs chromium)
	@$(BIN)/python -P -m ticketing_local.screenshots

images: venv ## build every image and try it (IMAGES, TARGET, TAG, ENGINE, BASE=debootstrap where none can be pulled)
	@$(BIN)/python -P -m ticketing_deploy.build $(if $(TARGET),--target $(TARGET)) $(if $(TAG),--tag $(TAG)) \
	  $(if $(ENGINE),--engine $(ENGINE)) $(if $(BASE),--base $(BASE)) $(IMAGES)

deploy: ## roll this commit out to kubectl's cluster, and back if that fails (REGISTRY)
	@test -n "$(REGISTRY)" || { echo "Where are the images? make deploy REGISTRY=registry.digitalocean.com/..."; exit 1; }
	@PYTHONPATH=infra/deploy/src $(PYTHON) -m ticketing_deploy.deploy apply --registry $(REGISTRY)

test: venv ## all tests, on real servers, in two processes
	@$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder

lint: venv ## formatting, lint, types, import rules
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports

format: venv ## mend what a tool can mend
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

# Of the packages of this repository, no version is pinned.
OURS := ticketing-common ticketing-auth ticketing-tickets ticketing-orders ticketing-payments \
  ticketing-expiration ticketing-client stripe-stand-in ticketing-local ticketing-deploy ticketing-chaos ticketing-bench
PIN := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
  --custom-compile-command 'make lock' $(foreach p,pip setuptools $(OURS),--no-emit-package $(p)) --upgrade

lock: ## pin every dependency anew, in constraints.txt and for the images (needs uv)
	$(PIN) --output-file constraints.txt requirements.in
	$(PIN) --constraints constraints.txt --output-file infra/docker/wheels.txt infra/docker/wheels.in

clean: ## forget the environment; the market's data in .data stays
	rm -rf .venv

# A virtual environment holds absolute paths: in a copied checkout it would run the code of the old place.
venv: .venv/installed
	@$(BIN)/python -P -c 'import os, ticketing_local as t; assert t.__file__.startswith(os.getcwd() + "/")' 2> /dev/null || \
	  { echo "The .venv here belongs to another place or Python (the checkout was moved or copied?): run 'make clean' and this again."; exit 1; }

.venv/installed: constraints.txt $(addsuffix /pyproject.toml,$(PACKAGES))
	@command -v $(PYTHON) > /dev/null || \
	  { echo "$(PYTHON) is missing: on Debian run 'apt-get install python3 python3-venv', or make PYTHON=... with the path of one"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "Installing into .venv (once, about a minute)"
	@$(PYTHON) -m venv .venv || { echo "venv is missing: on Debian run 'apt-get install python3-venv'"; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --requirement constraints.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --quiet $(addprefix --editable ./,$(PACKAGES))
	@touch $@
