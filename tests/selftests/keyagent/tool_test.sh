#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The program keyagent: its commands but for run, with the sample agents, and what it says
# and returns when something is wrong.

# shellcheck disable=SC2031 # each check has a subshell, and lists of its own
set -euo pipefail

# shellcheck source=tests/selftests/keyagent/tool.sh
. "$(dirname "${BASH_SOURCE[0]}")/tool.sh"

check_no_module() {
	local command

	[ -n "$module" ] || skip "KEYAGENT_MODULE does not say where the module is"
	rmmod keyagent 2>"$err" || skip "the module cannot be removed: $(<"$err")"
	undo+=("insmod $module")
	for command in ls "top -n 1" "link -a 1" "exec -a 1 true" "run -t user true"; do
		# shellcheck disable=SC2086 # words
		want 1 "$keyagent" $command
		said "the module is not loaded; as root, run: modprobe keyagent"
	done
	want 1 "$keyagent" test user keyagent-tool:x
	printed "answered by: /sbin/request-key: if anybody"
}

check_ls_empty() {
	want 0 "$keyagent" ls
	said "no agent is visible"
	want 0 "$keyagent" ls --json
	printed '"agents": []'
}

check_usage() {
	local line

	while read -r line; do
		# shellcheck disable=SC2086 # words
		want 2 "$keyagent" $line
		[ ! -s "$out" ] || wrong "it printed something"
	done <<-'END'
		nonsense
		run
		run true
		run -t user
		run -t keyagent true
		exec true
		exec -a 5
		link
		test user
		test user x --timeout 0
		top --interval 0
		completions sh
	END
	want 0 "$keyagent" --help
	want 0 "$keyagent" --version
}

check_ls() {
	start_agent user
	want 0 "$keyagent" ls
	grep -Eq "^ *$serial +user +$agent +keyagent-sample +alive +no +0 " "$out" ||
		wrong "there is no such agent"
	want 0 "$keyagent" exec -a "$serial" -- "$keyagent" ls
	grep -Eq "^ *$serial +user +$agent +keyagent-sample +alive +yes +0 " "$out" ||
		wrong "it is not in the session"
	want 0 "$keyagent" ls --json
	printed "\"serial\": $serial,"
	printed "\"pid\": $agent,"
	printed '"state": "alive",'
	printed '"in_session": false,'
	printed '"served": 0,'
}

check_ls_hidden() {
	start_agent user
	start_agent logon
	# As container runtimes hide it.
	want 0 "$keyagent" exec -a "$serial" -- unshare -m bash -c "
		mount --bind /dev/null /proc/keys && '$keyagent' ls"
	said "/proc/keys is empty or hidden"
	grep -Eq "^ *$serial +logon +$agent +keyagent-sample +alive +yes +0 " "$out" ||
		wrong "the agent in the session is not there"
	! grep -q ' user ' "$out" || wrong "that cannot be known"
}

check_ls_dead() {
	start_agent user
	want 0 "$keyagent" exec -a "$serial" -- bash -c "
		kill $agent
		for ((i = 0; i < 100 * $slow; i++)); do
			sleep 0.1
			'$keyagent' ls | grep ' dead ' && exit 0
		done
		exit 1"
	grep -Eq "^ *$serial +user +- +- +dead +yes +0 " "$out" || wrong "it is not shown as dead"
}

# forge SERIAL UID TEXT: a line of /proc/keys, in the description of a key of a user's.
forge() {
	local line

	line=$(printf '%08x I--Q---     2 perm 3f010000 %5d     0 keyagent  %s' "$1" "$2" "$3")
	keyctl add user "x
$line
y" z @s >/dev/null
	grep -qxF -- "$line" /proc/keys || wrong "there is no such line in /proc/keys"
}

check_ls_forged() {
	local key

	start_agent user
	keyctl new_session >/dev/null
	# What its owner can have it say, and what nobody is to read.
	key=$(keyctl add user keyagent-tool:counters 'state=alive pid=1 sig=34 served=9' @s)
	forge "$key" 0 'user: pid 1 sig 34'
	want 0 "$keyagent" ls
	! grep -q "^ *$key " "$out" || wrong "that is no agent"
	want 0 "$keyagent" ls --json
	! grep -q "\"serial\": $key," "$out" || wrong "that is no agent"
	# Of an agent that there is nothing but its key says what it is.
	forge "$serial" 4711 'logon: dead'
	forge "$serial" 4711 'logon: pid 1 sig 35'
	want 0 "$keyagent" ls
	grep -Eq "^ *$serial +user +$agent +keyagent-sample +alive +no +0 " "$out" ||
		wrong "it is another one"
	want 0 "$keyagent" ls --json
	printed '"uid": 0,'
	! grep -q 4711 "$out" || wrong "that is not its owner"
}

