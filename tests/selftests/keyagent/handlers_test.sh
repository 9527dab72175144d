#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The handlers that the distributions ship, unchanged, started by keyagentd. Where it makes
# sense the real /sbin/request-key is asked the same, and has to give the same result.

set -uo pipefail

# shellcheck source=tests/selftests/keyagent/keyagentd.sh
. "$(dirname "${BASH_SOURCE[0]}")/keyagentd.sh"

prepare "$@"

# Prints what a request comes to: the error, or the key's attributes and its payload.
# shellcheck disable=SC2016 # for the shell that runs it
ask='
if id=$(keyctl request2 "$1" "$2" "$3" @s 2>&1); then
	keyctl rdescribe "$id"
	keyctl pipe "$id" | tr "\0" "@"
else
	echo "$id"
fi'

# ask_agent NAME TYPE DESCRIPTION CALLOUT
ask_agent() {
	local name=$1
	shift

	keyagent exec --agent "$name" -- sh -c "$ask" ask "$@"
}

ask_host() {
	without_agent sh -c "$ask" ask "$@"
}

payload() {
	tail -n +2
}

# in_place_of FILE WITH [WRAPPER]...: WITH is seen as FILE from now on, by those who are in
# this script's mount namespace, or are run by WRAPPER.
in_place_of() {
	local file=$1 with=$2
	shift 2

	"$@" test -e "$file" || skip "there is no $file to put another in the place of"
	"$@" mount --bind "$with" "$file" || fail "no bind mount over $file"
	undo+=("$* umount -l '$file'")
}

has_upcall() {
	on_host test -x /sbin/request-key || skip "no /sbin/request-key to compare with"
}

# Not from here: modules may be on a file system of their own, below our layer.
needs_module() {
	on_host modprobe -q "$1" || skip "no module $1"
}

# The rules of Debian's request-key.conf, as they are there, and what its request-key
# makes of them.
test_shipped_rules() {
	local callout desc agent host n=0

	has_upcall
	grep -q 'request-key-debug.sh' /etc/request-key.conf 2>/dev/null ||
		skip "/etc/request-key.conf is not the one of keyutils"
	[ -x /usr/share/keyutils/request-key-debug.sh ] || skip "no request-key-debug.sh"
	daemon shipped user -
	while read -r desc callout; do
		agent=$(ask_agent shipped user "$desc" "$callout")
		host=$(ask_host user "$desc" "$callout")
		note "$desc '$callout': $(tr '\n' ' ' <<<"$agent")"
		expect "$desc with callout info '$callout'" "$host" "$agent"
		n=$((n + 1))
	done <<'END'
debug:script hello
debug:script two words
debug:loop:cat hello
debug:loop:cat two words
debug:a negate
debug:b rejected
debug:c expired
debug:d revoked
other:e hello
END
	# The last one: their rule for all else is for negate requests only.
	expect "given back by the agent" 1 "$(counter shipped user declined)"
	expect "answered by the agent" $((n - 1)) \
		"$(($(counter shipped user served) + $(counter shipped user rejected)))"
}

test_keyctl_instantiate() {
	local rule='create user made:* * /bin/keyctl instantiate %k %c %S'

	has_upcall
	daemon instantiate user "$rule"
	printf '%s\n' "$rule" >"$work/rules"
	in_place_of /etc/request-key.conf "$work/rules" on_host
	expect "the payload" "hello" "$(ask_agent instantiate user made:up hello | payload)"
	expect "the payload" "hello" "$(ask_host user made:up hello | payload)"
	expect "the key" "$(ask_host user made:too 'a b')" "$(ask_agent instantiate user made:too 'a b')"
}

# Programs behind a bar, and what becomes of those that fail. A rule for failures is a better
# one here: only such are taken by both.
test_pipe_as_usual() {
	local name agent

	has_upcall
	printf '#!/bin/sh\nkill -9 $$\n' >"$work/killed"
	chmod +x "$work/killed"
	cat >"$work/rules" <<-END
		create user pipe:cat * |/bin/cat
		create user *status * |/bin/false
		create user *killed * |$work/killed
		create user *missing * |/no/such/program
		create user pipe:empty * |/bin/true
		create user pipe:most * |/bin/head -c 32767 /dev/zero
		create user pipe:more * |/bin/head -c 32768 /dev/zero
		create user pipe:much * |/bin/head -c 40000 /dev/zero
		negate user pipe:rejected-* * /bin/keyctl reject %k 30 rejected %S
		negate user pipe:failing-* * |/bin/false
	END
	daemon pipe user "$(cat "$work/rules")"
	in_place_of /etc/request-key.conf "$work/rules" on_host
	for name in cat empty most more much {,rejected-,failing-}{status,killed,missing}; do
		agent=$(ask_agent pipe user "pipe:$name" 'the callout')
		note "$name: ${agent:0:80}"
		expect "$name" "$(ask_host user "pipe:$name" 'the callout')" "$agent"
	done
	expect "given back by the agent" 0 "$(counter pipe user declined)"
	expect "payloads" 2 "$(counter pipe user served)"
}

