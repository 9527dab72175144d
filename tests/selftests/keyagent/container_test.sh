#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Containers that keyagentd serves, made by the runtimes that people use. How an agent comes
# into a container's session is what Documentation/admin-guide/keyagentd-containers.rst says,
# with the hook of tools/keyagentd/oci.

set -uo pipefail

# shellcheck source=tests/selftests/keyagent/keyagentd.sh
. "$(dirname "${BASH_SOURCE[0]}")/keyagentd.sh"
# shellcheck source=tests/selftests/keyagent/containers.sh
. "$(dirname "${BASH_SOURCE[0]}")/containers.sh"

prepare "$@"
if have busybox; then
	root=$base/root
	make_root "$root"
fi

with_runtime() {
	need busybox "$(runtime_command "$1")"
}

# answers VALUE: rules by which every key of type user is VALUE.
answers() {
	echo "create user * * @constant $1"
}

# not_served RUNTIME ERROR: a container without an agent runs, and what it asks for is not
# there.
not_served() {
	contain "$1" '' /bin/ask user other-fruit '' >"$work/none.out" 2>"$work/none.log" &&
		fail "a container without an agent got $(cat "$work/none.out")"
	grep -q "request_key: $2" "$work/none.log" ||
		fail "a container without an agent failed otherwise" "$(cat "$work/none.log")"
}

# Two containers at the same time, each with its own agent, ask for the same key.
two_answers() {
	local one two

	with_runtime "$1"
	offer "one-$1" user "$(answers apple)"
	offer "two-$1" user "$(answers pear)"
	contain "$1" "one-$1" /bin/ask user fruit '' >"$work/one.out" 2>"$work/one.log" &
	one=$!
	contain "$1" "two-$1" /bin/ask user fruit '' >"$work/two.out" 2>"$work/two.log" &
	two=$!
	wait "$one" || fail "the first container failed"
	wait "$two" || fail "the second container failed"
	expect "the first one's answer" apple "$(cat "$work/one.out")"
	expect "the second one's answer" pear "$(cat "$work/two.out")"
	expect "the first agent served" 1 "$(counter "one-$1" user served)"
	expect "the second agent served" 1 "$(counter "two-$1" user served)"
}

# One agent for three containers at the same time; a fourth that was not given any is not
# served.
one_agent() {
	local i started=()

	with_runtime "$1"
	offer "shared-$1" user "$(answers apple)"
	for i in 1 2 3; do
		contain "$1" "shared-$1" /bin/ask user "fruit-$i" '' \
			>"$work/$i.out" 2>"$work/$i.log" &
		started+=($!)
	done
	for i in 1 2 3; do
		wait "${started[i - 1]}" || fail "container $i failed"
		expect "container $i got" apple "$(cat "$work/$i.out")"
	done
	expect "the agent served" 3 "$(counter "shared-$1" user served)"
	not_served "$1" 'Required key not available'
	expect "the agent served" 3 "$(counter "shared-$1" user served)"
}

# The container is served although the host has no /sbin/request-key. The directory that
# it is in gets a layer in which it is deleted.
without_upcall() {
	local bin dir=$work/layer

	with_runtime "$1"
	on_host test -e /sbin/request-key || skip "there is no /sbin/request-key to take away"
	bin=$(dirname "$(readlink -f /sbin/request-key)")
	mkdir -p "$dir"
	on_host mount -t tmpfs none "$dir" || fail "no tmpfs on the host"
	undo+=("on_host umount -l '$bin' '$dir'")
	on_host mkdir "$dir/upper" "$dir/work"
	on_host mount -t overlay keyagent-no-upcall "$bin" \
		-o "lowerdir=$bin,upperdir=$dir/upper,workdir=$dir/work" || fail "no layer over $bin"
	on_host rm "$bin/request-key"
	on_host test ! -e /sbin/request-key || fail "/sbin/request-key is still there"

	offer "lone-$1" user "$(answers apple)"
	expect "the container got" apple \
		"$(contain "$1" "lone-$1" /bin/ask user fruit '' 2>"$work/container.log")"
	# That of the program which cannot be started.
	not_served "$1" 'No such file or directory'
}

# An agent that is started in the container, and its handler: the names are those of the
# container's hosts file.
agent_inside() {
	with_runtime "$1"
	[ -x "$root/bin/key.dns_resolver" ] || skip "no key.dns_resolver"
	on_host modprobe -q dns_resolver || skip "no module dns_resolver"
	expect "the container got" 192.0.2.7 "$(contain "$1" '' /bin/keyagent run -v \
		--type dns_resolver -- /bin/ask dns_resolver inside.keyagent.example ipv4 \
		2>"$work/container.log" | tr -d '\0')"
	grep -q 'keyagentd.conf:1: done' "$work/container.log" || fail "it was not its handler"
}

# A container whose root is not the host's. The list has the serial of the agent's keyring,
# and the hook accepts its owner.
user_namespace() {
	local user_ns=1 hooks=$hooks

	with_runtime "$1"
	daemon "outer-$1" user "$(answers apple)" --share other
	outside "outer-$1"
	expect "the container got" apple \
		"$(contain "$1" "outer-$1" /bin/ask user fruit '' 2>"$work/container.log")"
}

