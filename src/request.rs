// SPDX-License-Identifier: GPL-2.0

//! One request, from the upcall that it would have been to its end.
//!
//! The nearest live agent key in the requester's session keyring decides who is asked. The
//! authorisation key is linked into the agent's process keyring, a signal tells the agent, and the
//! requester waits. Every path ends with the authorisation key settled: by the original upcall,
//! when no agent was asked, or here.
//!
//! What bounds the wait: the deadline, checked at least once a [`SLICE`]. Who ends it: the key
//! service wakes the requester when the target key is instantiated or rejected, and a signal does;
//! that the agent is gone is noticed at the end of a slice.
//!
//! Locks: the agent's `exec_update_lock` (read, only tried), inside it the semaphore of its process
//! keyring and its `siglock`, inside all the lock of the table of requests in flight. None is held
//! during the wait.

use crate::{
    agent::{
        self,
        Agent, //
    },
    errno::{
        enokey,
        etimedout, //
    },
    inflight::{
        Entry,
        InFlight, //
    },
    policy::{
        self,
        Standing, //
    },
    sys::{
        authkey::{
            AuthKey,
            AuthKeyId,
            HandedAuthKey,
            RevocationQueue, //
        },
        cred::{
            self,
            Requester, //
        },
        detour::{
            Actor,
            Original, //
        },
        key::Key,
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
    cred::Credential,
    ffi::c_int,
    prelude::*,
    sync::aref::ARef,
    time::{
        msecs_to_jiffies,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How long a requester sleeps before it looks whether its agent is still there, in milliseconds.
const SLICE: i64 = 250;

/// The same while the agent's signal queue has no room, before the signal is tried again.
const FULL_QUEUE_SLICE: i64 = 20;

/// How many keys of dead agents one request revokes before it goes on without an agent.
const MAX_DEAD_AGENTS: usize = 16;

/// The time limits of requests.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// How long a requester waits for an agent's answer.
    pub(crate) timeout: Delta,
    /// How long, in seconds, a key that was not answered for stays negative.
    pub(crate) negative_ttl: u32,
}

/// What serves the requests.
#[pin_data]
pub(crate) struct Server {
    #[pin]
    inflight: InFlight,
    revocations: RevocationQueue,
    limits: Limits,
}

impl Server {
    /// A server with no requests yet.
    pub(crate) fn new(limits: Limits) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inflight <- InFlight::new(),
            revocations: RevocationQueue::new()?,
            limits,
        })
    }
}

impl Actor for Server {
    fn is_bypassed(&self, authkey: AuthKeyId) -> bool {
        self.inflight.contains(authkey)
    }

    fn act(&self, authkey: AuthKey, original: Original) -> c_int {
        // Without its entry in the table the request could not go to the original either.
        let entry = match self.inflight.enter(authkey.id()) {
            Ok(entry) => entry,
            Err(error) => return authkey.reject(error, 0),
        };
        let requester = Requester::current();

        let request = match self.hand_over(authkey, &requester, &entry) {
            Ok(request) => request,
            Err(authkey) => return original.call(authkey),
        };
        request.wait(&self.limits)
    }
}

/// Why an agent is not asked.
enum Refusal {
    /// Its thread is gone, or runs another program.
    Dead,
    /// Another reason, for all of which the requester sees the same: no agent.
    Unfit,
}

impl Server {
    /// Finds an agent and gives it the authorisation key, or gives that back.
    fn hand_over<'a>(
        &'a self,
        mut authkey: AuthKey,
        requester: &'a Requester,
        entry: &Entry<'_>,
    ) -> Result<Request<'a>, AuthKey> {
        // A worker's session keyring, if it has one, is that of whoever it works for just now.
        if task::current_is_worker() {
            return Err(authkey);
        }

        for _ in 0..MAX_DEAD_AGENTS {
            let Some(key) = find(requester, authkey.target()) else {
                break;
            };
            match self.hand_to(authkey, key.clone(), requester, entry) {
                Ok(request) => return Ok(request),
                Err((back, Refusal::Unfit)) => return Err(back),
                Err((back, Refusal::Dead)) => {
                    key.revoke();
                    authkey = back;
                }
            }
        }
        Err(authkey)
    }

    /// Gives the authorisation key to the agent of `key`, if that may have it.
    fn hand_to<'a>(
        &'a self,
        authkey: AuthKey,
        key: ARef<Key>,
        requester: &'a Requester,
        entry: &Entry<'_>,
    ) -> Result<Request<'a>, (AuthKey, Refusal)> {
        let Some(agent) = agent::KEY_TYPE.payload(&key) else {
            return Err((authkey, Refusal::Unfit));
        };
        let Some(thread) = agent.thread() else {
            return Err((authkey, Refusal::Dead));
        };
        if thread.is_of_current_process() {
            return Err((authkey, Refusal::Unfit));
        }

        // From here to the signal the agent's program stays what it is, and the keyring belongs to
        // the credentials that are checked. One that is in exec just now is about to be dead.
        let Some(exec_guard) = thread.try_lock_exec() else {
            return Err((authkey, Refusal::Unfit));
        };
        if !agent.is_alive(&thread) {
            return Err((authkey, Refusal::Dead));
        }
        let Ok(agent_cred) = thread.cred() else {
            return Err((authkey, Refusal::Dead));
        };
        let Some(ring) = cred::process_keyring(&agent_cred) else {
            return Err((authkey, Refusal::Unfit));
        };
        if key.validate().is_err()
            || !is_authorised(&thread, &agent_cred, requester, &authkey)
            || !agent.signal().would_be_seen_by(&thread)
            || entry.set_agent(thread.tgid()).is_err()
        {
            return Err((authkey, Refusal::Unfit));
        }

        let authkey = match authkey.hand_to(&ring, &self.revocations) {
            Ok(authkey) => authkey,
            Err((authkey, _)) => {
                entry.clear_agent();
                return Err((authkey, Refusal::Unfit));
            }
        };

        // The signal only says that there is a request. If the queue is full it is sent later, and
        // if the agent is gone the wait notices that.
        let serial = authkey.target().serial();
        let is_told = agent
            .signal()
            .send(&thread, &agent_cred, requester, serial)
            .is_ok();
        drop(exec_guard);

        Ok(Request {
            authkey,
            key,
            thread,
            requester,
            is_told,
        })
    }
}

