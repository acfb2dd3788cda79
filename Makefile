# The few things one does here. CI calls these and nothing else (.ci/run).

SHELL := /bin/bash
.DEFAULT_GOAL := help

# One build directory outside of the checkout, shared by demo, test and lint, so that nothing is compiled twice.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/outflow-target

# Once every crate of Cargo.lock is in cargo's cache, no command below asks the network for one.
offline = $(shell cargo fetch --locked --offline --target $$(rustc -vV | sed -n 's/^host: //p') >/dev/null 2>&1 && echo CARGO_NET_OFFLINE=true)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z]+: .*## ' $(MAKEFILE_LIST) | sed -E 's/: [^#]*## /\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: ## Install what demo and test need: Debian packages, the crates
	@tests/demo/setup.sh compiler postgresql prometheus python request-tracker
	@$(offline) cargo fetch --locked

.PHONY: demo
demo: ## Warehouse -> simulated HubSpot on this machine, in a few minutes (KEEP=1: leave it running, NAME=employees: an example)
	@KEEP=$(KEEP) tests/demo/$(if $(NAME),example.sh $(NAME),demo.sh)

.PHONY: test
test: ## Run every test (ONE=text: only tests whose name contains it)
	@tests/demo/setup.sh compiler postgresql prometheus python request-tracker
	$(offline) cargo test --locked --workspace $(if $(ONE),-- $(ONE))

.PHONY: sim
sim: ## Live simulated histories of the engine through (SEEDS=100000: so many, FIRST=n: from there, SEED=n: show one)
	SEEDS=$(or $(SEEDS),10000) FIRST=$(FIRST) SEED=$(SEED) $(offline) cargo test --locked -p engine --test it simulation::seeds::every -- --nocapture

.PHONY: stress
stress: ## Eight writers against watermark, snapshot and log (SECONDS=60): nothing may be lost
	@tests/demo/setup.sh compiler postgresql
	STRESS_SECONDS=$(or $(SECONDS),60) $(offline) cargo test --locked -p tests --test it stress:: -- --nocapture

.PHONY: lint
lint: ## Formatting, clippy with warnings as errors, licences and advisories
	cargo fmt --all --check
	$(offline) cargo clippy --locked --workspace --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then echo cargo deny check && cargo deny check; \
	else echo 'note: cargo-deny is not installed, so licences and advisories were not checked (cargo install --locked cargo-deny)'; fi

.PHONY: bench
bench: ## Measure against psql and print a table; also target/bench.json (ONLY=name: one of them, SCALE=0.1: a tenth of the rows, NOISY=1: beside other programs)
	@tests/demo/setup.sh compiler postgresql
	$(offline) cargo build --release --locked -p outflow -p bench
	$(CARGO_TARGET_DIR)/release/bench $(if $(SCALE),--scale $(SCALE)) $(if $(NOISY),--noisy) $(ONLY)

.PHONY: run
run: ## Run outflow from this checkout: make run ARGS='validate --project-dir examples/product-usage'
	$(offline) cargo run --locked --quiet -p outflow -- $(ARGS)
