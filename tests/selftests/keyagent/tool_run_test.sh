#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# "keyagent run": a program with an agent of its own, keyagentd, and every way in which the
# two can end.

# shellcheck disable=SC2031 # each check has a subshell, and lists of its own
set -euo pipefail

# shellcheck source=tests/selftests/keyagent/tool.sh
. "$(dirname "${BASH_SOURCE[0]}")/tool.sh"

check_run_serves() {
	write_rules 'create user * * @constant yes'
	# shellcheck disable=SC2016 # that shell's
	want 0 run -- sh -c 'keyctl print $(keyctl request2 user keyagent-tool:a x)'
	[ "$(<"$out")" = yes ] || wrong "that is not the answer"
	[ ! -s "$err" ] || wrong "it said something"
	want 0 run -- "$keyagent" test user keyagent-tool:b
	grep -Eq '^answered by: agent [0-9]+, pid [0-9]+ \(keyagentd\)$' "$out" ||
		wrong "somebody else answered"
	want 0 run -- keyctl show @s
	printed "keyring: _uid.$(id -u)"
	printed "keyagent: user"
}

check_run_status() {
	write_rules '# none'
	want 0 run -- true
	want 7 run -- sh -c 'exit 7'
	# shellcheck disable=SC2016 # that shell's
	want 137 run -- sh -c 'kill -9 $$'
	# shellcheck disable=SC2016 # that shell's
	want 143 run -- sh -c 'kill $$'
	want 127 run -- no-such-program
	said "no-such-program: there is no such program; "
	echo 'exit 0' >"$dir/data"
	want 126 run -- "$dir/data"
	said "$dir/data: EACCES"
	want 0 "$keyagent" ls
	! grep -q alive "$out" || wrong "there is still a daemon"
}

check_run_ends_daemon() {
	write_rules '# none'
	want 0 run -- "$keyagent" ls --json
	pid=$(sed -n 's/^ *"pid": \([0-9]*\),/\1/p' "$out")
	[ "${pid:-0}" -gt 1 ] || wrong "there was no daemon"
	gone "$pid" || wrong "the daemon is still there"
	# It is waited for.
	with_daemon "trap 'sleep 1; touch $dir/finished; exit' TERM" 'echo user 4711; exec >&-' \
		'while :; do sleep 0.1; done'
	rm -f "$dir/finished"
	want 0 "$fake" run -t user true
	[ -e "$dir/finished" ] || wrong "it could not finish"
}

check_run_bad_rules() {
	write_rules 'create user'
	want 1 run -- touch "$dir/was-run"
	said "rules.conf:1:"
	said "keyagent: keyagentd: it ended with status 78 before it was ready; it has said why"
	[ ! -e "$dir/was-run" ] || wrong "the program was run"
	rules=$dir/missing
	want 1 run -- true
	said "before it was ready"
}

check_run_no_daemon() {
	if [ -e /usr/sbin/keyagentd ] || [ -e /usr/lib/keyagent/keyagentd ]; then
		skip "there is one installed"
	fi
	with_daemon
	want 1 env PATH=/nonexistent "$fake" run -t user true
	said "keyagentd: it is not beside keyagent, in ../sbin from there, in PATH, or in /usr/sbin or /usr/lib/keyagent; "
	# PATH is the second choice.
	mkdir "$dir/fake/bin"
	printf '#!/bin/sh\nexit 33\n' >"$dir/fake/bin/keyagentd"
	chmod 755 "$dir/fake/bin/keyagentd"
	want 1 env PATH="$dir/fake/bin:$PATH" "$fake" run -t user true
	said "status 33"
}

check_run_odd_daemons() {
	with_daemon 'exit 3'
	want 1 "$fake" run -t user true
	said "it ended with status 3 before it was ready"
	with_daemon 'kill -9 $$'
	want 1 "$fake" run -t user true
	said "it was killed by signal 9 before it was ready"
	with_daemon 'echo nonsense; exec >&-; exec sleep 300'
	want 1 "$fake" run -t user true
	said "it did not say which keys its agents have"
	# The program is run with one that says so, whatever it does. One that does not end is
	# killed, and whether it was is known by its parent alone.
	with_daemon "echo \$\$ >$dir/daemon.pid" "trap '' TERM" 'echo user 4711; exec >&-' \
		'while :; do sleep 1; done'
	want 6 "$fake" run -t user -- sh -c 'exit 6'
	gone "$(<"$dir/daemon.pid")" || wrong "it is still there"
	with_daemon "printf '%s\n' \"\$*\" >$dir/arguments" "env >$dir/environment" \
		'echo user 4711; exec >&-; exec sleep 300'
	want 0 env NOTIFY_SOCKET=/x "$fake" run -t user,logon -c /a -v -- true
	[ "$(<"$dir/arguments")" = "--type user,logon --keyring @s --print-keys -v --config /a" ] ||
		wrong "it was started with $(<"$dir/arguments")"
	! grep -q NOTIFY_SOCKET "$dir/environment" || wrong "it talks to keyagent's supervisor"
}