check_ls_revoked() {
	start_agent user
	keyctl new_session >/dev/null
	keyctl link "$serial" @s
	kill -KILL "$agent"
	until_true gone "$agent"
	# A request that finds the key of a dead agent revokes it.
	keyctl request2 user x hello >/dev/null 2>&1 || true
	want 0 "$keyagent" ls
	grep -Eq "^ *$serial +user +- +- +revoked +no +- " "$out" || wrong "it is not revoked"
}

check_exec_status() {
	start_agent user
	want 5 "$keyagent" exec -a "$serial" -- sh -c 'exit 5'
	# shellcheck disable=SC2016 # that shell's
	want 137 bash -c '"$@"; exit' - "$keyagent" exec -a "$serial" -- sh -c 'kill -9 $$'
	want 127 "$keyagent" exec -a "$serial" -- no-such-program
	said "no-such-program: there is no such program; "
	want 127 "$keyagent" exec -a "$serial" -- "$dir/missing"
	echo 'exit 0' >"$dir/data"
	want 126 "$keyagent" exec -a "$serial" -- "$dir/data"
	said "$dir/data: EACCES"
}

check_exec_session() {
	local old

	start_agent user
	keyctl new_session >/dev/null
	old=$(keyctl id @s)
	keyctl add user keyagent-tool:old x @s >/dev/null
	want 1 "$keyagent" exec -a "$serial" -- keyctl search @s user keyagent-tool:old
	want 0 "$keyagent" exec -a "$serial" -- keyctl id @s
	[ "$(<"$out")" != "$old" ] || wrong "that is the old session keyring"
	want 0 "$keyagent" exec -a "$serial" -- keyctl rlist @s
	[ "$(<"$out")" = "$serial" ] || wrong "there is more, or less, than the agent's key"
}

check_exec_possessed() {
	start_agent user
	keyctl new_session >/dev/null
	keyctl link "$serial" @s
	# Whoever has a key may pass it on, even if only possession allows that.
	exec_possessed() {
		want 0 "$keyagent" exec -a "$1" -- keyctl rlist @s
		[ "$(<"$out")" = "$1" ] || wrong "it is not in the new session"
	}
	exec_possessed "$serial"
	ring=$(keyctl newring keyagent-tool:ring @s)
	keyctl link "$serial" "$ring"
	keyctl setperm "$ring" 0x3f000000
	exec_possessed "$ring"
}

check_exec_keyring() {
	local ring

	start_agent user
	ring=$(keyctl newring keyagent-tool:agents @u)
	undo+=("keyctl unlink $ring @u")
	# Possession of what is in @u is not to depend on the session.
	keyctl new_session >/dev/null
	keyctl link @u @s
	keyctl link "$serial" "$ring"
	keyctl unlink @u @s
	want 0 "$keyagent" exec -a keyagent-tool:agents -- "$keyagent" test user x
	printed "answered by: agent $serial, pid $agent (keyagent-sample)"
	want 0 "$keyagent" exec -a keyagent-tool:agents -- keyctl rlist @s
	[ "$(<"$out")" = "$ring" ] || wrong "the keyring is not in the session"
	want 1 "$keyagent" exec -a keyagent-tool:none -- true
	said "keyring keyagent-tool:none: the user keyring has no keyring of this name; "
}

check_exec_several() {
	local first

	start_agent user
	first=$serial
	start_agent logon
	want 0 "$keyagent" exec -a "$first" --agent "$serial" -a "$first" -- keyctl rlist @s
	[ "$(wc -w <"$out")" = 2 ] || wrong "there should be two keys"
	start_agent user
	want 1 "$keyagent" exec -a "$first" -a "$serial" -- true
	said "agents $first and $serial: both are \"keyagent user\""
}

check_exec_refuses() {
	local key

	want 1 "$keyagent" exec -a 1 -- true
	said "agent 1: there is no such key"
	keyctl new_session >/dev/null
	key=$(keyctl add user keyagent-tool:key x @s)
	want 1 "$keyagent" exec -a "$key" -- true
	said "this is a key of type user"

	start_agent user
	keyctl link "$serial" @s
	kill "$agent"
	until_true gone "$agent"
	want 1 "$keyagent" exec -a "$serial" -- true
	said "agent $serial: the agent is dead"
	want 1 "$keyagent" link -a "$serial"
	said "agent $serial: the agent is dead"
}

