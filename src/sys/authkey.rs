// SPDX-License-Identifier: GPL-2.0

//! Authorisation keys: the authority to construct one key on behalf of a requester.
//!
//! C header:
//! [`include/keys/request_key_auth-type.h`](srctree/include/keys/request_key_auth-type.h).
//!
//! Reference: <https://docs.kernel.org/security/keys/request-key.html>
//!
//! An actor has to settle the authorisation key that it is given, on every path. The types here
//! make that so: exactly one end consumes an [`AuthKey`] or a [`HandedAuthKey`], and one that is
//! dropped unfinished rejects its target key.
//!
//! The end of an authorisation key that an agent could see is revocation: invalidation alone leaves
//! whoever assumed it access to the requester's destination keyring. But a revocation takes the
//! record out of the key, which the agent's other threads may be about to read under RCU, after
//! they found the key valid: they do not compare it with null. So it is invalidated first, and
//! revoked a grace period later ([`Revocation`]; `tests/lkmm/revoked.litmus`).

use super::{
    bindings,
    compat::{
        enokey,
        rcu_barrier, //
    },
    key::{
        Key,
        Keyring, //
    },
    revocation::{
        Revocation,
        RevocationQueue, //
    },
    task::{
        self,
        Thread, //
    }, //
};
use core::ptr::null_mut;
use kernel::{
    bindings as kbindings,
    cred::Credential,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
    types::ScopeGuard, //
};

/// The references on an authorisation key that only its actor knows, once it was handed out: the
/// actor's caller's, and that of the [`Revocation`].
const USAGE_OF_ACTOR: u32 = 2;

/// How often the callbacks of RCU are waited for until a key counts as kept by somebody.
const MAX_BARRIERS: usize = 8;

/// An authorisation key which nobody but its actor knows.
///
/// # Invariants
///
/// The keys are an instantiated authorisation key that is not revoked and is linked into no
/// keyring, and its target key.
pub(crate) struct AuthKey<'a>(ScopeGuard<Keys<'a>, fn(Keys<'a>)>);

/// An authorisation key and the key under construction. The actor's caller keeps both.
struct Keys<'a> {
    authkey: &'a Key,
    target: &'a Key,
}

/// The thread whose keyrings an authority opens.
pub(crate) enum Grantor {
    /// The current one.
    Requester,
    /// The one whose request the current one is answering.
    Other(Thread),
    /// There is none any more.
    Gone,
}

impl<'a> AuthKey<'a> {
    /// Takes over the key that an actor was given.
    ///
    /// # Safety
    ///
    /// `key` must be the argument of a `request_key_actor_t` call that runs for `'a`, which has
    /// done nothing with it and leaves all that is to be done with it to the returned object.
    pub(super) unsafe fn from_actor(key: *mut kbindings::key) -> Self {
        // SAFETY: The caller of an actor has references on the key, whose record is valid as long
        // as nobody else knows it, and on the target key, until the actor returns.
        let (authkey, target) = unsafe {
            let key = Key::from_ptr(key);
            (key, Key::from_ptr((*record(key)).target_key))
        };

        // INVARIANT: As the caller promises.
        Self::new(Keys { authkey, target })
    }

    fn new(keys: Keys<'a>) -> Self {
        Self(ScopeGuard::new_with_data(keys, |keys| {
            keys.reject(enokey(), 0);
        }))
    }

