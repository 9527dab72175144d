#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What keyagentd answers, and what becomes of a request whose handler fails.

# shellcheck disable=SC2016 # what is quoted is evaluated later
set -uo pipefail

# shellcheck source=tests/selftests/keyagent/keyagentd.sh
. "$(dirname "${BASH_SOURCE[0]}")/keyagentd.sh"

prepare "$@"
be_patient

readonly NO_KEY='Required key not available'

# What else serve is to give to the daemon. A handler may need long on a slow machine.
options=(--timeout 50)
# After how many seconds a handler that hangs is killed.
limit=$((2 + slow / 3))

# serve RULE...: a daemon with these rules, and this session subscribed.
serve() {
	daemon it user "$(printf '%s\n' "$@")" -v "${options[@]}"
	subscribe it
}

# --- Answers -------------------------------------------------------------------

test_constant() {
	serve 'create user a * @constant one\stwo' 'create user b * expires=1000 @constant x'
	expect "the payload" 'one two' "$(ask a)"
	expect "the other payload" x "$(ask b)"
	local left
	left=$(awk '$8 == "user" && $9 == "b:" { print $4 }' /proc/keys)
	[[ $left =~ ^1[56]m$ ]] || fail "b expires in '$left'"
}

test_file() {
	printf 'sesame' >"$work/secret"
	mkfifo "$work/fifo"
	truncate -s 1048576 "$work/long"
	serve "create user a * @file $work/secret" "create user b * @file $work/none" \
		"create user c * @file $work/fifo" 'create user d * @file /proc/sys/kernel/ostype' \
		"create user e * @file $work/long"
	expect "the payload" sesame "$(ask a)"
	printf 'other' >"$work/secret"
	keyctl unlink "$(keyctl search @s user a)" @s
	expect "the file is read again" other "$(ask a)"
	expect "no file" "$NO_KEY" "$(ask b)"
	logged it 'test.conf:2: no answer, negated: No such file'
	expect "a fifo keeps nobody waiting" "$NO_KEY" "$(ask c)"
	expect "a file without a length" 4c696e75780a "$(ask d | tr -d ' ' | sed 's/^:hex://')"
	expect "too long a file" "$NO_KEY" "$(ask e)"
	logged it 'test.conf:5: no answer, negated: it is too long'
}

# The daemon's own keys, and not those of the requester.
test_key() {
	keyctl add user source mine @u >/dev/null
	undo+=('keyctl unlink "$(keyctl search @u user source)" @u')
	serve 'create user a * @key user source' 'create user b * @key user only-the-requester-s'
	keyctl add user only-the-requester-s spoof @s >/dev/null
	expect "the payload" mine "$(ask a)"
	expect "a key of the requester" "$NO_KEY" "$(ask b)"
}

# A key that waits for the daemon: it cannot wait for that.
test_key_under_construction() {
	serve 'create user a * @key user a' 'create user b * /bin/keyctl instantiate %k %{user:b} %S'
	expect "itself" "$NO_KEY" "$(keyctl request2 user a x @u 2>&1 | sed 's/^request_key: //')"
	expect "itself, for a handler" "$NO_KEY" "$(ask b)"
}

test_rejected() {
	serve 'create user a * @reject EKEYREJECTED 100' 'create user b * @negate'
	expect "the error" 'Key was rejected by service' "$(ask a)"
	expect "the error again, without a request" 'Key was rejected by service' "$(ask a)"
	expect "no key" "$NO_KEY" "$(ask b)"
	expect "requests" 2 "$(counter it user rejected)"
}

# One daemon for several types, one of which is named twice.
test_several_types() {
	local key

	daemon it user,logon,user 'create * * * @constant x:y'
	subscribe it
	expect "keys" $'user\nlogon' "$(cut -d ' ' -f 1 "$work/it.keys")"
	expect "one type" x:y "$(ask a:b)"
	# Nobody can read such a key.
	key=$(keyctl request2 logon a:b callout @s) || fail "the other type is not answered for"
	expect "the other type" "logon;0;0;" "$(keyctl rdescribe "$key" | grep -o '^logon;0;0;')"
	expect "requests for user keys" 1 "$(counter it user served)"
	expect "requests for logon keys" 1 "$(counter it logon served)"
}

