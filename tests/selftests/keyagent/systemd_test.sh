#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The units of keyagentd under a systemd that is booted in a container without
# namespaces of users: they start, their sandbox leaves handlers what these need, and
# whoever subscribed is served after a restart, too. Skipped without systemd-nspawn.

set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
slow=${KEYAGENT_SLOW:-1}

# --- In the container, as a service ------------------------------------------

agent=keyagentd@test

# Requests key $2 of type $1, and prints its payload.
ask() {
	local id

	id=$(keyctl request2 "$1" "$2" "${3:-info}" @s) && keyctl pipe "$id"
}

main_pid() {
	systemctl show -P MainPID "$agent"
}

agent_key() {
	keyctl search "$ring" keyagent user
}

# One of the numbers that the agent's key shows.
counter() {
	keyctl print "$(agent_key)" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

# Whether what $1 is of main process $2 has the value $3.
status_has() {
	[ "$(sed -n "s/^$1:[[:blank:]]*//p" "/proc/$2/status")" = "$3" ]
}

starts() {
	systemctl is-active "$agent" &&
		systemctl status --no-pager "$agent" | grep 'Status: "answering for'
}

# With a session keyring that has no link to the user keyring, as the daemon itself.
serves() {
	[ "$(ask user const:a)" = before ] &&
		[ "$(ask user debug:x hello)" = 'Debug hello' ] &&
		[ "$(ask user file:a)" = contents ]
}

# To the requester that looks like a rejected request.
gives_back() {
	local before

	before=$(counter declined)
	[ "$(ask user nobody:x 2>&1)" = 'request_key: Required key not available' ] &&
		[ "$(counter declined)" = $((before + 1)) ]
}

# What cifs.upcall does, and what nobody has to do. Some capabilities are taken away by name,
# others by ProtectClock= and its like.
confines_handlers() {
	status_has CapBnd "$(main_pid)" 00000000a1ac45ff || return
	[ "$(ask user probe:x)" = probed ] || return
	sort /tmp/probed
	[ "$(sort /tmp/probed | tr '\n' ' ')" = 'cannot-etc cannot-usr environ ids namespaces stored ' ]
}

restarts() {
	local old i

	old=$(main_pid)
	kill -KILL "$old"
	for ((i = 0; i < 30 * slow; i++)); do
		sleep 1
		case $(main_pid) in
		0 | "$old") ;;
		*) systemctl is-active "$agent" && break ;;
		esac
	done
	[ "$(ask user const:b)" = before ]
}

# A mistake is refused, by the daemon and by systemctl, and correct rules are not.
reloads() {
	echo 'create user' >>/etc/keyagentd.conf
	systemctl reload "$agent" && return 1
	[ "$(ask user const:c)" = before ] || return
	sed -i -e '$d' -e 's/before/after/' /etc/keyagentd.conf
	systemctl reload "$agent" || return
	# The signal was sent; when it was read is not said.
	for _ in 1 2 3 4 5; do
		sleep 1
		[ "$(ask user "const:$RANDOM")" = after ] && return 0
	done
	return 1
}

# It answers what it has accepted, although it has been told to end. Its key shows that it takes no
# more: nobody may search it.
drains() {
	local answer=/tmp/answer key

	key=$(agent_key)
	(ask user slow:x >$answer) &
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ -e /tmp/slow ] && break
		sleep 0.5
	done
	systemctl stop "$agent" || return
	wait
	[ "$(cat $answer)" = slow ] && ! systemctl is-failed "$agent" &&
		[[ $(keyctl rdescribe "$key") = *';00030000;user' ]]
}

# The drop-in of Documentation/admin-guide/keyagentd.rst: with no_new_privs, and two
# capabilities, it answers those who have all and not that.
answers_hardened() {
	mkdir -p "/etc/systemd/system/$agent.service.d"
	cp /opt/test/built-in.conf "/etc/systemd/system/$agent.service.d/"
	systemctl daemon-reload && systemctl start "$agent" || return
	status_has NoNewPrivs "$(main_pid)" 1 && status_has CapEff "$(main_pid)" 0000000000280000 &&
		status_has NoNewPrivs self 0 &&
		[ "$(ask user const:d)" = after ] && [ "$(ask user file:d)" = contents ]
}

readonly TESTS='starts serves gives_back confines_handlers restarts reloads drains answers_hardened'

inside() {
	local name ring

	if [ "${1:-}" != subscribed ]; then
		exec keyctl session - "$BASH" "$0" inside subscribed
	fi
	ring=$(keyctl search @u keyring keyagentd-test) && keyctl link "$ring" @s
	for name in $TESTS; do
		"$name" >/tmp/said 2>&1
		echo "$? $name" >>/out/results
		sed 's/^/# /' /tmp/said >>/out/results
	done
	journalctl -o cat --no-pager _SYSTEMD_UNIT="$agent.service" + UNIT="$agent.service" |
		sed 's/^/# journal: /' >>/out/results
}

