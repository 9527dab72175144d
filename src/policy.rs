// SPDX-License-Identifier: GPL-2.0

//! Who may answer whom.
//!
//! The authority to construct a key opens the requester's keyrings, so an agent has to be one
//! that could take control of the requester anyway. Pure functions over plain data: the caller
//! reads the data from the tasks as they are at that moment.

/// The four user ids of a task, in the initial user namespace's terms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uids {
    /// Who the task is.
    pub(crate) real: u32,
    /// As whom it acts.
    pub(crate) effective: u32,
    /// As whom it may act again.
    pub(crate) saved: u32,
    /// As whom it uses files and keys.
    pub(crate) fs: u32,
}

impl Uids {
    /// The one id that all four are, if they are one.
    fn single(self) -> Option<u32> {
        let one = self.real;
        (self.effective == one && self.saved == one && self.fs == one).then_some(one)
    }
}

/// How an agent stands to one set of credentials that its authority would open.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    /// The agent's ids.
    pub(crate) agent: Uids,
    /// The ids in the credentials.
    pub(crate) other: Uids,
    /// Whether both live in the same user namespace.
    pub(crate) same_user_ns: bool,
    /// Whether the agent has CAP_SYS_PTRACE in the user namespace of the credentials.
    pub(crate) may_trace: bool,
}

impl Standing {
    /// Whether the agent could act as the owner of the credentials already.
    fn dominates(self) -> bool {
        self.may_trace
            || (self.same_user_ns
                && self
                    .agent
                    .single()
                    .is_some_and(|uid| self.other.single() == Some(uid)))
    }
}

/// Whether an agent may answer a request that would open the credentials of `standings`.
///
/// The answer to a request that the kernel makes for itself, under credentials that override the
/// requester's, can serve the whole system: it takes an agent that may administer that.
pub(crate) fn may_answer(
    standings: &[Standing],
    is_overridden: bool,
    may_administer_system: bool,
) -> bool {
    standings.iter().all(|standing| standing.dominates())
        && (!is_overridden || may_administer_system)
}

#[kernel::macros::kunit_tests(keyagent_policy)]
mod tests {
    use super::*;

    fn uids(real: u32, effective: u32, saved: u32, fs: u32) -> Uids {
        Uids {
            real,
            effective,
            saved,
            fs,
        }
    }

    const USER: Uids = Uids {
        real: 1000,
        effective: 1000,
        saved: 1000,
        fs: 1000,
    };

    fn plain(agent: Uids, other: Uids) -> bool {
        let standing = Standing {
            agent,
            other,
            same_user_ns: true,
            may_trace: false,
        };
        may_answer(&[standing], false, false)
    }

    #[test]
    fn same_user_may_answer() {
        assert!(plain(USER, USER));
    }

    #[test]
    fn each_uid_of_the_requester_counts() {
        assert!(!plain(USER, uids(0, 1000, 1000, 1000)));
        assert!(!plain(USER, uids(1000, 0, 1000, 1000)));
        assert!(!plain(USER, uids(1000, 1000, 0, 1000)));
        assert!(!plain(USER, uids(1000, 1000, 1000, 0)));
        assert!(!plain(USER, uids(0, 0, 0, 0)));
    }

    #[test]
    fn each_uid_of_the_agent_counts() {
        assert!(!plain(uids(0, 1000, 1000, 1000), USER));
        assert!(!plain(uids(1000, 0, 1000, 1000), USER));
        assert!(!plain(uids(1000, 1000, 0, 1000), USER));
        assert!(!plain(uids(1000, 1000, 1000, 0), USER));
        assert!(!plain(uids(0, 0, 0, 0), USER));
    }

    #[test]
    fn equal_but_mixed_uids_do_not_suffice() {
        let mixed = uids(1000, 0, 0, 0);
        assert!(!plain(mixed, mixed));
    }

    #[test]
    fn the_same_uid_elsewhere_is_another_user() {
        let standing = Standing {
            agent: USER,
            other: USER,
            same_user_ns: false,
            may_trace: false,
        };
        assert!(!may_answer(&[standing], false, false));
    }

    #[test]
    fn who_may_trace_may_answer() {
        let standing = Standing {
            agent: uids(0, 0, 0, 0),
            other: USER,
            same_user_ns: false,
            may_trace: true,
        };
        assert!(may_answer(&[standing], false, false));
    }

    #[test]
    fn every_standing_counts() {
        let good = Standing {
            agent: USER,
            other: USER,
            same_user_ns: true,
            may_trace: false,
        };
        let bad = Standing {
            other: uids(0, 0, 0, 0),
            ..good
        };
        assert!(may_answer(&[good, good], false, false));
        assert!(!may_answer(&[good, bad], false, false));
        assert!(!may_answer(&[bad, good], false, false));
    }

    #[test]
    fn overridden_credentials_take_an_administrator() {
        let standing = Standing {
            agent: uids(0, 0, 0, 0),
            other: uids(0, 0, 0, 0),
            same_user_ns: true,
            may_trace: true,
        };
        assert!(!may_answer(&[standing], true, false));
        assert!(may_answer(&[standing], true, true));
    }

    #[test]
    fn an_administrator_has_to_dominate_too() {
        let standing = Standing {
            agent: USER,
            other: uids(0, 0, 0, 0),
            same_user_ns: true,
            may_trace: false,
        };
        assert!(!may_answer(&[standing], true, true));
    }
}