    /// The key under construction.
    pub(crate) fn target(&self) -> &'a Key {
        self.0.target
    }

    /// The credentials whose keyrings open to whoever assumes the authority: those of the
    /// requester, or, when the requester is itself answering a request, of the one behind it.
    pub(crate) fn granted_cred(&self) -> &Credential {
        // SAFETY: By the type invariant the record is valid, and it holds a reference on the
        // credentials.
        unsafe { Credential::from_ptr((*record(self.0.authkey)).cred) }
    }

    /// Whether the current task, with its subjective credentials, possesses the keyring that the
    /// target key is linked into, or that is the task's own user or user-session keyring. May
    /// sleep.
    ///
    /// The authority gives its holder possession of that keyring.
    pub(crate) fn destination_is_possessed(&self) -> bool {
        // SAFETY: By the type invariant the record is valid, and it holds a reference on the
        // keyring.
        unsafe { bindings::keyagent_helper_possesses((*record(self.0.authkey)).dest_keyring) }
    }

    /// The thread whose keyrings these are.
    pub(crate) fn grantor(&self) -> Grantor {
        // SAFETY: By the type invariant the record is valid, and it holds a reference on the
        // `struct pid`.
        unsafe {
            let pid = (*record(self.0.authkey)).pid;
            if task::is_pid_of_current(pid) {
                return Grantor::Requester;
            }
            Thread::of_pid(pid).map_or(Grantor::Gone, Grantor::Other)
        }
    }

    /// Ends the request with an error, which the target key keeps for `ttl` seconds. May sleep.
    ///
    /// Returns what the actor has to return.
    pub(crate) fn reject(self, error: Error, ttl: c_uint) -> c_int {
        self.0.dismiss().reject(error, ttl)
    }

    /// Leaves the request to `/sbin/request-key`, as if there were no hook. Sleeps as long as that
    /// program runs.
    ///
    /// Returns what the actor has to return.
    pub(crate) fn leave_to_original(self) -> c_int {
        let keys = self.0.dismiss();

        // SAFETY: The key was given to an actor, so the hook is in force. By the type invariant
        // nothing was done with the key: it is as the original, which settles it, expects it.
        unsafe { bindings::keyagent_call_original_upcall(keys.authkey.as_ptr()) }
    }

    /// Links the key into `ring`, the keyring of an agent, which can assume the authority from then
    /// on. May sleep.
    ///
    /// When the key cannot be linked it comes back as it was, with the reason.
    pub(crate) fn hand_to(
        self,
        ring: Keyring,
        revocations: &'a RevocationQueue,
    ) -> Result<HandedAuthKey<'a>, (Self, Error)> {
        // The memory that the end of the request takes is allocated before the beginning.
        let revocation = match Revocation::new(self.0.authkey.into()) {
            Ok(revocation) => revocation,
            Err(error) => return Err((self, error)),
        };
        if let Err(error) = ring.link(self.0.authkey) {
            return Err((self, error));
        }

        // INVARIANT: The key is linked into `ring` just now.
        Ok(HandedAuthKey(ScopeGuard::new_with_data(
            Handed {
                keys: self.0.dismiss(),
                ring,
                revocation,
                revocations,
            },
            |handed| {
                handed.reject(enokey(), 0);
                handed.revoke_later();
            },
        )))
    }
}

impl Keys<'_> {
    /// Rejects the target key and revokes the authorisation key, which nobody else knows.
    fn reject(self, error: Error, ttl: c_uint) -> c_int {
        let rejected = reject(self.target, Some(self.authkey), error, ttl);

        // No grace period: no other task reads the record of a key that it cannot find
        // (`tests/lkmm/taken-back.litmus`).
        self.authkey.revoke();
        if rejected {
            error.to_errno()
        } else {
            0
        }
    }
}

/// An authorisation key that an agent can assume.
///
/// # Invariants
///
/// The keys are an authorisation key that may be linked into `ring` and is not revoked, and its
/// target key. `revocation` is for the former.
pub(crate) struct HandedAuthKey<'a>(ScopeGuard<Handed<'a>, fn(Handed<'a>)>);

struct Handed<'a> {
    keys: Keys<'a>,
    ring: Keyring,
    revocation: KBox<Revocation>,
    revocations: &'a RevocationQueue,
}

