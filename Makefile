# Each target does its own set-up. `make help` lists them.

GO ?= go
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
TOOL = $(GO) tool -modfile=tools/go.mod

.PHONY: help try demo bench test long fuzz race check generate vendor screenshot build

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## build bin/poa
	$(GO) build -trimpath -o bin/poa ./cmd/poa

try: build ## import a small generated game into a fresh SQLite file and explain a score
	@dir=$$(mktemp -d) && bin/poa --database sqlite:$$dir/poa.db sample && \
	echo && bin/poa --database sqlite:$$dir/poa.db top -n 5 && \
	echo && bin/poa --database sqlite:$$dir/poa.db score kabu-13 && \
	echo && echo "The database is $$dir/poa.db; bin/poa --database sqlite:$$dir/poa.db does the rest."

demo: build ## play the whole game: 54,312 generated NFTs and people who go on voting
	bin/poa demo

bench: build deps ## measure votes, computations and what they cost, on both databases
	bin/poa bench

test: deps ## run all tests and each fuzz target for a moment, installing PostgreSQL and Chromium from Debian's packages when they are missing
	$(GO) test ./...
	$(MAKE) -s fuzz

long: deps ## run the tests that kill processes as long as a release wants them, for over an hour
	POA_LONG=1 $(GO) test -count=1 -v -timeout 3h ./internal/ledger ./internal/e2e

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
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	{ $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy --no-install-recommends chromium; }

check: ## format, vet, lint, and see that generated code is current
	@test -z "$$(gofmt -l cmd internal)" || { gofmt -l cmd internal; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(MAKE) generate
	git diff --exit-code -- internal

generate: ## generate code from the SQL queries and the panel's templates
	$(GO) tool -modfile=tools/go.mod templ generate -path internal/panel
	cd internal/store/sqlite && $(GO) tool -modfile=../../../tools/go.mod sqlc generate
	cd internal/store/postgres && $(GO) tool -modfile=../../../tools/go.mod sqlc generate

# What others wrote for browsers, from the npm registry: package, the file in
# it, the file here, its SHA-256. axe-core is for the browser tests only.
VENDORED = \
	htmx.org@4.0.1:dist/htmx.min.js:internal/panel/assets/htmx.min.js:a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130 \
	uplot@1.6.32:dist/uPlot.iife.min.js:internal/panel/assets/uplot.min.js:19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f \
	uplot@1.6.32:dist/uPlot.min.css:internal/panel/assets/uplot.min.css:df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04 \
	axe-core@4.14.1:axe.min.js:internal/browser/testdata/axe.min.js:29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c \
	axe-core@4.14.1:LICENSE:internal/browser/testdata/axe.LICENSE:af175b9d96ee93c21a036152e1b905b0b95304d4ae8c2c921c7609100ba8df7e

vendor: ## fetch the panel's third-party scripts with npm and check that they are what they were
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; for v in $(VENDORED); do \
		set -- $$(echo $$v | tr : ' '); \
		tar xzf "$$dir/$$(cd "$$dir" && npm pack --silent "$$1")" -C "$$dir" "package/$$2"; \
		echo "$$4  $$dir/package/$$2" | sha256sum --check --quiet; \
		cp "$$dir/package/$$2" "$$3"; \
	done

screenshot: build deps ## make the README's picture of the scheduler from the demo
	$(GO) run ./internal/browser/screenshot docs/images
