#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# keyagentd is killed while requests keep coming, and started again by its supervisor: no
# request hangs, each ends with the key or an error, and those who have the agent's keyring
# in their session are served again without doing anything.

set -uo pipefail

# shellcheck source=tests/selftests/keyagent/keyagentd.sh
. "$(dirname "${BASH_SOURCE[0]}")/keyagentd.sh"

prepare "$@"

readonly REQUESTERS=6 KILLS=6
# The longest that a request may take: the module's deadline (10 s unless it was loaded with
# another one), and what a loaded machine adds.
deadline=$(($(cat /sys/module/keyagent/parameters/timeout_ms 2>/dev/null || echo 10000) / 1000))
longest=$((deadline + 5 + slow))

# A program that takes its time; rules have no quotes.
cat >"$base/slow" <<'END'
sleep "$1"
exec keyctl instantiate "$2" "$3" "$4"
END
# A built-in, a program that is quick, and one that is likely to be at work when the daemon
# is killed.
rules="create user load:*0 * @constant built-in
create user load:*5 * /bin/sh $base/slow 1 %k program %S
create user load:* * |/bin/cat
create user after:* * @constant served"

# Starts it whenever it has ended, until $work/stop is there; the PID is in $work/pid.
supervise() {
	mkdir "$work/conf.d"
	printf '%s\n' "$rules" >"$work/conf.d/test.conf"
	trap 'kill $!; exit' TERM
	while [ ! -e "$work/stop" ]; do
		keyagentd --type user --keyring restarted --config "$work/conf.d" \
			--no-request-key-conf 2>>"$work/daemon.log" &
		echo $! >"$work/pid"
		echo start >>"$work/starts"
		wait $!
		sleep 0.2
	done
}

# alive: the keyring has the key of an agent that is there.
alive() {
	local key

	key=$(keyctl search "$restarted" keyagent user) &&
		keyctl print "$key" | grep -q '^state=alive '
}

# Asks until $work/enough is there. A line for each request: what it came to, seconds, the
# number in its description, and the error or the payload.
request_on() {
	local i=0 id from status

	while [ -d "$work" ] && [ ! -e "$work/enough" ]; do
		from=$SECONDS
		echo "$1:$i" >>"$work/asked.$1"
		status=error
		if id=$(keyctl request2 user "load:$1:$i" callout @s 2>&1); then
			status=key
			id=$(keyctl pipe "$id" 2>&1)
		fi
		echo "$status $((SECONDS - from)) $i $id" >>"$work/result.$1"
		i=$((i + 1))
	done
}

in_flight() {
	keyctl print "$(keyctl search "$restarted" keyagent user)" |
		tr ' ' '\n' | sed -n 's/^in_flight=//p'
}

test_killed_under_load() {
	local i requesters=() supervisor asked results bad

	rings+=(restarted)
	supervise &
	supervisor=$!
	pids+=("$supervisor")
	wait_for 5 keyctl search @u keyring restarted || fail "keyagentd is not ready"
	restarted=$(ring restarted)
	wait_for 5 alive || fail "keyagentd is not ready"
	# All that a subscriber ever does.
	keyagent link --agent restarted || fail "the keyring cannot be linked"
	for ((i = 0; i < REQUESTERS; i++)); do
		request_on "$i" 2>/dev/null &
		requesters+=($!)
		pids+=($!)
	done
	for ((i = 0; i < KILLS; i++)); do
		sleep $((1 + slow / 5))
		kill -KILL "$(cat "$work/pid")" || fail "keyagentd had ended by itself"
		wait_for 5 alive || fail "keyagentd did not come back"
	done
	sleep 1
	touch "$work/enough"
	# shellcheck disable=SC2317,SC2329 # called by wait_for
	gone() { ! kill -0 "${requesters[@]}"; }
	wait_for "$longest" gone || fail "a requester hangs" "$(cat /sys/kernel/debug/keyagent/requests)"

	asked=$(cat "$work"/asked.* | wc -l)
	results=$(cat "$work"/result.* | wc -l)
	note "$results requests, $(wc -l <"$work/starts") starts:" \
		"$(cut -d ' ' -f 1,4- "$work"/result.* | sort | uniq -c | sort -rn)"
	expect "requests that ended" "$asked" "$results"
	[ "$results" -ge $((REQUESTERS * KILLS)) ] || fail "that is no load"
	# Each has the payload of its rule, or one of the errors that the documentation names.
	bad=$(grep -hvE -e '^key [0-9]+ [0-9]*0 built-in$' -e '^key [0-9]+ [0-9]*5 program$' \
		-e '^key [0-9]+ [0-9]*[^05] callout$' \
		-e '^error [0-9]+ [0-9]+ request_key: (Required key not available|Connection timed out)$' \
		"$work"/result.*)
	[ -z "$bad" ] || fail "these came to something else:" "$bad"
	expect "requests that took more than $longest s" '' \
		"$(awk -v max="$longest" '$2 > max' "$work"/result.*)"
	grep -q '^key ' "$work"/result.* || fail "no request was served at all"

	# Every one is served now.
	for ((i = 0; i < 10; i++)); do
		expect "after the last restart" served \
			"$(keyctl pipe "$(keyctl request2 user "after:$i" x @s)")"
	done
	expect "requests in flight" 0 "$(in_flight)"
	touch "$work/stop"
	kill -TERM "$(cat "$work/pid")"
	wait "$supervisor"
}

# Ended by SIGTERM it finishes what it has accepted, and the next one goes on.
test_terminated_under_load() {
	local i id first second

	daemon drained user "create user slow:* * /bin/sh $base/slow 3 %k late %S"
	first=$daemon
	keyagent link --agent drained || fail "the keyring cannot be linked"
	for i in 1 2 3; do
		keyctl pipe "$(keyctl request2 user "slow:$i" x @s)" >"$work/$i.out" 2>"$work/$i.log" &
		id[i]=$!
	done
	wait_for 2 in_flight_is drained 3 || fail "the requests do not come"
	kill -TERM "$first"
	for i in 1 2 3; do
		wait "${id[i]}"
		expect "request $i, accepted before SIGTERM" late "$(cat "$work/$i.out")"
	done
	wait "$first"
	expect "exit status of keyagentd" 0 $?
	daemon drained user "create user * * @constant next"
	second=$daemon
	[ "$first" != "$second" ] || fail "it is the same process"
	expect "from the next one" next "$(keyctl pipe "$(keyctl request2 user after x @s)")"
}

in_flight_is() {
	[ "$(counter "$1" user in_flight)" = "$2" ]
}

run_tests killed_under_load terminated_under_load
