# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2031 # used by those who source this
#
# What the tests of keyagent's commands have in common. Sourced; the checks are the
# functions check_*, each run in a subshell.
#
# The programs are looked for in the directory KEYAGENT_TOOLS, the sample agents in
# KEYAGENT_SAMPLES, by default where scripts/build-tools and scripts/build-samples
# put them. Skipped without them.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC1091 # the kernel's, beside us in the installed layout
. "$here/../kselftest/ktap_helpers.sh"

tools=${KEYAGENT_TOOLS:-$here/../../keyagentd/release}
samples=${KEYAGENT_SAMPLES:-$here/../..}
keyagent=$tools/keyagent
sample=$samples/keyagent-sample
slow=${KEYAGENT_SLOW:-1}
module=${KEYAGENT_MODULE:-}

dir=$(mktemp -d)
chmod 755 "$dir"
out=$dir/out err=$dir/err

# Runs a command; fails if its exit status is not $1.
want() {
	local wanted=$1 status=0

	shift
	"$@" >"$out" 2>"$err" </dev/null || status=$?
	[ "$status" = "$wanted" ] || wrong "$* ended with $status, not $wanted"
}

# Standard output, or standard error, of the last command has this text.
printed() {
	grep -qF -- "$1" "$out" || wrong "there is no \"$1\" in what it printed"
}

said() {
	grep -qF -- "$1" "$err" || wrong "there is no \"$1\" in what it said"
}

wrong() {
	echo "# $*"
	tail -n 12 "$out" | sed 's/^/#   out: /'
	tail -n 12 "$err" | sed 's/^/#   err: /'
	return 1
} >&2

# Waits until a command succeeds, for six seconds of a fast machine.
until_true() {
	local end=$((SECONDS + 6 * slow))

	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -le "$end" ] || wrong "never: $*" || return 1
		sleep 0.1
	done
}

# No process, or one that nobody has waited for yet.
gone() {
	[ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}

# A sample agent for type $1: its process is $agent, its key $serial.
start_agent() {
	: >"$dir/agent"
	"$sample" "$1" >"$dir/agent" 2>&1 &
	agent=$!
	started+=("$agent")
	until_true grep -q '^agent key: ' "$dir/agent"
	serial=$(sed -n 's/^agent key: //p' "$dir/agent")
}

# Rules for keyagentd, one for each argument: $rules.
write_rules() {
	rules=$dir/rules.conf
	printf '%s\n' "$@" >"$rules"
}

# keyagent run with these rules.
run() {
	"$keyagent" run --type user --no-request-key-conf --config "$rules" "$@"
}

# The PID of the only agent that lives.
agent_pid() {
	"$keyagent" ls --json | awk '
		/"state":/ { alive = /alive/ }
		/"pid": [0-9]/ && alive { print $2 + 0; found = 1 }
		END { exit !found }'
}

# Runs a shell's command in a terminal, whose keys are what is written to $keys.
terminal() {
	rm -f "$dir/keys"
	mkfifo "$dir/keys"
	# What this shell has in the background ignores SIGINT and SIGQUIT.
	env --default-signal=INT,QUIT script -qec "$1" /dev/null <"$dir/keys" >"$out" 2>"$err" &
	started+=("$!")
	exec {keys}>"$dir/keys"
}

# A copy of keyagent with this program for keyagentd: $fake.
with_daemon() {
	rm -rf "$dir/fake"
	mkdir "$dir/fake"
	cp "$keyagent" "$dir/fake"
	fake=$dir/fake/keyagent
	[ $# -eq 0 ] || {
		printf '%s\n' '#!/bin/bash' "$@" >"$dir/fake/keyagentd"
		chmod 755 "$dir/fake/keyagentd"
	}
}

skip() {
	echo "$*" >"$dir/skip"
	exit "$KSFT_SKIP"
}

cleanup() {
	local what

	for what in "${undo[@]}"; do
		$what || true
	done
	[ ${#started[@]} -eq 0 ] || kill -CONT "${started[@]}" 2>/dev/null || true
	[ ${#started[@]} -eq 0 ] || kill "${started[@]}" 2>/dev/null || true
} >/dev/null 2>&1

# Runs the checks of the script, in their order there, or those named.
run_checks() {
	ktap_print_header
	if [ ! -x "$keyagent" ] || [ ! -x "$sample" ]; then
		ktap_skip_all "there are no $keyagent and $sample: see scripts/build-tools and build-samples"
		exit "$KSFT_SKIP"
	fi
	if [ "$(id -u)" != 0 ] || ! command -v keyctl >/dev/null; then
		ktap_skip_all "this takes root, and keyctl(1)"
		exit "$KSFT_SKIP"
	fi
	trap 'rm -rf "$dir"' EXIT

	mapfile -t checks < <(sed -n 's/^check_\([a-z_]*\)() {$/\1/p' "$0")
	[ $# -eq 0 ] || checks=("$@")
	ktap_set_plan "${#checks[@]}"
	for check in "${checks[@]}"; do
		set +e
		(
			set -e
			started=() undo=()
			trap cleanup EXIT
			: >"$out"
			: >"$err"
			"check_$check"
		)
		status=$?
		set -e
		case $status in
		0) ktap_test_pass "$check" ;;
		"$KSFT_SKIP") ktap_test_skip "$check: $(<"$dir/skip")" ;;
		*) ktap_test_fail "$check" ;;
		esac
	done
	ktap_finished
}
