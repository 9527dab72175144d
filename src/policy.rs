// SPDX-License-Identifier: GPL-2.0

//! Who may answer whom.
//!
//! The authority to construct a key opens the keyrings of the requester, and lets the agent decide
//! what the requester believes. So an agent has to be one that could take control of the requester
//! anyway: who could trace it. [`judge`] is the whole rule. Pure functions over plain data: the
//! caller reads the data from the tasks as they are at that moment.
//!
//! `Documentation/security/keys/keyagent-policy.rst` gives the reason for each clause.

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

use crate::outcome::Outcome;

/// The four ids of one kind, of users or of groups, that a task has, in the initial user
/// namespace's terms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Who the task is.
    pub(crate) real: u32,
    /// As whom it acts.
    pub(crate) effective: u32,
    /// As whom it may act again.
    pub(crate) saved: u32,
    /// As whom it uses files and keys.
    pub(crate) fs: u32,
}

impl Ids {
    /// The one id that all four are, if they are one.
    fn single(self) -> Option<u32> {
        let one = self.real;
        (self.effective == one && self.saved == one && self.fs == one).then_some(one)
    }

    /// Whether all eight ids are one.
    fn are_all(self, other: Self) -> bool {
        self.single().is_some_and(|one| other.single() == Some(one))
    }
}

/// What decides over credentials.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    /// The user ids.
    pub(crate) uids: Ids,
    /// The group ids, without the supplementary groups.
    pub(crate) gids: Ids,
    /// The permitted capabilities, a bit for each.
    pub(crate) permitted: u64,
}

/// How the agent stands to one set of credentials.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    /// What is in the credentials.
    pub(crate) identity: Identity,
    /// Whether they and the agent's belong to the same user namespace.
    pub(crate) same_user_ns: bool,
    /// Whether the agent has `CAP_SYS_PTRACE` in their user namespace.
    pub(crate) may_trace: bool,
}

impl Standing {
    /// Whether the agent could act as the owner of the credentials already.
    fn check(self, agent: Identity) -> Result<(), Denial> {
        if self.may_trace {
            return Ok(());
        }
        if !self.same_user_ns {
            return Err(Denial::UserNamespace);
        }
        if !agent.uids.are_all(self.identity.uids) {
            return Err(Denial::User);
        }
        if !agent.gids.are_all(self.identity.gids) {
            return Err(Denial::Group);
        }
        if self.identity.permitted & !agent.permitted != 0 {
            return Err(Denial::Capabilities);
        }
        Ok(())
    }
}

/// A process whose keyrings the authority opens, as it is besides its credentials.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    /// Whether its memory is its user's: it has not had privileges that it dropped since, and has
    /// not asked that nobody looks.
    pub(crate) is_dumpable: bool,
    /// Whether the agent has `CAP_SYS_PTRACE` in the user namespace that its program belongs to.
    pub(crate) may_trace: bool,
}

impl Process {
    fn check(self) -> Result<(), Denial> {
        if self.is_dumpable || self.may_trace {
            Ok(())
        } else {
            Err(Denial::NotDumpable)
        }
    }
}

/// A request and the agent that is to answer it.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Who the agent is.
    pub(crate) agent: Identity,
    /// The requester's own credentials.
    pub(crate) real: Standing,
    /// The credentials that the request is made under.
    pub(crate) subjective: Standing,
    /// The credentials whose keyrings the authority opens.
    pub(crate) granted: Standing,
    /// The requester's process.
    pub(crate) requester: Process,
    /// The process whose keyrings the authority opens: another one, when the requester is itself
    /// answering a request.
    pub(crate) grantor: Process,
    /// Whether `no_new_privs` is set for the agent.
    pub(crate) agent_no_new_privs: bool,
    /// Whether it is set for the requester and the process whose keyrings the authority opens.
    pub(crate) no_new_privs: bool,
    /// Whether the kernel makes the request for itself, under credentials that override the
    /// requester's; or the one that the requester is answering, whose keyrings the authority opens.
    pub(crate) is_overridden: bool,
    /// Whether the agent has `CAP_SYS_ADMIN` in the initial user namespace.
    pub(crate) may_administer_system: bool,
}

/// Why an agent may not have the authority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Denial {
    /// It lives in another user namespace than the requester.
    UserNamespace,
    /// It is another user than the requester, or not one user alone.
    User,
    /// The same for the groups.
    Group,
    /// The requester has capabilities that it lacks.
    Capabilities,
    /// The requester's process is not its user's to look into.
    NotDumpable,
    /// It has given up gaining privileges, and the requester has not.
    NoNewPrivs,
    /// It takes an administrator to answer the kernel itself.
    Overridden,
}

impl From<Denial> for Outcome {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::UserNamespace => Self::DeniedUserNamespace,
            Denial::User => Self::DeniedUser,
            Denial::Group => Self::DeniedGroup,
            Denial::Capabilities => Self::DeniedCapabilities,
            Denial::NotDumpable => Self::DeniedNotDumpable,
            Denial::NoNewPrivs => Self::DeniedNoNewPrivs,
            Denial::Overridden => Self::DeniedOverridden,
        }
    }
}

/// Whether the agent may answer the request.
///
/// The answer to a request that the kernel makes for itself can serve the whole system, and so can
/// what else the authority opens: it takes an agent that may administer that. There is no exception
/// for keys with the tag of a net namespace: it is the requester's, and not the one that the request
/// is about.
pub(crate) fn judge(case: &Case) -> Result<(), Denial> {
    if case.is_overridden && !case.may_administer_system {
        return Err(Denial::Overridden);
    }
    case.real.check(case.agent)?;
    case.subjective.check(case.agent)?;
    case.granted.check(case.agent)?;
    case.requester.check()?;
    case.grantor.check()?;
    if case.agent_no_new_privs && !case.no_new_privs && !case.real.may_trace {
        return Err(Denial::NoNewPrivs);
    }
    Ok(())
}
