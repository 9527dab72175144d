// SPDX-License-Identifier: GPL-2.0

//! The requests in flight.
//!
//! A request is in the table from before its first step until after its last. Two things are
//! looked up in it: at the entry of the original upcall, whether the call is this module's own, and
//! before a request is handed over, whether its agent waits for the requester already. And the
//! administrator can read it.
//!
//! Lock order: the table's lock is the innermost of all. It is raw, for the first look-up happens
//! where nothing may sleep, and there it is only ever tried: a breakpoint is entered like an NMI,
//! in which lockdep does not let a lock be waited for.

use crate::errno::eloop;
use crate::sys::{
    authkey::AuthKeyId,
    debugfs::Show,
    raw_spin_lock::RawSpinLockBackend,
    task, //
};
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    seq_file::SeqFile,
    seq_print,
    static_lock_class,
    sync::lock::Lock,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How many agents a chain of requests may have, each of which requests a key of the next.
const MAX_CHAIN: usize = 8;

/// How many requests are looked at to find out whether there is such a chain: interrupts are off
/// meanwhile.
const MAX_STEPS: usize = 1024;

/// A process, by its number in the initial pid namespace.
type Tgid = i32;

/// The requests in flight.
#[pin_data]
pub(crate) struct InFlight {
    #[pin]
    requests: Lock<Table, RawSpinLockBackend>,
}

/// A request: the requester's process and the authorisation key.
///
/// The process comes first, so that the requests of one stand side by side.
type RequestKey = (Tgid, AuthKeyId);

/// What is to know of a request.
#[derive(Clone, Copy)]
struct State {
    /// The process that is to answer, once there is one.
    agent: Option<Tgid>,
    /// The serial of the key under construction.
    target: i32,
    since: Instant<Monotonic>,
}

type Table = RBTree<RequestKey, State>;

impl InFlight {
    /// An empty table.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            requests <- Lock::new(RBTree::new(), c"keyagent_inflight", static_lock_class!()),
        })
    }

    /// Enters a request of the current process for the key `target`, which came just now.
    pub(crate) fn enter(
        &self,
        authkey: AuthKeyId,
        target: i32,
        since: Instant<Monotonic>,
    ) -> Result<Entry<'_>> {
        let key = (task::current_tgid(), authkey);
        let state = State {
            agent: None,
            target,
            since,
        };
        let node = RBTreeNode::new(key, state, GFP_KERNEL)?;

        self.requests.lock().insert(node);
        Ok(Entry { table: self, key })
    }

    /// Whether it is a request of the current process that is in flight.
    ///
    /// May be called in any context in which `current` is a task's. Whoever has the lock holds it
    /// with interrupts off, for no longer than [`MAX_STEPS`] take, and never calls what calls this.
    pub(crate) fn contains(&self, authkey: AuthKeyId) -> bool {
        let key = (task::current_tgid(), authkey);

        loop {
            if let Some(requests) = self.requests.try_lock() {
                return requests.get(&key).is_some();
            }
            core::hint::spin_loop();
        }
    }
}

impl Show for InFlight {
    /// One line for each request: the requester's process, the agent's, with 0 for the original
    /// upcall, the key under construction, and the age in milliseconds.
    fn show(&self, out: &SeqFile) {
        let mut from = (0, AuthKeyId::FIRST);

        // One at a time, for the lock is held with interrupts off.
        loop {
            let next = {
                let requests = self.requests.lock();
                requests.cursor_lower_bound(&from).map(|cursor| {
                    let (&key, &state) = cursor.current();
                    (key, state)
                })
            };
            let Some(((requester, authkey), state)) = next else {
                return;
            };

            seq_print!(
                out,
                "requester={} agent={} key={} age_ms={}\n",
                requester,
                state.agent.unwrap_or(0),
                state.target,
                state.since.elapsed().as_millis(),
            );
            from = (requester, authkey.next());
        }
    }
}

/// A request's place in the table, which it leaves when this is dropped.
pub(crate) struct Entry<'a> {
    table: &'a InFlight,
    key: RequestKey,
}

impl Entry<'_> {
    /// Records the process that is to answer the request.
    ///
    /// Fails with `ELOOP` when that process waits for the requester, directly or through others.
    pub(crate) fn set_agent(&self, agent: Tgid) -> Result {
        let mut requests = self.table.requests.lock();

        if waits_for(&mut requests, agent, self.key.0) {
            return Err(eloop());
        }
        if let Some(state) = requests.get_mut(&self.key) {
            state.agent = Some(agent);
        }
        Ok(())
    }

    /// Takes that back.
    pub(crate) fn clear_agent(&self) {
        if let Some(state) = self.table.requests.lock().get_mut(&self.key) {
            state.agent = None;
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let node = self.table.requests.lock().remove_node(&self.key);

        // The memory is freed with the lock released.
        drop(node);
    }
}

