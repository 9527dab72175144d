# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests of keyagentd have in common: a place where keyagentd and keyagent are
# installed, daemons, and tests that are run one by one. Sourced; the tests are functions,
# each run in a subshell with a session keyring and a directory ($work) of its own.
#
# A script that sources this goes on in a mount namespace of its own, with its own
# layers over /usr and /etc: what it installs there is there for itself only.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck disable=SC1091 # the kernel's, beside us in the installed layout
. "$here/../kselftest/ktap_helpers.sh"

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
slow=${KEYAGENT_SLOW:-1}

skip_all() {
	ktap_print_header
	ktap_skip_all "$*"
	exit "$KSFT_SKIP"
}

have() {
	command -v "$1" >/dev/null
}

# Where the programs under test are.
find_tools() {
	local dir

	for dir in "${KEYAGENT_TOOLS:-}" "$here"/../../{keyagentd/release,../build/keyagentd/release}; do
		if [ -x "$dir/keyagentd" ] && [ -x "$dir/keyagent" ]; then
			(cd "$dir" && pwd -P)
			return
		fi
	done
	return 1
}

# layer DIR: what is written to DIR from now on is not seen by others; the unpacked
# packages are (see scripts/setup).
layer() {
	local lower=$1 extra=${KEYAGENT_UNPACKED:-/nowhere}$1

	[ ! -d "$extra" ] || lower=$extra:$lower
	mkdir -p "$base/layers$1/upper" "$base/layers$1/work"
	mount -t overlay "keyagent$1" "$1" \
		-o "lowerdir=$lower,upperdir=$base/layers$1/upper,workdir=$base/layers$1/work"
}

# shellcheck disable=SC2317,SC2329 # called by the trap
leave() {
	rm -rf "$base/"[!l]*
	umount -l "$base/layers"
	rm -rf "$base"
	[ -z "$patient" ] || load_module
}

# load_module [PARAMETER]...: again, when nobody waits in it any more.
load_module() {
	wait_for 5 rmmod keyagent && insmod "$KEYAGENT_MODULE" "$@"
}

# For tests that let requests wait: on a slow machine they would be over too soon.
patient=''
be_patient() {
	[ -n "${KEYAGENT_MODULE:-}" ] || skip_all "the module is not known: set KEYAGENT_MODULE"
	load_module timeout_ms=60000 || skip_all "the module cannot be loaded again"
	patient=1
}

prepare() {
	[ "$(id -u)" = 0 ] || skip_all "not root"
	have keyctl || skip_all "no keyctl: install keyutils"
	grep -q '^keyagent ' /proc/modules || skip_all "the module is not loaded"
	tools=$(find_tools) || skip_all "no keyagentd: set KEYAGENT_TOOLS to its directory"
	if [ -z "${KEYAGENT_TEST_INSIDE:-}" ]; then
		export KEYAGENT_TEST_INSIDE=1
		exec unshare --mount --propagation private "$BASH" "$0" "$@"
	fi
	# Not a tmpfs of this namespace: others must see files in it, too.
	base=$(mktemp -d "${TMPDIR:-/tmp}/keyagentd-test.XXXXXX")
	chmod 755 "$base"
	trap leave EXIT
	mkdir "$base/layers"
	mount -t tmpfs none "$base/layers"
	{ layer /usr && layer /etc; } || skip_all "no overlay file system over /usr and /etc"
	install -D -m 755 "$tools/keyagentd" /usr/local/sbin/keyagentd
	install -D -m 755 "$tools/keyagent" /usr/local/bin/keyagent
}

# --- Inside of a test ----------------------------------------------------------

note() {
	printf '%s\n' "$@" | sed 's/^/# /'
}

fail() {
	note "$@"
	exit 1
}

skip() {
	note "skipped: $*"
	exit "$KSFT_SKIP"
}

need() {
	local cmd

	for cmd; do
		have "$cmd" || skip "no $cmd"
	done
}

