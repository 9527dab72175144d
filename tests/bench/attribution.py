# SPDX-License-Identifier: GPL-2.0
"""To which part of a request each instruction belongs.

The stack pointer tells which task, or which interrupt, executes an instruction, and
when a function is entered and left. So each instruction is known with the functions
that it was called from, and belongs to the innermost of those that name a part.
"""

import bisect
import collections
import re

STACK_SIZE = 16384
USER_SPACE_END = 1 << 47

# By function. What that calls belongs to its part, unless it has a part of its own.
PARTS = {
    "__x64_sys_request_key": "request_key",
    "keyctl_keyring_unlink": "requester-unlink",
    "keyctl_assume_authority": "agent-assume",
    "keyctl_instantiate_key": "agent-instantiate",
    "keyctl_instantiate_key_common": "agent-instantiate",
    "ksys_read": "agent-read",
    "key_garbage_collector": "key-gc",
    "__schedule": "switch",
    "cpu_startup_entry": "idle",
    "do_idle": "idle",
    "rcu_core": "rcu",
    "rcu_gp_kthread": "rcu",
    "rcu_gp_init": "rcu",
    "rcu_gp_fqs_loop": "rcu",
    "rcu_gp_cleanup": "rcu",
    "kthread": "workers",
    "worker_thread": "workers",
    "process_scheduled_works": "workers",
    "asm_common_interrupt": "interrupts",
    "asm_sysvec_apic_timer_interrupt": "interrupts",
    "__sysvec_apic_timer_interrupt": "interrupts",
    "handle_softirqs": "interrupts",
    "ftrace_ops_assist_func": "detour",
    "ftrace_trampoline": "detour",
    "ftrace_caller": "detour",
    "ftrace_regs_caller": "detour",
}
# These are for later: whenever that is, it is no part of one request.
LATER = {"key-gc", "idle", "rcu", "workers", "interrupts"}
# The module's own code, and what it calls that is not the key service's.
MODULE = "module"
SIGNAL = {"send_sig_info", "do_send_sig_info"}
ORIGINAL = "call_sbin_request_key"
WAIT = "out_of_line_wait_on_bit_timeout"


class Symbols:
    """The functions of the kernel and of the module, by address."""

    def __init__(self, kallsyms, key_service):
        functions = {}
        for line in kallsyms:
            address, kind, name, *module = line.split()
            if kind in "tTwW":
                # Of several names at an address the first one counts.
                functions.setdefault(
                    int(address, 16), (name, "[keyagent]" in module)
                )
        self.addresses = sorted(functions)
        self.functions = [functions[address] for address in self.addresses]
        self.key_service = key_service

    def find(self, address):
        """The number of the function at an address, and whether that is its entry."""
        number = bisect.bisect_right(self.addresses, address) - 1
        return number, self.addresses[number] == address

    def part(self, number, outer):
        """The part of a function that is called from the part `outer`."""
        name, in_module = self.functions[number]
        if in_module:
            return MODULE
        if name == "__schedule" or not outer.startswith(MODULE):
            return PARTS.get(name, outer)
        if outer == MODULE:
            if name == ORIGINAL:
                return "upcall"
            if name in self.key_service:
                return MODULE + "-key-service"
            if name in SIGNAL:
                return MODULE + "-signal"
            if name == WAIT:
                return MODULE + "-wait"
        return outer


def steps(trace):
    """The instructions: RIP and RSP of each, before it was executed."""
    rsp = 0
    registers = re.compile(rb"RSP=([0-9a-f]{16})|^RIP=([0-9a-f]{16})")
    for line in trace:
        match = registers.search(line)
        if not match:
            continue
        if match.group(1):
            rsp = int(match.group(1), 16)
        else:
            yield int(match.group(2), 16), rsp


class Stack:
    """One task's, or one kind of interrupt's: the calls in progress."""

    def __init__(self):
        # Each with its function, the stack pointer at its entry, and its part.
        self.calls = []
        # Of the module's actor: before the signal, or after it.
        self.phase = "later"

    def enter(self, number, rsp, symbols):
        """A function is entered."""
        outer = self.calls[-1][2] if self.calls else "entry"
        if self.calls and self.calls[-1][1] == rsp:
            # A tail call: the caller's part, and its place.
            self.calls.pop()
        part = symbols.part(number, outer)
        if part == MODULE and not outer.startswith(MODULE):
            self.phase = "later" if outer in LATER else "hand-over"
        elif part == MODULE + "-signal":
            # From here on the request is the agent's.
            self.phase = "settle"
        self.calls.append((number, rsp, part))

    def leave(self, rsp):
        """Functions that were entered with less on the stack have returned."""
        while self.calls and self.calls[-1][1] < rsp:
            self.calls.pop()

    def part(self, number, symbols):
        """The part that is executed, in the function `number`."""
        if not self.calls:
            return symbols.part(number, "entry")
        part = self.calls[-1][2]
        if part in (MODULE + "-signal", MODULE + "-wait"):
            return part.removeprefix(MODULE + "-")
        return part.replace(MODULE, self.phase, 1)


def attribute(instructions, symbols):
    """Counts instructions by part, and by part and function."""
    parts = collections.Counter()
    functions = collections.Counter()
    stacks = collections.defaultdict(Stack)
    for rip, rsp in instructions:
        if rip < USER_SPACE_END:
            parts["user"] += 1
            continue
        if rsp < USER_SPACE_END:
            # On its way in or out.
            parts["entry"] += 1
            continue
        stack = stacks[rsp // STACK_SIZE]
        stack.leave(rsp)
        number, is_entry = symbols.find(rip)
        if is_entry:
            stack.enter(number, rsp, symbols)
        part = stack.part(number, symbols)
        parts[part] += 1
        functions[(part, symbols.functions[number][0])] += 1
    return parts, functions