/// Whether `process` waits for an answer of `other`, directly or through up to [`MAX_CHAIN`]
/// processes and [`MAX_STEPS`] requests in all. A tangle of more than that counts as if it did.
fn waits_for(table: &mut Table, process: Tgid, other: Tgid) -> bool {
    let mut found = [process; MAX_CHAIN];
    let mut count = 1;
    let mut next = 0;
    let mut steps = 0;

    while next < count {
        // PANIC: `next` is below `count`, which is at most the length of the array.
        let waiting = found[next];
        next += 1;

        let mut cursor = table.cursor_lower_bound_mut(&(waiting, AuthKeyId::FIRST));
        while let Some(at) = cursor {
            let (&(requester, _), state) = at.current();
            if requester != waiting {
                break;
            }
            steps += 1;
            if steps > MAX_STEPS {
                return true;
            }
            if let Some(agent) = state.agent {
                if agent == other {
                    return true;
                }
                // PANIC: `count` is at most the length of the array.
                if !found[..count].contains(&agent) {
                    if count == MAX_CHAIN {
                        return true;
                    }
                    found[count] = agent;
                    count += 1;
                }
            }
            cursor = at.move_next();
        }
    }
    false
}

#[kernel::macros::kunit_tests(keyagent_inflight)]
mod tests {
    use super::*;

    fn state(agent: Option<Tgid>) -> State {
        State {
            agent,
            target: 1,
            since: Instant::now(),
        }
    }

    /// A table in which each first process waits for the second.
    fn table(edges: &[(Tgid, Tgid)]) -> Result<Table> {
        let mut table = RBTree::new();
        for (number, &(requester, agent)) in edges.iter().enumerate() {
            let key = (requester, AuthKeyId::for_test(number + 1));
            table.try_create_and_insert(key, state(Some(agent)), GFP_KERNEL)?;
        }
        Ok(table)
    }

    #[test]
    fn nobody_waits_in_an_empty_table() -> Result {
        assert!(!waits_for(&mut table(&[])?, 1, 2));
        Ok(())
    }

    #[test]
    fn direct_and_indirect_waits_are_found() -> Result {
        let mut table = table(&[(1, 2), (2, 3), (5, 6)])?;
        assert!(waits_for(&mut table, 1, 2));
        assert!(waits_for(&mut table, 1, 3));
        assert!(!waits_for(&mut table, 3, 1));
        assert!(!waits_for(&mut table, 1, 6));
        Ok(())
    }

    #[test]
    fn every_request_of_a_process_is_followed() -> Result {
        let mut table = table(&[(1, 2), (1, 3), (1, 4), (3, 7)])?;
        assert!(waits_for(&mut table, 1, 4));
        assert!(waits_for(&mut table, 1, 7));
        Ok(())
    }

    #[test]
    fn a_request_without_an_agent_waits_for_nobody() -> Result {
        let mut table = RBTree::new();
        table.try_create_and_insert((1, AuthKeyId::for_test(1)), state(None), GFP_KERNEL)?;
        assert!(!waits_for(&mut table, 1, 2));
        Ok(())
    }

    #[test]
    fn circles_of_others_end() -> Result {
        let mut table = table(&[(1, 2), (2, 1)])?;
        assert!(!waits_for(&mut table, 1, 3));
        Ok(())
    }

    #[test]
    fn many_requests_count_as_waiting() -> Result {
        let edges = KVec::from_elem((1, 2), MAX_STEPS + 1, GFP_KERNEL)?;
        assert!(!waits_for(&mut table(&edges[..MAX_STEPS])?, 1, 100));
        assert!(waits_for(&mut table(&edges)?, 1, 100));
        Ok(())
    }

    #[test]
    fn long_chains_count_as_waiting() -> Result {
        let edges = [
            (1, 2),
            (2, 3),
            (3, 4),
            (4, 5),
            (5, 6),
            (6, 7),
            (7, 8),
            (8, 9),
        ];
        assert!(!waits_for(&mut table(&edges[..7])?, 1, 100));
        assert!(waits_for(&mut table(&edges)?, 1, 100));
        Ok(())
    }
}
