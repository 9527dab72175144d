// SPDX-License-Identifier: GPL-2.0

//! The requests that one agent was asked to answer and that are not over.
//!
//! A request is in the agent's table from before the agent can see the authorisation key until the
//! requester has stopped waiting. By that table the agent gives a request back.
//!
//! Lock order: the lock of the table is taken with nothing but the agent key's semaphore held, or
//! nothing at all; inside it only the scheduler's locks, by waking the requester.

use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        Arc,
        SpinLock, //
    },
    task::Task,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// The requests by the serial of the key under construction.
#[pin_data]
pub(crate) struct AskedTable {
    #[pin]
    requests: SpinLock<RBTree<i32, Arc<Asked>>>,
}

/// What is to know of one request on both sides.
struct Asked {
    requester: ARef<Task>,
    since: Instant<Monotonic>,
    is_declined: Atomic<bool>,
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

    /// Enters the request of the current task for the key `serial`.
    pub(crate) fn enter(self: &Arc<Self>, serial: i32) -> Result<AskedEntry> {
        let asked = Arc::new(
            Asked {
                requester: ARef::from(&**kernel::current!()),
                since: Instant::now(),
                is_declined: Atomic::new(false),
            },
            GFP_KERNEL,
        )?;
        let node = RBTreeNode::new(serial, asked.clone(), GFP_KERNEL)?;

        self.requests.lock().insert(node);
        Ok(AskedEntry {
            table: self.clone(),
            serial,
            asked,
        })
    }

    /// Gives the request for the key `serial` back to its requester, which is woken. Does not
    /// sleep.
    ///
    /// Returns whether there was one that had not been given back before.
    pub(crate) fn decline(&self, serial: i32) -> bool {
        let requests = self.requests.lock();
        let Some(asked) = requests.get(&serial) else {
            return false;
        };

        // Ordered before the wake-up, whose other side looks at it once its state is that of a
        // sleeper.
        let is_first = !asked.is_declined.xchg(true, Full);
        asked.requester.wake_up();
        is_first
    }

    /// How busy the agent is.
    pub(crate) fn load(&self) -> Load {
        let requests = self.requests.lock();
        let mut load = Load {
            count: 0,
            oldest_ms: 0,
        };

        for asked in requests.values() {
            load.count += 1;
            load.oldest_ms = load.oldest_ms.max(asked.since.elapsed().as_millis());
        }
        load
    }
}

/// A request's place in its agent's table, which it leaves when this is dropped.
pub(crate) struct AskedEntry {
    table: Arc<AskedTable>,
    serial: i32,
    asked: Arc<Asked>,
}

impl AskedEntry {
    /// Whether the agent gave the request back.
    pub(crate) fn is_declined(&self) -> bool {
        self.asked.is_declined.load(Acquire)
    }
}

impl Drop for AskedEntry {
    fn drop(&mut self) {
        let node = self.table.requests.lock().remove_node(&self.serial);

        // The memory is freed with the lock released.
        drop(node);
    }
}