# If it cannot be the agent for one of the types, it is for none, and shows no keyring.
test_bad_type() {
	local half

	fails() {
		! keyagentd --type "user,$(printf '%032d' 0)" --keyring half --no-request-key-conf \
			2>"$work/it.log" || fail "it takes a type that is too long"
		grep -q '1 to 31 characters' "$work/it.log" || fail "it does not say why"
	}
	rings+=(half)
	fails
	! ring half 2>"$work/ring.out" || fail "there is a keyring without an agent"
	half=$(keyctl newring half @u)
	fails
	expect "what is in a keyring that was there" '' "$(keyctl rlist "$half" | tr -d ' \n')"
}

# What no rule is for, and what a rule gives back: the real request-key answers it.
test_given_back() {
	serve 'create user debug:b * @decline'
	expect "without a rule" 'Debug callout' "$(ask debug:a)"
	expect "with a rule" 'Debug callout' "$(ask debug:b)"
	logged it 'no rule, given back'
}

test_program() {
	serve 'create user plain:* * /bin/keyctl instantiate %k got-%d %S' \
		'create user macro:* * /bin/keyctl instantiate %k %d %S' \
		'create user piped:* * |/bin/cat'
	expect "an argument" got-%d "$(ask plain:a)"
	expect "a macro" macro:a "$(ask macro:a)"
	expect "behind a bar" 'the callout' "$(ask piped:a 'the callout')"
}

# %S is a keyring that the handler can use, and %{} reads from it.
test_requesters_keyring() {
	keyctl add user wanted 'in the session' @s >/dev/null
	serve 'create user a * /bin/keyctl instantiate %k %{user:wanted} %S' \
		'create user b * /bin/keyctl instantiate %k %{user:missing} %S'
	expect "the payload" 'in the session' "$(ask a)"
	expect "no such key" "$NO_KEY" "$(ask b)"
	logged it 'test.conf:2: negated: the key "missing" of type "user" cannot be put'
}

# The keyring that the key goes to is the only one that is searched for %{}.
test_other_keyring() {
	local other

	serve 'create user a* * /bin/keyctl instantiate %k %{user:wanted} %S' \
		'create user b * /bin/keyctl instantiate %k %S %S'
	other=$(keyctl newring other @s)
	keyctl add user wanted 'in the session' @s >/dev/null
	keyctl request2 user a1 callout "$other" >/dev/null 2>&1 &&
		fail "it is found in another keyring"
	keyctl add user wanted 'in the other' "$other" >/dev/null
	expect "in the keyring" 'in the other' \
		"$(keyctl print "$(keyctl request2 user a2 callout "$other")")"
	# Without the permission to search the keyring the requester does not possess it: no agent is
	# asked.
	keyctl setperm "$other" 0x35350000
	! keyctl request2 user b callout "$other" >/dev/null 2>&1 ||
		fail "it is asked for a keyring that the requester does not possess"
	keyctl setperm "$other" 0x3f3f0000
	expect "requests that were denied" 1 "$(counter it user denied)"
}

# --- Failures ------------------------------------------------------------------

test_failing() {
	cat >"$work/kills-itself" <<-'END'
		#!/bin/sh
		kill -9 $$
	END
	chmod +x "$work/kills-itself"
	serve 'create user status * /bin/false' "create user killed * $work/kills-itself" \
		'create user missing * /no/such/program' 'create user unfinished * /bin/true' \
		"create user directory * /etc/" 'create user much * |/bin/head -c 40000 /dev/zero' \
		'create user empty * |/bin/true'
	local name
	for name in status killed missing unfinished directory much empty; do
		expect "$name" "$NO_KEY" "$(ask $name)"
	done
	logged it 'test.conf:1: negated: the program ended with status 1'
	logged it 'test.conf:2: negated: the program was killed by signal 9'
	logged it 'test.conf:3: negated: the program cannot be executed: No such file'
	logged it 'test.conf:4: negated: the program ended without an answer'
	logged it 'test.conf:5: negated: the program cannot be executed: Permission denied'
	logged it 'test.conf:6: negated: the program wrote more than 32768 bytes'
	logged it 'test.conf:7: negated: the payload was refused: Invalid argument'
}