# expect WHAT WANTED GOT
expect() {
	[ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"
}

# wait_for SECONDS COMMAND...: until it succeeds; stretched on a slow machine.
wait_for() {
	local i
	local -i n=$(($1 * slow * 5))
	shift

	for ((i = 0; i < n; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.2
	done
	return 1
}

pids=() rings=() undo=()

# shellcheck disable=SC2317,SC2329 # called by the trap
clean_up() {
	local pid ring cmd

	for pid in "${pids[@]}"; do
		kill -TERM "$pid" 2>/dev/null
	done
	for pid in "${pids[@]}"; do
		wait_for 2 eval "! kill -0 $pid" || kill -KILL "$pid" 2>/dev/null
	done
	for ring in "${rings[@]}"; do
		ring=$(keyctl search @u keyring "$ring" 2>/dev/null) && keyctl unlink "$ring" @u
	done
	for cmd in "${undo[@]}"; do
		eval "$cmd"
	done
}

# daemon NAME TYPE[,TYPE] RULES [OPTION]... [-- WRAPPER...]: a keyagentd with those rules
# alone, whose keys are in the keyring NAME. Its log is $work/NAME.log, and $daemon its PID.
# With "-" for RULES it reads the system's request-key.conf.
daemon() {
	local name=$1 type=$2 rules=$3 options=() conf=$work/$1.conf.d
	shift 3

	mkdir -p "$conf"
	# An earlier one of this name may have left it.
	rm -f "$work/$name.keys"
	if [ "$rules" != - ]; then
		printf '%s\n' "$rules" >"$conf/test.conf"
		options=(--no-request-key-conf)
	fi
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	[ $# -eq 0 ] || shift
	"$@" keyagentd --type "$type" --keyring "$name" --config "$conf" --print-keys \
		"${options[@]}" >"$work/$name.keys" 2>"$work/$name.log" &
	daemon=$!
	pids+=("$daemon")
	rings+=("$name")
	wait_for 5 test -s "$work/$name.keys" ||
		fail "keyagentd is not ready" "$(tail -n 5 "$work/$name.log")"
}

# The serial of the keyring of an agent; of its key for a type.
ring() {
	keyctl search @u keyring "$1"
}

agent_key() {
	awk -v type="$2" '$1 == type { print $2 }' "$work/$1.keys"
}

# ask DESCRIPTION [CALLOUT]: the payload of the key, or the error.
ask() {
	local key

	key=$(keyctl request2 user "$1" "${2:-callout}" @s 2>&1) || {
		echo "${key#request_key: }"
		return
	}
	keyctl print "$key"
}

# subscribe NAME: this session to the agent of that name.
subscribe() {
	keyctl link "$(ring "$1")" @s || fail "cannot subscribe"
}

# logged NAME PATTERN: the daemon has said so.
logged() {
	wait_for 10 grep -q -- "$2" "$work/$1.log" || fail "the log has no '$2'"
}

# counter NAME TYPE WORD: one of the numbers that the agent's key shows.
counter() {
	keyctl print "$(agent_key "$1" "$2")" | tr ' ' '\n' | sed -n "s/^$3=//p"
}

# without_agent COMMAND...: in a session keyring in which no agent is linked.
without_agent() {
	keyctl session - "$@" 2>/dev/null
}

# In the mount namespace in which the kernel starts /sbin/request-key.
on_host() {
	nsenter --mount=/proc/2/ns/mnt -- "$@"
}

# -------------------------------------------------------------------------------

run_one() {
	work=$base/$1
	mkdir "$work"
	# It is this subshell, the parent of keyctl, that gets the session keyring.
	keyctl new_session >/dev/null
	trap clean_up EXIT
	"$1"
}

# is_selected NAME: KEYAGENT_TESTS names tests, with blanks between them, as
# daemon_test.sh.constant. A program of which it names some runs only those.
is_selected() {
	local program=${0##*/}

	[[ " ${KEYAGENT_TESTS:-}" != *" $program."* ]] ||
		[[ " $KEYAGENT_TESTS " == *" $program.$1 "* ]]
}

# run_tests NAME...: the functions test_NAME.
run_tests() {
	local name status

	ktap_print_header
	ktap_set_plan $#
	for name; do
		status=0
		if ! is_selected "$name"; then
			status=$KSFT_SKIP
		else
			(run_one "test_$name") </dev/null 2>&1 || status=$?
		fi
		case $status in
		0) ktap_test_pass "$name" ;;
		"$KSFT_SKIP") ktap_test_skip "$name" ;;
		*)
			for log in "$base/test_$name"/*.log; do
				[ ! -s "$log" ] || { echo "# ${log##*/}:"; tail -n 15 "$log" | sed 's/^/#   /'; }
			done
			ktap_test_fail "$name"
			;;
		esac
	done
	ktap_finished
}
