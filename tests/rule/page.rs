// SPDX-License-Identifier: GPL-2.0

//! The rule as `Documentation/security/keys/keyagent-policy.rst` has it, clause by clause.
//!
//! Written from the page, for the tests to compare `src/policy.rs` with: nothing here is taken from
//! there. The page names all that is wrong with a request, in no order, so this does, too.

/// What may be wrong, a bit for each.
pub type Objections = u16;

pub const USER_NS: Objections = 1 << 0;
pub const USER: Objections = 1 << 1;
pub const GROUP: Objections = 1 << 2;
pub const CAPABILITIES: Objections = 1 << 3;
pub const NOT_DUMPABLE: Objections = 1 << 4;
pub const LABEL: Objections = 1 << 5;
pub const NO_NEW_PRIVS: Objections = 1 << 6;
pub const OVERRIDDEN: Objections = 1 << 7;
pub const PID_NS: Objections = 1 << 8;

/// A set of credentials.
#[derive(Clone, Copy, Debug)]
pub struct Credentials {
    /// A number for each user namespace.
    pub user_ns: u32,
    pub uids: [u32; 4],
    pub gids: [u32; 4],
    pub permitted: u64,
}

/// What the page's list of four has against `theirs`, when the agent has `CAP_SYS_PTRACE` nowhere.
pub fn about_credentials(agents: &Credentials, theirs: &Credentials) -> Objections {
    let mut objections = 0;

    // "Both belong to the same user namespace."
    if agents.user_ns != theirs.user_ns {
        objections |= USER_NS;
    }

    // "The agent's four user IDs and the four in the credentials are all the same." The same for
    // the group IDs.
    for (ours, others, objection) in [
        (agents.uids, theirs.uids, USER),
        (agents.gids, theirs.gids, GROUP),
    ] {
        let mut all = ours.to_vec();
        all.extend(others);
        all.dedup();
        if all.len() > 1 {
            objections |= objection;
        }
    }

    // "The permitted capabilities in the credentials are a subset of the agent's."
    for capability in 0..u64::BITS {
        let has = |credentials: &Credentials| credentials.permitted >> capability & 1 == 1;
        if has(theirs) && !has(agents) {
            objections |= CAPABILITIES;
        }
    }
    objections
}

/// One of the three sets of credentials that count.
#[derive(Clone, Copy)]
pub struct Owner {
    /// What [`about_credentials`] said.
    pub objections: Objections,
    /// "The agent has `CAP_SYS_PTRACE` in the user namespace of the credentials."
    pub traced: bool,
}

/// One of the two processes that count.
#[derive(Clone, Copy)]
pub struct Process {
    pub dumpable: bool,
    pub same_label: bool,
    pub no_new_privs: bool,
    /// The agent has `CAP_SYS_PTRACE` in the user namespace that its program belongs to.
    pub program_traced: bool,
    /// The agent has `CAP_SYS_PTRACE` in the user namespace of its credentials.
    pub traced: bool,
}

/// All that the page asks about a request.
#[derive(Clone, Copy)]
pub struct Request {
    /// The real, the subjective and the granted credentials. Two may be the same.
    pub owners: [Owner; 3],
    /// The requester, and the process whose keyrings the authkey opens. It may be the same.
    pub processes: [Process; 2],
    pub agent_no_new_privs: bool,
    /// "It has a process ID in the agent's PID namespace", for both processes.
    pub seen: bool,
    /// "The credentials are overridden", or "the authkey grants credentials that are not, or not
    /// any more, those of the process that they are said to be of".
    pub overridden: bool,
    /// "The agent has `CAP_SYS_ADMIN` in the initial user namespace."
    pub administrator: bool,
}

/// All that is wrong with a request; the agent may answer it when nothing is.
pub fn objections(request: &Request) -> Objections {
    let about_owners = request
        .owners
        .iter()
        .filter(|owner| !owner.traced)
        .fold(0, |all, owner| all | owner.objections);

    let about_processes = request.processes.iter().fold(0, |all, process| {
        let dumpable = process.dumpable || process.program_traced;
        let label = process.same_label || process.traced;
        let new_privs = !request.agent_no_new_privs || process.no_new_privs || process.traced;
        all | if dumpable { 0 } else { NOT_DUMPABLE }
            | if label { 0 } else { LABEL }
            | if new_privs { 0 } else { NO_NEW_PRIVS }
    });

    let about_override = if request.overridden && !request.administrator {
        OVERRIDDEN
    } else {
        0
    };
    let about_namespace = if request.seen { 0 } else { PID_NS };
    about_owners | about_processes | about_override | about_namespace
}
