#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# keyagentd when much is asked of it: many requests, handlers that fail, and signals that
# are no requests.

# shellcheck disable=SC2016 # what is quoted is evaluated later
set -uo pipefail

# shellcheck source=tests/selftests/keyagent/keyagentd.sh
. "$(dirname "${BASH_SOURCE[0]}")/keyagentd.sh"

prepare "$@"
be_patient

# More signals that look like requests than the daemon can take, all the time, so that its
# queue is full.
test_forged_flood() {
	local flood i from=$SECONDS

	daemon it user 'create user c:* * @constant here' -- prlimit --sigpending=64:64
	subscribe it
	"$here/forge_signals" "$daemon" 34 1000000000 1 7919 >"$work/forged" &
	flood=$!
	pids+=("$flood")
	wait_for 10 grep -q 'the queue is full' "$work/forged" || fail "that is no flood"
	for i in {1..20}; do
		expect "request $i beside it" here "$(ask "c:$i")"
	done
	wait_for 12 grep -q "ignored [0-9]* signals without a request, lastly from $flood\$" \
		"$work/it.log" || fail "the flood is not in the log"
	kill "$flood" || fail "the flood has ended"
	wait "$flood"
	expect "a request after it" here "$(ask c:after)"
	[ "$(grep -c ignored "$work/it.log")" -le $(((SECONDS - from) / 10)) ] || fail "it says so too often"
}

files() {
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

# 200 requesters, 10,000 requests: none is lost.
test_many_requests() {
	local count=10000 before result ram

	# The kernel with all its checkers takes ten times as long.
	[ "$slow" -lt 30 ] || count=1000
	# In memory: the machine's file system is the host's, and slow.
	ram=$(mktemp -d /run/keyagent-test.XXXXXX)
	undo+=("rm -r $ram")
	cp "$here/many_requests" "$ram"
	daemon it user "create user m:* * timeout=60 $ram/many_requests --answer %k %d %S" -q
	subscribe it
	expect "one before" m:first "$(ask m:first)"
	before=$(files "$daemon")
	result=$("$here/many_requests" m: 200 $count) || fail "$result"
	expect "the requests" "answered $count, wrong 0, failed 0" "$result"
	expect "the agent has served" $((count + 1)) "$(counter it user served)"
	expect "open files" "$before" "$(files "$daemon")"
	expect "children" '' "$(ps -o pid= --ppid "$daemon")"
	expect "the log" '' "$(cat "$work/it.log")"
}

# The same with few places and handlers of which every other fails: each request ends as it should.
test_many_failures() {
	local result

	cat >"$work/every-other" <<-'END'
		#!/bin/sh
		case $2 in
		*[02468]) exec keyctl instantiate $1 $2 $3 ;;
		*[13]) exit 3 ;;
		*[57]) kill -9 $$ ;;
		esac
	END
	chmod +x "$work/every-other"
	daemon it user "create user m:* * timeout=60 $work/every-other %k %d %S" \
		--max-handlers 3 -q --negative 0
	subscribe it
	result=$("$here/many_requests" m: 10 200 | head -n 1)
	expect "the requests" "answered 100, wrong 0, failed 100" "$result"
	expect "what was logged" 100 "$(grep -c 'negated: ' "$work/it.log")"
	expect "children" '' "$(ps -o pid= --ppid "$daemon")"
}

run_tests forged_flood many_requests many_failures
