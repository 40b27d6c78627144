# Every target sets itself up; everything that is generated stands in .cache.
PYTHON ?= python3
MAIN   := .cache/venv/bin/python
HOSTS  ?= 1
HOST   ?= host1
# KEEP_LAB=1 leaves the lab running after the integration tests.
RUN    := $(PYTHON) tests/run.py $(if $(KEEP_LAB),--keep-lab)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint sanity package unit integration bench lab-up lab-down lab-shell build clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "%-40s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Create .cache/venv and make the checkout answer as toucan.selfhosted
	@$(RUN) setup

demo: setup ## A bare host becomes a running stack: what to look at first
	@$(MAIN) tests/lab/demo.py

test: ## Run all tests
	@$(RUN)

lint sanity package unit integration: ## Run one stage of the tests
	@$(RUN) $@

bench: setup ## Measure, as ratios in one run, on a host of the lab; backups (BACKUP="--bytes 50M …") on the wire server
	@$(MAIN) tests/bench/bench.py
	@$(MAIN) tests/bench/backup.py $(BACKUP)

lab-up: setup ## Start the lab with HOSTS=n hosts
	@$(MAIN) tests/lab/lab.py up --hosts $(HOSTS)

lab-down: ## Stop the lab
	@$(PYTHON) tests/lab/lab.py down

lab-shell: ## Open a shell on HOST=host1
	@$(PYTHON) tests/lab/lab.py shell $(HOST)

build: ## Build the collection's archive into .cache/build
	@$(RUN) build

clean: ## Remove the environments and everything the tests made (the lab has its own: tests/lab/lab.py clean)
	rm -rf .cache/environments .cache/venv .cache/test .cache/build
