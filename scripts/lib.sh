# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts of this directory have in common: where things are kept, and
# how a step is announced, shown and blamed. Sourced, with top= set to the
# repository's directory. Everything said here goes to standard error.

: "${top:?}"

KEYAGENT_CACHE=${KEYAGENT_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/keyagent}
export KEYAGENT_CACHE

# The kernel series that the module is written for, and the tools that do not
# come from the distribution.
: "${KERNEL_SERIES:=7.2}"
readonly VIRTME_NG_VERSION=1.42
readonly BINDGEN_VERSION=0.73.2 BINDGEN_MIN=0.71.1
readonly RUSTC_MIN=1.85.0 LLVM_MIN=17
# What tools/memory-model/README of the series asks for.
readonly HERD_MIN=7.58

# With --quiet only steps that have something to do are mentioned.
quiet=${quiet:-0}

say() {
	echo "$*" >&2
}

die() {
	say "error: $1"
	shift
	local line
	for line in "$@"; do
		say "       $line"
	done
	exit 1
}

hash_of() {
	sha256sum | cut -c 1-12
}

# Are all these commands there?
have() {
	local cmd

	for cmd; do
		command -v "$cmd" >/dev/null || return 1
	done
}

# The project's version, which is said in one place and checked in the others: see
# scripts/lint, check_version.
project_version() {
	sed -n '/^version = "\(.*\)"$/{s//\1/p;q}' "$top/tools/keyagentd/Cargo.toml"
}

# version_ge A B: is A at least B?
version_ge() {
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# The first thing in standard input that looks like a version number.
version_in() {
	grep -oEm1 '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1
}

jobs_default() {
	nproc 2>/dev/null || echo 2
}

virtme_dir() {
	echo "$KEYAGENT_CACHE/tools/virtme-ng-$VIRTME_NG_VERSION"
}

# Where packages are that are unpacked and not installed: see scripts/setup.
unpacked_dir() {
	echo "$KEYAGENT_CACHE/tools/unpacked-1"
}

# Where herd7 is when the host has none: see scripts/setup.
herd_dir() {
	echo "$KEYAGENT_CACHE/tools/herd-1"
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		die "this needs root: $*" "Run it as root, or install sudo."
	fi
}

# with_lock NAME COMMAND...: one at a time, whoever comes later waits.
with_lock() {
	# Names that no command run here uses for something else.
	local lock_name=$1 lock_fd
	shift

	mkdir -p "$KEYAGENT_CACHE/locks"
	exec {lock_fd}>"$KEYAGENT_CACHE/locks/$lock_name"
	if ! flock -n "$lock_fd"; then
		say "waiting: another process is busy with: $lock_name"
		flock "$lock_fd"
	fi
	"$@"
	exec {lock_fd}>&-
}

# --- Steps -------------------------------------------------------------------

step_pid=''

stop_step() {
	[ -n "$step_pid" ] || return 0
	kill -TERM -- "-$step_pid" 2>/dev/null || true
	wait "$step_pid" 2>/dev/null || true
	step_pid=''
}

trap 'stop_step; say ""; say "interrupted; the next run goes on from here"; exit 130' INT
trap 'stop_step; exit 143' TERM HUP

# A step that has nothing to do.
step_done() {
	[ "$quiet" = 1 ] || printf '  %-34s %6s   %s\n' "$1" - "${2:-up to date}" >&2
}

# What went wrong, from a log: the first line that says so with what follows it,
# and the end.
blame() {
	local n

	n=$(grep -anEm1 '(^|[^[:alnum:]_-])(error(\[E[0-9]+\])?:|E:|fatal:|\*\*\* |No space left|Killed)' "$1" |
		cut -d: -f1 || true)
	if [ -n "$n" ]; then
		sed -n "$n,$((n + 11))p" "$1"
	else
		tail -n 12 "$1"
	fi | sed 's/^/    | /' >&2
}

# step [--count REGEX UNIT] [--hint TEXT] NAME COMMAND...
#
# Runs COMMAND with its output in a log file and shows how long it takes. On a
# terminal the line is kept up to date in place, otherwise there is one every 30
# seconds. --count adds how many lines of the log match.
step() {
	local regex='' unit='' hint='' name log start now last=0 status=0 shown=''

	while :; do
		case $1 in
		--count) regex=$2 unit=$3; shift 3 ;;
		--hint) hint=$2; shift 2 ;;
		*) break ;;
		esac
	done
	name=$1
	shift
	mkdir -p "$KEYAGENT_CACHE/logs"
	log=$KEYAGENT_CACHE/logs/$(tr -cs '[:alnum:].\n' - <<<"$name" | sed 's/-$//').log
	start=$SECONDS
	: >"$log"

	# In a process group of its own, so that an interrupt reaches all of it.
	set -m
	("$@") </dev/null >"$log" 2>&1 &
	step_pid=$!
	set +m

	while kill -0 "$step_pid" 2>/dev/null; do
		now=$((SECONDS - start))
		if [ -n "$regex" ]; then
			shown=$(grep -acE "$regex" "$log" || true)" $unit"
		fi
		if [ -t 2 ]; then
			printf '\r\033[K  %-34s %4d s   %s' "$name" "$now" "$shown" >&2
		elif [ $((now - last)) -ge 30 ]; then
			last=$now
			printf '  %-34s %4d s   %s ...\n' "$name" "$now" "$shown" >&2
		fi
		sleep "$([ "$now" -lt 2 ] && echo 0.1 || echo 1)"
	done
	wait "$step_pid" || status=$?
	step_pid=''

	now=$((SECONDS - start))
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ "$status" = 0 ]; then
		[ -z "$regex" ] || shown=$(grep -acE "$regex" "$log" || true)" $unit"
		printf '  %-34s %4d s   %s\n' "$name" "$now" "$shown" >&2
		return 0
	fi
	printf '  %-34s %4d s   failed\n' "$name" "$now" >&2
	blame "$log"
	die "$name failed (exit status $status)." \
		${hint:+"$hint"} "Everything it said: $log"
}

