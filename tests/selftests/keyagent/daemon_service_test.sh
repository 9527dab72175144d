#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# keyagentd as a service: its signals, its limits, and what it is for those who are not to
# use it.

# shellcheck disable=SC2016 # what is quoted is evaluated later
set -uo pipefail

# shellcheck source=tests/selftests/keyagent/keyagentd.sh
. "$(dirname "${BASH_SOURCE[0]}")/keyagentd.sh"

prepare "$@"
be_patient

# A handler that waits for the file $work/go, and then answers with what it was asked for.
make_waiting() {
	cat >"$work/waits" <<-END
		#!/bin/sh
		echo \$1 >>$work/started
		while [ ! -e $work/go ]; do sleep 0.1; done
		exec keyctl instantiate \$1 "\$2" \$3
	END
	chmod +x "$work/waits"
	: >"$work/started"
}

started() {
	[ "$(wc -l <"$work/started")" = "$1" ]
}

# --- Signals -------------------------------------------------------------------

test_reload() {
	local conf=$work/it.conf.d/test.conf

	daemon it user 'create user * * @constant old' -v
	subscribe it
	expect "at first" old "$(ask a)"
	printf 'create user * * @constant new\n' >"$conf"
	kill -HUP "$daemon"
	wait_for 5 eval '[ "$(ask b)" = new ] || { keyctl unlink $(keyctl search @s user b) @s; false; }' ||
		fail "the new rules are not in use"

	# One bad line: nothing of it counts.
	printf 'create user * * @constant bad\ncreate user x * @constent y\n' >"$conf"
	kill -HUP "$daemon"
	logged it "error: $conf:2:17: "
	logged it 'the rules are refused, those from before stay'
	expect "the old rules stay" new "$(ask c)"
}

test_bad_rules_at_start() {
	local status=0

	printf 'create user * *\n' >"$work/bad.conf"
	keyagentd --type user --config "$work/bad.conf" --no-request-key-conf \
		>"$work/out" 2>&1 || status=$?
	expect "the exit status" 78 "$status"
	grep -q "$work/bad.conf:1:16: " "$work/out" || fail "$(cat "$work/out")"
	status=0
	keyagentd --type user --config "$work/none" >"$work/out" 2>&1 || status=$?
	expect "the exit status without a file" 78 "$status"
	status=0
	: >"$work/empty.conf"
	keyagentd --type "$(printf '%032d' 0)" --config "$work/empty.conf" --no-request-key-conf \
		>"$work/out" 2>&1 || status=$?
	expect "the exit status for a bad type" 1 "$status"
	grep -q '1 to 31 characters' "$work/out" || fail "$(cat "$work/out")"
}

# What was accepted is answered, what comes later is not for this daemon.
test_end_drains() {
	local i asking=() status=0

	make_waiting
	daemon it user "create user w:* * timeout=600 $work/waits %k %d %S" --max-handlers 2 -v
	subscribe it
	for i in 1 2 3; do
		ask "w:$i" >"$work/$i.out" &
		asking+=($!)
	done
	wait_for 20 started 2 || fail "the handlers do not run"
	logged it 'one of 1 that wait'
	kill -TERM "$daemon"
	logged it 'ending, when 3 requests are answered'
	expect "a later one goes elsewhere" 'Debug callout' "$(ask debug:later)"
	kill -0 "$daemon" || fail "the daemon has not waited"
	touch "$work/go"
	wait "${asking[@]}"
	for i in 1 2 3; do
		expect "request $i" "w:$i" "$(cat "$work/$i.out")"
	done
	wait "$daemon" || status=$?
	expect "the exit status" 0 "$status"
	grep -q "keyagent  *user: dead" /proc/keys || ! grep "keyagent  *user: pid" /proc/keys ||
		fail "the agent's key is there: $(grep keyagent /proc/keys)"
}

test_second_signal_ends_at_once() {
	local asking status=0

	make_waiting
	daemon it user "create user w:* * timeout=600 $work/waits %k %d %S"
	subscribe it
	ask w:1 >"$work/out" &
	asking=$!
	wait_for 20 started 1 || fail "the handler does not run"
	kill -TERM "$daemon"
	logged it 'ending, when 1 requests'
	kill -TERM "$daemon"
	wait "$daemon" || status=$?
	expect "the exit status" 0 "$status"
	wait "$asking"
	expect "the request" 'Required key not available' "$(cat "$work/out")"
}

