// SPDX-License-Identifier: GPL-2.0

//! Limits: how many requests an agent and one of its tenants may have at once.
//!
//! A request is admitted before the agent can see the authorisation key, and leaves when the
//! requester has stopped waiting. At most `max_in_flight` requests of an agent are in flight, and
//! at most half as many of one tenant.
//!
//! Nothing can remove the signal of a request that is over, so the signals are limited as well: at
//! most `max_in_flight` are queued. [`State::signals`] is never below the real number. It only
//! grows until it reaches the limit; then the queue is counted.
//!
//! Locks: the lock of a [`Load`] is taken with the agent's `exec_update_lock` held, and the agent's
//! `siglock` is taken inside it.

use crate::{
    outcome::Outcome,
    sys::{
        cred::Tenant,
        key_type::AgentRef,
        task::Thread, //
    }, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::SpinLock, //
};

/// The requests that an agent has.
#[pin_data]
pub(crate) struct Load {
    #[pin]
    state: SpinLock<State>,
}

struct State {
    /// The number of requests of each tenant that has any.
    tenants: RBTree<Tenant, u32>,
    /// Memory of a tenant that has none any more, for the next one.
    spare: Option<RBTreeNodeReservation<Tenant, u32>>,
    /// The number of requests.
    in_flight: u32,
    /// How many of them the agent was not told of.
    untold: u32,
    /// How many signals may be queued, with those that are still to be sent.
    signals: u32,
}

impl Load {
    /// The load of a new agent.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(State {
                tenants: RBTree::new(),
                spare: None,
                in_flight: 0,
                untold: 0,
                signals: 0,
            }),
        })
    }

    /// The number of requests in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.state.lock().in_flight
    }

    /// Counts a request of `tenant`, unless one of the limits that follow from `max` is reached.
    /// `count_signals` counts the signals in the agent's queue. Returns the number of requests.
    ///
    /// May sleep.
    fn enter(
        &self,
        tenant: Tenant,
        max: u32,
        count_signals: impl Fn() -> u32,
    ) -> Result<u32, Outcome> {
        let mut memory = None;

        loop {
            let mut state = self.state.lock();
            let own = state.tenants.get(&tenant).copied();

            if state.in_flight >= max || own.unwrap_or(0) >= max / 2 {
                return Err(Outcome::Busy);
            }
            if state.signals >= max {
                state.signals = count_signals().saturating_add(state.untold);
                if state.signals >= max {
                    return Err(Outcome::Busy);
                }
            }
            if let Some(count) = state.tenants.get_mut(&tenant) {
                *count += 1;
            } else if let Some(memory) = state.spare.take().or_else(|| memory.take()) {
                state.tenants.insert(memory.into_node(tenant, 1));
            } else {
                // Allocated with the lock released, then the limits are looked at again.
                drop(state);
                memory = Some(
                    RBTreeNodeReservation::new(GFP_KERNEL).map_err(|_| Outcome::NoMemory)?, //
                );
                continue;
            }
            state.in_flight += 1;
            state.untold += 1;
            state.signals += 1;
            return Ok(state.in_flight);
        }
    }

    /// The agent was told of a request: its signal is in the queue.
    fn told(&self) {
        self.state.lock().untold -= 1;
    }

    /// A request of `tenant` is over.
    fn leave(&self, tenant: Tenant, was_told: bool) {
        let mut state = self.state.lock();

        state.in_flight -= 1;
        if !was_told {
            state.untold -= 1;
            state.signals -= 1;
        }
        let unused = match state.tenants.get_mut(&tenant) {
            Some(count) if *count > 1 => {
                *count -= 1;
                None
            }
            _ => state.tenants.remove_node(&tenant),
        };
        let unused = unused
            .map(RBTreeNode::into_reservation)
            .and_then(|memory| state.spare.replace(memory));

        // The memory is freed with the lock released.
        drop(state);
        drop(unused);
    }
}

/// A request that counts for an agent until this is dropped.
pub(crate) struct Admission {
    agent: AgentRef,
    tenant: Tenant,
    count: u32,
    is_told: bool,
}

impl Admission {
    /// Admits a request of `tenant` to `agent`, which is `thread`, with at most `max` requests. May
    /// sleep.
    ///
    /// Fails with [`Outcome::Busy`] at a limit, or with [`Outcome::NoMemory`].
    pub(crate) fn new(
        agent: AgentRef,
        thread: &Thread,
        tenant: Tenant,
        max: u32,
    ) -> Result<Self, Outcome> {
        let signal = agent.signal();
        let count = agent
            .load()
            .enter(tenant, max, || signal.queued_for(thread))?;

        Ok(Self {
            agent,
            tenant,
            count,
            is_told: false,
        })
    }

    /// The agent.
    pub(crate) fn agent(&self) -> &AgentRef {
        &self.agent
    }

    /// How many requests the agent had when this one was admitted, with this one.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether the agent was told of the request.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    /// The agent was told of the request: its signal is in the queue.
    pub(crate) fn told(&mut self) {
        if !self.is_told {
            self.is_told = true;
            self.agent.load().told();
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.agent.load().leave(self.tenant, self.is_told);
    }
}

#[kernel::macros::kunit_tests(keyagent_admission)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    const A: Tenant = Tenant::User(1000);
    const B: Tenant = Tenant::User(1001);

    fn load() -> Result<Arc<Load>> {
        Arc::pin_init(Load::new(), GFP_KERNEL)
    }

    fn enter(load: &Load, tenant: Tenant, max: u32, queued: u32) -> bool {
        load.enter(tenant, max, || queued).is_ok()
    }

    #[test]
    fn a_tenant_may_have_half() -> Result {
        let load = load()?;

        assert!(enter(&load, A, 4, 0) && enter(&load, A, 4, 0));
        assert!(!enter(&load, A, 4, 0));
        assert!(enter(&load, B, 4, 0) && enter(&load, B, 4, 0));
        assert!(!enter(&load, B, 4, 0));
        assert!(!enter(&load, Tenant::User(1002), 4, 0));
        assert_eq!(load.in_flight(), 4);

        load.told();
        load.leave(A, true);
        assert!(enter(&load, A, 4, 0));
        Ok(())
    }

    #[test]
    fn what_leaves_makes_room() -> Result {
        let load = load()?;

        for _ in 0..100 {
            assert!(enter(&load, A, 2, 0));
            assert!(!enter(&load, A, 2, 0));
            load.told();
            load.leave(A, true);
        }
        assert_eq!(load.in_flight(), 0);
        Ok(())
    }

    #[test]
    fn signals_that_stay_are_counted() -> Result {
        let load = load()?;

        // Four requests are over, and their signals are still queued.
        for _ in 0..4 {
            assert!(enter(&load, A, 4, 0));
            load.told();
            load.leave(A, true);
        }
        assert!(!enter(&load, B, 4, 4));
        assert!(enter(&load, B, 4, 3));

        // The one signal that is still to be sent counts too.
        assert!(!enter(&load, A, 4, 3));
        assert!(enter(&load, A, 4, 2));
        Ok(())
    }

    #[test]
    fn a_signal_that_was_not_sent_is_not_counted() -> Result {
        let load = load()?;

        for _ in 0..100 {
            assert!(enter(&load, A, 2, 2));
            load.leave(A, false);
        }
        Ok(())
    }
}
