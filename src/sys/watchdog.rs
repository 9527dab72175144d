// SPDX-License-Identifier: GPL-2.0

//! What ends requests that the key service holds up.
//!
//! `key_construction_mutex`, which the end of each construction takes, can be held by a task that
//! waits for the very key, and so can the semaphore of a keyring: encrypted_instantiate() requests
//! its master key under both, and waits without a bound. A user whose agent does not answer could
//! stop all constructions of the system for good. So the table of requests is looked at as long as
//! there are any, and a key that is overdue is invalidated: nobody waits for it any more.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h).

use super::bindings;
use crate::inflight::InFlight;
use kernel::{
    bindings as kbindings,
    container_of,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};
use pin_init::{
    pin_data,
    pinned_drop, //
};

/// How often it looks, in milliseconds.
const PERIOD: u32 = 1000;

/// Looks at the table of requests from time to time.
#[pin_data(PinnedDrop)]
pub(crate) struct Watchdog {
    #[pin]
    work: Opaque<kbindings::delayed_work>,
    inflight: Arc<InFlight>,
}

// SAFETY: Work items belong to no thread.
unsafe impl Send for Watchdog {}

// SAFETY: The C side synchronises the work item.
unsafe impl Sync for Watchdog {}

impl Watchdog {
    /// One that sleeps.
    pub(crate) fn new(inflight: Arc<InFlight>) -> impl PinInit<Self> {
        pin_init!(Self {
            work <- Opaque::ffi_init(|work| {
                // SAFETY: The work item stays where it is: the object is pinned, and waits for
                // the item when it is dropped.
                unsafe { bindings::keyagent_helper_init_delayed_work(work, Some(Self::run)) };
            }),
            inflight,
        })
    }

    /// Wakes it: a request has been entered into the table.
    pub(crate) fn wake(&self) {
        // SAFETY: The work item was initialised.
        unsafe { bindings::keyagent_helper_queue_delayed_work(self.work.get(), PERIOD) };
    }

    /// Lets all go that wait for the keys of overdue requests: these see `ENOKEY`. May sleep.
    fn end_overdue(&self) {
        let mut keys = KVec::new();

        for key in self.inflight.overdue() {
            // Without memory it is done the next time.
            if key.is_under_construction() && keys.push(key, GFP_KERNEL).is_err() {
                break;
            }
        }
        if keys.is_empty() {
            return;
        }
        for key in &keys {
            // An answer that has come meanwhile counts.
            if key.is_under_construction() {
                key.invalidate();
            }
        }

        // add_key(2) finds a key valid, does not wait for one that is not under construction, and
        // takes that for instantiated. It does not sleep meanwhile, but it can be preempted.
        // SAFETY: Always safe to call; it only sleeps.
        unsafe { bindings::keyagent_helper_synchronize_rcu_tasks() };

        for key in &keys {
            key.end_waits();
        }
    }

    /// # Safety
    ///
    /// Called in a kernel thread, with no locks held, for the work item of a watchdog, which is not
    /// dropped meanwhile; may sleep.
    unsafe extern "C" fn run(work: *mut kbindings::work_struct) {
        // SAFETY: The work item is that of a watchdog.
        let this = unsafe {
            let work: *mut Opaque<kbindings::delayed_work> =
                container_of!(work, kbindings::delayed_work, work).cast();
            &*container_of!(work, Self, work)
        };

        this.end_overdue();
        if !this.inflight.is_empty() {
            this.wake();
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Watchdog {
    /// Waits for the work item. May sleep.
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The work item was initialised. If it queues itself again, that is cancelled, too.
        unsafe { kbindings::cancel_delayed_work_sync(self.work.get()) };
    }
}
