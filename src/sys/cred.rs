// SPDX-License-Identifier: GPL-2.0

//! Credentials: who a task is, what it may do, which keyrings it has.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h).
//!
//! Reference: <https://docs.kernel.org/security/credentials.html>

use super::{
    bindings,
    key::Keyring,
    task::Thread, //
};
use crate::policy::{
    Identity,
    Ids, //
};
use core::ptr::NonNull;
use kernel::{
    bindings as kbindings,
    cred::Credential,
    types::NotThreadSafe, //
};

/// The current task in the role of a requester.
///
/// # Invariants
///
/// `real` are the objective and `subjective` the subjective credentials of the current task, which
/// has both for longer than it has this object.
pub(crate) struct Requester {
    real: NonNull<Credential>,
    subjective: NonNull<Credential>,
    _not_send: NotThreadSafe,
}

impl Requester {
    /// The current task.
    pub(crate) fn current() -> Self {
        // SAFETY: A running task has both.
        let (real, subjective) = unsafe {
            (
                Credential::from_ptr(bindings::keyagent_helper_current_real_cred()),
                Credential::from_ptr(bindings::keyagent_helper_current_cred()),
            )
        };

        // INVARIANT: As read above. Only the task itself changes them. The module overrides the
        // subjective ones for `with()` and `may_trace_...()`, puts them back, and calls nothing
        // that commits others.
        Self {
            real: real.into(),
            subjective: subjective.into(),
            _not_send: NotThreadSafe,
        }
    }

    /// Who the requester is.
    pub(crate) fn real(&self) -> &Credential {
        // SAFETY: Valid by the type invariant.
        unsafe { self.real.as_ref() }
    }

    /// As whom the requester acts just now.
    pub(crate) fn subjective(&self) -> &Credential {
        // SAFETY: Valid by the type invariant.
        unsafe { self.subjective.as_ref() }
    }

    /// Whether the kernel acts for purposes of its own: it has overridden the requester's
    /// credentials.
    pub(crate) fn is_overridden(&self) -> bool {
        self.real != self.subjective
    }

    /// Runs `f` with the requester's real credentials as the subjective ones.
    pub(crate) fn as_real<R>(&self, f: impl FnOnce() -> R) -> R {
        if !self.is_overridden() {
            return f();
        }
        with(self.real(), f)
    }
}

/// Runs `f` with `cred` as the subjective credentials of the current task.
pub(super) fn with<R>(cred: &Credential, f: impl FnOnce() -> R) -> R {
    let _guard = Override::new(cred);
    f()
}

/// Credentials that the current task acts under until this is dropped.
///
/// # Invariants
///
/// `old` were the subjective credentials of the current task, and whoever set them keeps them.
struct Override<'a> {
    old: *const kbindings::cred,
    _new: &'a Credential,
    _not_send: NotThreadSafe,
}

