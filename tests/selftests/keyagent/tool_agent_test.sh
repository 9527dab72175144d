#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Which agents "keyagent exec" and "keyagent link" accept: live ones, and keyrings of the
# caller's own that hold nothing but agents' keys. With anything else, the host would answer
# for the program, or the program would find keys that are not meant for it.

# shellcheck disable=SC2031 # each check has a subshell, and lists of its own
set -euo pipefail

# shellcheck source=tests/selftests/keyagent/tool.sh
. "$(dirname "${BASH_SOURCE[0]}")/tool.sh"

# make_ring NAME: a keyring in the user keyring, which root need not possess to use: $ring.
make_ring() {
	keyctl link @u @s
	ring=$(keyctl newring "$1" @u)
	undo+=("keyctl unlink $ring @u")
	keyctl setperm "$ring" 0x3f3f0000
	keyctl unlink @u @s
}

# start_daemon NAME: a keyagentd whose keys are in the keyring NAME: $daemon.
start_daemon() {
	write_rules 'create user * * @constant apple'
	"$tools/keyagentd" --type user --keyring "$1" --config "$rules" --no-request-key-conf \
		2>"$dir/daemon" &
	daemon=$!
	started+=("$daemon")
}

unlink_ring() {
	keyctl unlink "$(keyctl search @u keyring "$1")" @u
}

has_live_agent() {
	keyctl print "$(keyctl search "$(keyctl search @u keyring "$1")" keyagent user)" |
		grep -q '^state=alive '
}

# end_daemon SIGNAL
end_daemon() {
	kill "-$1" "$daemon"
	wait "$daemon" || true
}

# refuses ID TEXT: exec and link do, and say why.
refuses() {
	want 1 "$keyagent" exec --agent "$1" -- touch "$dir/was-run"
	said "$2"
	[ ! -e "$dir/was-run" ] || wrong "the program was run"
	want 1 "$keyagent" link --agent "$1"
	said "$2"
	[ -z "$(keyctl rlist @s)" ] || wrong "something was linked"
}

check_keyring_without_agent() {
	keyctl new_session >/dev/null
	make_ring keyagent-tool:empty
	refuses keyagent-tool:empty \
		"agent keyagent-tool:empty: keyring $ring has no agent: it has ended, or was not started; "
	refuses "$ring" "agent $ring: keyring $ring has no agent"
	said "wait for it with --wait SECONDS; with --allow-dead, /sbin/request-key answers"
	want 0 "$keyagent" exec --allow-dead --agent keyagent-tool:empty -- keyctl rlist @s
	[ "$(<"$out")" = "$ring" ] || wrong "the keyring is not in the session"
}

# Its keys are revoked then, as by systemctl stop keyagentd.
check_daemon_terminated() {
	keyctl new_session >/dev/null
	undo+=("unlink_ring keyagent-tool:daemon")
	start_daemon keyagent-tool:daemon
	until_true has_live_agent keyagent-tool:daemon
	want 0 "$keyagent" exec --agent keyagent-tool:daemon -- "$keyagent" test user x
	printed "(keyagentd)"
	end_daemon TERM
	refuses keyagent-tool:daemon "are dead: they have ended"
}

check_daemon_killed() {
	keyctl new_session >/dev/null
	undo+=("unlink_ring keyagent-tool:daemon")
	start_daemon keyagent-tool:daemon
	until_true has_live_agent keyagent-tool:daemon
	end_daemon KILL
	refuses keyagent-tool:daemon "are dead: they have ended"
	want 0 "$keyagent" link --allow-dead --agent keyagent-tool:daemon
	[ -n "$(keyctl rlist @s)" ] || wrong "the keyring is not in the session"
}

check_dead_key() {
	keyctl new_session >/dev/null
	start_agent user
	keyctl link "$serial" @u
	undo+=("keyctl unlink $serial @u")
	kill "$agent"
	until_true gone "$agent"
	refuses "$serial" "agent $serial: the agent is dead: it has ended"
	want 0 "$keyagent" link --allow-dead --agent "$serial"
}

