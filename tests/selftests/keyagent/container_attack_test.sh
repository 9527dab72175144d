#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Attacks on the host's root by a container, or by the user who starts it: root runs
# programs of the container, the container reads root's keys, or the host answers a
# container whose agent is dead. Each test makes the attack, and passes when it fails.

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
list=/etc/keyagent/containers
mkdir -p "${list%/*}"
page=$here/keyagentd.rst
rules='create user * * @constant apple'

# hostile ROOT: a root file system in which every program and rule that a daemon could use
# runs "evil", which writes to /dev/marker.
hostile() {
	local dir program file

	make_root "$1"
	cat >"$1/bin/evil" <<-'END_OF_SCRIPT'
		#!/bin/busybox sh
		echo "$0 runs as user $(/bin/busybox id -u)" >>/dev/marker
	END_OF_SCRIPT
	chmod 755 "$1/bin/evil"
	for dir in bin sbin usr/bin usr/sbin usr/local/bin usr/local/sbin; do
		mkdir -p "$1/$dir"
		for program in keyagentd keyagent key.dns_resolver request-key keyctl; do
			cp --remove-destination "$1/bin/evil" "$1/$dir/$program"
		done
	done
	for file in keyagentd.conf request-key.conf; do
		echo 'create * * * /bin/evil %k' >"$1/etc/$file"
	done
	echo /evil.so >"$1/etc/ld.so.preload"
}