# The daemon dies: so do its handlers, and its requests fail at once.
test_killed() {
	local asking handler

	make_waiting
	daemon it user "create user w:* * timeout=600 $work/waits %k %d %S"
	subscribe it
	ask w:1 >"$work/out" &
	asking=$!
	wait_for 20 started 1 || fail "the handler does not run"
	handler=$(pgrep -f "^/bin/sh $work/waits")
	kill -KILL "$daemon"
	wait "$asking"
	expect "the request" 'Required key not available' "$(cat "$work/out")"
	wait_for 5 eval "! kill -0 $handler" || fail "the handler is still there"
}

# --- Limits --------------------------------------------------------------------

# The daemon's time is for a rule that has none of its own. That of the program is longer than
# the one, and shorter than the default.
test_timeout() {
	printf '#!/bin/sh\nsleep 5\nexec keyctl instantiate "$@"\n' >"$work/takes-five"
	chmod +x "$work/takes-five"
	daemon it user "$(printf '%s\n' "create user a * $work/takes-five %k late %S" \
		"create user b * timeout=600 $work/takes-five %k %d %S")" --timeout 1
	subscribe it
	expect "by the daemon's time" 'Connection timed out' "$(ask a)"
	logged it 'test.conf:1: the program takes too long, killed'
	expect "by the rule's time" b "$(ask b)"
}

# Handlers that hang do not keep others waiting.
test_one_rule_does_not_stop_others() {
	local i asking=() before

	make_waiting
	daemon it user "$(printf '%s\n' "create user w:* * timeout=600 $work/waits %k %d %S" \
		'create user p:* * /bin/keyctl instantiate %k %d %S' \
		'create user c:* * @constant here')" --max-handlers 4
	subscribe it
	for i in {1..12}; do
		ask "w:$i" >"$work/$i.out" &
		asking+=($!)
	done
	wait_for 20 started 3 || fail "not three of them run"
	for i in 1 2 3; do
		expect "with a program" "p:$i" "$(ask "p:$i")"
		expect "without" here "$(ask "c:$i")"
	done
	before=$(wc -l <"$work/started")
	expect "of the rule that hangs run" 3 "$before"
	touch "$work/go"
	wait "${asking[@]}"
	for i in {1..12}; do
		expect "request $i" "w:$i" "$(cat "$work/$i.out")"
	done
}

# A request that was given up before its turn is not taken up.
test_given_up_while_waiting() {
	local asking other

	make_waiting
	daemon it user "create user w:* * timeout=600 $work/waits %k %d %S" --max-handlers 1 -v
	subscribe it
	ask w:1 >"$work/1.out" &
	asking=$!
	wait_for 20 started 1 || fail "the handler does not run"
	keyctl request2 user w:2 callout @s >/dev/null 2>&1 &
	other=$!
	logged it 'one of 1 that wait'
	kill -KILL "$other"
	wait "$other"
	touch "$work/go"
	wait "$asking"
	logged it '"w:2" for process [0-9]*: over before its turn'
	expect "how many handlers were started" 1 "$(wc -l <"$work/started")"
	expect "the next one" w:3 "$(ask w:3)"
}

# Requests that nobody waits for any more, as many as may wait: they take the place of no other.
test_queue_of_the_dead() {
	local requesters waiting

	make_waiting
	daemon it user "create user w:* * timeout=3600 $work/waits %k %d %S" --max-handlers 1 -v
	subscribe it
	keyctl request2 user w:first callout @s >/dev/null 2>&1 &
	wait_for 20 started 1 || fail "the handler does not run"
	for ((waiting = 512; waiting <= 4096; waiting += 512)); do
		# In a group of their own, to kill them all once the daemon has taken up all.
		setsid "$here/many_requests" "w:$waiting-" 512 512 >"$work/out" 2>&1 &
		requesters=$!
		logged it "one of $waiting that wait"
		kill -KILL -- "-$requesters"
		wait "$requesters"
	done
	ask w:last >"$work/out" &
	logged it '"w:512-[0-9]*" for process [0-9]*: over before its turn'
	touch "$work/go"
	wait "$!"
	expect "one who waits" w:last "$(cat "$work/out")"
}