impl<'a> Override<'a> {
    fn new(new: &'a Credential) -> Self {
        Self {
            // INVARIANT: As returned.
            // SAFETY: `new` stays valid until the guard restores the old credentials.
            old: unsafe { bindings::keyagent_helper_override_creds(new.as_ptr()) },
            _new: new,
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for Override<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, `old` is what the current task is to go back to.
        unsafe { bindings::keyagent_helper_revert_creds(self.old) };
    }
}

/// Who `cred` makes a task.
pub(crate) fn identity(cred: &Credential) -> Identity {
    let cred = cred.as_ptr();

    // SAFETY: The credentials are valid as long as `cred` is borrowed, and these fields of them do
    // not change: who changes credentials makes new ones. No reference to the structure is made,
    // for others count its users meanwhile.
    unsafe {
        Identity {
            uids: Ids {
                real: (*cred).uid.val,
                effective: (*cred).euid.val,
                saved: (*cred).suid.val,
                fs: (*cred).fsuid.val,
            },
            gids: Ids {
                real: (*cred).gid.val,
                effective: (*cred).egid.val,
                saved: (*cred).sgid.val,
                fs: (*cred).fsgid.val,
            },
            permitted: (*cred).cap_permitted.val,
        }
    }
}

/// Whether both are the same object.
pub(crate) fn same(a: &Credential, b: &Credential) -> bool {
    core::ptr::eq(a, b)
}

/// Whether both live in the same user namespace.
pub(crate) fn same_user_ns(a: &Credential, b: &Credential) -> bool {
    // SAFETY: The credentials are valid, and their user namespaces do not change.
    unsafe { core::ptr::eq((*a.as_ptr()).user_ns, (*b.as_ptr()).user_ns) }
}

/// The session keyring of `cred`.
pub(crate) fn session_keyring(cred: &Credential) -> Option<Keyring> {
    // SAFETY: The credentials are valid, do not change, and hold a reference on the keyring.
    unsafe { Keyring::from_ptr((*cred.as_ptr()).session_keyring) }
}

/// The process keyring of `cred`.
pub(crate) fn process_keyring(cred: &Credential) -> Option<Keyring> {
    // SAFETY: The credentials are valid, do not change, and hold a reference on the keyring.
    unsafe { Keyring::from_ptr((*cred.as_ptr()).process_keyring) }
}

/// Whether the caller of a system call already has a process keyring.
pub(crate) fn current_has_process_keyring() -> bool {
    process_keyring(Requester::current().subjective()).is_some()
}

/// Whether the caller of a system call may configure the whole system.
pub(crate) fn current_may_administer_system() -> bool {
    may_administer_system(Requester::current().subjective())
}

/// A user of an agent, among whom the agent's requests are shared out.
///
/// A user namespace that the agent's user made for others is a tenant. The processes in any other
/// namespace count for the user who made it, and those in the agent's own namespace for themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tenant {
    /// A user, by the number in the initial user namespace.
    User(u32),
    /// A user namespace, by its address, for as long as a request comes from it.
    Namespace(usize),
}

impl Tenant {
    /// The tenant that `requester` is for `agent`.
    pub(crate) fn of(requester: &Credential, agent: &Credential) -> Self {
        let mut uid = 0;

        // SAFETY: Both are valid, and hold references on their user namespaces, which hold those
        // on their parents.
        let namespace = unsafe {
            bindings::keyagent_helper_tenant(requester.as_ptr(), agent.as_ptr(), &raw mut uid)
        };
        if namespace.is_null() {
            Self::User(uid)
        } else {
            Self::Namespace(namespace.addr())
        }
    }
}

/// Whether a task with the credentials `agent` could trace one that lives in the user namespace
/// of `other`, whoever that is.
pub(crate) fn may_trace_in_user_ns_of(agent: &Credential, other: &Credential) -> bool {
    // SAFETY: The user namespace of `other` lives as long as `other`.
    unsafe {
        bindings::keyagent_helper_cred_capable(
            agent.as_ptr(),
            (*other.as_ptr()).user_ns,
            kbindings::CAP_SYS_PTRACE as i32,
        )
    }
}

/// Whether a task with the credentials `agent` could trace one that runs a program as `thread`
/// does, in the user namespace that the program belongs to.
pub(crate) fn may_trace_program_of(agent: &Credential, thread: &Thread) -> bool {
    // SAFETY: The credentials and the task are valid.
    unsafe {
        bindings::keyagent_helper_cred_capable_over(
            agent.as_ptr(),
            thread.as_ptr(),
            kbindings::CAP_SYS_PTRACE as i32,
        )
    }
}

/// Whether a task with these credentials may configure the whole system: `CAP_SYS_ADMIN` in the
/// initial user namespace.
pub(crate) fn may_administer_system(cred: &Credential) -> bool {
    // SAFETY: The credentials are valid, and the initial user namespace always is.
    unsafe {
        bindings::keyagent_helper_cred_capable(
            cred.as_ptr(),
            &raw mut kbindings::init_user_ns,
            kbindings::CAP_SYS_ADMIN as i32,
        )
    }
}
