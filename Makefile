# Each target does its own set-up. `make help` lists them.

GO ?= go
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
TOOL = $(GO) tool -modfile=tools/go.mod

.PHONY: help try demo bench test fuzz race check generate build

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## build bin/poa
	$(GO) build -trimpath -o bin/poa ./cmd/poa

try: build ## import a small generated game into a fresh SQLite file and explain a score
	@dir=$$(mktemp -d) && bin/poa --database sqlite:$$dir/poa.db sample && \
	echo && bin/poa --database sqlite:$$dir/poa.db top -n 5 && \
	echo && bin/poa --database sqlite:$$dir/poa.db score fugz-6 && \
	echo && echo "The database is $$dir/poa.db; bin/poa --database sqlite:$$dir/poa.db does the rest."

demo: build ## play the whole game: 54,312 generated NFTs and people who go on voting
	bin/poa demo

bench: build deps ## measure votes, computations and what they cost, on both databases
	bin/poa bench

test: deps ## run all tests and each fuzz target for a moment, installing PostgreSQL from Debian's packages when it is missing
	$(GO) test ./...
	$(MAKE) -s fuzz

FUZZTIME ?= 3s

fuzz: ## run each fuzz target for FUZZTIME
	@for f in $$(grep -rlE '^func Fuzz' --include='*_test.go' internal); do \
		for t in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' $$f); do \
			$(GO) test ./$$(dirname $$f) -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x || exit 1; \
		done; \
	done

race: deps ## run all tests under the race detector (needs a C compiler)
	$(GO) test -race ./...

.PHONY: deps
deps:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	{ $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends postgresql; }

check: ## format, vet, lint, and see that generated code is current
	@test -z "$$(gofmt -l cmd internal)" || { gofmt -l cmd internal; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(MAKE) generate
	git diff --exit-code -- internal

generate: ## generate code from the SQL queries
	cd internal/store/sqlite && $(GO) tool -modfile=../../../tools/go.mod sqlc generate
	cd internal/store/postgres && $(GO) tool -modfile=../../../tools/go.mod sqlc generate
