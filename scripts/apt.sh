# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Packages of other releases of Debian than the host's, from the archive that the
# host already uses. Sourced after lib.sh; apt_state= says where apt keeps what it
# knows of them, so that the host's own stays as it is.

: "${KEYAGENT_CACHE:?}"
apt_state=$KEYAGENT_CACHE/apt

own_apt() {
	APT_CONFIG=$apt_state/apt.conf apt-get -q "$@"
}

own_cache() {
	APT_CONFIG=$apt_state/apt.conf apt-cache "$@"
}

# What the host's apt needs to reach the archive, for the apt of another system.
apt_options() {
	apt-config dump | grep '^Acquire::' |
		grep -v '^Acquire::\(IndexTargets\|Changelogs\|Languages\)'
	echo 'Acquire::Languages "none";'
	echo 'Acquire::Retries "3";'
	echo 'APT::Install-Recommends "false";'
}

# The versions of a package that own_apt knows, the newest first.
offered() {
	own_cache madison "$1" | awk -F' *[|] *' '{ print $2 }' | sort -Vru
}

# prepare_apt SUITE...: those releases of it.
prepare_apt() {
	local site keyring options='' suite

	mkdir -p "$apt_state/lists/partial" "$apt_state/archives/partial"
	: >"$apt_state/status"
	# shellcheck disable=SC2016 # apt-get's own variables
	site=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' \
		'Identifier: Packages' | sed -n 's/^Debian|Debian|//p' | sort -u | head -n 1)
	if [ -z "$site" ]; then
		echo "E: none of apt's sources is Debian's own archive" >&2
		return 1
	fi
	for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
		[ ! -e "$keyring" ] || options="[signed-by=$keyring] "
	done
	for suite in "$@"; do
		echo "deb $options$site $suite main"
	done >"$apt_state/sources.list"
	{
		echo "Dir::State \"$apt_state\";"
		echo "Dir::State::Lists \"$apt_state/lists\";"
		echo "Dir::State::status \"$apt_state/status\";"
		echo "Dir::Cache \"$apt_state\";"
		echo "Dir::Etc::sourcelist \"$apt_state/sources.list\";"
		echo "Dir::Etc::sourceparts \"/dev/null\";"
		echo "Dir::Etc::preferences \"/dev/null\";"
		echo "Dir::Etc::preferencesparts \"/dev/null\";"
		echo 'APT::Sandbox::User "root";'
		echo 'APT::Architecture "amd64";'
		echo 'APT::Architectures "amd64";'
		echo 'Acquire::Languages "none";'
		echo 'Acquire::Retries "3";'
		echo 'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";'
		echo 'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";'
	} >"$apt_state/apt.conf"
	own_apt update
}