# A handler.
probe() {
	{
		nsenter --target 1 --mount --net --uts --ipc true && echo namespaces
		cat /proc/1/environ >/dev/null && echo environ
		setpriv --reuid 65534 --regid 65534 --clear-groups true && echo ids
		touch /run/stored /var/tmp/stored && echo stored
		touch /usr/stored || echo cannot-usr
		touch /etc/stored || echo cannot-etc
	} >/tmp/probed
	keyctl instantiate "$1" probed "$2"
}

case ${1:-} in
inside | probe)
	"$@"
	exit
	;;
esac

# --- Outside -----------------------------------------------------------------

# shellcheck disable=SC1091 # the kernel's, beside us in the installed layout
. "$here/../kselftest/ktap_helpers.sh"

skip_all() {
	ktap_skip_all "$*"
	exit "$KSFT_SKIP"
}

find_in() {
	local name=$1 dir
	shift

	for dir; do
		[ -e "$dir/$name" ] && (cd "$dir" && pwd -P) && return
	done
	return 1
}

# A rule's lines, the units, and a target that needs little of a system.
furnish() {
	local root=$1 unit

	mkdir -p "$root"/{opt/test,out,usr/local/sbin}
	cp "$0" "$root/opt/test/test"
	install -m 755 "$tools/keyagentd" "$root/usr/local/sbin/"
	for unit in keyagentd keyagentd@; do
		cp "$units/$unit.service" "$root/etc/systemd/system/"
	done
	cat >"$root/etc/default/keyagentd-test" <<-END
	KEYAGENTD_TYPE=user
	KEYAGENTD_ARGS=-v
	END
	printf contents >"$root/etc/contents"
	cat >"$root/etc/keyagentd.conf" <<-END
	create user const:* * @constant before
	create user file:* * @file /etc/contents
	create user probe:* * /bin/bash /opt/test/test probe %k %S
	create user slow:* * /bin/sh /opt/test/slow %k %S
	END
	cat >"$root/opt/test/slow" <<-END
	touch /tmp/slow
	sleep 3
	keyctl instantiate \$1 slow \$2
	END
	cat >"$root/opt/test/built-in.conf" <<-END
	[Service]
	CapabilityBoundingSet=
	CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_PTRACE
	MemoryDenyWriteExecute=yes
	NoNewPrivileges=yes
	PrivateNetwork=yes
	PrivateTmp=yes
	ProtectHome=yes
	ProtectHostname=yes
	ProtectProc=invisible
	ProtectSystem=strict
	RestrictAddressFamilies=
	RestrictAddressFamilies=AF_UNIX
	RestrictNamespaces=yes
	END
	cat >"$root/etc/systemd/system/inside.service" <<-END
	[Unit]
	Wants=keyagentd@test.service
	After=keyagentd@test.service basic.target
	SuccessAction=exit-force
	FailureAction=exit-force
	[Service]
	Type=oneshot
	ExecStart=/bin/bash /opt/test/test inside
	TimeoutStartSec=infinity
	END
	cat >"$root/etc/systemd/system/test.target" <<-END
	[Unit]
	Requires=basic.target inside.service
	AllowIsolate=yes
	END
	for unit in systemd-udevd systemd-udev-trigger systemd-binfmt; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
	done
	: >"$root/etc/machine-id"
}

ktap_print_header
[ "$(id -u)" = 0 ] || skip_all "not root"
for cmd in systemd-nspawn keyctl nsenter setpriv; do
	command -v "$cmd" >/dev/null || skip_all "no $cmd"
done
grep -q '^keyagent ' /proc/modules || skip_all "the module is not loaded"
tools=$(find_in keyagentd "${KEYAGENT_TOOLS:-/nowhere}" "$here/../../../build/keyagentd/release") ||
	skip_all "no keyagentd: set KEYAGENT_TOOLS to its directory"
units=$(find_in keyagentd@.service "$here/systemd" "$here/../../../tools/keyagentd/systemd") ||
	skip_all "no units"

base=$(mktemp -d "${TMPDIR:-/tmp}/systemd-test.XXXXXX")
trap 'umount -l "$base/root" "$base"; rmdir "$base"' EXIT
{ mount -t tmpfs keyagent "$base" && mkdir "$base"/{upper,work,root,out}; } || skip_all "no tmpfs"
mount -t overlay keyagent "$base/root" \
	-o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" || skip_all "no overlay file system"
furnish "$base/root" || ktap_exit_fail_msg "the container cannot be furnished"

timeout $((300 * slow)) systemd-nspawn --quiet --register=no --keep-unit --directory="$base/root" \
	--capability=all --system-call-filter=@keyring --bind="$base/out:/out" --console=pipe \
	--boot systemd.unit=test.target systemd.log_level=warning </dev/null 2>&1 |
	tail -n 50 | sed 's/^/# console: /'

read -ra names <<<"$TESTS"
ktap_set_plan "${#names[@]}"
grep '^#' "$base/out/results"
for name in "${names[@]}"; do
	if grep -qx "0 $name" "$base/out/results"; then
		ktap_test_pass "$name"
	else
		ktap_test_fail "$name"
	fi
done
ktap_finished
