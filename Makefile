# SPDX-License-Identifier: GPL-2.0-or-later
# The front doors; meson does the work. `make help` lists them.

PREFIX ?= /usr/local
DESTDIR ?=
BUILD := build

.PHONY: all deps install uninstall configured test check check-long check-kernel-debug fuzz demo \
	bench bench-kmod deb format clean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo "meson is missing; sudo make deps"; exit 1; }
	@meson setup $(BUILD) --prefix=$(PREFIX)

deps:
	@tools/deps.sh build

# meson keeps the prefix of its last configuration. Reconfigure only if it differs:
# what root reconfigures the user cannot rebuild.
configured: all
	@test -z "$(IP)" || { meson configure $(BUILD) -Dip_shim=$(IP) && ninja -C $(BUILD); }
	@test "$$(meson introspect $(BUILD) --buildoptions | python3 -c 'import json, sys; \
		print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')" \
		= "$(abspath $(PREFIX))" || \
		{ meson configure $(BUILD) --prefix=$(abspath $(PREFIX)) && ninja -C $(BUILD); }

install: configured
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild --quiet
	@! readlink $(DESTDIR)$(abspath $(PREFIX))/bin/ip | grep -q libexec/graft/ip || \
		echo "$(PREFIX)/bin/ip answers \`ip graft\`, and the next ip of PATH everything" \
			"else. Not wanted? rm $(PREFIX)/bin/ip, and IP=no from now on."
	@test -n "$(DESTDIR)" || test "$$(id -u)" != 0 || ldconfig

uninstall: configured
	@DESTDIR=$(DESTDIR) tools/uninstall.sh $(BUILD) $(abspath $(PREFIX))
	@test -n "$(DESTDIR)" || test "$$(id -u)" != 0 || ldconfig

test:
	@QUICK=1 tools/check.sh

check:
	@tools/check.sh

# What of it takes long, too: every packaged kernel, all tries of the races.
check-long:
	@LONG=1 tools/check.sh

# Longer than in `make check`: SECONDS each.
fuzz:
	@tools/fuzz.sh $(or $(SECONDS),60)

check-kernel-debug:
	@tests/kmod/check_debug.sh $(or $(SECONDS),600)

demo:
	@tools/demo.sh

bench:
	@tools/deps.sh bench
	@$(MAKE) --no-print-directory all
	@mkdir -p bench/results
	@bench/run.py --json bench/results/latest.json $(BENCH)
	@bench/plot.py bench/results/latest.json docs/bench.svg
	@bench/table.py bench/results/latest.json README.md
	@bench/turns.py --json bench/results/turns.json --write docs/cgroup.md
	@bench/container_turns.sh 20 docs/containers.md
	@bench/container_pairs.sh 12 docs/containers.md
	@bench/container_rootless.sh 12 docs/containers.md
	@echo "policy look-ups (ns):"; $(BUILD)/bench/bench_resolve

bench-kmod: all
	@bench/kmod.sh $(BUILD)

# Into build/deb; no root. Unit tests are for `make check`: DEB_BUILD_OPTIONS= has them here, too.
deb:
	@DEB_BUILD_OPTIONS="$${DEB_BUILD_OPTIONS-nocheck}" tools/deb.sh $(BUILD)/deb

format:
	@git ls-files '*.c' '*.h' | xargs -r clang-format -i

clean:
	@rm -rf build build-asan build-fuzz

help:
	@echo "make            build into build/"
	@echo "make deps       install what building needs (Debian, root)"
	@echo "make install    PREFIX=/usr/local DESTDIR= IP=auto|yes|no (\`ip graft\`)"
	@echo "make uninstall  take that away again; PREFIX and DESTDIR as for install"
	@echo "make test       a minute: lint, unit, fuzz corpora, conformance"
	@echo "make check      run every test; ends with one summary line"
	@echo "make check-long what takes long of that, too: each kernel, all tries of the races"
	@echo "make check-kernel-debug"
	@echo "                af_graft.ko under faults and random calls for SECONDS=600, in a"
	@echo "                kernel that watches itself, built first (root, half an hour)"
	@echo "make demo       nginx and iperf3 grafted, checked and measured (root)"
	@echo "make bench      all benchmarks (root); BENCH=--quick for a short run"
	@echo "make bench-kmod  the kernel module against plain sockets, in emulated machines"
	@echo "make fuzz       run each fuzz harness for SECONDS=60"
	@echo "make deb        Debian packages, into build/deb"
	@echo "make format     clang-format every C file"
	@echo "make clean      remove what was built"
