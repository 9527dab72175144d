# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the parts of scripts/setup need of Debian's packages, and their installation.
# Sourced by it after lib.sh.

: "${KEYAGENT_CACHE:?}"

# What each part needs, and the Debian package that has it: a command, a header (by its
# path under an include directory), a file, or a Python module. For a compiler see below.
declare -A NEEDS
NEEDS[programs]='
	command:gcc			gcc
	header:stdio.h			libc6-dev
	command:make			make
	command:perl			perl
	command:rsync			rsync
	command:keyctl			keyutils
	header:keyutils.h		libkeyutils-dev
	file:/etc/ssl/certs/ca-certificates.crt	ca-certificates
'
NEEDS[toolchain]=${NEEDS[programs]}'
	command:flex			flex
	command:bison			bison
	command:bc			bc
	command:cpio			cpio
	command:depmod			kmod
	command:xz			xz-utils
	command:python3			python3
	header:gelf.h			libelf-dev
	header:openssl/evp.h		libssl-dev
'
NEEDS[vm]='
	command:qemu-system-x86_64	qemu-system-x86
	command:depmod			kmod
	command:ip			iproute2
	command:ps			procps
	command:keyctl			keyutils
	command:tini			tini
	file:/usr/bin/python3		python3
	python:ensurepip		python3-venv
	file:/etc/ssl/certs/ca-certificates.crt	ca-certificates
'
NEEDS[man]='
	command:rst2man			python3-docutils
'
NEEDS[containers]='
	command:crun			crun
	command:runc			runc
	command:bwrap			bubblewrap
	command:systemd-nspawn		systemd-container
	command:busybox			busybox-static
'
# To install these would start services on the host. They are unpacked instead, with
# what they depend on, and the tests lay them over /usr for themselves alone.
NEEDS[unpacked]='
	command:podman			podman
	command:nfsidmap		nfs-common
'
# For scripts/debian-kernel, and to boot what that gets.
NEEDS[debian]='
	command:mmdebstrap		mmdebstrap
	command:bwrap			bubblewrap
	command:busybox			busybox-static
	command:depmod			kmod
	command:file			file
	command:xz			xz-utils
	file:/usr/share/keyrings/debian-archive-keyring.gpg	debian-archive-keyring
'
NEEDS[package]='
	command:mmdebstrap		mmdebstrap
	command:git			git
	command:unshare			util-linux
	file:/usr/share/keyrings/debian-archive-keyring.gpg	debian-archive-keyring
'
NEEDS[bench]='
	command:busybox			busybox-static
	command:gnuplot			gnuplot-nox
	command:nm			binutils
'
NEEDS[lkmm]='
	command:xz			xz-utils
'
NEEDS[lint]='
	command:shellcheck		shellcheck
	command:git			git
	command:man			man-db
'

# Prints the packages of those needs (see above) that are not met.
unmet() {
	local what package where

	while read -r what package; do
		where=${what#*:}
		case $what in
		command:*) have "$where" && continue ;;
		header:*) [ -e "/usr/include/$where" ] ||
			compgen -G "/usr/include/*-linux-gnu/$where" >/dev/null && continue ;;
		file:*) [ -e "$where" ] && continue ;;
		python:*) /usr/bin/python3 -c "import $where" 2>/dev/null && continue ;;
		*) continue ;;
		esac
		echo "$package"
	done | sort -u
}

# The version of a package that apt would install, without epoch; empty if none.
candidate() {
	apt-cache policy "$1" 2>/dev/null |
		sed -nE 's/^  Candidate: ([0-9]+:)?([0-9][^-+~]*).*/\2/p'
}

# Debian has more than one Rust: in an older release the default is too old, and
# the packages for building browsers, named -web, are not.
rust_packages() {
	local plain web

	plain=$(candidate rustc) web=$(candidate rustc-web)
	if [ -n "$web" ] && version_ge "$web" "$RUSTC_MIN" &&
		! version_ge "${plain:-0}" "$web"; then
		echo rustc-web rust-web-src rust-web-clippy rustfmt-web
	elif [ -n "$plain" ] && version_ge "$plain" "$RUSTC_MIN"; then
		echo rustc rust-src rust-clippy rustfmt
	else
		return 1
	fi
}

llvm_packages() {
	local version

	if [ -n "$(candidate clang-19)" ]; then
		echo clang-19 lld-19 llvm-19 libclang-19-dev
		return
	fi
	version=$(candidate clang)
	if [ -n "$version" ] && version_ge "$version" "$LLVM_MIN"; then
		echo clang lld llvm libclang-dev
		return
	fi
	for version in {30..17}; do
		if [ -n "$(candidate "clang-$version")" ]; then
			echo "clang-$version lld-$version llvm-$version libclang-$version-dev"
			return
		fi
	done
	return 1
}

