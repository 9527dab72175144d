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

run_tests keyring_below keyring_of_another