# A failure is not for long.
test_negative_is_short() {
	serve 'create user a * /bin/false'
	expect "first" "$NO_KEY" "$(ask a)"
	echo 'create user a * @constant again' >"$work/it.conf.d/test.conf"
	kill -HUP "$daemon"
	logged it 'rules'
	wait_for 5 eval '[ "$(ask a)" = again ]' || fail "it stays negative"
}

# What comes after a failure behind a bar: the best rule for that, though no better than the
# one that has failed.
test_negation_rule() {
	serve 'create user a * |/bin/false' 'create user missing * |/no/such' \
		'negate * * * /bin/keyctl reject %k 100 rejected %S'
	expect "the rule for failures" 'Key was rejected by service' "$(ask a)"
	logged it 'test.conf:1: the program ended with status 1, .*test.conf:3 is next'
	expect "for a missing program" 'Key was rejected by service' "$(ask missing)"
	logged it 'test.conf:2: the program cannot be executed: No such file.*test.conf:3 is next'
	printf '%s\n' 'create user b * |/bin/false' 'negate * * * @reject EACCES 100' \
		>"$work/it.conf.d/test.conf"
	kill -HUP "$daemon"
	wait_for 5 eval '[ "$(ask b)" = "Permission denied" ]' || fail "a built-in one is not used"
}

# A handler that hangs is killed, with its children, and keeps nobody waiting for longer.
test_hanging() {
	cat >"$work/hangs" <<-END
		#!/bin/sh
		sleep 1000 &
		echo "\$\$ \$!" >$work/pids
		wait
	END
	chmod +x "$work/hangs"
	# Only the rules' own time is over before the module's.
	options=(--timeout 600)
	serve "create user a * timeout=$limit $work/hangs" \
		"create user b * timeout=$limit |$work/hangs"
	local name pid pids_of_it

	for name in a b; do
		expect "$name" 'Connection timed out' "$(ask $name)"
		read -r -a pids_of_it <"$work/pids"
		for pid in "${pids_of_it[@]}"; do
			wait_for 5 eval "! kill -0 $pid" || fail "process $pid is still there"
		done
	done
	logged it 'test.conf:1: the program takes too long, killed'
	logged it 'test.conf:2: the program takes too long, killed'
}

# Nor does it outlive its time when nobody waits any more: the request was answered, or given up.
test_hanging_for_nobody() {
	local asking name

	cat >"$work/hangs" <<-END
		#!/bin/sh
		echo \$\$ >$work/\$2.pid
		[ "\$2" != answered ] || keyctl instantiate "\$@"
		exec sleep 1000
	END
	chmod +x "$work/hangs"
	options=(--timeout 600)
	serve "create user * * timeout=$limit $work/hangs %k %d %S"
	expect "the answer" answered "$(ask answered)"
	keyctl request2 user given-up callout @s >/dev/null 2>&1 &
	asking=$!
	wait_for 2 test -s "$work/given-up.pid" || fail "the handler does not run"
	kill -KILL "$asking"
	for name in answered given-up; do
		logged it "\"$name\" .*: the program takes too long, killed; its request is over"
		wait_for 5 eval "! kill -0 $(cat "$work/$name.pid")" || fail "$name: it is still there"
	done
}

# One that got away with the pipe cannot keep the request.
test_pipe_is_kept() {
	cat >"$work/leaves" <<-END
		#!/bin/sh
		setsid sleep 1000 &
		echo \$! >$work/pids
	END
	chmod +x "$work/leaves"
	options=(--timeout 600)
	serve "create user a * timeout=$limit |$work/leaves"
	expect "the error" 'Connection timed out' "$(ask a)"
	logged it 'the program takes too long, killed'
	kill "$(cat "$work/pids")"
}

# --- What handlers get ---------------------------------------------------------