# The page has a command that starts an agent in the network of a container.
test_nothing_of_the_container_runs() {
	local recipe id=keyagent-hostile-$$ pid daemon marker

	need busybox runc
	on_host modprobe -q dns_resolver || skip "no module dns_resolver"
	recipe=$(sed -n 's/^\t\(nsenter .*keyagentd .*\)/\1/p' "$page")
	expect "recipes in $page" 1 "$(grep -c PID <<<"$recipe")"
	hostile "$work/root"
	bundle "$work/$id" '' "$work/root" /bin/busybox sleep 1000
	runc run --detach --pid-file "$work/pid" --bundle "$work/$id" "$id" \
		>"$work/container.log" 2>&1 || fail "the container did not start"
	undo+=("runc delete --force '$id'")
	pid=$(<"$work/pid")
	marker=/proc/$pid/root/dev/marker

	cat >"$work/handler" <<-END_OF_SCRIPT
		readlink /proc/self/ns/net /proc/self/ns/mnt >$work/namespaces
		printf '192.0.2.1\\0' | keyctl pinstantiate \$1 \$2
	END_OF_SCRIPT
	echo "create dns_resolver * * /bin/sh $work/handler %k %S" >/etc/keyagentd.conf
	rings+=(web)
	# shellcheck disable=SC2086 # a command line
	${recipe//PID/$pid} >"$work/daemon.out" 2>"$work/daemon.log" &
	daemon=$!
	pids+=("$daemon")
	wait_for 5 eval "keyctl search @u keyring web || [ -s '$marker' ]"
	[ ! -s "$marker" ] || fail "the container's programs run on the host:" "$(cat "$marker")"

	keyagent link --wait $((10 * slow)) --agent web || fail "there is no agent"
	expect "address" 192.0.2.1 \
		"$(keyctl pipe "$(keyctl request2 dns_resolver "$id.example" '' @s)" | tr -d '\0')"
	[ ! -s "$marker" ] || fail "the container's programs run on the host:" "$(cat "$marker")"
	! grep -q 'evil' "$work/daemon.log" || fail "the container's files are read"
	expect "namespaces of the handler" \
		"$(readlink "/proc/$pid/ns/net" /proc/self/ns/mnt)" "$(cat "$work/namespaces")"
	expect "root of the daemon" "$(readlink /proc/self/ns/mnt)" "$(readlink "/proc/$daemon/ns/mnt")"
}

# refused RUNTIME ANNOTATION: the container does not start, and has not found
# root's secret.
refused() {
	# shellcheck disable=SC2016 # that shell's
	contain "$1" "$2" /bin/sh -c 'echo started; keyctl pipe $(keyctl search @s user keyagent-secret)' \
		>"$work/out" 2>"$work/container.log"
	! grep -q hunter2 "$work/out" || fail "with keyagent.agent=$2 the container has root's secret"
	[ ! -s "$work/out" ] || fail "a container started with keyagent.agent=$2"
}

# In the user keyring, a secret, and the keyring keyagent-others that has it, too: $secret.
make_secrets() {
	keyctl link @u @s
	secret=$(keyctl add user keyagent-secret hunter2 @u)
	rings+=(keyagent-others)
	undo+=("keyctl unlink $secret @u")
	keyctl link "$secret" "$(keyctl newring keyagent-others @u)"
	keyctl setperm "$secret" 0x3f3f0000
	keyctl unlink @u @s
}

# The user who starts the container chooses the annotation.
annotations() {
	local agent secret

	need busybox "$1"
	make_secrets
	echo "web-$1" >"$list"
	daemon "web-$1" user "$rules"
	daemon "other-$1" user "$rules"
	expect "with the agent that is listed" apple \
		"$(contain "$1" "web-$1" /bin/ask user fruit '' 2>"$work/container.log")"

	for agent in @u @us @s keyagent-others "$(ring keyagent-others)" "$(ring "web-$1")" \
		"$(agent_key "web-$1" user)" "other-$1" -h --to=@us 'x --allow-dead' "web-$1\\n@u"; do
		refused "$1" "$agent"
	done
	# The administrator's mistakes.
	printf '%s\n' keyagent-others "web-$1" >"$list"
	refused "$1" keyagent-others
	! keyctl link "$secret" "$(ring "web-$1")" 2>/dev/null || fail "the agent's keyring takes a secret"
	echo '@u' >"$list"
	refused "$1" @u
	rm "$list"
	refused "$1" "other-$1"
}

# After the end of its agent, a container does not start.
dead_agent() {
	need busybox "$1"
	echo "gone-$1" >"$list"
	daemon "gone-$1" user "$rules"
	kill -TERM "$daemon"
	wait "$daemon"
	refused "$1" "gone-$1"
	daemon "gone-$1" user "$rules"
	kill -KILL "$daemon"
	wait "$daemon"
	refused "$1" "gone-$1"
	daemon "gone-$1" user "$rules"
	expect "with the next agent" apple \
		"$(contain "$1" "gone-$1" /bin/ask user fruit '' 2>"$work/container.log")"
}

# The hook says on standard error what is wrong, which not all runtimes pass on.
test_hook_says_why() {
	local ring secret

	# says ANNOTATION STATUS TEXT
	says() {
		local status=0

		keyctl session - keyagent hook --list "$list" "${@:4}" >"$work/out" 2>"$work/hook.log" \
			<<<"{\"id\": \"x\", \"annotations\": {\"keyagent.agent\": \"$1\"}}" || status=$?
		expect "status for $1" "$2" "$status"
		grep -qF -- "$3" "$work/hook.log" || fail "with $1 the hook does not say: $3"
	}
	make_secrets
	printf '%s\n' said keyagent-others >"$list"
	daemon said user "$rules"
	says @u 1 '"@u" is not the name of an agent'
	says "$(ring said)" 1 'is not the name of an agent'
	says nobody 1 "agent nobody: it is not in $list; if containers may have this agent"
	says keyagent-others 1 "of type user; every subscriber of the keyring could use that key"
	chmod 666 "$list"
	says said 1 'others than its owner may write it (mode 666)'
	chmod 644 "$list"
	ring=$(ring said)
	keyctl setperm "$ring" 0x3f3f3f3f
	keyctl chown "$ring" 1000
	says said 1 "keyring $ring belongs to user 1000, not to user 0"
	keyctl chown "$ring" 0
	kill -TERM "$daemon"
	wait "$daemon"
	says said 1 "the agents in keyring $ring are dead: they have ended"
	says said 1 "are dead: they have ended" --wait 0.5
	says said 0 '' --allow-dead
}

test_crun_annotations() { annotations crun; }
test_runc_annotations() { annotations runc; }

# Podman has the hook from its own file. It is slow: one container of each kind.
test_podman_annotation() {
	local secret

	need busybox podman
	make_secrets
	echo web >"$list"
	daemon web user "$rules"
	expect "with the agent that is listed" apple \
		"$(contain podman web /bin/ask user fruit '' 2>"$work/container.log")"
	refused podman @u
}

test_crun_dead_agent() { dead_agent crun; }
test_runc_dead_agent() { dead_agent runc; }

run_tests nothing_of_the_container_runs hook_says_why {crun,runc}_{annotations,dead_agent} \
	podman_annotation
