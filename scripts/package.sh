# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Debian systems in which packages are built and installed: directories that are
# entered by chroot, for which one has to be root. Sourced after lib.sh and apt.sh.

: "${KEYAGENT_CACHE:?}"

# A release that has a kernel of the series, with what built it.
readonly PACKAGE_SUITE=forky
readonly PACKAGE_DIR=$KEYAGENT_CACHE/debian/package
# What packages are built with and looked at, and a number to count up when that
# changes.
readonly BUILD_ROOT_VERSION=1
readonly BUILD_ROOT_PACKAGES='build-essential debhelper dh-dkms cargo rustc python3-docutils lintian'

# in_root DIR [--bind FROM TO]... COMMAND...: with nothing of the host but the network.
# Packages that are downloaded there are kept for the next.
in_root() {
	local dir=$1 binds=()
	shift

	mkdir -p "$PACKAGE_DIR/archives/partial"
	binds=("$PACKAGE_DIR/archives" /var/cache/apt/archives)
	while [ "$1" = --bind ]; do
		binds+=("$2" "$3")
		shift 3
	done
	# shellcheck disable=SC2016 # expanded there
	as_root unshare --mount --pid --fork --kill-child --propagation private \
		/bin/bash -euc '
		dir=$1
		shift
		mount -t proc none "$dir/proc"
		mount -t sysfs -o ro none "$dir/sys"
		mount -t tmpfs none "$dir/tmp"
		while [ "$1" != -- ]; do
			mkdir -p "$dir$2"
			mount --bind "$1" "$dir$2"
			shift 2
		done
		shift
		exec chroot "$dir" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
			LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
		' in_root "$dir" "${binds[@]}" -- "$@" </dev/null
}

# again COMMAND...: of an archive's mirrors one may be days behind, which apt refuses.
again() {
	local tries

	for tries in 1 2 3 4 5; do
		"$@" && return
		echo "try $tries of 5 failed: $*"
		sleep 10
	done
	return 1
}

# As small as Debian is with apt.
make_clean_tar() {
	rm -f "$PACKAGE_DIR/clean.tar"
	mkdir -p "$PACKAGE_DIR"
	{
		apt_options
		echo 'APT::Sandbox::User "root";'
		echo 'APT::Keep-Downloaded-Packages "true";'
	} >"$PACKAGE_DIR/apt.conf"
	apt_state=$PACKAGE_DIR/apt
	again prepare_apt "$PACKAGE_SUITE"
	again as_root mmdebstrap --mode=root --variant=apt --skip=check/qemu --architectures=amd64 \
		--aptopt="$PACKAGE_DIR/apt.conf" --dpkgopt=force-unsafe-io \
		--include=ca-certificates --format=tar '' "$PACKAGE_DIR/clean.tmp" \
		"$apt_state/sources.list"
	mv "$PACKAGE_DIR/clean.tmp" "$PACKAGE_DIR/clean.tar"
}

# unpack_clean DIR
unpack_clean() {
	as_root rm -rf "$1"
	mkdir -p "$1"
	as_root tar -x --numeric-owner -C "$1" -f "$PACKAGE_DIR/clean.tar"
	[ ! -e /etc/resolv.conf ] || as_root cp -L /etc/resolv.conf "$1/etc/resolv.conf"
}

make_build_root() {
	local dir=$1

	unpack_clean "$dir"
	again in_root "$dir" apt-get -q --error-on=any update
	# shellcheck disable=SC2086 # a list of names
	in_root "$dir" apt-get -q -y install $BUILD_ROOT_PACKAGES
	as_root touch "$dir/$STAMP"
}

build_root() {
	echo "$PACKAGE_DIR/build-$(hash_of <<<"$BUILD_ROOT_VERSION $BUILD_ROOT_PACKAGES")"
}

get_package_roots() {
	local dir

	dir=$(build_root)
	room_for 4 "a Debian system for packages"
	[ -e "$PACKAGE_DIR/clean.tar" ] ||
		step --hint "Is there a network, and are apt's sources right?" \
			"a clean Debian $PACKAGE_SUITE" make_clean_tar
	[ -e "$dir/$STAMP" ] ||
		step --count '^Unpacking ' packages "what builds packages there" make_build_root "$dir"
}

check_package_roots() {
	if [ -e "$PACKAGE_DIR/clean.tar" ] && [ -e "$(build_root)/$STAMP" ]; then
		step_done "Debian $PACKAGE_SUITE for packages"
	else
		with_lock package get_package_roots
	fi
}