# One of two: the host answers for the other.
check_one_of_two() {
	keyctl new_session >/dev/null
	make_ring keyagent-tool:two
	start_agent logon
	keyctl link "$serial" "$ring"
	kill "$agent"
	until_true gone "$agent"
	start_agent user
	keyctl link "$serial" "$ring"
	want 0 "$keyagent" link --agent keyagent-tool:two
	said "keyring $ring: its agent for logon is dead; /sbin/request-key gets those requests"
}

# The examples of the manual pages: the daemon need not be ready, nor its keyring be there.
check_wait() {
	local from

	keyctl new_session >/dev/null
	from=$SECONDS
	want 1 "$keyagent" exec --wait 2 --agent keyagent-tool:late -- true
	said "keyring keyagent-tool:late: the user keyring has no keyring of this name"
	[ $((SECONDS - from)) -ge 1 ] || wrong "it did not wait"
	undo+=("unlink_ring keyagent-tool:late")
	for _ in 1 2 3; do
		# The first time there is no keyring, and then there are dead agents in it.
		start_daemon keyagent-tool:late
		want 0 "$keyagent" exec --wait $((10 * slow)) --agent keyagent-tool:late -- \
			"$keyagent" test user x
		printed "pid $daemon (keyagentd)"
		end_daemon KILL
	done
	# Waiting is of no use for these.
	want 1 timeout 60 "$keyagent" link --wait 3600 --agent 1
	want 1 timeout 60 "$keyagent" link --wait 3600 --agent @u
	want 2 "$keyagent" link --wait 5 --allow-dead --agent keyagent-tool:late
}

check_other_keys() {
	local key

	keyctl new_session >/dev/null
	start_agent user
	make_ring keyagent-tool:mixed
	key=$(keyctl add user keyagent-tool:secret hunter2 "$ring")
	keyctl link "$serial" "$ring"
	refuses keyagent-tool:mixed "keyring $ring holds key $key of type user; "
	refuses "$ring" "keyring $ring holds key $key of type user; "
	keyctl unlink "$key" "$ring"
	key=$(keyctl newring keyagent-tool:inner "$ring")
	refuses "$ring" "keyring $ring holds key $key of type keyring; "
	keyctl unlink "$key" "$ring"
	want 0 "$keyagent" link --agent "$ring"
	keyctl new_session >/dev/null
	keyctl add user keyagent-tool:secret hunter2 @u >"$dir/secret"
	undo+=("keyctl unlink $(<"$dir/secret") @u")
	refuses @u " of type "
	want 1 "$keyagent" exec --allow-dead --agent @u -- true
	said " of type "
}

# Its owner could put another agent into it.
check_other_owner() {
	keyctl new_session >/dev/null
	start_agent user
	make_ring keyagent-tool:theirs
	keyctl link "$serial" "$ring"
	keyctl setperm "$ring" 0x3f3f3f3f
	keyctl chown "$ring" 1000
	refuses keyagent-tool:theirs "keyring $ring belongs to user 1000, not to user 0; "
	refuses "$ring" "or, if that user is to be trusted, --owner 1000"
	want 1 "$keyagent" link --owner 1001 --agent "$ring"
	want 0 "$keyagent" link --owner 1000 --agent "$ring"
}

# A daemon that fails has not shown a keyring to anybody.
check_published_with_keys() {
	local name=keyagent-tool:half

	write_rules '# none'
	"$tools/keyagentd" --type user,a-name-of-a-type-that-is-too-long --keyring "$name" \
		--config "$rules" --no-request-key-conf >"$out" 2>"$err" && wrong "it has not failed"
	said "cannot become the key agent"
	if keyctl search @u keyring "$name" >"$out" 2>&1; then
		undo+=("unlink_ring $name")
		wrong "there is a keyring without an agent"
	fi
	undo+=("unlink_ring $name")
	start_daemon "$name"
	until_true has_live_agent "$name"
	[ "$(keyctl rlist "$(keyctl search @u keyring "$name")" | wc -w)" = 1 ] ||
		wrong "it has not the agent's key alone"
}

run_checks "$@"
