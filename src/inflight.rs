// SPDX-License-Identifier: GPL-2.0

//! The requests that agents have, as a graph of processes that wait for each other.
//!
//! A request is in the table from before its agent can see the authorisation key until the
//! request is settled. The table tells whether an agent waits for the requester already, the
//! administrator can read it, and the watchdog ends what is overdue (`crate::sys::watchdog`).
//!
//! Locks: nothing is taken inside the table's lock. It is taken with an agent's
//! `exec_update_lock` held.

use crate::outcome::Outcome;
use crate::sys::{
    debugfs::Show,
    key::Key,
    task, //
};
use core::iter::successors;
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    seq_file::SeqFile,
    seq_print,
    sync::{
        aref::ARef,
        SpinLock, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// How many agents a chain of requests may have, each of which requests a key of the next.
const MAX_CHAIN: usize = 8;

/// How many requests are looked at to find out whether there is such a chain, with the lock held.
const MAX_STEPS: usize = 1024;

/// How long after its deadline a request is overdue.
const GRACE: Delta = Delta::from_secs(4);

/// A process, by its number in the initial pid namespace.
type Tgid = i32;

/// The requests in flight.
#[pin_data]
pub(crate) struct InFlight {
    #[pin]
    table: SpinLock<Table>,
}

/// A request: the requester's process, and the serial of the key under construction.
///
/// The process comes first, so that the requests of one process stand side by side.
type RequestKey = (Tgid, i32);

/// The rest of what is known of a request.
#[derive(Clone)]
struct State {
    /// The process that is to answer.
    agent: Tgid,
    since: Instant<Monotonic>,
    timeout: Delta,
    /// The key under construction; tests of the graph have none.
    target: Option<ARef<Key>>,
}

type Requests = RBTree<RequestKey, State>;

struct Table {
    requests: Requests,
    /// Memory of a request that is over, for the next one.
    spare: Option<RBTreeNodeReservation<RequestKey, State>>,
}

impl InFlight {
    /// An empty table.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            table <- new_spinlock!(Table {
                requests: RBTree::new(),
                spare: None,
            }),
        })
    }

    /// Enters the current process' request for the key `target`, which came at `since` and which
    /// the process `agent` is to answer within `timeout`. May sleep.
    ///
    /// Fails with [`Outcome::Cycle`] when the agent waits for the requester, directly or through
    /// others, or with [`Outcome::NoMemory`].
    pub(crate) fn enter(
        &self,
        target: &Key,
        agent: Tgid,
        since: Instant<Monotonic>,
        timeout: Delta,
    ) -> Result<Entry<'_>, Outcome> {
        self.enter_state(
            (task::current_tgid(), target.serial()),
            State {
                agent,
                since,
                timeout,
                target: Some(target.into()),
            },
        )
    }

    fn enter_state(&self, key: RequestKey, state: State) -> Result<Entry<'_>, Outcome> {
        let mut table = self.table.lock();
        let memory = match table.spare.take() {
            Some(memory) => memory,
            None => {
                drop(table);
                let memory =
                    RBTreeNodeReservation::new(GFP_KERNEL).map_err(|_| Outcome::NoMemory)?;
                table = self.table.lock();
                memory
            }
        };

        if waits_for(&mut table.requests, state.agent, key.0) {
            // The memory is freed with the lock released.
            drop(table);
            return Err(Outcome::Cycle);
        }
        table.requests.insert(memory.into_node(key, state));
        Ok(Entry {
            inflight: self,
            key,
        })
    }

    /// The requests, one at a time with the lock released, so that what is done with one may sleep.
    fn each(&self) -> impl Iterator<Item = (RequestKey, State)> + '_ {
        successors(self.at_or_after((0, 0)), |((requester, target), _)| {
            self.at_or_after(match target.checked_add(1) {
                Some(next) => (*requester, next),
                None => (requester + 1, 0),
            })
        })
    }

    fn at_or_after(&self, key: RequestKey) -> Option<(RequestKey, State)> {
        let table = self.table.lock();

        table.requests.cursor_lower_bound(&key).map(|cursor| {
            let (&key, state) = cursor.current();
            (key, state.clone())
        })
    }

    /// The keys of requests that are overdue.
    pub(crate) fn overdue(&self) -> impl Iterator<Item = ARef<Key>> + '_ {
        self.each()
            .filter(|(_, state)| {
                state.since.elapsed().as_millis() > (state.timeout + GRACE).as_millis()
            })
            .filter_map(|(_, state)| state.target)
    }

    /// Whether there are no requests.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.lock().requests.is_empty()
    }
}

impl Show for InFlight {
    /// One line for each request: the requester's process, the agent's, the key under
    /// construction, and the age in milliseconds.
    fn show(&self, out: &SeqFile) {
        for ((requester, target), state) in self.each() {
            seq_print!(
                out,
                "requester={} agent={} key={} age_ms={}\n",
                requester,
                state.agent,
                target,
                state.since.elapsed().as_millis(),
            );
        }
    }
}

/// A request's place in the table, which it leaves when this is dropped.
pub(crate) struct Entry<'a> {
    inflight: &'a InFlight,
    key: RequestKey,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut table = self.inflight.table.lock();
        let unused = table
            .requests
            .remove_node(&self.key)
            .map(RBTreeNode::into_reservation)
            .and_then(|memory| table.spare.replace(memory));

        // The memory is freed with the lock released.
        drop(table);
        drop(unused);
    }
}

/// Whether `process` waits for an answer of `other`, directly or through up to [`MAX_CHAIN`]
/// processes and [`MAX_STEPS`] requests in all. Beyond these limits the answer is yes.
fn waits_for(requests: &mut Requests, process: Tgid, other: Tgid) -> bool {
    let mut found = [process; MAX_CHAIN];
    let mut count = 1;
    let mut next = 0;
    let mut steps = 0;

    while next < count {
        // PANIC: `next` is below `count`, which is at most the length of the array.
        let waiting = found[next];
        next += 1;

        let mut cursor = requests.cursor_lower_bound_mut(&(waiting, 0));
        while let Some(at) = cursor {
            let (&(requester, _), state) = at.current();
            if requester != waiting {
                break;
            }
            steps += 1;
            if steps > MAX_STEPS {
                return true;
            }
            let agent = state.agent;
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
            cursor = at.move_next();
        }
    }
    false
}

#[kernel::macros::kunit_tests(keyagent_inflight)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    fn state(agent: Tgid) -> State {
        State {
            agent,
            since: Instant::now(),
            timeout: Delta::from_secs(10),
            target: None,
        }
    }

    /// A table in which each first process waits for the second.
    fn table(edges: &[(Tgid, Tgid)]) -> Result<Requests> {
        let mut table = RBTree::new();
        let mut target = 0;
        for &(requester, agent) in edges {
            target += 1;
            table.try_create_and_insert((requester, target), state(agent), GFP_KERNEL)?;
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
    fn a_circle_is_refused() -> Result {
        let inflight = Arc::pin_init(InFlight::new(), GFP_KERNEL)?;

        let first = inflight.enter_state((1, 10), state(2));
        assert!(first.is_ok());
        assert!(inflight.enter_state((2, 11), state(1)).is_err());
        drop(first);
        assert!(inflight.enter_state((2, 11), state(1)).is_ok());
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
