# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Containers for the tests of keyagentd: a root file system with busybox, keyctl and an
# agent's programs, and how each runtime runs a command in it. Sourced, after keyagentd.sh.

: "${here:?}" "${base=}" "${work=}" "${slow:?}"

hooks=$here/oci

# offer NAME TYPE[,TYPE] RULES [OPTION]...: as daemon, and containers may have this agent.
offer() {
	daemon "$@"
	mkdir -p /etc/keyagent
	echo "$1" >>/etc/keyagent/containers
}

# outside: hooks that run in a container's user namespace, where the keyrings of the host's
# root are not found by their names, and are those of a user who is not there.
outside() {
	local list=$work/containers name

	for name; do
		echo "$name $(ring "$name")" >>"$list"
	done
	cp -r "$hooks" "$work/oci"
	hooks=$work/oci
	sed -i "s|\"/etc/keyagent/containers\"|\"$list\", \"--owner\", \"65534\"|" \
		"$hooks/hooks.json" "$hooks/hooks.d/keyagent.json"
	chmod 755 "$work"
}

# make_root DIR: programs with their libraries, and what an agent in there needs.
make_root() {
	local lib name programs

	mapfile -t programs < <(command -v busybox keyctl keyagent keyagentd key.dns_resolver)
	mkdir -p "$1"/{bin,proc,sys,dev,etc,tmp,run,root,var,usr/lib}
	cp "${programs[@]}" "$1/bin/"
	for name in sh cat ls id sed sleep true test mount; do
		ln -s busybox "$1/bin/$name"
	done
	for lib in $(ldd "${programs[@]}" 2>/dev/null |
		grep -o '/[^ :)]*' | grep '\.so' | sort -u); do
		mkdir -p "$1${lib%/*}"
		cp "$lib" "$1$lib"
	done
	echo 'ID=keyagent' | tee "$1/etc/os-release" >"$1/usr/lib/os-release"
	# What podman mounts on, which the root of a user namespace could not make here.
	touch "$1/run/.containerenv" "$1/etc"/{hostname,resolv.conf}
	echo '192.0.2.7 inside.keyagent.example' >"$1/etc/hosts"
	echo 'hosts: files' >"$1/etc/nsswitch.conf"
	echo 'create dns_resolver * * /bin/key.dns_resolver %k' >"$1/etc/keyagentd.conf"
	# What a container runs: asks for a key of type $1, and prints its payload.
	cat >"$1/bin/ask" <<'END'
#!/bin/sh
id=$(keyctl request2 "$1" "$2" "$3" @s) && keyctl pipe "$id"
END
	chmod 755 "$1/bin/ask"
	chmod -R a+rX "$1"
}

json_list() {
	local word sep=''

	for word; do
		printf '%s"%s"' "$sep" "$word"
		sep=', '
	done
}

# bundle DIR AGENT ROOT COMMAND...: an OCI bundle for a container whose session is to have
# AGENT (if it is not empty), by the hooks of hooks.json. $user_ns: in a user namespace;
# $seccomp: with a filter that refuses these calls.
bundle() {
	local dir=$1 agent=$2 root=$3 annotations='' maps='' ns='' filter=''
	shift 3

	mkdir -p "$dir"
	[ -z "$agent" ] || annotations="\"keyagent.agent\": \"$agent\""
	if [ -n "${user_ns:-}" ]; then
		ns=', {"type": "user"}'
		maps='"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
		"gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],'
	fi
	if [ -n "${seccomp:-}" ]; then
		# shellcheck disable=SC2086 # a list of names
		filter='"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names":
			['$(json_list $seccomp)'], "action": "SCMP_ACT_ERRNO"}]},'
	fi
	cat >"$dir/config.json" <<END
{
	"ociVersion": "1.0.0",
	"process": {
		"terminal": false,
		"user": {"uid": 0, "gid": 0},
		"args": [$(json_list "$@")],
		"env": ["PATH=/bin"],
		"cwd": "/",
		"capabilities": {
			"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]
		},
		"noNewPrivileges": true
	},
	"root": {"path": "$root", "readonly": true},
	"hostname": "container",
	"mounts": [
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
			"options": ["nosuid", "mode=755", "size=1m"]}
	],
	"annotations": {$annotations},
	"hooks": $(cat "$hooks/hooks.json"),
	"linux": {
		$maps
		$filter
		"namespaces": [
			{"type": "pid"}, {"type": "network"}, {"type": "ipc"},
			{"type": "uts"}, {"type": "mount"}$ns
		],
		"maskedPaths": ["/proc/keys"]
	}
}
END
}

# contain RUNTIME AGENT COMMAND...: runs it in a container of its own that is served by
# AGENT (by nobody if empty), in $root. Where a runtime has no hooks, this is what the
# documentation says to do.
containers=0
contain() {
	local runtime=$1 agent=$2 id
	shift 2

	containers=$((containers + 1))
	id=keyagent-$BASHPID-$containers
	case $runtime in
	crun | runc)
		bundle "$work/$id" "$agent" "$root" "$@"
		"$runtime" run --bundle "$work/$id" "$id"
		;;
	podman)
		# The names of its sockets must be short.
		podman --root "$work/podman" --runroot "$base/podman" --storage-driver vfs \
			--cgroup-manager cgroupfs --events-backend none --hooks-dir "$hooks/hooks.d" \
			${runtime_of_podman:+--runtime "$runtime_of_podman"} \
			run --rm --network none --log-driver none \
			--security-opt "seccomp=${profile:-unconfined}" \
			${user_ns:+--uidmap 0:100000:65536 --gidmap 0:100000:65536} \
			${agent:+--annotation "keyagent.agent=$agent"} --rootfs "$root" "$@"
		;;
	bwrap)
		${agent:+keyagent exec --agent "$agent" --} bwrap --ro-bind "$root" / \
			--proc /proc --dev /dev --unshare-all --die-with-parent "$@"
		;;
	nspawn)
		# shellcheck disable=SC2016 # for the shell in there
		systemd-nspawn --quiet --register=no --keep-unit --pipe --read-only \
			--resolv-conf off --timezone off \
			--directory "$root" --machine "$id" --system-call-filter=@keyring \
			/bin/sh -c '[ -z "$0" ] || keyagent link --agent "$0" || exit 1; exec "$@"' \
			"${agent:+$(ring "$agent")}" "$@"
		;;
	esac
}

runtime_command() {
	case $1 in
	nspawn) echo systemd-nspawn ;;
	*) echo "$1" ;;
	esac
}
