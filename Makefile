# The commands of a developer's day; `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
PKG ?= ./...
# Time for each fuzz target of `make fuzz`.
FUZZTIME ?= 30s
# Benchmarks of `make bench`: which, how often, how long.
BENCH ?= .
COUNT ?= 7
BENCHTIME ?= 1s
# Tests that break things on purpose and watch the recovery.
FAULTS ?= Failover|Outage|Story

# Empty outside a checkout; the binary then says what the module system knows.
VERSION := $(shell test -e .git && git describe --tags --always --dirty 2>/dev/null)
# Tools are built once for each version of themselves and of Go.
TOOLS := .tools/$(shell cat tools/go.mod tools/go.sum <($(GO) version) | sha256sum | cut -c1-16)

.PHONY: help
help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | column -t -s $$'\t'

.PHONY: build
build: ## build bin/switchpoint, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/switchpoint ./cmd/switchpoint

.PHONY: run
run: build ## build, then the embedded demo of two datacenters
	bin/switchpoint demo

.PHONY: deps
deps: ## install the Debian packages that the tests need (root or sudo)
	scripts/install-deps

.PHONY: test
test: deps ## all tests with -race and real servers, then docs/coverage.md
	@records=$$(mktemp); trap 'rm -f "$$records"' EXIT; set -x; \
	SWITCHPOINT_COVERS=$$records $(GO) test -race -shuffle=on -timeout 25m ./...; \
	$(GO) run ./internal/covers/report $(if $(CI),-check) -records "$$records" -out docs/coverage.md

.PHONY: test-short
test-short: ## tests without -race, installing nothing
	$(GO) test -short $(PKG)

.PHONY: test-faults
test-faults: deps ## the failover and outage tests, three times over, then at full pace
	@SWITCHPOINT_FAULTS=long scripts/each-target '^Test.*($(FAULTS))' $(GO) test -race -count=3 -timeout 30m -v -run
	@SWITCHPOINT_FAULTS=long scripts/each-target '^TestOutage' $(GO) test -count=1 -timeout 30m -v -run

.PHONY: lint
lint: tools ## gofmt, go vet, golangci-lint
	@unformatted=$$(gofmt -l .); if [[ -n $$unformatted ]]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOLS)/golangci-lint run

.PHONY: vuln
vuln: tools ## known vulnerabilities in what we call (needs the Go vulnerability database)
	@$(TOOLS)/govulncheck ./... || { code=$$?; \
		if ((code != 3)); then echo "govulncheck did not finish; it needs a network that reaches the Go vulnerability database" >&2; fi; \
		exit $$code; }

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (30s) each
	@scripts/each-target '^Fuzz' $(GO) test -run '^$$' -fuzztime $(FUZZTIME) -fuzz

.PHONY: bench
bench: ## all benchmarks, COUNT (7) runs of BENCHTIME (1s) each
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -benchtime $(BENCHTIME) -timeout 60m $(PKG)

.PHONY: bench-health
bench-health: build ## 100,000 health checks: CPU, lateness and memory of the prober
	bin/switchpoint bench health

.PHONY: bench-lb
bench-lb: deps build ## the balancer beside HAProxy and nginx (15 minutes); table, bench-lb.json, bench-lb.svg
	bin/switchpoint bench http --json bin/bench-lb.json --svg bin/bench-lb.svg

.PHONY: bench-cluster
bench-cluster: deps build ## job queue, login statement beside pgbench, connects (4 minutes); table, bench-cluster.json
	bin/switchpoint bench cluster --json bin/bench-cluster.json

.PHONY: bench-logins
bench-logins: deps build ## logins through the whole chain, storms, a slow directory (45 minutes, as root); tables, bench-logins.json, bench-storm.json, plots
	bin/switchpoint bench logins --json bin/bench-logins.json --svg bin/bench-logins.svg --cpu-profile bin
	bin/switchpoint bench storm --json bin/bench-storm.json --svg bin/bench-storm.svg

.PHONY: bench-outage
bench-outage: deps build ## the database goes away: logins without it, mode switch, copies, merging (15 minutes); table, bench-outage.json, bench-outage.svg
	bin/switchpoint bench outage --json bin/bench-outage.json --svg bin/bench-outage.svg

.PHONY: bench-lb-routing
bench-lb-routing: deps ## logins through the balancer with one throttled broker, by response time and in turns (1 minute)
	$(GO) test ./cmd/switchpoint -run '^TestBrokersOfDifferentSpeed$$' -count 1 -v

.PHONY: bench-sim
bench-sim: build ## lb_method beside the rules of other balancers, simulated (4 minutes); table, bench-sim.json, bench-sim.svg
	bin/switchpoint simulate --json bin/bench-sim.json --svg bin/bench-sim.svg

.PHONY: bench-smoke
bench-smoke: deps build ## every benchmark once: does it still run?
	$(GO) test -run '^$$' -bench . -benchtime 1x ./...
	bin/switchpoint bench http --quick
	bin/switchpoint bench cluster --quick
	bin/switchpoint bench logins --quick
	bin/switchpoint bench storm --quick
	bin/switchpoint bench outage --quick
	bin/switchpoint simulate --quick

.PHONY: ci
ci: ## what CI runs
	.ci/run

.PHONY: tools
tools: $(TOOLS)/built ## build the linters of tools/go.mod into .tools

$(TOOLS)/built:
	mkdir -p $(TOOLS)
	cd tools && CGO_ENABLED=0 $(GO) build -trimpath -o ../$(TOOLS)/ tool
	touch $@

.PHONY: clean
clean: ## remove what make built
	rm -rf bin .tools
