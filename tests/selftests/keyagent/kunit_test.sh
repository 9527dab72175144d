#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Reports the results of the module's KUnit suites, which the kernel runs when
# the module is loaded. Skipped on a kernel without KUnit.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC1091 # the kernel's, beside us in the installed layout
. "$here/../kselftest/ktap_helpers.sh"

root=${KUNIT_DEBUGFS:-/sys/kernel/debug/kunit}

has_kunit() {
	[ -d "$root" ] ||
		zcat /proc/config.gz 2>/dev/null | grep '^CONFIG_KUNIT=y' >/dev/null
}

# Prints "ok|not_ok|skip SUITE.CASE" for each case of the results in file $1. A
# case is a result line that is indented once; the suite's own line is not.
cases() {
	awk -v suite="$2" '
	/^    (not )?ok [0-9]+ / {
		verdict = $1 == "not" ? "not_ok" : "ok"
		sub(/^    (not )?ok [0-9]+ (- )?/, "")
		if (/ # SKIP/)
			verdict = "skip"
		print verdict, suite "." $1
	}' "$1"
}

ktap_print_header

if ! has_kunit; then
	ktap_skip_all "the kernel has no KUnit"
	exit "$KSFT_SKIP"
fi

results=()
for dir in "$root"/keyagent*/; do
	file=${dir}results
	[ -r "$file" ] || continue
	suite=$(basename "$dir")
	mapfile -t -O "${#results[@]}" results < <(cases "$file" "$suite")
	# A suite that was not run, or whose set-up failed, has no case.
	grep -q "^ok 1 $suite" "$file" || results+=("not_ok $suite")
done

if [ ${#results[@]} -eq 0 ]; then
	ktap_set_plan 1
	ktap_test_fail "a suite whose name starts with keyagent in $root"
	ktap_finished
fi

ktap_set_plan "${#results[@]}"
for result in "${results[@]}"; do
	name=${result#* }
	case ${result%% *} in
	ok) ktap_test_pass "$name" ;;
	skip) ktap_test_skip "$name" ;;
	*) ktap_test_fail "$name" ;;
	esac
done
ktap_finished