# A cargo, of the same packages as rustc.
cargo_packages() {
	find_cargo >/dev/null && return 0
	case $(rust_packages) in
	'') return 1 ;;
	*web*) echo cargo-web ;;
	*) echo cargo ;;
	esac
}

# bindgen itself where it is recent enough, otherwise a cargo to build it with.
bindgen_packages() {
	local version

	version=$(candidate bindgen)
	if [ -n "$version" ] && version_ge "$version" "$BINDGEN_MIN"; then
		echo bindgen
	else
		cargo_packages
	fi
}

# The packages that a part lacks, but for those of a compiler.
lacks() {
	unmet <<<"${NEEDS[$1]:-}"
}

# The packages that the given parts lack. Fails when apt knows no package for
# something, which may only mean that its lists are old.
missing_packages() {
	local part

	for part; do
		lacks "$part"
		case $part in
		toolchain | programs) find_rustc >/dev/null || rust_packages || return 1 ;;&
		toolchain)
			find_llvm >/dev/null || llvm_packages || return 1
			find_bindgen >/dev/null || bindgen_packages || return 1
			;;
		daemon) cargo_packages || return 1 ;;
		esac
	done | tr ' ' '\n' | sort -u
}

# The same where there is no apt to ask for their names.
missing_programs() {
	local part

	for part; do
		lacks "$part"
		case $part in
		toolchain | programs)
			find_rustc >/dev/null || echo "rustc>=$RUSTC_MIN+library-source+rustfmt+clippy"
			;;&
		toolchain)
			find_llvm >/dev/null || echo "clang+lld+llvm>=$LLVM_MIN"
			find_bindgen >/dev/null || echo "bindgen>=$BINDGEN_MIN"
			;;
		daemon) find_cargo >/dev/null || echo "cargo>=$RUSTC_MIN" ;;
		esac
	done | sort -u | tr '\n' ' '
}

have_packages() {
	[ -z "$(lacks "$1")" ] || return 1
	case $1 in
	toolchain) find_rustc && find_llvm && { find_bindgen || find_cargo; } ;;
	programs) find_rustc ;;
	daemon) find_cargo ;;
	esac >/dev/null
}

have_all_packages() {
	local part

	for part; do
		have_packages "$part" || return 1
	done
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"
}

install_packages() {
	local packages no_toolchain

	no_toolchain="apt offers no rustc >= $RUSTC_MIN with its source, or no clang >= $LLVM_MIN."

	have_all_packages "$@" && return 0
	if ! have apt-get; then
		die "these are missing: $(missing_programs "$@")" \
			"This script installs packages with apt-get only. Install them (the names" \
			"are Debian's) and run it again."
	fi
	if [ "$(id -u)" != 0 ]; then
		have sudo || die "packages are missing, and installing them needs root." \
			"As root: apt-get install $(missing_packages "$@" | tr '\n' ' ')"
		say "sudo is needed to install: $(missing_packages "$@" | tr '\n' ' ')"
		sudo -v || die "sudo does not let this user install packages." \
			"As root: apt-get install $(missing_packages "$@" | tr '\n' ' ')"
	fi
	# Lists of last month know last month's compiler, and no correction since.
	if [ -z "$(find /var/lib/apt/lists -maxdepth 0 -mtime -1)" ]; then
		(step "package lists" apt update) || say "  going on with old package lists"
	fi
	# shellcheck disable=SC2086 # a list of names
	if ! packages=$(missing_packages "$@" | tr '\n' ' ') || ! known $packages; then
		step --hint "Is there a network, and are apt's sources right?" \
			"package lists" apt update
		packages=$(missing_packages "$@" | tr '\n' ' ') || die "$no_toolchain" \
			"Debian 12 has them in its security archive, as rustc-web: is that among apt's sources?"
	fi
	[ -n "$packages" ] || die "the toolchain is not complete, and no package is missing." \
		"$no_toolchain"
	# shellcheck disable=SC2086 # a list of names
	if ! try_install $packages; then
		step "package lists" apt update
		step --count '^Unpacking ' packages --hint \
			"Is there a network, and are apt's sources right? Try: apt-get install $packages" \
			"packages" apt install --no-install-recommends $packages
	fi
	have_all_packages "$@" || die "packages were installed, but something is still missing:" \
		"$(missing_packages "$@" | tr '\n' ' ')"
}

# Does apt know a version of each of these packages?
known() {
	local package

	for package; do
		[ -n "$(candidate "$package")" ] || return 1
	done
}

# One quiet attempt: lists that are a few days old name versions that are gone.
try_install() {
	(step --count '^Unpacking ' packages "packages" \
		apt install --no-install-recommends "$@") 2>"$KEYAGENT_CACHE/logs/packages.try" || return 1
	cat "$KEYAGENT_CACHE/logs/packages.try" >&2
}