# With crun the hook can run outside of the user namespace, where names are known. Inside,
# crun 1.8 cannot enter podman's directory for it; runc can.
test_podman_user_namespace() {
	local user_ns=1 runtime_of_podman=runc original=$hooks hooks=$hooks

	with_runtime podman
	daemon outer user "$(answers apple)" --share other
	outside outer
	expect "with runc" apple \
		"$(contain podman outer /bin/ask user fruit '' 2>"$work/container.log")"
	mkdir "$work/hooks.d"
	sed 's/createContainer/createRuntime/' "$original/hooks.d/keyagent.json" \
		>"$work/hooks.d/keyagent.json"
	# shellcheck disable=SC2034 # used by contain
	hooks=$work runtime_of_podman=crun
	offer by-name user "$(answers pear)"
	expect "with crun" pear \
		"$(contain podman by-name /bin/ask user fruit '' 2>"$work/container.log")"
}

# Podman, told to make no session keyrings, leaves the container in that of its caller.
test_podman_without_keyring() {
	local runtime_of_podman

	with_runtime podman
	offer inherited user "$(answers apple)"
	printf '[containers]\nkeyring = false\n' >"$work/containers.conf"
	keyagent link --agent inherited || fail "the agent cannot be linked"
	# shellcheck disable=SC2034 # used by contain
	for runtime_of_podman in crun runc; do
		expect "with $runtime_of_podman" apple "$(CONTAINERS_CONF=$work/containers.conf \
			contain podman '' /bin/ask user "fruit-$runtime_of_podman" '' 2>"$work/container.log")"
	done
}

# Its own filter, and that with the calls that the documentation says to add.
test_podman_filter() {
	local file=/usr/share/containers/seccomp.json profile

	with_runtime podman
	need python3
	[ -e "$file" ] || skip "no $file"
	offer profile user "$(answers apple)"
	profile=$file
	contain podman profile /bin/ask user fruit '' >"$work/out" 2>"$work/container.log" &&
		fail "request_key() was allowed"
	grep -q 'request_key: Function not implemented' "$work/container.log" ||
		fail "request_key() failed otherwise" "$(cat "$work/container.log")"
	profile=$work/seccomp.json
	python3 - "$file" >"$profile" <<'END'
import json, sys
profile = json.load(open(sys.argv[1]))
profile["syscalls"].append(
    {"names": ["add_key", "keyctl", "request_key"], "action": "SCMP_ACT_ALLOW"})
json.dump(profile, sys.stdout)
END
	expect "with the calls added" apple \
		"$(contain podman profile /bin/ask user fruit '' 2>"$work/container.log")"
}

# Programs that are started in a running container have its session keyring with runc.
test_runc_exec() {
	local id=keyagent-exec-$$

	with_runtime runc
	offer exec user "$(answers apple)"
	bundle "$work/$id" exec "$root" /bin/sleep 1000
	runc run --detach --bundle "$work/$id" "$id" >"$work/container.log" 2>&1 ||
		fail "the container did not start"
	undo+=("runc delete --force '$id'")
	expect "the program got" apple "$(runc exec "$id" /bin/ask user fruit '' 2>"$work/exec.log")"
}

# The names of agents that are not there, and what is no name: the container does not start.
no_such_agent() {
	local agent

	with_runtime "$1"
	for agent in nobody-here '-x y' '\"'; do
		contain "$1" "$agent" /bin/echo started >"$work/out" 2>"$work/container.log" &&
			fail "a container started with the agent $agent: $(cat "$work/out")"
		[ ! -s "$work/out" ] || fail "a container ran with the agent $agent"
		grep -q 'executing hook\|running hook' "$work/container.log" ||
			fail "it was not the hook" "$(cat "$work/container.log")"
	done
}

# A filter like that of Docker does not keep the hook from linking. Programs in the
# container cannot ask then, nor look; what the kernel asks for is not filtered.
seccomp_filter() {
	local seccomp='add_key keyctl request_key'

	with_runtime "$1"
	offer "filtered-$1" user "$(answers apple)"
	contain "$1" "filtered-$1" /bin/sh -c 'keyctl request2 user fruit x; true' \
		>"$work/out" 2>"$work/container.log" || fail "the container did not start"
	grep -q 'Operation not permitted' "$work/container.log" || fail "there was no filter"
	seccomp=add_key
	expect "with request_key allowed" apple \
		"$(contain "$1" "filtered-$1" /bin/ask user fruit '' 2>"$work/container.log")"
}

test_crun_two_answers() { two_answers crun; }
test_runc_two_answers() { two_answers runc; }
test_bwrap_two_answers() { two_answers bwrap; }
test_nspawn_two_answers() { two_answers nspawn; }
test_podman_two_answers() { two_answers podman; }
test_crun_one_agent() { one_agent crun; }
test_runc_one_agent() { one_agent runc; }
test_bwrap_one_agent() { one_agent bwrap; }
test_nspawn_one_agent() { one_agent nspawn; }
test_crun_without_upcall() { without_upcall crun; }
test_bwrap_without_upcall() { without_upcall bwrap; }
test_crun_agent_inside() { agent_inside crun; }
test_bwrap_agent_inside() { agent_inside bwrap; }
test_crun_user_namespace() { user_namespace crun; }
test_runc_user_namespace() { user_namespace runc; }
test_crun_no_such_agent() { no_such_agent crun; }
test_runc_no_such_agent() { no_such_agent runc; }
test_crun_seccomp_filter() { seccomp_filter crun; }
test_runc_seccomp_filter() { seccomp_filter runc; }

run_tests {crun,runc,bwrap,nspawn,podman}_two_answers {crun,runc,bwrap,nspawn}_one_agent \
	{crun,bwrap}_{without_upcall,agent_inside} {crun,runc,podman}_user_namespace \
	{crun,runc}_{no_such_agent,seccomp_filter} podman_{without_keyring,filter} runc_exec
