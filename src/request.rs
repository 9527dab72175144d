// SPDX-License-Identifier: GPL-2.0

//! One request, from the upcall that it would have been to its end.
//!
//! The nearest live agent key in the requester's session keyring decides who is asked. The
//! authorisation key is linked into the agent's process keyring, a signal tells the agent, and the
//! requester waits ([`crate::answer`]). Every path ends with the authorisation key settled: by the
//! original upcall, when no agent was asked or it gave the request back, or by the wait.
//!
//! Locks: the agent's `exec_update_lock` (read, only tried), inside it the semaphore of its process
//! keyring, its `alloc_lock` and its `siglock`, inside all the locks of the two tables, one at a time.
//! None is held during the wait.

use crate::{
    agent::{
        self,
        Agent, //
    },
    answer::{
        End,
        Limits,
        Request, //
    },
    inflight::{
        Entry,
        InFlight, //
    },
    outcome::{
        Counters,
        Outcome, //
    },
    policy::{
        self,
        Process,
        Standing, //
    },
    sys::{
        authkey::{
            AuthKey,
            AuthKeyId, //
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
        revocation::RevocationQueue,
        task::{
            self,
            Thread, //
        },
        trace, //
    }, //
};
use kernel::{
    cred::Credential,
    ffi::c_int,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How many keys of dead agents one request revokes before it goes on without an agent.
const MAX_DEAD_AGENTS: usize = 16;

/// What serves the requests.
#[pin_data]
pub(crate) struct Server {
    #[pin]
    inflight: InFlight,
    outcomes: Counters,
    #[pin]
    revocations: RevocationQueue,
    limits: Limits,
}

impl Server {
    /// A server with no requests yet.
    pub(crate) fn new(limits: Limits) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inflight <- InFlight::new(),
            outcomes: Counters::new(),
            revocations <- RevocationQueue::new(),
            limits,
        })
    }

    /// The requests in flight.
    pub(crate) fn inflight(&self) -> &InFlight {
        &self.inflight
    }

    /// How the requests ended.
    pub(crate) fn outcomes(&self) -> &Counters {
        &self.outcomes
    }
}

impl Actor for Arc<Server> {
    fn is_bypassed(&self, authkey: AuthKeyId) -> bool {
        self.inflight.contains(authkey)
    }

    fn act(&self, authkey: AuthKey, original: Original) -> c_int {
        let account = Account::open(self, authkey.target());

        // Without its entry in the table the request could not go to the original either.
        let since = account.start;
        let serial = authkey.target().serial();
        let entry = match self.inflight.enter(authkey.id(), serial, since) {
            Ok(entry) => entry,
            Err(error) => {
                account.close(Outcome::NoMemory, None);
                return authkey.reject(error, 0);
            }
        };
        let requester = Requester::current();

        let (request, agent) = match self.hand_over(authkey, &requester, &entry, since) {
            Ok(request) => {
                let agent = (request.agent.clone(), request.thread.tgid());
                (request, agent)
            }
            Err((authkey, outcome)) => {
                account.close(outcome, None);
                return original.call(authkey);
            }
        };
        match request.wait(&self.limits) {
            End::Settled(outcome, ret) => {
                account.close(outcome, Some(agent));
                ret
            }
            End::GivenBack(outcome, authkey) => {
                account.close(outcome, Some(agent));
                entry.clear_agent();
                original.call(authkey)
            }
        }
    }
}

/// A request as it is counted and traced.
struct Account<'a> {
    server: &'a Server,
    target: ARef<Key>,
    start: Instant<Monotonic>,
}

impl<'a> Account<'a> {
    fn open(server: &'a Server, target: &Key) -> Self {
        trace::request_start(target);
        Self {
            server,
            target: target.into(),
            start: Instant::now(),
        }
    }

    /// The agent, with its process' number, is who was asked.
    fn close(self, outcome: Outcome, agent: Option<(Arc<Agent>, i32)>) {
        let mut tgid = 0;

        self.server.outcomes.count(outcome);
        if let Some((agent, number)) = agent {
            agent.outcomes().count(outcome);
            tgid = number;
        }
        trace::request_end(&self.target, tgid, outcome.name(), self.start.elapsed());
    }
}

/// Why an agent is not asked.
enum Refusal {
    /// Its thread is gone, or runs another program.
    Dead,
    /// Another reason, for all of which the requester sees the same: no agent.
    Unfit(Outcome),
}

