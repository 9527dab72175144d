// SPDX-License-Identifier: GPL-2.0

//! The requests that one agent was asked to answer and that are not over.
//!
//! A request is in the agent's table from before the agent can see the authorisation key until the
//! requester has stopped waiting.
//!
//! Lock order: inside the lock of the table nothing is taken. It is taken with the agent's
//! `exec_update_lock` or the agent key's semaphore held.

use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        Arc,
        SpinLock, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// The requests.
#[pin_data]
pub(crate) struct AskedTable {
    #[pin]
    requests: SpinLock<Requests>,
}

struct Requests {
    /// When each came, by the serial of the key under construction.
    since: RBTree<i32, Instant<Monotonic>>,
    /// How many they are.
    count: usize,
}

/// How busy an agent is.
pub(crate) struct Load {
    /// The requests in flight.
    pub(crate) count: usize,
    /// The age of the oldest, in milliseconds; 0 when there is none.
    pub(crate) oldest_ms: i64,
}

impl AskedTable {
    /// An empty table.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            requests <- new_spinlock!(Requests {
                since: RBTree::new(),
                count: 0,
            }),
        })
    }

    /// Enters the request for the key `serial`, which came at `since`.
    pub(crate) fn enter(
        self: &Arc<Self>,
        serial: i32,
        since: Instant<Monotonic>,
    ) -> Result<AskedEntry> {
        let node = RBTreeNode::new(serial, since, GFP_KERNEL)?;
        let mut requests = self.requests.lock();

        requests.since.insert(node);
        requests.count += 1;
        Ok(AskedEntry {
            table: self.clone(),
            serial,
            place: requests.count,
        })
    }

    /// How busy the agent is.
    pub(crate) fn load(&self) -> Load {
        let requests = self.requests.lock();
        let mut load = Load {
            count: requests.count,
            oldest_ms: 0,
        };

        for since in requests.since.values() {
            load.oldest_ms = load.oldest_ms.max(since.elapsed().as_millis());
        }
        load
    }
}

/// A request's place in its agent's table, which it leaves when this is dropped.
pub(crate) struct AskedEntry {
    table: Arc<AskedTable>,
    serial: i32,
    place: usize,
}

impl AskedEntry {
    /// How many requests the agent had when this one was entered, with this one.
    pub(crate) fn place(&self) -> usize {
        self.place
    }
}

impl Drop for AskedEntry {
    fn drop(&mut self) {
        let node = {
            let mut requests = self.table.requests.lock();

            requests.count -= 1;
            requests.since.remove_node(&self.serial)
        };

        // The memory is freed with the lock released.
        drop(node);
    }
}