check_no_permission() {
	start_agent user
	install -m 755 "$keyagent" "$dir/for-others"
	as_other() {
		want "$1" setpriv --reuid=65534 --regid=65534 --clear-groups keyctl session - \
			"$dir/for-others" "${@:2}"
	}
	as_other 1 exec -a "$serial" -- true
	said "agent $serial: EACCES, Permission denied; linking needs LINK permission"
	as_other 1 link -a "$serial"
	said "agent $serial: EACCES, Permission denied; linking needs LINK permission"
	as_other 0 ls
	! grep -q "$serial" "$out" || wrong "others may not see the agent"
}

check_link() {
	local ring key

	start_agent user
	keyctl new_session >/dev/null
	want 0 "$keyagent" link -a "$serial"
	[ "$(keyctl rlist @s)" = "$serial" ] || wrong "it is not in the session"
	ring=$(keyctl newring keyagent-tool:to @s)
	want 0 "$keyagent" link -a "$serial" --to "$ring"
	[ "$(keyctl rlist "$ring")" = "$serial" ] || wrong "it is not in the keyring"
	key=$(keyctl add user keyagent-tool:key x @s)
	want 1 "$keyagent" link -a "$serial" --to "$key"
	said "ENOTDIR"
	want 1 "$keyagent" link -a "$serial" --to @p
	said "this keyring ends with this program"
	want 1 "$keyagent" link -a "$serial" --to keyagent-tool:none
	said "has no keyring of this name"
}

check_link_without_session() {
	case $(keyctl describe @s) in
	*_uid_ses.*) ;;
	*) skip "there is a session keyring" ;;
	esac
	start_agent user
	want 1 "$keyagent" link -a "$serial"
	said "there is no session keyring to link into; give a keyring with --to, or start a session"
}

check_test_agent() {
	start_agent user
	keyctl new_session >/dev/null
	want 1 "$keyagent" test user x
	printed "answered by: /sbin/request-key: no agent for this type is in the session keyring"
	keyctl link "$serial" @s
	want 0 "$keyagent" test user x
	grep -Eq '^key: [1-9][0-9]*$' "$out" || wrong "it has no key"
	printed "answered by: agent $serial, pid $agent (keyagent-sample)"
	grep -Eq '^took: [0-9]+\.[0-9] ms$' "$out" || wrong "it took no time"
	! grep -q 'answer for' "$out" "$err" || wrong "that is the payload"
	grep -q '^asked for user:x by .*, 0 bytes of callout info$' "$dir/agent" ||
		wrong "the agent was not asked"
	# Nothing is left of it.
	[ "$(keyctl rlist @s)" = "$serial" ] || wrong "the key is in the session"
	want 0 "$keyagent" test user x 'some info'
	grep -q ', 9 bytes of callout info$' "$dir/agent" || wrong "the agent got other callout info"
	! grep -q 'some info' "$dir/agent" || wrong "that may be a secret"

	want 1 "$keyagent" test user reject:x
	printed "error: EKEYREJECTED, Key was rejected by service"
	printed "answered by: agent $serial, pid $agent (keyagent-sample), which refused"
	said "user:reject:x: EKEYREJECTED, Key was rejected by service; whoever answered refused to"
	want 0 "$keyagent" ls
	grep -Eq "^ *$serial .* 2 +1 +0 +0 +0 +0 +0 +0$" "$out" || wrong "it was counted otherwise"
}

check_test_found() {
	local key

	start_agent user
	keyctl new_session >/dev/null
	keyctl link "$serial" @s
	key=$(keyctl add user keyagent-tool:key x @s)
	want 0 "$keyagent" test user keyagent-tool:key
	printed "key: $key"
	printed "answered by: nobody: the key was there already"
	keyctl request2 user reject:there x @s 2>/dev/null || true
	want 1 "$keyagent" test user reject:there
	printed "answered by: nobody: it failed before anybody was asked"
	! grep -q keyagent-tool "$dir/agent" || wrong "the agent was asked"
	[ "$(grep -c reject:there "$dir/agent")" = 1 ] || wrong "the agent was asked again"
	keyctl revoke "$key"
	want 1 "$keyagent" test user keyagent-tool:key
	printed "error: EKEYREVOKED"

	# A negative key, which the kernel reports as if there were none.
	write_rules 'create user * * @negate 30'
	want 1 run -- bash -c "keyctl request2 user neg x @s; '$keyagent' test user neg"
	printed "answered by: nobody: negative key "
}

