// SPDX-License-Identifier: GPL-2.0

//! Waiting for an agent's answer.
//!
//! What bounds the wait: the deadline, checked at the end of each slice of it, which is nearer when
//! only a fatal signal ends the wait. Who ends it: the key
//! service wakes the requester when the target key is instantiated or rejected, and a signal does.
//! That the agent gave the request back or is gone is noticed at the end of a slice. Slices grow
//! with the time waited, so that this is noticed soon after the beginning of a request, and a long
//! wait costs little; they begin longer where the agent has many requests.
//!
//! Afterwards the authorisation key is settled, unless the agent gave the request back or died, and
//! nobody has the authority: then the caller gets the key back for the original upcall.
//!
//! Locks: to tell an agent whose signal queue was full, its `exec_update_lock` (read, only tried)
//! and inside it its `siglock`. None is held during the wait.

use crate::{
    agent::Agent,
    asked::AskedEntry,
    errno::{
        enokey,
        etimedout, //
    },
    outcome::Outcome,
    sys::{
        authkey::{
            AuthKey,
            HandedAuthKey, //
        },
        cred::Requester,
        key::Key,
        task::Thread,
        wait::{
            self,
            Slice, //
        }, //
    }, //
};
use kernel::{
    ffi::c_int,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    time::{
        msecs_to_jiffies,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How long a requester sleeps before it looks for the first time whether its agent is still there,
/// in milliseconds. The time doubles.
const FIRST_SLICE: i64 = 4;

/// The longest such time.
const LAST_SLICE: i64 = 250;

/// How many requests an agent may have before who waits for it looks less often from the beginning:
/// most of that time it waits for its turn, and to look costs as much as part of an answer.
const FEW_REQUESTS: usize = 8;

/// The same while the agent's signal queue has no room, before the signal is tried again.
const FULL_QUEUE_SLICE: i64 = 20;

/// The longest that a killable wait may take.
///
/// The freezer cannot end it, and a suspend fails when that takes 20 seconds
/// (`/sys/power/pm_freeze_timeout`).
const KILLABLE_TIMEOUT: Delta = Delta::from_secs(15);

/// The time limits of requests.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// How long a requester waits for an agent's answer.
    pub(crate) timeout: Delta,
    /// How long, in seconds, a key that was not answered for stays negative.
    pub(crate) negative_ttl: u32,
}

/// A request that an agent was asked to answer.
pub(crate) struct Request<'a> {
    /// The authority that the agent has.
    pub(crate) authkey: HandedAuthKey<'a>,
    /// The agent.
    pub(crate) agent: Arc<Agent>,
    /// The request's place among those that the agent was asked, until the wait is over.
    pub(crate) asked: AskedEntry,
    /// The agent's thread.
    pub(crate) thread: Thread,
    /// The current task.
    pub(crate) requester: &'a Requester,
    /// When the request came.
    pub(crate) since: Instant<Monotonic>,
    /// Whether the signal has been queued.
    pub(crate) is_told: bool,
}

/// How a request ended without an answer.
enum Failure {
    /// The agent is gone.
    Died,
    /// The agent invalidated the authorisation key.
    Invalidated,
    /// The agent gave the request back.
    Declined,
    /// The requester has a signal to see to.
    Interrupted,
    /// The time is over.
    TimedOut,
}

/// How the agent's part in a request ended.
pub(crate) enum End {
    /// The request is over; what the actor has to return.
    Settled(Outcome, c_int),
    /// Nobody has the authority, and the original upcall can have it.
    GivenBack(Outcome, AuthKey),
}

