// SPDX-License-Identifier: GPL-2.0

//! Who may answer whom.
//!
//! The authority to construct a key opens the keyrings of the requester, and lets the agent decide
//! what the requester believes. So an agent has to be one that could take control of the requester
//! anyway: who could trace it. [`judge`] is the whole rule: a pure function over plain data, which
//! `crate::case` reads from the tasks, and over what the agent's capabilities let it do, which is
//! asked for only where something else is missing.
//!
//! `Documentation/security/keys/keyagent-policy.rst` gives the reason for each clause.
//! `tests/rule` proves that the two say the same.

// With its path, for those who come here by one: tests/rule.
#[cfg(CONFIG_KUNIT = "y")]
#[path = "policy/tests.rs"]
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

/// How one set of credentials stands to the agent's.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    /// What is in the credentials.
    pub(crate) identity: Identity,
    /// Whether they and the agent's belong to the same user namespace.
    pub(crate) same_user_ns: bool,
}

impl Standing {
    /// Whether the agent could act as the owner of the credentials already.
    fn check(self, agent: Identity, may_trace: impl Fn() -> bool) -> Result<(), Denial> {
        let denial = if !self.same_user_ns {
            Denial::UserNamespace
        } else if !agent.uids.are_all(self.identity.uids) {
            Denial::User
        } else if !agent.gids.are_all(self.identity.gids) {
            Denial::Group
        } else if self.identity.permitted & !agent.permitted != 0 {
            Denial::Capabilities
        } else {
            return Ok(());
        };
        unless(may_trace, denial)
    }
}

/// A process whose keyrings the authority opens, as it is besides its credentials.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    /// Whether its memory is its user's: it has not had privileges that it dropped since, and has
    /// not asked that nobody looks.
    pub(crate) is_dumpable: bool,
    /// Whether security modules give it the same label as the agent.
    pub(crate) same_label: bool,
    /// Whether `no_new_privs` is set for it.
    pub(crate) no_new_privs: bool,
}

impl Process {
    /// What is to be assumed of a process that is gone.
    pub(crate) const GONE: Self = Self {
        is_dumpable: false,
        same_label: false,
        no_new_privs: false,
    };

    /// Whether the agent could look into the process already. `may_trace_program` is about the user
    /// namespace that its program belongs to, `may_trace` about that of its credentials.
    fn check(
        self,
        agent_no_new_privs: bool,
        may_trace_program: impl Fn() -> bool,
        may_trace: impl Fn() -> bool,
    ) -> Result<(), Denial> {
        if !self.is_dumpable {
            unless(may_trace_program, Denial::NotDumpable)?;
        }
        if !self.same_label {
            unless(&may_trace, Denial::Label)?;
        }
        if agent_no_new_privs && !self.no_new_privs {
            unless(may_trace, Denial::NoNewPrivs)?;
        }
        Ok(())
    }
}

/// A request and the agent that is to answer it.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Who the agent is.
    pub(crate) agent: Identity,
    /// Whether `no_new_privs` is set for the agent.
    pub(crate) agent_no_new_privs: bool,
    /// The requester's own credentials.
    pub(crate) real: Standing,
    /// The credentials that the request is made under, if they are others: the kernel makes it for
    /// itself.
    pub(crate) subjective: Option<Standing>,
    /// The credentials whose keyrings the authority opens, if they are not the requester's own.
    pub(crate) granted: Option<Standing>,
    /// The requester's process.
    pub(crate) requester: Process,
    /// The process whose keyrings the authority opens, the grantor, if that is another one: the
    /// requester is itself answering a request.
    pub(crate) grantor: Option<Process>,
    /// Whether the agent's pid namespace has both processes.
    pub(crate) is_seen: bool,
    /// Whether the credentials whose keyrings the authority opens are those that the grantor has
    /// now. If not, the kernel had overridden them, or the grantor has changed them or is gone.
    pub(crate) granted_is_grantors: bool,
}

/// What capabilities let the agent do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Power {
    /// `CAP_SYS_PTRACE` in the user namespace of the requester's own credentials.
    TraceReal,
    /// The same in that of the credentials that the request is made under.
    TraceSubjective,
    /// The same in that of the credentials whose keyrings the authority opens.
    TraceGranted,
    /// The same in that which the requester's program belongs to.
    TraceRequester,
    /// The same in that which the grantor's program belongs to, or its credentials, if the grantor
    /// is gone.
    TraceGrantor,
    /// `CAP_SYS_ADMIN` in the initial user namespace.
    AdministerSystem,
}

/// Why an agent may not have the authority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Denial {
    /// It lives in another user namespace than the requester.
    UserNamespace,
    /// It lives in a pid namespace in which the requester has no number.
    PidNamespace,
    /// It is another user than the requester, or not one user alone.
    User,
    /// The same for the groups.
    Group,
    /// The requester has capabilities that it lacks.
    Capabilities,
    /// The requester's process is not its user's to look into.
    NotDumpable,
    /// A security module gives it another label than the requester.
    Label,
    /// It has given up gaining privileges, and the requester has not.
    NoNewPrivs,
    /// It takes an administrator to answer the kernel itself.
    Overridden,
}

impl From<Denial> for Outcome {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::UserNamespace => Self::DeniedUserNamespace,
            Denial::PidNamespace => Self::DeniedPidNamespace,
            Denial::User => Self::DeniedUser,
            Denial::Group => Self::DeniedGroup,
            Denial::Capabilities => Self::DeniedCapabilities,
            Denial::NotDumpable => Self::DeniedNotDumpable,
            Denial::Label => Self::DeniedLabel,
            Denial::NoNewPrivs => Self::DeniedNoNewPrivs,
            Denial::Overridden => Self::DeniedOverridden,
        }
    }
}

/// A denial, unless the agent has the power that makes up for what is missing.
fn unless(has_power: impl Fn() -> bool, denial: Denial) -> Result<(), Denial> {
    if has_power() {
        Ok(())
    } else {
        Err(denial)
    }
}

/// Whether the agent may answer the request; `has` says which powers it has.
///
/// The answer to a request that the kernel makes for itself can serve the whole system, and so can
/// what else the authority opens: it takes an agent that may administer that. There is no exception
/// for keys with the tag of a net namespace: it is the requester's, and not the one that the
/// request is about.
pub(crate) fn judge(case: &Case, has: impl Fn(Power) -> bool) -> Result<(), Denial> {
    // No power makes up for it: ptrace(2) names a process by its number.
    if !case.is_seen {
        return Err(Denial::PidNamespace);
    }
    if case.subjective.is_some() || !case.granted_is_grantors {
        unless(|| has(Power::AdministerSystem), Denial::Overridden)?;
    }

    case.real.check(case.agent, || has(Power::TraceReal))?;
    if let Some(subjective) = case.subjective {
        subjective.check(case.agent, || has(Power::TraceSubjective))?;
    }
    if let Some(granted) = case.granted {
        granted.check(case.agent, || has(Power::TraceGranted))?;
    }

    case.requester.check(
        case.agent_no_new_privs,
        || has(Power::TraceRequester),
        || has(Power::TraceReal),
    )?;
    if let Some(grantor) = case.grantor {
        let trace_granted = match case.granted {
            Some(_) => Power::TraceGranted,
            None => Power::TraceReal,
        };
        grantor.check(
            case.agent_no_new_privs,
            || has(Power::TraceGrantor),
            || has(trace_granted),
        )?;
    }
    Ok(())
}