# --- The toolchain -----------------------------------------------------------

# Prints the directory of a rustc that can build the kernel: recent enough, and
# with the source of its library, which the kernel compiles for itself. The
# first one in PATH may be neither.
find_rustc() {
	local rustc version sysroot

	while read -r rustc; do
		[ -x "$rustc" ] || continue
		version=$("$rustc" --version 2>/dev/null | version_in) || continue
		version_ge "$version" "$RUSTC_MIN" || continue
		sysroot=$("$rustc" --print sysroot 2>/dev/null) || continue
		[ -e "$sysroot/lib/rustlib/src/rust/library/core/src/lib.rs" ] || continue
		[ -x "${rustc%/*}/rustfmt" ] || continue
		[ -x "${rustc%/*}/clippy-driver" ] || continue
		echo "${rustc%/*}"
		return
	done < <(
		[ -z "${RUSTC:-}" ] || echo "$RUSTC"
		echo /usr/bin/rustc
		type -ap rustc
	)
	return 1
}

# Prints the value for LLVM= and, if there is such a place, the directory of
# libclang: the version that this was tried with, then the default, then the
# newest.
find_llvm() {
	local suffix version

	while read -r suffix; do
		have {clang,ld.lld,llvm-ar,llvm-nm,llvm-objcopy}"$suffix" || continue
		version=$("clang$suffix" --version | version_in)
		version=${version%%.*}
		[ "$version" -ge "$LLVM_MIN" ] || continue
		[ -e "/usr/lib/llvm-$version/lib/libclang.so" ] ||
			[ -e "/usr/lib/llvm-$version/lib/libclang-$version.so" ] ||
			[ ! -e /etc/debian_version ] || continue
		echo "${suffix:-1} /usr/lib/llvm-$version/lib"
		return
	done < <(
		echo -19
		echo
		type -ap clang-{30..17} 2>/dev/null | grep -o -- '-[0-9]*$'
	)
	return 1
}

