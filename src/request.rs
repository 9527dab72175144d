// SPDX-License-Identifier: GPL-2.0

//! One request, from the upcall that it would have been to its end.
//!
//! The nearest live agent key in the requester's session keyring decides which agent is asked. The
//! authorisation key is linked into the agent's process keyring, a signal tells the agent, and the
//! requester waits ([`crate::answer`]). Every path ends with the authorisation key settled: by the
//! original upcall, when no agent was asked or the agent gave the request back, or by the wait.
//!
//! Locks: the agent's `exec_update_lock` (read, only tried), and inside it one at a time the
//! semaphores of the requester's keyrings and of the agent's process keyring, the agent's
//! `siglock`, the lock of the agent's load with the `siglock` inside, and the lock of the table of
//! requests in flight. None is held during the wait.

use crate::{
    admission::Admission,
    answer::{
        self,
        End,
        Request, //
    },
    case,
    inflight::InFlight,
    outcome::{
        Counters,
        Outcome, //
    },
    sys::{
        authkey::AuthKey,
        cred::{
            self,
            Requester,
            Tenant, //
        },
        key::Key,
        key_type::{
            self,
            AgentRef, //
        },
        params,
        revocation::RevocationQueue,
        task::{
            self,
            CurrentThread, //
        },
        trace,
        watchdog::Watchdog, //
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
        Instant,
        Monotonic, //
    }, //
};

/// How many keys of dead agents one request revokes before it goes on without an agent.
const MAX_DEAD_AGENTS: usize = 16;

/// The server of all requests.
#[pin_data]
pub(crate) struct Server {
    inflight: Arc<InFlight>,
    #[pin]
    watchdog: Watchdog,
    outcomes: Counters,
    #[pin]
    revocations: RevocationQueue,
}

impl Server {
    /// A server with no requests yet.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inflight: Arc::pin_init(InFlight::new(), GFP_KERNEL)?,
            watchdog <- Watchdog::new(inflight.clone()),
            outcomes: Counters::new(),
            revocations <- RevocationQueue::new(),
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