/// The nearest valid agent key for the type of `target` in the session keyring of the requester
/// as who it really is.
fn find(requester: &Requester, target: &Key) -> Option<ARef<Key>> {
    let keyring = cred::session_keyring(requester.real())?;

    requester
        .as_real(|| agent::KEY_TYPE.search(&keyring, target.type_name()))
        .ok()
}

/// Whether the agent could act as everyone whose keyrings the authority opens.
fn is_authorised(
    thread: &Thread,
    agent: &Credential,
    requester: &Requester,
    authkey: &AuthKey,
) -> bool {
    let standing = |other: &Credential| Standing {
        agent: cred::uids(agent),
        other: cred::uids(other),
        same_user_ns: cred::same_user_ns(agent, other),
        may_trace: cred::may_trace_in_user_ns_of(agent, other),
    };

    policy::may_answer(
        &[
            standing(requester.real()),
            standing(requester.subjective()),
            standing(authkey.granted_cred()),
        ],
        requester.is_overridden(),
        cred::may_administer_system(thread),
    )
}

/// A request that an agent was asked to answer.
struct Request<'a> {
    authkey: HandedAuthKey<'a>,
    key: ARef<Key>,
    thread: Thread,
    requester: &'a Requester,
    is_told: bool,
}

/// How a request ended without an answer.
enum Failure {
    /// The agent is gone, or invalidated the authorisation key.
    Abandoned,
    /// The requester has a signal to see to.
    Interrupted,
    /// The time is over.
    TimedOut,
}

impl Request<'_> {
    /// Waits for the answer and settles the request. Returns what the actor has to return.
    fn wait(mut self, limits: &Limits) -> c_int {
        let Err(failure) = self.wait_for_answer(limits.timeout) else {
            self.authkey.settle();
            return 0;
        };

        // A key that stays negative would be in the way of the call when it is restarted. Others
        // who wait for the same key learn why it was given up.
        let (reason, ttl, error) = match failure {
            Failure::Abandoned => (enokey(), limits.negative_ttl, enokey()),
            Failure::Interrupted => (EINTR, 0, ERESTARTSYS),
            Failure::TimedOut => (etimedout(), limits.negative_ttl, etimedout()),
        };
        if self.authkey.settle_with(reason, ttl) {
            error.to_errno()
        } else {
            0
        }
    }

    fn wait_for_answer(&mut self, timeout: Delta) -> Result<(), Failure> {
        let agent = agent::KEY_TYPE
            .payload(&self.key)
            .ok_or(Failure::Abandoned)?;
        let killable = self.requester.is_overridden();
        let start = Instant::<Monotonic>::now();

        loop {
            if !self.authkey.target().is_under_construction() {
                return Ok(());
            }
            if self.authkey.is_invalidated() || !agent.is_alive(&self.thread) {
                return Err(Failure::Abandoned);
            }
            let left = timeout.as_millis() - start.elapsed().as_millis();
            if left <= 0 {
                return Err(Failure::TimedOut);
            }
            if !self.is_told {
                self.is_told = self.tell(agent);
            }

            let slice = if self.is_told {
                SLICE
            } else {
                FULL_QUEUE_SLICE
            };
            let jiffies = msecs_to_jiffies(slice.min(left).unsigned_abs() as u32);
            match wait::for_construction(self.authkey.target(), killable, jiffies) {
                Slice::Constructed | Slice::Elapsed => {}
                Slice::Interrupted => return Err(Failure::Interrupted),
            }
        }
    }

    /// Sends the signal again that found the agent's queue full.
    fn tell(&self, agent: &Agent) -> bool {
        let Some(_exec_guard) = self.thread.try_lock_exec() else {
            return false;
        };

        let Ok(agent_cred) = self.thread.cred() else {
            return false;
        };
        let serial = self.authkey.target().serial();

        agent.is_alive(&self.thread)
            && agent.signal().would_be_seen_by(&self.thread)
            && agent
                .signal()
                .send(&self.thread, &agent_cred, self.requester, serial)
                .is_ok()
    }
}