# find_rustc_of TEXT: prints the rustc that says this of its version, RUSTC if that is
# set; fails and prints what else there is, if there is none.
find_rustc_of() {
	local rustc version seen=''

	while read -r rustc; do
		version=$("$rustc" --version 2>/dev/null) || continue
		if [ "$version" = "$1" ]; then
			echo "$rustc"
			return
		fi
		seen+="${seen:+, }$rustc is $version"
	done < <(if [ -n "${RUSTC:-}" ]; then
		type -p "$RUSTC" || echo "$RUSTC"
	else
		type -ap rustc
		compgen -G '/usr/bin/rustc-*' || true
		echo /usr/bin/rustc
	fi | awk '!seen[$0]++')
	echo "$seen"
	return 1
}

# A cargo that can read the lock file of today's crates.
find_cargo() {
	local cargo version

	while read -r cargo; do
		[ -x "$cargo" ] || continue
		version=$("$cargo" --version 2>/dev/null | version_in) || continue
		version_ge "$version" "$RUSTC_MIN" || continue
		echo "$cargo"
		return
	done < <(
		echo /usr/bin/cargo
		type -ap cargo
	)
	return 1
}

find_bindgen() {
	local bindgen version

	while read -r bindgen; do
		[ -x "$bindgen" ] || continue
		version=$("$bindgen" --version 2>/dev/null | version_in) || continue
		version_ge "$version" "$BINDGEN_MIN" || continue
		echo "$bindgen"
		return
	done < <(
		echo "$KEYAGENT_CACHE/tools/bindgen-$BINDGEN_VERSION/bin/bindgen"
		echo /usr/bin/bindgen
		type -ap bindgen
	)
	return 1
}

# A herd7 that the kernel's memory model can be read with.
find_herd() {
	local herd version

	while read -r herd; do
		[ -x "$herd" ] || continue
		version=$("$herd" -version 2>/dev/null | version_in) || continue
		version_ge "$version" "$HERD_MIN" || continue
		echo "$herd"
		return
	done < <(
		type -ap herd7 || true
		echo "$(herd_dir)/herd7"
	)
	return 1
}

have_toolchain() {
	find_rustc >/dev/null && find_llvm >/dev/null && find_bindgen >/dev/null
}

# Puts the chosen rustc and what belongs to it first in PATH.
use_rust() {
	local rustdir bin tool

	rustdir=$(find_rustc) || die "there is no rustc." "Run: scripts/setup programs"
	bin=$KEYAGENT_CACHE/tools/bin
	mkdir -p "$bin"
	for tool in rustc rustdoc rustfmt clippy-driver; do
		if [ "$(readlink "$bin/$tool" 2>/dev/null)" != "$rustdir/$tool" ]; then
			ln -sfn "$rustdir/$tool" "$bin/$tool"
		fi
	done
	case :$PATH: in
	*:"$bin":*) ;;
	*) export PATH=$bin:$PATH ;;
	esac
	unset RUSTC RUSTFLAGS KBUILD_OUTPUT MAKEFLAGS MFLAGS MAKELEVEL
}

