# Every target is one line that calls scripts/.
.DEFAULT_GOAL := help
.PHONY: help build gen gen-check fmt lint test test-root test-vm test-docker bench fuzz py ci

help: ## this list
	@scripts/help

build: ## bin/sandboxd, bin/agentfense, bin/agentfense-view, bin/agentfense-worker
	@scripts/build

gen: ## regenerate what is generated and committed: protobuf for Go and Python, the sync SDK
	@scripts/gen

gen-check: ## fail if regenerating changes a committed file
	@scripts/gen-check

fmt: ## format Go and Python
	@scripts/fmt

lint: ## vet and lint Go, protobuf, shell and Python
	@scripts/lint

test: ## tests that need no root, with the race detector
	@scripts/test-unit

test-root: ## tests with real mounts, namespaces and BPF; needs root
	@scripts/test-root

test-vm: ## tests in stock Debian kernels under QEMU; needs root
	@scripts/test-vm

test-docker: ## tests of containers, with a dockerd of their own; needs root
	@scripts/test-docker

bench: ## every figure beside its baseline, in one table; needs root
	@scripts/bench

fuzz: ## every fuzz test for FUZZTIME (default 10s)
	@scripts/fuzz

py: ## format check, types and tests of the Python SDK
	@scripts/py

ci: ## all that CI runs, cheap checks first, leftovers last; needs root
	@scripts/ci