# Its answer is that of the hosts file where the agent is.
test_dns_resolver() {
	local got

	has_upcall
	[ -x /sbin/key.dns_resolver ] || skip "no key.dns_resolver"
	needs_module dns_resolver
	echo '192.0.2.1 www.keyagent.example' >"$work/hosts.agent"
	echo '192.0.2.2 www.keyagent.example' >"$work/hosts.host"
	in_place_of /etc/hosts "$work/hosts.host" on_host
	# shellcheck disable=SC2016 # for the shell in there
	daemon dns dns_resolver 'create dns_resolver * * /sbin/key.dns_resolver %k' -- \
		unshare --mount --net sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' \
		"$work/hosts.agent"
	got=$(ask_agent dns dns_resolver www.keyagent.example ipv4)
	expect "the agent's address" 192.0.2.1 "$(payload <<<"$got" | tr -d '@')"
	expect "but for that, the key" "$(ask_host dns_resolver www.keyagent.example ipv4)" \
		"${got/192.0.2.1/192.0.2.2}"
	expect "the agent served" 1 "$(counter dns dns_resolver served)"
	got=$(ask_agent dns dns_resolver no-such-name.keyagent.example ipv4)
	expect "no such name" "$(ask_host dns_resolver no-such-name.keyagent.example ipv4)" "$got"
}

# A look-up of the kernel's own, for a mount, with credentials that are not the process'.
test_dns_resolver_for_a_mount() {
	local name=mon-$$.keyagent.example

	[ -x /sbin/key.dns_resolver ] || skip "no key.dns_resolver"
	needs_module ceph
	# A kernel's ceph may be configured to take addresses only.
	on_host test -e /sys/module/dns_resolver/holders/libceph ||
		skip "ceph does not use dns_resolver here"
	echo "127.0.0.23 $name" >"$work/hosts"
	mkdir "$work/mnt"
	# shellcheck disable=SC2016 # for the shell in there
	daemon mount dns_resolver 'create dns_resolver * * /sbin/key.dns_resolver %k' -- \
		unshare --mount sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$work/hosts"
	keyagent exec --agent mount -- timeout $((30 * slow)) mount -i -t ceph "$name:6789:/" \
		"$work/mnt" -o name=x,secret=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==,mount_timeout=1 \
		2>/dev/null && fail "there is a ceph server?"
	dmesg | grep -F "resolve '$name' (ret=0): " | grep -F 127.0.0.23 >/dev/null ||
		fail "the kernel did not get the agent's address" "$(dmesg | grep -F "$name")"
	expect "the agent served" 1 "$(counter mount dns_resolver served)"
}

# The users are those of the passwd file where the agent is.
test_nfsidmap() {
	local id

	have nfsidmap || skip "no nfsidmap"
	[ -e /etc/request-key.d/id_resolver.conf ] || skip "no id_resolver.conf"
	needs_module nfsv4
	printf '[General]\nDomain = keyagent.example\n[Translation]\nMethod = nsswitch\n' \
		>/etc/idmapd.conf
	{
		cat /etc/passwd
		echo 'alice:x:4711:4711::/:/bin/false'
	} >"$work/passwd"
	# shellcheck disable=SC2016 # for the shell in there
	daemon idmap id_resolver - -- \
		unshare --mount sh -c 'mount --bind "$0" /etc/passwd && exec "$@"' "$work/passwd"
	id=$(ask_agent idmap id_resolver uid:alice@keyagent.example '' | payload)
	expect "the ID of a name" 4711@ "$id"
	expect "the name of an ID" alice@keyagent.example \
		"$(ask_agent idmap id_resolver user:4711 '' | payload)"
	expect "the agent served" 2 "$(counter idmap id_resolver served)"
	expect "the names of the host" '' "$(ask_host id_resolver uid:alice@keyagent.example '' | payload)"
}

run_tests shipped_rules keyctl_instantiate pipe_as_usual dns_resolver dns_resolver_for_a_mount nfsidmap
