#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# keyagentd when something is in its way: keyrings of others, files that cannot be read
# again, requests that do not end.

# shellcheck disable=SC2016 # what is quoted is evaluated later
set -uo pipefail

# shellcheck source=tests/selftests/keyagent/keyagentd.sh
. "$(dirname "${BASH_SOURCE[0]}")/keyagentd.sh"

prepare "$@"
be_patient

as_other() {
	setpriv --reuid=64000 --regid=64000 --clear-groups "$@"
}

# A keyring of another user's, in one that this user may write to: $theirs in $shared.
make_theirs() {
	# Its owner possesses it by the session.
	shared=$(keyctl newring edges-shared @s)
	keyctl setperm "$shared" 0x3f3f003f
	keyctl link "$shared" @u
	undo+=("keyctl unlink $shared @u")
	theirs=$(as_other keyctl newring it "$shared") || fail "there is no keyring of another's"
	as_other keyctl setperm "$theirs" 0x3f3f3f3f || fail "it is not theirs"
}

# --- Keyrings ------------------------------------------------------------------

# What another user has put where the search of the kernel finds it.
test_keyring_below() {
	local shared theirs

	need setpriv
	make_theirs
	daemon it user 'create user * * @constant x'
	expect "their keyring" '' "$(keyctl rlist "$theirs" | grep -w "$(agent_key it user)")"
	expect "the keyring's owner" 0 "$(keyctl rdescribe "$(ring it)" | cut -d ';' -f 2)"
	keyagent exec --agent it -- keyctl rlist @s >"$work/linked" || fail "it cannot be linked"
	expect "what is linked by its name" "$(ring it)" "$(cat "$work/linked")"
}

test_keyring_of_another() {
	local shared theirs status=0

	need setpriv
	make_theirs
	keyctl link "$theirs" @u
	undo+=("keyctl unlink $theirs @u")
	: >"$work/empty.conf"
	keyagentd --type user --keyring it --no-request-key-conf --config "$work/empty.conf" \
		>"$work/out" 2>&1 || status=$?
	expect "the exit status" 1 "$status"
	grep -q "keyring $theirs in the user keyring is another user's" "$work/out" ||
		fail "$(cat "$work/out")"
}

# --- The end -------------------------------------------------------------------

# ask DESCRIPTION: the key, or the error.
ask() {
	keyctl request2 user "$1" callout @s 2>&1
}

# A handler that notes that it was started, and goes on until it is killed.
make_hanging() {
	printf '#!/bin/sh\necho started >>%s\nexec sleep 3600\n' "$work/started" >"$work/hangs"
	chmod +x "$work/hangs"
	: >"$work/started"
}

stopped() {
	grep -q '^State:.T' "/proc/$1/status"
}

# No process, or one that nobody has waited for yet.
gone() {
	[ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}

# A request is waiting to be taken: the signal that the thread itself was sent.
asked() {
	grep -q '^SigPnd:.*2........$' "/proc/$1/status"
}

# A request that comes together with the second signal, and is behind it.
test_second_signal_starts_nothing() {
	make_hanging
	daemon it user "create user * * timeout=600 $work/hangs"
	subscribe it
	kill -STOP "$daemon"
	wait_for 5 stopped "$daemon" || fail "the daemon is not stopped"
	ask a >"$work/out" &
	wait_for 5 asked "$daemon" || fail "there is no request"
	# What is for the whole process comes after the request.
	"$here/forge_signals" --thread "$daemon" 15 1 0 0 -1
	"$here/forge_signals" --thread "$daemon" 2 1 0 0 -1
	kill -CONT "$daemon"
	wait_for 20 gone "$daemon" || fail "the daemon goes on"
	expect "handlers" 0 "$(wc -l <"$work/started")"
}

# Of what a handler does after the time of its request nothing counts.
test_end_is_bounded() {
	make_hanging
	load_module timeout_ms=1000 || fail "the module cannot be loaded again"
	undo+=("load_module timeout_ms=60000")
	daemon it user "create user * * timeout=3600 $work/hangs" --max-handlers 1
	subscribe it
	ask a >"$work/out" &
	wait_for 10 test -s "$work/started" || fail "the handler does not run"
	ask b >"$work/out.waiting"
	wait "$!"
	kill -TERM "$daemon"
	wait_for 90 gone "$daemon" || fail "the daemon waits for its handler"
}

# --- Answers -------------------------------------------------------------------

# A key has all the seconds of its rule: at first /proc/keys has a minute and not 59 seconds.
test_expires_not_before() {
	local i

	daemon it user 'create user * * expires=59 @constant x'
	subscribe it
	# A second may end between the two.
	for ((i = 0; i < 60; i++)); do
		ask "$i" >/dev/null
		! grep -Eq " 1m .* user +$i: 1$" /proc/keys || return 0
	done
	fail "the last: $(grep -E " user +59: 1$" /proc/keys)"
}

run_tests keyring_below keyring_of_another second_signal_starts_nothing end_is_bounded \
	expires_not_before
