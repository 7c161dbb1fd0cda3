# kordon. `make` alone lists the targets.

CARGO ?= cargo
# Where recordings go.
export CORPUS ?= target/corpus

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test fuzz check lint unit build deb deny advisories bench bench-lists bench-path bench-restart corpus corpus-cut test-deb test-machine setup-corpus setup-deb setup-demo setup-machine setup-test setup-deny

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-demo ## a camera, a gateway and two servers on this machine: see kordon work
	$(CARGO) build --release --bin kordon --example demo
	@$(CARGO) run --quiet --release --example demo

test: setup-test lint unit ## everything: formatting, clippy, unit, property, golden and kernel tests

fuzz: ## every fuzz target for a minute (needs a nightly toolchain and cargo-fuzz)
	@scripts/fuzz

test-deb: setup-machine deb ## the package installed, upgraded, removed and purged in a small Debian (root)
	@scripts/try-deb

test-machine: setup-machine deb ## the package on Debian's own kernel and systemd, in an emulated machine (20 minutes)
	$(CARGO) test --test machine

# The late set: programs' options, ports and sizes that the recogniser was not built on.
corpus: setup-corpus ## real traffic recorded between namespaces, and what kordon takes for a tunnel in it (root, 30 minutes)
	scripts/record-corpus early
	scripts/record-corpus late
	$(CARGO) run --release --example corpus -- measure $(CORPUS)/early $(CORPUS)/late

check: test deny test-deb test-machine ## what CI runs: what these four do (root)

lint: ## formatting and clippy, warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --test machine --bench lists --bench path --bench restart -- -D warnings

build: ## the release binary, target/release/kordon
	$(CARGO) build --release

deb: setup-deb ## the Debian package, target/debian/kordon_*.deb, and lintian's opinion of it
	@scripts/deb

deny: setup-deny ## licences, sources and banned crates among the dependencies (deny.toml)
	$(CARGO) deny --locked check bans licenses sources

advisories: setup-deny ## known vulnerabilities of the dependencies; fetches the advisory database
	$(CARGO) deny --locked check advisories

bench: ## criterion benches: lookup, decide, build
	$(CARGO) bench

bench-lists: ## lists of a million and of ten million lines: load, reload, peak memory
	$(CARGO) bench --bench lists

bench-path: setup-demo ## the packet path through the kernel, to what a queue allows; PARTS="drain goodput" for some
	$(CARGO) bench --bench path -- $(PARTS)

bench-restart: setup-demo ## restarts under traffic: losses, leaks, how long packets are held (root)
	$(CARGO) bench --bench restart

# Parts of the targets above.
unit:
	$(CARGO) test

setup-demo:
	@scripts/setup demo

setup-machine:
	@scripts/setup machine

setup-test:
	@scripts/setup test

# After `make corpus`: the part that is committed, and the tables of tests/corpus/README.md.
corpus-cut:
	$(CARGO) run --release --example corpus -- cut $(CORPUS)/early
	$(CARGO) run --release --example corpus -- cut $(CORPUS)/late

setup-corpus:
	@scripts/setup corpus

setup-deb:
	@scripts/setup deb

setup-deny:
	@scripts/setup deny
