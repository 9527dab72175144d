// SPDX-License-Identifier: GPL-2.0

//! How requests end, in words and in numbers.
//!
//! Every request that came to the module has exactly one outcome: how the agent's part in it ended,
//! or why no agent had one.

use crate::sys::debugfs::Show;
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// Defines the outcomes, each with the name by which user space knows it.
macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)+) => {
        /// How a request ended.
        #[derive(Clone, Copy)]
        pub(crate) enum Outcome {
            $($(#[$doc])* $variant,)+
        }

        impl Outcome {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name, as in `Documentation/admin-guide/keyagent.rst`.
            pub(crate) fn name(self) -> &'static CStr {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

outcomes! {
    /// The agent instantiated the key.
    Served => c"served",
    /// The agent rejected or negated the key.
    Rejected => c"rejected",
    /// The agent gave the request back; the original upcall got it.
    Declined => c"declined",
    /// The agent ended and nobody had taken the authority; the original upcall got the request.
    DiedUntaken => c"died_untaken",
    /// The agent ended, and somebody may have the authority.
    Died => c"died",
    /// The agent invalidated the authorisation key.
    Invalidated => c"invalidated",
    /// No answer came in time.
    TimedOut => c"timed_out",
    /// The requester was killed.
    Killed => c"killed",
    /// The requester was frozen; its system call is restarted.
    Frozen => c"frozen",
    /// The requester's session keyring has no agent key for the type.
    NoAgent => c"no_agent",
    /// The requester is a kernel thread or a worker.
    Worker => c"worker",
    /// The requester had been killed before the request.
    Dying => c"dying",
    /// The task is to freeze, for a suspend or by cgroup v1, and the kernel asks for itself: that
    /// cannot be restarted.
    Suspending => c"suspending",
    /// The threads of all agents that were found have ended.
    DeadAgent => c"dead_agent",
    /// The agent was executing a new program.
    InExec => c"in_exec",
    /// The agent is the requester's own process.
    OwnProcess => c"own_process",
    /// The agent waits for the requester, directly or through others.
    Cycle => c"cycle",
    /// The agent has no process keyring any more.
    NoProcessKeyring => c"no_process_keyring",
    /// The agent key was revoked, expired or invalidated just now.
    Withdrawn => c"withdrawn",
    /// The rule denies the authority: the agent is in another user namespace.
    DeniedUserNamespace => c"denied_user_ns",
    /// The rule denies the authority: the agent's pid namespace does not have the requester.
    DeniedPidNamespace => c"denied_pid_ns",
    /// The rule denies the authority: the agent is another user.
    DeniedUser => c"denied_user",
    /// The rule denies the authority: the agent is in another group.
    DeniedGroup => c"denied_group",
    /// The rule denies the authority: the agent lacks capabilities of the requester.
    DeniedCapabilities => c"denied_capabilities",
    /// The rule denies the authority: the requester is not dumpable.
    DeniedNotDumpable => c"denied_not_dumpable",
    /// The rule denies the authority: the requester has another security label than the agent.
    DeniedLabel => c"denied_label",
    /// The rule denies the authority: the agent has no_new_privs and the requester has not.
    DeniedNoNewPrivs => c"denied_no_new_privs",
    /// The rule denies the authority: the kernel asks for itself and the agent lacks
    /// `CAP_SYS_ADMIN`.
    DeniedOverridden => c"denied_overridden",
    /// The requester does not possess the destination keyring.
    DeniedDestination => c"denied_destination",
    /// The agent has as many requests as it or one of its tenants may have.
    Busy => c"busy",
    /// The agent would ignore the signal or be killed by it.
    Deaf => c"deaf",
    /// The authorisation key could not be linked for the agent, mostly for its key quota.
    NotLinked => c"not_linked",
    /// The kernel was short of memory.
    NoMemory => c"no_memory",
}

impl Outcome {
    /// Whether the agent was found and not allowed to have the authority.
    fn is_denial(self) -> bool {
        matches!(
            self,
            Self::DeniedUserNamespace
                | Self::DeniedPidNamespace
                | Self::DeniedUser
                | Self::DeniedGroup
                | Self::DeniedCapabilities
                | Self::DeniedNotDumpable
                | Self::DeniedLabel
                | Self::DeniedNoNewPrivs
                | Self::DeniedOverridden
                | Self::DeniedDestination
        )
    }
}

/// How often each outcome came, for the whole system.
pub(crate) struct Counters([Atomic<u64>; Outcome::ALL.len()]);

impl Counters {
    /// All zero.
    pub(crate) const fn new() -> Self {
        Self([const { Atomic::new(0) }; Outcome::ALL.len()])
    }

    /// Counts one request.
    pub(crate) fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.0.get(outcome as usize) {
            counter.add(1, Relaxed);
        }
    }

    fn get(&self, outcome: Outcome) -> u64 {
        self.0
            .get(outcome as usize)
            .map_or(0, |counter| counter.load(Relaxed))
    }
}

/// What one agent did, as far as its key shows it.
pub(crate) struct Tally {
    pub(crate) served: Atomic<u64>,
    pub(crate) rejected: Atomic<u64>,
    pub(crate) timed_out: Atomic<u64>,
    pub(crate) died: Atomic<u64>,
    pub(crate) declined: Atomic<u64>,
    pub(crate) denied: Atomic<u64>,
    pub(crate) busy: Atomic<u64>,
}

impl Tally {
    /// All zero.
    pub(crate) const fn new() -> Self {
        Self {
            served: Atomic::new(0),
            rejected: Atomic::new(0),
            timed_out: Atomic::new(0),
            died: Atomic::new(0),
            declined: Atomic::new(0),
            denied: Atomic::new(0),
            busy: Atomic::new(0),
        }
    }

    /// Counts one request for which the agent was found.
    pub(crate) fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Served => &self.served,
            Outcome::Rejected => &self.rejected,
            Outcome::TimedOut => &self.timed_out,
            Outcome::Died | Outcome::DiedUntaken => &self.died,
            Outcome::Declined => &self.declined,
            Outcome::Busy => &self.busy,
            outcome if outcome.is_denial() => &self.denied,
            _ => return,
        };
        counter.add(1, Relaxed);
    }
}

impl Show for Counters {
    /// One line for each outcome: its name and a number.
    fn show(&self, out: &SeqFile) {
        for &outcome in Outcome::ALL {
            seq_print!(out, "{} {}\n", outcome.name(), self.get(outcome));
        }
    }
}

#[kernel::macros::kunit_tests(keyagent_outcome)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_counted_by_itself() {
        let counters = Counters::new();
        for (number, &outcome) in Outcome::ALL.iter().enumerate() {
            for _ in 0..=number {
                counters.count(outcome);
            }
        }
        for (number, &outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(counters.get(outcome), number as u64 + 1);
        }
    }

    #[test]
    fn a_denial_of_each_kind_is_tallied_as_one() {
        let tally = Tally::new();
        tally.count(Outcome::DeniedUser);
        tally.count(Outcome::DeniedDestination);
        tally.count(Outcome::NoAgent);
        assert_eq!(tally.denied.load(Relaxed), 2);
        assert_eq!(tally.served.load(Relaxed), 0);
    }

    #[test]
    fn names_are_unique() {
        for (number, outcome) in Outcome::ALL.iter().enumerate() {
            for other in &Outcome::ALL[..number] {
                assert!(outcome.name().to_bytes() != other.name().to_bytes());
            }
        }
    }
}
