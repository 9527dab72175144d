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

use super::{
    bindings,
    key::Key, //
};
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

        if this.inflight.end_overdue() {
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

/// Invalidates a key under construction and lets all go that wait for it. May sleep.
pub(crate) fn end_waits(key: &Key) {
    // SAFETY: The key is valid.
    unsafe { bindings::keyagent_helper_end_waits(key.as_ptr()) };
}