# forge COUNT VALUE [STEP [CODE]]: so many signals to the daemon that look like requests.
forge() {
	"$here/forge_signals" "$daemon" 34 "$@" >>"$work/forged" || fail "no signals can be sent"
}

# Why the daemon has ignored how many signals.
ignored() {
	[ "$(grep -c "ignored a signal from process [0-9]*: $1" "$work/it.log")" = "$2" ]
}

# Signals that look like requests: for keys that are nobody's request, for one that is being
# answered, for special serials, and of another code.
test_forged_signals() {
	local asking key serial i

	make_waiting
	daemon it user "create user w:* * timeout=600 $work/waits %k %d %S" -vv
	subscribe it
	ask w:1 >"$work/out" &
	asking=$!
	wait_for 20 started 1 || fail "the handler does not run"
	key=$(keyctl add user innocent text @s)
	serial=$(cat "$work/started")
	for i in "$key" "$serial" 0 -1 -7 -2147483648; do
		forge 200 "$i"
	done
	forge 300 "$serial" 0 -1
	wait_for 20 ignored "it is not the kernel's" 1100 || fail "$(tail -n 1 "$work/it.log")"
	wait_for 5 ignored 'there is no request' 200 || fail "a key that is no request is one"
	wait_for 5 ignored 'the request was accepted already' 200 || fail "SI_QUEUE is a request"
	touch "$work/go"
	wait "$asking"
	expect "the request" w:1 "$(cat "$work/out")"
	expect "it was handled once" 1 "$(wc -l <"$work/started")"
	expect "the key that is no request" text "$(keyctl print "$key")"
}

# --- Others --------------------------------------------------------------------

# as_other COMMAND...: as another user, who has this session keyring.
as_other() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

test_share() {
	local key

	daemon mine user 'create user * * @constant x'
	daemon theirs user 'create user * * @constant x' --share other
	key=$(agent_key mine user)
	! as_other keyctl link "$key" @s 2>"$work/error" || fail "another user can link"
	grep -q 'Permission denied' "$work/error" || fail "$(cat "$work/error")"
	key=$(agent_key theirs user)
	keyctl session - setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "
		keyctl new_session >/dev/null
		keyctl link $key @s" >"$work/out" 2>&1 || fail "$(cat "$work/out")"
	! as_other keyctl revoke "$key" 2>/dev/null || fail "another user can revoke"
	# One who possesses it cannot take it from others, either.
	keyctl link "$key" @s
	! as_other keyctl revoke "$key" 2>/dev/null || fail "a subscriber can revoke"
	! as_other keyctl setperm "$key" 0x3f3f3f3f 2>/dev/null || fail "a subscriber can set permissions"
	# SEARCH permission would do.
	! as_other keyctl invalidate "$key" 2>/dev/null || fail "a subscriber can invalidate"
	keyctl link "$(ring theirs)" @s
	! as_other keyctl invalidate "$(ring theirs)" 2>/dev/null ||
		fail "a subscriber can invalidate the keyring"
	! as_other keyctl unlink "$key" "$(ring theirs)" 2>/dev/null || fail "a subscriber can unlink"
	expect "after all that" x "$(ask a)"
}

# The keyring takes agents' keys only, and keeps them: those of its owner, too.
test_restricted_keyring() {
	local key ring

	daemon it user 'create user * * @constant first'
	ring=$(ring it)
	subscribe it
	! keyctl add user other x "$ring" 2>"$work/error" || fail "it takes other keys"
	grep -q 'Operation not permitted' "$work/error" || fail "$(cat "$work/error")"
	key=$(agent_key it user)
	for command in "unlink $key $ring" "clear $ring" "revoke $ring" "invalidate $ring" \
		"revoke $key" "invalidate $key" "timeout $key 1"; do
		# shellcheck disable=SC2086 # words
		! keyctl $command 2>/dev/null || fail "keyctl $command works"
	done
	expect "the first one" first "$(ask a)"

	# The next daemon's key takes the place of a dead one's.
	kill -KILL "$daemon"
	wait "$daemon"
	daemon it user 'create user * * @constant second'
	expect "the keyring" "$ring" "$(ring it)"
	expect "the second one" second "$(ask b)"
}

