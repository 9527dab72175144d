# SPDX-License-Identifier: GPL-2.0
#
# For people; "make help" says what there is. The kernel's build system reads
# Kbuild instead.

ifneq ($(words $(CURDIR)),1)
$(error The kernel cannot build in a directory with a blank in its name: $(CURDIR))
endif

KDIR ?= /lib/modules/$(shell uname -r)/build
KERNEL ?= plain
SECONDS ?= 3600
SEED ?=
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=

OUT := $(CURDIR)/build/module

# The project's version is that of the tools: see scripts/lint, check_version.
VERSION = $(shell sed -n '/^version = "\(.*\)"$$/{s//\1/p;q}' tools/keyagentd/Cargo.toml)

all:
	+@scripts/build-for '$(KDIR)' '$(OUT)' $(if $(V),V=$(V))

install:
	@test -e $(OUT)/keyagent.ko || { \
		echo "error: there is no module to install: run make first" >&2; exit 1; }
	$(MAKE) -C '$(KDIR)' M=$(CURDIR) MO=$(OUT) \
		$(if $(DESTDIR),INSTALL_MOD_PATH='$(DESTDIR)') modules_install

install-headers:
	install -D -m 644 include/uapi/linux/keyagent.h \
		'$(DESTDIR)$(PREFIX)/include/linux/keyagent.h'
	install -d -m 755 '$(DESTDIR)$(PREFIX)/share/pkgconfig'
	sed 's,@PREFIX@,$(PREFIX),; s,@VERSION@,$(VERSION),' include/keyagent.pc.in \
		>'$(DESTDIR)$(PREFIX)/share/pkgconfig/keyagent.pc'
	chmod 644 '$(DESTDIR)$(PREFIX)/share/pkgconfig/keyagent.pc'

# What follows uses a kernel of its own in a virtual machine.

demo vm check:
	@scripts/$@ '$(KERNEL)'

stress:
	@scripts/stress '$(KERNEL)' '$(SECONDS)' '$(SEED)'

check-runner:
	@tests/vm/selftest

check-daemon:
	@scripts/check-daemon

check-metadata:
	@tests/debian/selftest

check-lkmm:
	@tests/lkmm/run

check-rule:
	@tests/rule/run

check-labels:
	@scripts/check-labels

check-mutants:
	@tests/mutants/run

bench:
	@tests/bench/run $(if $(TIME),--time)

check-bench:
	@tests/bench/run --quick --compare tests/bench/baseline.json

bench-baseline:
	@tests/bench/run --quick --runs 5
	cp build/bench/bench.json tests/bench/baseline.json

samples:
	@scripts/build-samples

tools:
	@scripts/build-tools

man:
	@scripts/build-man

deb:
	@scripts/build-deb

check-package:
	@tests/package/run

install-dkms:
	@DESTDIR='$(DESTDIR)' scripts/install-dkms

install-tools:
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' \
		scripts/install-tools

lint:
	@scripts/lint

clean:
	rm -rf build

help:
	@echo 'In a virtual machine, with a kernel that is built for it (the first time takes'
	@echo 'half an hour; it is kept in ~/.cache/keyagent, or $$KEYAGENT_CACHE):'
	@echo
	@echo '  make demo             show what an agent does, with explanations'
	@echo '  make check            run the test suite'
	@echo '  make stress           disturb agents and requesters at random'
	@echo '       SECONDS=N        for so long (default: $(SECONDS))'
	@echo '       SEED=N           with the choices of the run that printed it'
	@echo '  make vm               open a shell, with the module loaded'
	@echo '  make check-runner     test the virtual machine runner itself'
	@echo '  make check-metadata   test what makes modules for Debian kernels, without one'
	@echo '  make check-labels     test what security modules that label tasks make of agents'
	@echo '  make check-mutants    see that the tests fail without what they test'
	@echo '  make bench            measure what requests cost, in instructions'
	@echo '       TIME=1           in nanoseconds, where KVM works'
	@echo '  make check-package    install, use and remove the Debian packages'
	@echo '  make check-bench      measure less, and compare with tests/bench/baseline.json'
	@echo '  make bench-baseline   measure less, and renew that'
	@echo '       KERNEL=debug     with KASAN, lockdep, kmemleak and other checkers'
	@echo "       KERNEL=debian    in Debian's own kernel of the cloud flavour, as it is:"
	@echo '                        built is what it lacks for modules, in minutes'
	@echo '       KERNEL=debian-generic  in that of the flavour for all machines'
	@echo '       KERNEL_SRC=PATH  from this kernel source, a tree or a tarball'
	@echo
	@echo 'For a kernel of yours:'
	@echo
	@echo '  make                  build keyagent.ko in build/module'
	@echo '  make install          install it where modprobe finds it (as root)'
	@echo '  make install-headers  install <linux/keyagent.h> for writing agents, and'
	@echo '                        keyagent.pc for pkg-config'
	@echo '       KDIR=DIR         the build directory of the kernel; default:'
	@echo '                        $(KDIR)'
	@echo '       DESTDIR=DIR      install below DIR'
	@echo '       PREFIX=DIR       where headers go (default: $(PREFIX))'
	@echo '  make install-dkms     install its source for DKMS (as root)'
	@echo '  make deb              build Debian packages in build/deb, for Debian 14'
	@echo
	@echo 'In the tree:'
	@echo
	@echo '  make samples          build the sample agents in build'
	@echo '  make tools            build keyagentd and keyagent in build/keyagentd/release'
	@echo '  make man              make manual pages in build/man'
	@echo '  make install-tools    install what those two made, with systemd units and'
	@echo '                        completions for shells (as root)'
	@echo '       DESTDIR=DIR      install below DIR'
	@echo '       PREFIX=DIR       where to (default: $(PREFIX))'
	@echo '       SYSCONFDIR=DIR   where keyagentd.conf goes (default: $(SYSCONFDIR))'
	@echo '  make check-rule       prove that the rule who may answer is as documented'
	@echo '  make check-daemon     test what of keyagentd needs no kernel module'
	@echo "  make check-lkmm       check barriers and grace periods against the kernel's"
	@echo '                        memory model'
	@echo '  make lint             check style, warnings and licences'
	@echo '  make clean            remove build'

.PHONY: all install install-headers demo vm check stress check-runner check-metadata check-lkmm check-mutants \
	bench check-bench bench-baseline check-daemon samples tools man deb check-package install-dkms \
	install-tools lint clean help check-rule check-labels
