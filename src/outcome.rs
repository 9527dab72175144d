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
    /// The agent went when nobody had taken the authority; the original upcall got the request.
    DiedUntaken => c"died_untaken",
    /// The agent went, and may have left the authority with somebody.
    Died => c"died",
    /// The agent invalidated the authorisation key.
    Invalidated => c"invalidated",
    /// No answer came in time.
    TimedOut => c"timed_out",
    /// The requester had a signal to see to.
    Interrupted => c"interrupted",
    /// There is no agent key for the type in the requester's session keyring.
    NoAgent => c"no_agent",
    /// The requester is a kernel thread or a worker of one.
    Worker => c"worker",
    /// All the agents found were gone.
    DeadAgent => c"dead_agent",
    /// The agent was just changing its program.
    InExec => c"in_exec",
    /// The agent is the requester's own process.
    OwnProcess => c"own_process",
    /// The agent waits for the requester, directly or through others.
    Cycle => c"cycle",
    /// The agent has no process keyring any more.
    NoProcessKeyring => c"no_process_keyring",
    /// The agent key was revoked, expired or invalidated just now.
    Withdrawn => c"withdrawn",
    /// The agent may not have the authority: it lives in another user namespace.
    DeniedUserNamespace => c"denied_user_ns",
    /// The same: it is another user.
    DeniedUser => c"denied_user",
    /// The same: it is in another group.
    DeniedGroup => c"denied_group",
    /// The same: the requester has capabilities that it lacks.
    DeniedCapabilities => c"denied_capabilities",
    /// The same: the requester is not dumpable.
    DeniedNotDumpable => c"denied_not_dumpable",
    /// The same: it cannot gain privileges, and the requester can.
    DeniedNoNewPrivs => c"denied_no_new_privs",
    /// The same: the kernel asks for itself, and it is no administrator.
    DeniedOverridden => c"denied_overridden",
    /// The signal would be ignored by the agent, or kill it.
    Deaf => c"deaf",
    /// The authorisation key could not be linked for the agent: for its quota, as a rule.
    NotLinked => c"not_linked",
    /// The kernel was short of memory.
    NoMemory => c"no_memory",
}

/// How often each outcome came.
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

    /// How many requests ended like that.
    pub(crate) fn get(&self, outcome: Outcome) -> u64 {
        self.0
            .get(outcome as usize)
            .map_or(0, |counter| counter.load(Relaxed))
    }

    /// How many requests were denied to the agent, for whatever reason.
    pub(crate) fn denied(&self) -> u64 {
        [
            Outcome::DeniedUserNamespace,
            Outcome::DeniedUser,
            Outcome::DeniedGroup,
            Outcome::DeniedCapabilities,
            Outcome::DeniedNotDumpable,
            Outcome::DeniedNoNewPrivs,
            Outcome::DeniedOverridden,
        ]
        .into_iter()
        .map(|outcome| self.get(outcome))
        .sum()
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
    fn names_are_unique() {
        for (number, outcome) in Outcome::ALL.iter().enumerate() {
            for other in &Outcome::ALL[..number] {
                assert!(outcome.name().to_bytes() != other.name().to_bytes());
            }
        }
    }
}
