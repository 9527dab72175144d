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

/// When each request came, by the serial of the key under construction.
#[pin_data]
pub(crate) struct AskedTable {
    #[pin]
    requests: SpinLock<RBTree<i32, Instant<Monotonic>>>,
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
            requests <- new_spinlock!(RBTree::new()),
        })
    }

    /// Enters the request for the key `serial`.
    pub(crate) fn enter(self: &Arc<Self>, serial: i32) -> Result<AskedEntry> {
        let node = RBTreeNode::new(serial, Instant::now(), GFP_KERNEL)?;

        self.requests.lock().insert(node);
        Ok(AskedEntry {
            table: self.clone(),
            serial,
        })
    }

    /// How busy the agent is.
    pub(crate) fn load(&self) -> Load {
        let requests = self.requests.lock();
        let mut load = Load {
            count: 0,
            oldest_ms: 0,
        };

        for since in requests.values() {
            load.count += 1;
            load.oldest_ms = load.oldest_ms.max(since.elapsed().as_millis());
        }
        load
    }
}

/// A request's place in its agent's table, which it leaves when this is dropped.
pub(crate) struct AskedEntry {
    table: Arc<AskedTable>,
    serial: i32,
}

impl Drop for AskedEntry {
    fn drop(&mut self) {
        let node = self.table.requests.lock().remove_node(&self.serial);

        // The memory is freed with the lock released.
        drop(node);
    }
}