impl<'a> HandedAuthKey<'a> {
    /// The key under construction.
    pub(crate) fn target(&self) -> &'a Key {
        self.0.keys.target
    }

    /// Whether the agent invalidated the authorisation key, so that nobody can answer any more.
    pub(crate) fn is_invalidated(&self) -> bool {
        self.0.keys.authkey.is_invalidated()
    }

    /// Whether nobody has the key any more: neither as a link, nor as an authority assumed, nor at
    /// hand in a system call.
    ///
    /// That stays so. Who has no reference can get none but for looking at the key, for it is
    /// linked nowhere: a link's reference is given up a grace period after the link, when whoever
    /// had come across it under RCU has a reference of its own (`tests/lkmm/unlinked.litmus`).
    ///
    /// What the holder of the last of these references did is seen afterwards
    /// (`tests/lkmm/given-up.litmus`).
    pub(crate) fn is_given_up(&self) -> bool {
        self.0.keys.authkey.usage() == USAGE_OF_ACTOR
    }

    /// Takes the key back from the agent if nobody has it any more. May sleep for a few grace
    /// periods, which nothing interrupts.
    ///
    /// A link that is taken away and the credentials of a task that has ended hold the key for some
    /// grace periods, the latter because one callback queues another.
    pub(crate) fn take_back(self) -> Result<AuthKey<'a>, Self> {
        self.0.ring.unlink(self.0.keys.authkey);
        let mut is_given_up = self.is_given_up();
        for _ in 0..MAX_BARRIERS {
            if is_given_up {
                break;
            }
            rcu_barrier();
            is_given_up = self.is_given_up();
        }
        if !is_given_up {
            return Err(self);
        }

        // The original takes `key_construction_mutex` for keys of its own: see `watchdog.rs`. This
        // does nothing but take it, because an authorisation key is instantiated.
        reject(self.0.keys.authkey, None, enokey(), 0);

        // An answer or an invalidation came before its author gave the key up, or the watchdog
        // came.
        if self.is_invalidated()
            || self.target().is_invalidated()
            || !self.target().is_under_construction()
        {
            return Err(self);
        }

        // INVARIANT: Nobody else knows the key, which is not revoked, for only the actor does that.
        Ok(AuthKey::new(self.0.dismiss().keys))
    }

    /// Ends a request that was answered. May sleep.
    pub(crate) fn settle(self) {
        self.0.dismiss().revoke_later();
    }

    /// Ends a request that was not answered: the target key keeps `error` for `ttl` seconds. May
    /// sleep.
    ///
    /// Returns whether it was so: an answer may have come first, and then it counts.
    pub(crate) fn settle_with(self, error: Error, ttl: c_uint) -> bool {
        let handed = self.0.dismiss();
        let rejected = handed.reject(error, ttl);

        handed.revoke_later();
        rejected
    }

    /// Ends a request whose requester is being killed: the target key is rejected with `error`, and
    /// the garbage collector removes it at once. A key that is only rejected counts in the
    /// requester's quota for minutes. May sleep.
    ///
    /// Returns whether it was so: an answer may have come first, and then it counts.
    pub(crate) fn give_up(self, error: Error) -> bool {
        let handed = self.0.dismiss();
        // The authorisation key is invalidated later: that has the garbage collector run, which has
        // to find the expiry.
        let rejected = reject(handed.keys.target, None, error, 0);

        if rejected {
            // SAFETY: The key is valid.
            unsafe { bindings::keyagent_helper_expire_long_ago(handed.keys.target.as_ptr()) };
        }
        handed.revoke_later();
        rejected
    }
}

impl Handed<'_> {
    fn reject(&self, error: Error, ttl: c_uint) -> bool {
        reject(self.keys.target, Some(self.keys.authkey), error, ttl)
    }

    /// Takes the authority from whoever has it.
    fn revoke_later(self) {
        self.ring.unlink(self.keys.authkey);
        self.keys.authkey.invalidate();
        self.revocations.add(self.revocation);
    }
}

/// The authorisation record in a key.
///
/// # Safety
///
/// `key` must be an authorisation key. The record is valid as long as the key is not revoked.
unsafe fn record(key: &Key) -> *const bindings::request_key_auth {
    // SAFETY: The key is valid, and the pointer to the record is the first word of its payload.
    unsafe {
        let payload = &raw const (*key.as_ptr()).__bindgen_anon_4.payload;
        (*payload).rcu_data0.cast()
    }
}

/// Instantiates `target` negatively, which invalidates `authkey`; false when the target key was
/// already instantiated, one way or the other.
fn reject(target: &Key, authkey: Option<&Key>, error: Error, ttl: c_uint) -> bool {
    // SAFETY: Both keys are valid. No keyring is given: the target key is linked already.
    let ret = unsafe {
        bindings::key_reject_and_link(
            target.as_ptr(),
            ttl,
            error.to_errno().unsigned_abs(),
            null_mut(),
            authkey.map_or(null_mut(), |key| key.as_ptr()),
        )
    };
    ret == 0
}