# Those that build kernels, too; sets LLVM and TOOLCHAIN, the text that names all.
use_toolchain() {
	local llvm bindgen bin

	if ! { find_rustc >/dev/null && llvm=$(find_llvm) && bindgen=$(find_bindgen); }; then
		die "the toolchain is not complete." "Run: scripts/setup toolchain"
	fi
	use_rust
	export LLVM=${llvm% *}
	if [ -d "${llvm#* }" ]; then
		export LIBCLANG_PATH=${llvm#* }
	fi
	bin=$KEYAGENT_CACHE/tools/bin
	if [ "$(readlink "$bin/bindgen" 2>/dev/null)" != "$bindgen" ]; then
		ln -sfn "$bindgen" "$bin/bindgen"
	fi
	TOOLCHAIN="$(rustc --version), $("clang${LLVM#1}" --version | head -n 1), $(bindgen --version)"
}

# --- The kernel --------------------------------------------------------------

readonly FRAGMENTS=(tests/vm/plain.config tests/vm/debug.config)

# The kernel's source: KERNEL_SRC when it is a tree, else what set-up unpacked.
kernel_source() {
	local dir newest=''

	if [ -n "${KERNEL_SRC:-}" ] && [ -d "$KERNEL_SRC" ]; then
		(cd "$KERNEL_SRC" && pwd -P)
		return
	fi
	if [ -n "${KERNEL_SRC:-}" ]; then
		echo "$KEYAGENT_CACHE/src/tarball-$(realpath -m "$KERNEL_SRC" | hash_of)"
		return
	fi
	while read -r dir; do
		[ ! -e "$dir/Kbuild" ] || newest=$dir
	done < <(printf '%s\n' "$KEYAGENT_CACHE/src/linux-$KERNEL_SERIES".* | sort -V)
	[ -n "$newest" ] && echo "$newest"
}

# The version that a kernel's Makefile gives, in standard input, as 7.2.12.
makefile_version() {
	sed -nE '
		s/^VERSION = *//p; t
		s/^(PATCHLEVEL|SUBLEVEL) = */./p; t
		s/^EXTRAVERSION = *//p; t
	' | head -n 4 | tr -d '\n'
}

# That of a source tree.
source_version() {
	makefile_version <"$1/Makefile"
}

# config_value FILE NAME: what CONFIG_NAME is in a kernel's configuration, without quotes.
config_value() {
	sed -nE "s/^CONFIG_$2=\"?([^\"]*)\"?\$/\\1/p" "$1"
}

# The fragments of a kernel, in the order in which they are merged.
fragments() {
	echo "$top/${FRAGMENTS[0]}"
	[ "$1" = plain ] || echo "$top/${FRAGMENTS[1]}"
}

# Debian's own kernels, by the names that they have here.
is_debian() {
	[ "$1" = debian ] || [ "$1" = debian-generic ]
}

is_kernel() {
	[ "$1" = plain ] || [ "$1" = debug ] || is_debian "$1"
}

# debian_dir KIND: where that kernel is: its packages in usr, the root in which things
# are built for it, its build directory: see scripts/debian-kernel.
debian_dir() {
	realpath -m "$KEYAGENT_CACHE/debian/$1"
}

# kernel_dir KIND: the build directory. Its name holds all that the
# result depends on, so that a changed fragment or toolchain means another one.
kernel_dir() {
	local kind=$1 src files

	if is_debian "$kind"; then
		echo "$(debian_dir "$kind")/kdir"
		return
	fi
	if [ -n "${KEYAGENT_KERNEL_DIR:-}" ]; then
		echo "$KEYAGENT_KERNEL_DIR"
		return
	fi
	src=$(kernel_source) || return 1
	[ -n "${TOOLCHAIN:-}" ] || use_toolchain
	mapfile -t files < <(fragments "$kind")
	echo "$KEYAGENT_CACHE/kernel/$kind-$(source_version "$src")-$({
		echo "$src" "$TOOLCHAIN"
		grep -vhE '^#( |$)|^$' "${files[@]}"
		grep -hE '^# CONFIG_' "${files[@]}"
	} | hash_of)"
}

readonly STAMP=.keyagent-complete

have_kernel() {
	local dir

	[ -z "${KEYAGENT_KERNEL_DIR:-}" ] || return 0
	have_toolchain && dir=$(kernel_dir "$1") && [ -e "$dir/$STAMP" ]
}