impl Request<'_> {
    /// Waits for the answer, and settles the request or takes it back.
    pub(crate) fn wait(mut self, limits: &Limits) -> End {
        let answer = self.wait_for_answer(limits.timeout);
        let Self { authkey, .. } = self;

        let Err(failure) = answer else {
            let outcome = answered(authkey.target());
            authkey.settle();
            return End::Settled(outcome, 0);
        };

        let untaken = match failure {
            Failure::Died => Some(Outcome::DiedUntaken),
            Failure::Declined => Some(Outcome::Declined),
            Failure::Invalidated | Failure::Interrupted | Failure::TimedOut => None,
        };
        let authkey = match untaken {
            Some(outcome) => match authkey.take_back() {
                Ok(authkey) => return End::GivenBack(outcome, authkey),
                Err(authkey) => authkey,
            },
            None => authkey,
        };

        let (outcome, reason, ttl, error) = match failure {
            Failure::Died => (Outcome::Died, enokey(), limits.negative_ttl, enokey()),
            // A key that nobody has any more and that cannot be taken back was invalidated, unless
            // the target key was constructed.
            Failure::Invalidated | Failure::Declined => (
                Outcome::Invalidated,
                enokey(),
                limits.negative_ttl,
                enokey(),
            ),
            Failure::TimedOut => (
                Outcome::TimedOut,
                etimedout(),
                limits.negative_ttl,
                etimedout(),
            ),
            // A key that stays negative would be in the way of the call when it is restarted.
            // Others who wait for the same key learn why it was given up.
            Failure::Interrupted => (Outcome::Interrupted, EINTR, 0, ERESTARTSYS),
        };
        let target: ARef<Key> = authkey.target().into();
        if authkey.settle_with(reason, ttl) {
            End::Settled(outcome, error.to_errno())
        } else {
            // The answer came first.
            End::Settled(answered(&target), 0)
        }
    }

    fn wait_for_answer(&mut self, timeout: Delta) -> Result<(), Failure> {
        let killable = self.requester.is_overridden();
        let timeout = if killable {
            timeout.min(KILLABLE_TIMEOUT)
        } else {
            timeout
        };
        let mut slice = first_slice(self.asked.count());

        loop {
            if !self.authkey.target().is_under_construction() {
                return Ok(());
            }
            if self.authkey.is_invalidated() {
                return Err(Failure::Invalidated);
            }
            if self.authkey.is_given_up() {
                return Err(Failure::Declined);
            }
            if !self.agent.is_alive(&self.thread) {
                return Err(Failure::Died);
            }
            let left = timeout.as_millis() - self.since.elapsed().as_millis();
            if left <= 0 {
                return Err(Failure::TimedOut);
            }
            if !self.is_told {
                self.is_told = self.tell();
            }

            let now = if self.is_told {
                slice
            } else {
                slice.min(FULL_QUEUE_SLICE)
            };
            let jiffies = msecs_to_jiffies(now.min(left).unsigned_abs() as u32);
            match wait::for_construction(self.authkey.target(), killable, jiffies) {
                Slice::Constructed => {}
                Slice::Elapsed => slice = (slice * 2).min(LAST_SLICE),
                Slice::Interrupted => return Err(Failure::Interrupted),
            }
        }
    }

    /// Sends the signal again that found the agent's queue full.
    fn tell(&self) -> bool {
        let Some(_exec_guard) = self.thread.try_lock_exec() else {
            return false;
        };

        let Ok(agent_cred) = self.thread.cred() else {
            return false;
        };
        let serial = self.authkey.target().serial();

        self.agent.is_alive(&self.thread)
            && self.agent.signal().would_be_seen_by(&self.thread)
            && self
                .agent
                .signal()
                .send(&self.thread, &agent_cred, self.requester, serial)
                .is_ok()
    }
}

/// How long a requester sleeps first whose agent has `count` requests, its own included.
fn first_slice(count: usize) -> i64 {
    let times = (count / FEW_REQUESTS).max(1);

    FIRST_SLICE
        .saturating_mul(times.try_into().unwrap_or(i64::MAX))
        .min(LAST_SLICE)
}

/// How an agent answered for a key that it has constructed.
fn answered(target: &Key) -> Outcome {
    if target.is_positive() {
        Outcome::Served
    } else {
        Outcome::Rejected
    }
}