# The same as from /sbin/request-key: arguments, environment and all that a process has, but for
# the limit for core files.
test_handler_is_as_usual() {
	local probe=/usr/local/libexec/keyagent-probe way

	cat >"$work/probe" <<-'END'
		#!/bin/sh
		out=$1 key=$2 ring=$3
		shift 3
		stdio=$(readlink /proc/$$/fd/0 /proc/$$/fd/1)
		{
			echo "arguments: $*"
			tr '\0' '\n' </proc/$$/environ | sort
			echo "directory: $(pwd -P)"
			grep -E '^(Umask|Sig(Blk|Ign|Cgt)|Uid|Gid|Groups|Cap|NoNewPrivs)' /proc/$$/status
			echo "$stdio"
			ls /proc/$$/fd | grep -vx 10 | grep -vx 255 | wc -l
			# Its session keyring has the authkey and nothing else.
			keyctl rlist @s | wc -w
			keyctl rdescribe $(keyctl rlist @s) | sed 's/;[^;]*$//'
			echo "leads: $(ps -o sid= -p $$ | tr -d ' ') = $$" | sed "s/$$/self/g"
		} >$out.new 2>&1
		mv $out.new $out
		keyctl instantiate $key done $ring
	END
	on_host install -D -m 755 "$work/probe" $probe
	undo+=("on_host rm -f $probe")
	install -D -m 755 "$work/probe" $probe
	# shellcheck disable=SC2016 # for the test's end
	undo+=('on_host rm -f /etc/request-key.d/keyagent-probe.conf')
	echo "create user probe:* * $probe $work/usual %k %S %o %t %c %u %g %d" |
		on_host tee /etc/request-key.d/keyagent-probe.conf >/dev/null
	# shellcheck disable=SC2016 # for that shell
	expect "through request-key" 'done' "$(without_agent sh -c \
		'keyctl print $(keyctl request2 user probe:1 callout @s)')"

	exec 7</etc/passwd
	serve "create user probe:* * $probe $work/ours %k %S %o %t %c %u %g %d"
	exec 7<&-
	expect "through keyagentd" 'done' "$(ask probe:1)"
	grep -q '^leads: self = self$' "$work/ours" || fail "it leads no session"
	# The kernel's worker starts it in the session of init, which is nobody's.
	for way in usual ours; do
		sed -i '/^leads:/d' "$work/$way"
	done
	diff "$work/usual" "$work/ours" >"$work/diff" || fail "$(cat "$work/diff")"
	[ "$(wc -l <"$work/ours")" -ge 15 ] || fail "the probe says too little"
}

# Neither callout info nor payload is logged, however much is, and whatever is wrong with it.
test_says_no_secrets() {
	local name

	printf SECRET >"$work/file"
	{ printf SECRET; head -c 40000 /dev/zero; } >"$work/long"
	keyctl add user source SECRET @u >/dev/null
	undo+=('keyctl unlink "$(keyctl search @u user source)" @u')
	printf 'SECRET\001' | keyctl padd user binary @s >/dev/null
	daemon it user "$(printf '%s\n' 'create user constant * @constant SECRET-payload' \
		'create user pipe * |/bin/cat' 'create user failing * |/bin/false' \
		'create user argument * /bin/keyctl instantiate %k %c %S' \
		"create user file * @file $work/file" "create user long * @file $work/long" \
		'create user key * @key user source' \
		'create user unprintable * /bin/keyctl instantiate %k %{user:binary} %S')" -vv
	subscribe it
	for name in constant pipe failing argument file long key unprintable given-back; do
		ask $name SECRET-callout >"$work/$name.out"
	done
	for name in constant pipe argument file key; do
		grep -q SECRET "$work/$name.out" || fail "$name: $(cat "$work/$name.out")"
	done
	logged it 'its contents are not printable'
	logged it 'test.conf:6: no answer, negated: Invalid argument'
	logged it '"given-back" for process'
	printf '%s\n' 'create user a * @constant SECRET\q' 'create user a * @constant SECRET SECRET' \
		>"$work/it.conf.d/test.conf"
	kill -HUP "$daemon"
	logged it 'test.conf:1:.*backslash'
	logged it 'test.conf:2:.*@constant'
	logged it 'the rules are refused'
	echo 'create user a * @constant "SECRET%k' >"$work/it.conf.d/test.conf"
	kill -HUP "$daemon"
	logged it 'test.conf:1:.*quotation marks'
	logged it 'test.conf:1:.*has no macros'
	! grep SECRET "$work/it.log" || fail "the log tells a secret"
}

run_tests constant file key key_under_construction rejected several_types bad_type given_back \
	program requesters_keyring other_keyring failing negative_is_short negation_rule hanging \
	hanging_for_nobody pipe_is_kept handler_is_as_usual says_no_secrets