check_run_daemon_dies() {
	local daemon

	write_rules 'create user * * @constant yes'
	# shellcheck disable=SC2016 # that shell's
	want 4 run -- bash -c '
		pid=$("$1" ls --json | sed -n "s/^ *\"pid\": \([0-9]*\),/\1/p")
		kill -9 "$pid"
		for ((i = 0; i < 100 * $2; i++)); do
			sleep 0.1
			"$1" ls | grep -q " dead " && break
		done
		"$1" test user x
		exit 4' - "$keyagent" "$slow"
	said "keyagent: keyagentd: it was killed by signal 9 while the program runs; requests go to"
	[ "$(grep -c 'while the program runs' "$err")" = 1 ] || wrong "once is enough"
	printed "answered by: /sbin/request-key: the agent in the session keyring is dead"
}

check_run_killed() {
	local parent daemon

	write_rules '# none'
	run -- sleep 1000 >"$out" 2>"$err" &
	until_true agent_pid
	daemon=$(agent_pid)
	parent=$(awk '{ print $4 }' "/proc/$daemon/stat")
	started+=("$(pgrep -P "$parent" -x sleep)")
	kill -9 "$parent"
	until_true gone "$daemon"
}

check_run_signals() {
	local name

	write_rules '# none'
	cat >"$dir/program" <<-END
		trap 'exit 9' \$1
		touch '$dir/ready'
		for ((i = 0; i < 20 * $slow; i++)); do sleep 0.1; done
	END
	for name in TERM HUP USR1 INT QUIT; do
		rm -f "$dir/ready"
		# What this shell has in the background ignores SIGINT and SIGQUIT.
		env --default-signal=INT,QUIT "$keyagent" run --type user --no-request-key-conf \
			--config "$rules" -- bash "$dir/program" "$name" >"$out" 2>"$err" &
		started+=("$!")
		until_true test -e "$dir/ready"
		kill -"$name" "$!"
		want 9 wait "$!"
	done
}

check_run_stopped() {
	write_rules '# none'
	cat >"$dir/session" <<-END
		set -m
		'$keyagent' run --type user --no-request-key-conf --config '$rules' -- sleep 1000
		echo stopped \$?
		jobs
		kill -TERM %1
		# Until it goes on, it is still the stopped one that is waited for.
		until wait %1; status=\$?; [ \$status != 148 ]; do sleep 0.1; done
		echo ended \$status
	END
	terminal "bash '$dir/session'"
	until_true pgrep -fx 'sleep 1000'
	printf '\032' >&"$keys"
	until_true grep -q '^ended' "$out"
	printed "stopped 148"
	printed "Stopped "
	printed "ended 143"
}

# Without job control, as under cron or as the first process of a container.
check_run_stopped_alone() {
	local program

	write_rules '# none'
	rm -f "$dir/program"
	# shellcheck disable=SC2016 # that shell's
	setsid "$keyagent" run --type user --no-request-key-conf --config "$rules" -- \
		sh -c 'echo $$ >"$0"; kill -STOP $$; exit 9' "$dir/program" >"$out" 2>"$err" &
	started+=("$!")
	until_true test -s "$dir/program"
	program=$(<"$dir/program")
	until_true grep -q '^State:.T' "/proc/$program/status"
	# As long as keyagent would need to continue it.
	sleep "$slow"
	grep -q '^State:.T' "/proc/$program/status" || wrong "the program goes on"
	# What continues keyagent continues the program.
	kill -CONT "$!"
	want 9 wait "$!"
}

check_run_terminal() {
	local parent

	write_rules '# none'
	rm -f "$dir/parent" "$dir/count"
	cat >"$dir/program" <<-END
		n=0
		trap 'n=\$((n + 1)); echo \$n >"$dir/count"' INT
		echo \$PPID >'$dir/parent'
		for ((i = 0; i < 20; i++)); do sleep 0.2; done
		'$keyagent' ls
		exit \$((40 + n))
	END
	terminal "'$keyagent' run --type user --no-request-key-conf --config '$rules' -- \
		bash '$dir/program'; echo status \$?"
	until_true test -s "$dir/parent"
	parent=$(<"$dir/parent")
	started+=("$parent")
	# What it passes on would otherwise be one with what the terminal has sent.
	kill -STOP "$parent"
	printf '\003' >&"$keys"
	until_true grep -q 1 "$dir/count"
	kill -CONT "$parent"
	until_true grep -q 'status' "$out"
	# The program got it once, and the daemon did not.
	printed "status 41"
	printed " alive "
}

check_run_nested() {
	local inner=$dir/inner.conf

	write_rules 'create user * * @constant outer'
	echo 'create user * * @constant inner' >"$inner"
	# shellcheck disable=SC2016 # that shell's
	ask='keyctl print $(keyctl request2 user keyagent-tool:n x)'
	want 8 run -- bash -c "
		'$keyagent' run -t user --no-request-key-conf -c '$inner' -- sh -c '$ask; exit 7'
		[ \$? = 7 ] || exit
		$ask
		exit 8"
	[ "$(tr '\n' ' ' <"$out")" = "inner outer " ] || wrong "somebody else answered"
}

check_run_orphans() {
	write_rules '# none'
	# As the first process of a container, which is the parent of whoever has none.
	# shellcheck disable=SC2016 # that shell's
	want 3 unshare -p -f --mount-proc "$keyagent" run -t user --no-request-key-conf -c "$rules" -- \
		bash -c '
		[ $PPID = 1 ] || exit 4
		orphan=$(bash -c "sleep 0.1 & echo \$!")
		for ((i = 0; i < 50; i++)); do
			sleep 0.2
			[ -e "/proc/$orphan" ] || exit 3
		done'
}

run_checks "$@"