# A keyring of a daemon before the module was loaded again is of no use.
test_reloaded_module() {
	local ring

	[ -n "${KEYAGENT_MODULE:-}" ] || skip "the module is not known: set KEYAGENT_MODULE"
	daemon it user 'create user * * @constant first'
	ring=$(ring it)
	kill -TERM "$daemon"
	wait "$daemon"
	load_module timeout_ms=60000 || fail "the module cannot be loaded again"
	daemon it user 'create user * * @constant second'
	logged it "keyring $ring, \"it\", takes no agent's key any more"
	[ "$(ring it)" != "$ring" ] || fail "it is the old keyring"
	subscribe it
	expect "the new one" second "$(ask a)"
}

# What the daemon says when the module refuses it.
test_unprivileged() {
	local parameter=/sys/module/keyagent/parameters/unprivileged

	undo+=("echo $(cat "$parameter") >$parameter")
	echo 0 >"$parameter"
	as_other keyagentd --type user --no-request-key-conf >"$work/out" 2>&1 &&
		fail "it is an agent"
	grep -q "the module's parameter unprivileged is 0" "$work/out" || fail "$(cat "$work/out")"
	daemon it user 'create user * * @constant x'
}

# Nobody can look into it, and neither it nor a handler leaves a core file, though whoever has
# started them would. The limit is the one by which nothing goes through a pipe, either.
test_hardened() {
	ulimit -c unlimited || fail "the limit for core files cannot be raised"
	echo "awk '/Max core file size/ { printf \"%s %s\", \$5, \$6 }' \$1" >"$work/limits"
	daemon it user "create user * * |/bin/sh $work/limits /proc/self/limits"
	subscribe it
	expect "core files" '1 1' "$(sh "$work/limits" "/proc/$daemon/limits")"
	expect "core files of a handler" '1 1' "$(ask a)"
	# Whoever has no right to raise the limit is an agent without it.
	prlimit --core=0:0 setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
		keyagentd --type user --config "$work/it.conf.d" --no-request-key-conf \
		2>"$work/other.log" &
	pids+=($!)
	wait_for 5 grep -q answering "$work/other.log" || fail "$(cat "$work/other.log")"
	# Not dumpable: what is in /proc is root's, although the process is not.
	expect "whose files are the other's" 0 "$(stat -c %u "/proc/$!/environ")"
	as_other test ! -r "/proc/$!/environ" || fail "it can be read"
}

# crash NAME: a program of that name, with a limit of 0, leaves a core, which is collected.
crash() {
	printf '#!/bin/sh\nulimit -c 0\nkill -SEGV $$\n' >"$work/$1"
	chmod +x "$work/$1"
	"$work/$1" 2>/dev/null
	wait_for 10 grep -qx "$1" "$work/cores" || fail "no core of $1: $(cat "$work/cores")"
}

# What core_pattern names gets no core of a handler through its pipe.
test_cores() {
	local pattern=/proc/sys/kernel/core_pattern

	[ -e "$pattern" ] || skip "the kernel has no core dumps"
	# Who crashes is not over before his core is collected.
	undo+=("echo $(cat /proc/sys/kernel/core_pipe_limit) >/proc/sys/kernel/core_pipe_limit")
	echo 4 >/proc/sys/kernel/core_pipe_limit
	: >"$work/cores"
	printf '#!/bin/sh\ncat >/dev/null\necho "$1" >>%s\n' "$work/cores" >"$work/collect"
	printf '#!/bin/sh\nkill -SEGV $$\n' >"$work/crashes"
	chmod +x "$work/collect" "$work/crashes"
	undo+=("printf '%s\n' '$(cat "$pattern")' >$pattern")
	echo "|$work/collect %e" >"$pattern"
	crash before
	daemon it user "create user * * $work/crashes"
	subscribe it
	expect "what the handler does" 'Required key not available' "$(ask a)"
	logged it 'killed by signal 11'
	crash after
	expect "whose cores were collected" 'before after' "$(paste -sd' ' "$work/cores")"
}

run_tests reload bad_rules_at_start end_drains second_signal_ends_at_once killed \
	timeout one_rule_does_not_stop_others given_up_while_waiting queue_of_the_dead \
	forged_signals share restricted_keyring reloaded_module unprivileged hardened cores