check_test_slow() {
	start_agent user
	keyctl new_session >/dev/null
	keyctl link "$serial" @s
	kill -STOP "$agent"
	want 1 "$keyagent" test user x --timeout 0.5
	printed "error: no answer in 0.5 s"
	printed "answered by: nobody: the request was killed when its time was over"
	said "it took too long"
	grep -Eq '^took: ([5-9]|[1-8][0-9])[0-9]{2}\.[0-9] ms$' "$out" || wrong "not in time"
	want 1 "$keyagent" test user x
	printed "error: ETIMEDOUT"
	printed "answered by: nobody: agent $serial, pid $agent (keyagent-sample) did not answer in time"
	said "timeout_ms"
}

check_test_under_construction() {
	start_agent user
	keyctl new_session >/dev/null
	keyctl link "$serial" @s
	kill -STOP "$agent"
	keyctl request2 user there x @s >/dev/null 2>&1 &
	started+=("$!")
	until_true grep -q ' user  *there$' /proc/keys
	want 1 "$keyagent" test user there --timeout 0.5
	printed "error: EINTR"
	printed "answered by: nobody: the wait for an earlier request was interrupted"
}

set_maxkeys() {
	echo "$1" >/proc/sys/kernel/keys/maxkeys
}

check_test_refused() {
	want 1 "$keyagent" test no_such_type x
	said "no_such_type:x: the kernel has no key type no_such_type; is the module loaded"
	want 1 "$keyagent" test .odd x
	said "EPERM"
	write_rules '# none'
	want 1 run -- "$keyagent" test user x
	printed "answered by: /sbin/request-key: agent"
	printed "gave it back"
	# A user with room for no more keys.
	undo+=("set_maxkeys $(</proc/sys/kernel/keys/maxkeys)")
	set_maxkeys 5
	install -m 755 "$keyagent" "$dir/for-others"
	# shellcheck disable=SC2016 # that shell's
	want 1 setpriv --reuid=64000 --regid=64000 --clear-groups keyctl session - bash -c '
		for i in 1 2 3 4 5 6; do keyctl add user $i x @s; done
		"$0" test user x' "$dir/for-others"
	said "EDQUOT"
	said "/proc/key-users"
}

check_top_plain() {
	start_agent user
	keyctl new_session >/dev/null
	keyctl link "$serial" @s
	{
		sleep 0.5
		for i in 1 2 3 4 5 6 7 8; do keyctl request2 user "$i" x @s; done
	} >/dev/null 2>&1 &
	want 0 "$keyagent" top --count 2 --interval "$((1 + slow / 2))"
	wait %2 2>/dev/null || true
	[ "$(grep -c '^agents: 1, requests now: ' "$out")" = 2 ] || wrong "that should be two blocks"
	grep -Eq "^ *$serial +user +$agent .* yes +([1-9][0-9]*\.[0-9]|0\.[1-9]) " "$out" ||
		wrong "the rate is zero"
	! grep -q $'\e' "$out" || wrong "this is for terminals"
	# A reader that has seen enough.
	want 0 timeout 60 bash -c "'$keyagent' top --interval 0.1 | head -n 1; exit \${PIPESTATUS[0]}"
}

check_top_signals() {
	local name

	for name in INT:0 TERM:143; do
		"$keyagent" top --interval 60 >"$out" 2>"$err" &
		started+=("$!")
		# It waits when it has blocked them.
		until_true grep -Eq '^SigBlk:.*[7f]$' "/proc/$!/status"
		kill -"${name%:*}" "$!"
		want "${name#*:}" wait "$!"
	done
}

check_top_terminal() {
	start_agent user
	terminal "stty rows 24 cols 60; '$keyagent' top --interval 0.3; echo status \$?; stty -a"
	until_true grep -q "$serial .* 0\.0" "$out"
	printf q >&"$keys"
	until_true grep -q icanon "$out"
	printed "status 0"
	printed $'\e[2J'
	! grep -q -- '-icanon' "$out" || wrong "the terminal is not as it was"
}

check_completions() {
	local shell

	for shell in bash zsh fish elvish powershell; do
		want 0 "$keyagent" completions "$shell"
		printed no-request-key-conf
		[ "$shell" != bash ] || bash -n "$out"
	done
	want 0 bash -c "'$keyagent' completions bash | head -n 1; exit \${PIPESTATUS[0]}"
}

run_checks "$@"
