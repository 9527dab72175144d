# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What scripts/debian-kernel has made, in use. Sourced after lib.sh.

: "${KEYAGENT_CACHE:?}" "${top:?}"

# debian_root KIND COMMAND...: runs that in the Debian root of a kernel, where the
# cache and the repository are at their own paths.
debian_root() {
	local dir
	dir=$(debian_dir "$1")
	shift

	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C.UTF-8 "TMPDIR=/tmp" \
		bwrap --die-with-parent --unshare-pid --bind "$(realpath "$dir/root")" / \
		--dev /dev --proc /proc --tmpfs /tmp --bind "$KEYAGENT_CACHE" "$KEYAGENT_CACHE" \
		--bind "$top" "$top" --chdir / "$@"
}

# debian_image KIND: the kernel's image, with its modules beside it.
debian_image() {
	echo "$(debian_dir "$1")/usr/lib/modules/"*/vmlinuz
}

# debian_program KIND PROGRAM [ARG]...: prints a script that runs a program of the root,
# with that root's libraries. PROGRAM is its path there.
debian_program() {
	local root lib program=$2

	root=$(realpath "$(debian_dir "$1")/root")
	lib=$root/usr/lib/x86_64-linux-gnu
	shift 2
	printf '#!/bin/sh\nexport QEMU_MODULE_DIR=%q\nexec' "$lib/qemu"
	printf ' %q' "$root/lib64/ld-linux-x86-64.so.2" --library-path "$lib" "$root$program" "$@"
	printf ' "$@"\n'
}
