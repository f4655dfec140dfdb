# Two commands for a fresh Debian machine with Rust:
#
#   make run     builds the engine and runs it; CONFIG=file.toml for a configuration of your own
#   make test    everything that must hold
#
# Each installs the Debian packages it lacks, or prints the line that does.

CARGO ?= cargo
CONFIG ?=

.PHONY: run demo telephone release test test-long check format lint unit fuzz flows licences

run: need-build
	$(CARGO) run --release --package hotline -- serve $(if $(CONFIG),--config $(CONFIG))

demo: need-build
	$(CARGO) run --release --package hotline -- demo $(if $(CONFIG),--config $(CONFIG))

# The program as it is shipped, in half an hour: target/release-guided/hotline.
release: need-build
	@scripts/release

# A telephone in a page of this machine, for the engine of `make run`.
telephone:
	@scripts/need node=nodejs npm=npm python3=python3
	@$(MAKE) --silent --no-print-directory $(TELEPHONE)
	@mkdir -p target/telephone
	@cp $(TELEPHONE) target/telephone/
	@cp tests/browser/telephone.html target/telephone/index.html
	@echo "浏览器话机 / Browser telephone: http://localhost:8000"
	@python3 -m http.server 8000 --bind 127.0.0.1 --directory target/telephone

test: need-build need-peers need-browser format lint unit fuzz flows licences

format:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings

unit:
	CARGO="$(CARGO)" scripts/test --workspace --exclude hotline-tests
	CARGO="$(CARGO)" scripts/test --package hotline-tests --test it
	CARGO="$(CARGO)" scripts/test --package hotline-tests --test e2e

# What takes too long for every day: 210 recordings, killed fifty times (two minutes); three times
# the calls that are taken, for ten minutes; 20,000 handshakes beside talks; unsafe code under valgrind.
test-long: need-build need-valgrind
	HOTLINE_TEST_KILLS=210x50 $(CARGO) test --release --package hotline-media --lib -- \
		--nocapture tests::kills::each_of_many_recordings
	HOTLINE_OVERLOAD_SECS=600 $(CARGO) test --release --package hotline-tests --test e2e -- \
		--nocapture overload::calls_that_are_too_many
	HOTLINE_HANDSHAKES=20000 $(CARGO) test --release --package hotline-tests --test e2e -- \
		--nocapture storms::v22
	$(CARGO) --config "target.'cfg(all())'.runner = '$(VALGRIND)'" test --package hotline-media --lib -- \
		--test-threads=1 recorder:: intake::

# Every read and write outside of what is mapped or owned is an error.
VALGRIND := valgrind --quiet --error-exitcode=1

# What strangers may send: every input ever found, then new ones, eleven targets for a minute each,
# two at a time. Another hour elsewhere: make fuzz FUZZ="--secs 3600 --seed 2"
FUZZ ?=

fuzz:
	$(CARGO) run --quiet --profile fuzz --package hotline-fuzz -- run $(FUZZ)

flows:
	$(CARGO) run --quiet --package hotline -- check

# The list is held where cargo-deny is installed; nothing is fetched for it.
licences:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --offline check licenses bans sources; \
	else \
		echo "cargo-deny is not installed: licences are not checked here (deny.toml)"; \
	fi

.PHONY: need-build need-peers need-browser need-valgrind

need-build:
	@scripts/need cargo cc=build-essential

# Telephones, a load generator, a carrier's border and a reader of captures that are not ours, for the
# interoperability tests.
need-peers:
	@scripts/need sipp=sip-tester baresip=baresip linphonec=linphone-cli kamailio=kamailio tshark=tshark

need-valgrind:
	@scripts/need valgrind=valgrind

# A browser, and the telephone that runs in it. Its parts are those of the lock file.
TELEPHONE := tests/browser/node_modules/telephone.js

need-browser:
	@scripts/need chromium=chromium chromedriver=chromium-driver node=nodejs npm=npm
	@$(MAKE) --silent --no-print-directory $(TELEPHONE)

$(TELEPHONE): tests/browser/package.json tests/browser/package-lock.json tests/browser/telephone.js
	cd tests/browser && npm ci --silent && npm run --silent bundle
