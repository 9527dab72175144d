// SPDX-License-Identifier: GPL-2.0

//! Waiting for an agent's answer.
//!
//! The deadline bounds the wait and is checked after each slice. The key service wakes the
//! requester when the target key is instantiated or rejected, and so does a fatal signal. The end
//! of a slice notices the rest: the agent gave the request back or ended, or the requester is being
//! frozen. Slices grow with the time waited: the beginning of a request is watched closely, and a
//! long wait costs little.
//!
//! A signal that the requester handles ends nothing, as in a wait for `/sbin/request-key`.
//!
//! Afterwards the authorisation key is settled. Exception: if the agent gave the request back or
//! ended, and nobody has the authority, the caller gets the key back for the original upcall.
//!
//! Locks: to tell an agent whose signal queue was full, its `exec_update_lock` (read, only tried)
//! and inside it its `siglock` and the lock of its load. None is held during the wait.

use crate::{
    admission::Admission,
    inflight::Entry,
    outcome::Outcome,
    sys::{
        authkey::{
            AuthKey,
            HandedAuthKey, //
        },
        compat::enokey,
        cred::Requester,
        key::Key,
        key_type::AgentRef,
        params,
        task::{
            self,
            Thread, //
        },
        wait::{
            self,
            Slice, //
        }, //
    }, //
};
use kernel::{
    ffi::c_int,
    prelude::*,
    time::{
        msecs_to_jiffies,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// The first slice in milliseconds. Each slice is twice as long as the one before.
const FIRST_SLICE: i64 = 4;

/// The longest slice.
const LAST_SLICE: i64 = 250;

/// The longest slice while the signal queue is full, before the signal is tried again.
const FULL_QUEUE_SLICE: i64 = 20;

/// With more requests of the agent than this the first slice grows in proportion: most of that
/// time a request waits for its turn, and to look costs as much as part of an answer.
const FEW_REQUESTS: i64 = 8;

/// The longest wait of a caller in the kernel.
///
/// Such a wait cannot end when the freezer asks for it, and a suspend fails after 20 seconds
/// (`/sys/power/pm_freeze_timeout`).
const KERNEL_TIMEOUT: Delta = Delta::from_secs(15);

/// A request that an agent was asked to answer.
pub(crate) struct Request<'a> {
    /// The authority that the agent has.
    pub(crate) authkey: HandedAuthKey<'a>,
    /// The agent, for which the request counts until the wait is over.
    pub(crate) admission: Admission,
    /// The request in the table of those in flight, until it is settled.
    pub(crate) entry: Entry<'a>,
    /// The agent's thread.
    pub(crate) thread: Thread,
    /// The current task.
    pub(crate) requester: &'a Requester,
    /// The number of its process as the agent sees it.
    pub(crate) number: i32,
    /// When the request came.
    pub(crate) since: Instant<Monotonic>,
    /// How long the agent has for it.
    pub(crate) timeout: Delta,
}

/// How long the current task waits for an agent.
pub(crate) fn timeout(requester: &Requester) -> Delta {
    if is_syscall(requester) {
        params::timeout()
    } else {
        params::timeout().min(KERNEL_TIMEOUT)
    }
}

/// Whether the request is request_key(2)'s, which can be restarted.
pub(crate) fn is_syscall(requester: &Requester) -> bool {
    // What the kernel does under other credentials, it does for a caller of its own.
    !requester.is_overridden() && task::current_calls_request_key()
}

/// How the agent's part in a request ended.
pub(crate) enum End<'a> {
    /// The request is over; what the actor has to return.
    Settled(Outcome, c_int),
    /// Nobody has the authority, and the original upcall can have it.
    GivenBack(Outcome, AuthKey<'a>),
}

impl<'a> Request<'a> {
    /// The agent.
    pub(crate) fn agent(&self) -> &AgentRef {
        self.admission.agent()
    }

    /// Waits for the answer, and settles the request or takes it back.
    pub(crate) fn wait(mut self) -> End<'a> {
        let answer = self.wait_for_answer();
        let Self {
            authkey,
            admission,
            entry,
            thread,
            ..
        } = self;

        // A thread that has ended keeps the authority that it had assumed until its last reference
        // is gone.
        drop((admission, thread));
        // The watchdog looks after the request until it is settled.
        let _entry = entry;

        let Err(outcome) = answer else {
            let outcome = answered(authkey.target());
            authkey.settle();
            return End::Settled(outcome, 0);
        };

        let taken_back = match outcome {
            Outcome::Declined | Outcome::DiedUntaken => authkey.take_back(),
            _ => Err(authkey),
        };
        let authkey = match taken_back {
            Ok(authkey) => return End::GivenBack(outcome, authkey),
            Err(authkey) => authkey,
        };

        let ttl = params::negative_ttl();
        let (outcome, reason, ttl, error) = match outcome {
            Outcome::DiedUntaken => (Outcome::Died, enokey(), ttl, enokey()),
            // Nobody has the key and it cannot be taken back: it was invalidated, unless the
            // target key was constructed.
            Outcome::Declined => (Outcome::Invalidated, enokey(), ttl, enokey()),
            Outcome::TimedOut => (outcome, ETIMEDOUT, ttl, ETIMEDOUT),
            // Others who wait for the same key may ask again at once.
            Outcome::Killed => (outcome, enokey(), 0, EINTR),
            Outcome::Frozen => (outcome, enokey(), 0, ERESTARTNOINTR),
            _ => (outcome, enokey(), ttl, enokey()),
        };
        let target = authkey.target();
        let is_settled = match outcome {
            Outcome::Killed => authkey.give_up(reason),
            // A frozen request begins again, and replaces its key then.
            _ => authkey.settle_with(reason, ttl),
        };
        if !is_settled {
            // The answer came first.
            return End::Settled(answered(target), 0);
        }
        if matches!(outcome, Outcome::Frozen) {
            task::restart_current();
        }
        End::Settled(outcome, error.to_errno())
    }

    /// Fails with what ended the wait without an answer. Whether a request that was declined or
    /// whose agent died can be taken back is not yet known then.
    fn wait_for_answer(&mut self) -> Result<(), Outcome> {
        let is_syscall = is_syscall(self.requester);
        let mut slice = first_slice(self.admission.count());
        let mut is_frozen = false;

        loop {
            if !self.authkey.target().is_under_construction() {
                return Ok(());
            }
            if self.authkey.is_invalidated() {
                return Err(Outcome::Invalidated);
            }
            if self.authkey.is_given_up() {
                return Err(Outcome::Declined);
            }
            if self.agent().is_gone(&self.thread) {
                return Err(Outcome::DiedUntaken);
            }
            if is_syscall && task::current_is_being_frozen() {
                if is_frozen {
                    return Err(Outcome::Frozen);
                }
                // The freezer may not have got to others that wait for the key yet: a slice later
                // they begin again as well, and see no error.
                is_frozen = true;
                slice = FIRST_SLICE;
            }
            let left = self.timeout.as_millis() - self.since.elapsed().as_millis();
            if left <= 0 {
                return Err(Outcome::TimedOut);
            }
            if !self.admission.is_told() {
                self.tell();
            }

            let now = if self.admission.is_told() {
                slice
            } else {
                slice.min(FULL_QUEUE_SLICE)
            };
            let jiffies = msecs_to_jiffies(now.min(left).unsigned_abs() as u32);
            match wait::for_construction(self.authkey.target(), jiffies) {
                Slice::Constructed => {}
                Slice::Elapsed => slice = (slice * 2).min(LAST_SLICE),
                Slice::Killed => return Err(Outcome::Killed),
            }
        }
    }

    /// Sends the signal again that found the agent's queue full.
    fn tell(&mut self) {
        let Some(_exec_guard) = self.thread.try_lock_exec() else {
            return;
        };
        let Ok(agent_cred) = self.thread.cred() else {
            return;
        };
        let serial = self.authkey.target().serial();
        let signal = self.agent().signal();

        if self.agent().is_alive(&self.thread)
            && !self.thread.is_in_exec()
            && signal.would_be_seen_by(&self.thread)
            && signal
                .send(
                    &self.thread,
                    &agent_cred,
                    self.requester,
                    self.number,
                    serial,
                )
                .is_ok()
        {
            self.admission.told();
        }
    }
}

/// The first slice of a request whose agent has `count` requests, this one included.
fn first_slice(count: u32) -> i64 {
    let times = (i64::from(count) / FEW_REQUESTS).max(1);

    (FIRST_SLICE * times).min(LAST_SLICE)
}

/// How a request ended whose key is not under construction any more.
fn answered(target: &Key) -> Outcome {
    if target.is_positive() {
        Outcome::Served
    } else if target.is_negative() {
        Outcome::Rejected
    } else {
        // The watchdog came.
        Outcome::TimedOut
    }
}