impl Server {
    /// Finds an agent and gives it the authorisation key, or gives that back with the reason.
    fn hand_over<'a>(
        &'a self,
        mut authkey: AuthKey,
        requester: &'a Requester,
        entry: &Entry<'_>,
        since: Instant<Monotonic>,
    ) -> Result<Request<'a>, (AuthKey, Outcome)> {
        // A worker's session keyring, if it has one, is that of whoever it works for just now.
        if task::current_is_worker() {
            return Err((authkey, Outcome::Worker));
        }

        let mut outcome = Outcome::NoAgent;
        for _ in 0..MAX_DEAD_AGENTS {
            let Some(key) = find(requester, authkey.target()) else {
                break;
            };
            match self.hand_to(authkey, &key, requester, entry, since) {
                Ok(request) => return Ok(request),
                Err((back, Refusal::Unfit(outcome))) => return Err((back, outcome)),
                Err((back, Refusal::Dead)) => {
                    key.revoke();
                    authkey = back;
                    outcome = Outcome::DeadAgent;
                }
            }
        }
        Err((authkey, outcome))
    }

    /// Gives the authorisation key to the agent of `key`, if that may have it.
    fn hand_to<'a>(
        &'a self,
        authkey: AuthKey,
        key: &Key,
        requester: &'a Requester,
        entry: &Entry<'_>,
        since: Instant<Monotonic>,
    ) -> Result<Request<'a>, (AuthKey, Refusal)> {
        let Some(agent) = agent::KEY_TYPE.payload(key) else {
            return Err((authkey, Refusal::Unfit(Outcome::Withdrawn)));
        };
        let Some(thread) = agent.thread() else {
            return Err((authkey, Refusal::Dead));
        };
        if thread.is_of_current_process() {
            return Err((authkey, Refusal::Unfit(Outcome::OwnProcess)));
        }

        // From here to the signal the agent's program stays what it is, and the keyring belongs to
        // the credentials that are checked. One that is in exec just now is about to be dead.
        let Some(exec_guard) = thread.try_lock_exec() else {
            return Err((authkey, Refusal::Unfit(Outcome::InExec)));
        };
        if !agent.is_alive(&thread) {
            return Err((authkey, Refusal::Dead));
        }
        let Ok(agent_cred) = thread.cred() else {
            return Err((authkey, Refusal::Dead));
        };
        let Some(ring) = cred::process_keyring(&agent_cred) else {
            return Err((authkey, Refusal::Unfit(Outcome::NoProcessKeyring)));
        };
        if key.validate().is_err() {
            return Err((authkey, Refusal::Unfit(Outcome::Withdrawn)));
        }
        if let Err(denial) = judge(&thread, &agent_cred, requester, &authkey) {
            agent.outcomes().count(denial.into());
            return Err((authkey, Refusal::Unfit(denial.into())));
        }
        if !agent.signal().would_be_seen_by(&thread) {
            return Err((authkey, Refusal::Unfit(Outcome::Deaf)));
        }
        let serial = authkey.target().serial();
        let Ok(asked) = agent.asked().enter(since) else {
            return Err((authkey, Refusal::Unfit(Outcome::NoMemory)));
        };
        if entry.set_agent(thread.tgid()).is_err() {
            return Err((authkey, Refusal::Unfit(Outcome::Cycle)));
        }

        let authkey = match authkey.hand_to(&ring, &self.revocations) {
            Ok(authkey) => authkey,
            Err((authkey, error)) => {
                entry.clear_agent();
                let outcome = if error == ENOMEM {
                    Outcome::NoMemory
                } else {
                    Outcome::NotLinked
                };
                return Err((authkey, Refusal::Unfit(outcome)));
            }
        };
        trace::handover(authkey.target(), thread.tgid(), agent.signal().number());

        // The signal only says that there is a request. If the queue is full it is sent later, and
        // if the agent is gone the wait notices that.
        let is_told = agent
            .signal()
            .send(&thread, &agent_cred, requester, serial)
            .is_ok();
        drop(exec_guard);

        Ok(Request {
            authkey,
            agent,
            asked,
            thread,
            requester,
            since,
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

/// Whether the agent may have the authority, as things are at this moment.
///
/// That the agent may trace others only ever makes up for something. It is not looked into where
/// nothing is missing, which is the rule: it costs more than all the rest.
fn judge(
    thread: &Thread,
    agent: &Credential,
    requester: &Requester,
    authkey: &AuthKey,
) -> Result<(), policy::Denial> {
    policy::judge(&case(thread, agent, requester, authkey, false))
        .or_else(|_| policy::judge(&case(thread, agent, requester, authkey, true)))
}

/// The request and the agent; without `look_at_tracing` the agent counts as one that may trace
/// nobody.
fn case(
    thread: &Thread,
    agent: &Credential,
    requester: &Requester,
    authkey: &AuthKey,
    look_at_tracing: bool,
) -> policy::Case {
    let current = Thread::current();
    let standing = |other: &Credential| Standing {
        identity: cred::identity(other),
        same_user_ns: cred::same_user_ns(agent, other),
        may_trace: look_at_tracing && cred::may_trace_in_user_ns_of(agent, other),
    };
    let process = |other: &Thread| Process {
        is_dumpable: other.is_dumpable(),
        may_trace: look_at_tracing && cred::may_trace_program_of(agent, other),
    };

    // As a rule all are the requester's own, and looked at once.
    let real = standing(requester.real());
    let subjective = if requester.is_overridden() {
        standing(requester.subjective())
    } else {
        real
    };
    let grants_own = cred::same(authkey.granted_cred(), requester.real());
    let granted = if grants_own {
        real
    } else {
        standing(authkey.granted_cred())
    };
    let asking = process(&current);
    let grantor = authkey.grantor();
    // Of one that is gone nobody knows what it was.
    let (granting, granted_is_overridden) = match &grantor {
        Some(grantor) if grants_own && grantor.is_current() => (asking, false),
        Some(grantor) => (
            process(grantor),
            !grantor
                .cred()
                .is_ok_and(|own| cred::same(authkey.granted_cred(), &own)),
        ),
        None => (
            Process {
                is_dumpable: false,
                may_trace: granted.may_trace,
            },
            true,
        ),
    };
    let is_overridden = requester.is_overridden() || granted_is_overridden;

    policy::Case {
        agent: cred::identity(agent),
        real,
        subjective,
        granted,
        requester: asking,
        grantor: granting,
        agent_no_new_privs: thread.has_no_new_privs(),
        no_new_privs: current.has_no_new_privs()
            && grantor.as_ref().is_some_and(Thread::has_no_new_privs),
        is_overridden,
        may_administer_system: is_overridden && cred::may_administer_system(agent),
    }
}
