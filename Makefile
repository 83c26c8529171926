# Everything a contributor or CI does here. Each target fetches what it lacks, so a fresh clone needs only Go, make,
# git, a C compiler (for -race) and npm or a Node 24.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c

MODULE   := github.com/behalf-dev/behalf
# recursive, so that only a build asks git
VERSION   = $(or $(shell git describe --always --dirty 2>/dev/null),dev)
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# DIR is the folder of workflows that `make dev` serves, ARGS what else `behalf dev` or the bench is told.
DIR  ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help build dev test test-integration lint bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The version comes from git above, so that Go need not ask git again (it refuses in a clone that someone else owns).
build: ## build bin/behalf
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-X $(MODULE)/pkg/cli.version=$(VERSION)' -o bin/behalf .

# Without Node 24 it starts all the same, and says at use that Node steps are refused.
dev: build ## run everything in one process, with the example workflows or DIR=folder
	@if node=$$(deployments/node.sh); then export BEHALF_NODE="$$node"; fi; exec bin/behalf dev $(DIR) $(ARGS)

test: ## run the unit, wired and command line tests; needs neither Docker nor Vault
	@node=$$(deployments/node.sh) && BEHALF_NODE="$$node" go test -race ./...

test-integration: ## run the integration and end to end tests; needs Docker
	@node=$$(deployments/node.sh) && BEHALF_NODE="$$node" go test -tags integration -race -count=1 -timeout 30m ./test/...

lint: ## hold the code against the house rules
	go vet ./...
	go vet -tags integration ./...
	$(GOLANGCI) run ./...
	$(GOLANGCI) fmt --diff
	@git ls-files -s | sed -E 's/^[0-9]+ ([0-9a-f]+) [0-9]+[[:space:]]/\1 /' | git cat-file --batch-check='%(objectsize) %(rest)' | \
		awk '$$1 > 1048576 { sub(/^[0-9]+ /, ""); print "lint: over 1 MiB, keep it out of git: " $$0; bad = 1 } END { exit bad }'

# ARGS="-accounts 100000" compares the lists of so many accounts over HTTP with those of 1,000 instead.
bench: build ## measure Behalf beside the bare pipeline and print the ratios
	@node=$$(deployments/node.sh) && BEHALF_NODE="$$node" go run ./test/bench $(ARGS)