    /// Serves one request of `requester`, the current task, with no locks of the module held. May
    /// sleep.
    ///
    /// Returns zero or a negative errno, like a `request_key_actor_t`.
    pub(crate) fn serve<'a>(&'a self, authkey: AuthKey<'a>, requester: &'a Requester) -> c_int {
        let account = Account::open(self, authkey.target());

        let request = match self.hand_over(authkey, requester, account.start) {
            Ok(request) => request,
            Err((authkey, outcome)) => {
                account.close(outcome, None);
                return authkey.leave_to_original();
            }
        };
        let agent = (request.agent().clone(), request.thread.tgid());

        match request.wait() {
            End::Settled(outcome, ret) => {
                account.close(outcome, Some(agent));
                ret
            }
            End::GivenBack(outcome, authkey) => {
                account.close(outcome, Some(agent));
                authkey.leave_to_original()
            }
        }
    }

    /// Finds an agent and gives it the authorisation key, or gives that back with the reason.
    fn hand_over<'a>(
        &'a self,
        mut authkey: AuthKey<'a>,
        requester: &'a Requester,
        since: Instant<Monotonic>,
    ) -> Result<Request<'a>, (AuthKey<'a>, Outcome)> {
        // The session keyring of a worker, if it has one, belongs to the process that it works for
        // just now.
        if task::current_is_worker() {
            return Err((authkey, Outcome::Worker));
        }
        // The wait would end at once.
        if task::current_is_killed() {
            return Err((authkey, Outcome::Dying));
        }

        let mut outcome = Outcome::NoAgent;
        for _ in 0..MAX_DEAD_AGENTS {
            let Some(key) = find(requester, authkey.target()) else {
                break;
            };
            let Some(agent) = key_type::agent(&key) else {
                return Err((authkey, Outcome::Withdrawn));
            };
            match self.hand_to(authkey, &key, &agent, requester, since) {
                Err((back, Outcome::DeadAgent)) => {
                    key.revoke();
                    authkey = back;
                    outcome = Outcome::DeadAgent;
                }
                Err((back, outcome)) => {
                    agent.tally().count(outcome);
                    return Err((back, outcome));
                }
                handed => return handed,
            }
        }
        Err((authkey, outcome))
    }

    /// Gives the authorisation key to the agent of `key`, if that may have it.
    fn hand_to<'a>(
        &'a self,
        authkey: AuthKey<'a>,
        key: &Key,
        agent: &AgentRef,
        requester: &'a Requester,
        since: Instant<Monotonic>,
    ) -> Result<Request<'a>, (AuthKey<'a>, Outcome)> {
        let Some(thread) = agent.thread() else {
            return Err((authkey, Outcome::DeadAgent));
        };
        if thread.is_of_current_process() {
            return Err((authkey, Outcome::OwnProcess));
        }
        // During a suspend the original fails at once. One system call can make many such requests,
        // and the suspend would fail if each of them waited. It is the same for cgroup v1.
        if task::current_is_freezing() && !answer::is_syscall(requester) {
            return Err((authkey, Outcome::Suspending));
        }

        // From here to the signal the agent's program stays what it is, and the keyring belongs to
        // the credentials that are checked. A thread that is in exec already will be dead.
        let Some(exec_guard) = thread.try_lock_exec() else {
            return Err((authkey, Outcome::InExec));
        };
        if !agent.is_alive(&thread) {
            return Err((authkey, Outcome::DeadAgent));
        }
        if thread.is_in_exec() {
            return Err((authkey, Outcome::InExec));
        }
        let Ok(agent_cred) = thread.cred() else {
            return Err((authkey, Outcome::DeadAgent));
        };
        let Some(ring) = cred::process_keyring(&agent_cred) else {
            return Err((authkey, Outcome::NoProcessKeyring));
        };
        if key.validate().is_err() {
            return Err((authkey, Outcome::Withdrawn));
        }
        let number = thread.number_of(&CurrentThread::new());
        if let Err(denial) = case::may_answer(&thread, &agent_cred, requester, number, &authkey) {
            return Err((authkey, denial.into()));
        }
        if !agent.signal().would_be_seen_by(&thread) {
            return Err((authkey, Outcome::Deaf));
        }

        let tenant = Tenant::of(requester.real(), &agent_cred);
        let max = params::max_in_flight();
        let mut admission = match Admission::new(agent.clone(), &thread, tenant, max) {
            Ok(admission) => admission,
            Err(outcome) => return Err((authkey, outcome)),
        };
        let timeout = answer::timeout(requester);
        let target = authkey.target();
        let entry = match self.inflight.enter(target, thread.tgid(), since, timeout) {
            Ok(entry) => entry,
            Err(outcome) => return Err((authkey, outcome)),
        };
        self.watchdog.wake();
        // From here on the key service can hold the request up.
        if !authkey.destination_is_possessed() {
            return Err((authkey, Outcome::DeniedDestination));
        }
        let authkey = match authkey.hand_to(ring, &self.revocations) {
            Ok(authkey) => authkey,
            Err((authkey, ENOMEM)) => return Err((authkey, Outcome::NoMemory)),
            Err((authkey, _)) => return Err((authkey, Outcome::NotLinked)),
        };
        trace::handover(target, &thread, &agent_cred, agent.signal().number());

        // The signal only says that there is a request. If the queue is full the signal is sent
        // later, and if the agent has ended the wait notices that.
        if agent
            .signal()
            .send(&thread, &agent_cred, requester, number, target.serial())
            .is_ok()
        {
            admission.told();
        }
        drop(exec_guard);

        Ok(Request {
            authkey,
            admission,
            entry,
            thread,
            requester,
            number,
            since,
            timeout,
        })
    }
}

/// A request as it is counted and traced.
struct Account<'a> {
    server: &'a Server,
    target: &'a Key,
    start: Instant<Monotonic>,
}

impl<'a> Account<'a> {
    fn open(server: &'a Server, target: &'a Key) -> Self {
        trace::request_start(target);
        Self {
            server,
            target,
            start: Instant::now(),
        }
    }

    /// `agent` is the agent that was asked, with its process ID.
    fn close(self, outcome: Outcome, agent: Option<(AgentRef, i32)>) {
        let mut tgid = 0;

        self.server.outcomes.count(outcome);
        if let Some((agent, number)) = agent {
            agent.tally().count(outcome);
            tgid = number;
        }
        trace::request_end(self.target, tgid, outcome.name(), self.start);
    }
}

/// The nearest valid agent key for the type of `target` in the session keyring of the requester's
/// real credentials.
fn find(requester: &Requester, target: &Key) -> Option<ARef<Key>> {
    let keyring = cred::session_keyring(requester.real())?;

    requester
        .as_real(|| key_type::search(&keyring, target.type_name()))
        .ok()
}
