// SPDX-License-Identifier: GPL-2.0

//! Revoking authorisation keys a grace period after their invalidation.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h).
//!
//! Each key waits for its own grace period, and one work item revokes all that have waited: what
//! is left to do takes a kernel thread, and to wake one for each key would cost more than the rest.
//!
//! Locks: nothing is taken inside the lock of the queue, which is raw because it is taken where
//! RCU calls back.

use super::{
    bindings,
    key::Key,
    raw_spin_lock::RawSpinLockBackend, //
};
use core::{
    mem::take,
    ptr::{
        null,
        NonNull, //
    }, //
};
use kernel::{
    bindings as kbindings,
    container_of,
    prelude::*,
    static_lock_class,
    sync::{
        aref::ARef,
        lock::Lock, //
    },
    types::Opaque, //
};
use pin_init::{
    pin_data,
    pinned_drop, //
};

/// An authorisation key that is to be revoked once it was invalidated.
pub(super) struct Revocation {
    rcu: Opaque<kbindings::callback_head>,
    key: ARef<Key>,
    /// The queue, once this was added to one.
    queue: *const RevocationQueue,
    next: Option<KBox<Revocation>>,
}

// SAFETY: Only the queue has the pointer followed, and that is `Sync`.
unsafe impl Send for Revocation {}

impl Revocation {
    pub(super) fn new(key: ARef<Key>) -> Result<KBox<Self>> {
        Ok(KBox::new(
            Self {
                rcu: Opaque::uninit(),
                key,
                queue: null(),
                next: None,
            },
            GFP_KERNEL,
        )?)
    }

    /// The authorisation key.
    pub(super) fn key(&self) -> &ARef<Key> {
        &self.key
    }

    /// # Safety
    ///
    /// Called by RCU, once, in a softirq or a kernel thread, for a revocation that
    /// [`RevocationQueue::add`] was given; must not sleep.
    unsafe extern "C" fn has_waited(rcu: *mut kbindings::callback_head) {
        // SAFETY: The head is that in the box that was given to the queue, and nobody else has a
        // pointer to it. The queue waits for this function when it is dropped.
        let (this, queue) = unsafe {
            let rcu: *mut Opaque<kbindings::callback_head> = rcu.cast();
            let this = KBox::from_raw(container_of!(rcu, Self, rcu));
            let queue = &*this.queue;
            (this, queue)
        };
        queue.revoke_soon(this);
    }
}

/// Revokes authorisation keys a grace period after they were invalidated.
///
/// # Invariants
///
/// `workqueue` is that of a workqueue, which only this object destroys.
#[pin_data(PinnedDrop)]
pub(crate) struct RevocationQueue {
    #[pin]
    work: Opaque<kbindings::work_struct>,
    /// Those whose grace period is over, the last one first.
    #[pin]
    ready: Lock<Option<KBox<Revocation>>, RawSpinLockBackend>,
    workqueue: NonNull<kbindings::workqueue_struct>,
}

// SAFETY: Workqueues and work items belong to no thread.
unsafe impl Send for RevocationQueue {}

// SAFETY: Queueing is synchronised by the C side, and all else is in a lock.
unsafe impl Sync for RevocationQueue {}

impl RevocationQueue {
    /// Makes a queue.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            work <- Opaque::ffi_init(|work| {
                // SAFETY: The work item stays where it is: the object is pinned, and waits for
                // the item when it is dropped.
                unsafe { bindings::keyagent_helper_init_work(work, Some(Self::run)) };
            }),
            ready <- Lock::new(None, c"keyagent_revocations", static_lock_class!()),
            // INVARIANT: Made just now.
            // SAFETY: Always safe to call.
            workqueue: NonNull::new(unsafe { bindings::keyagent_helper_alloc_workqueue() })
                .ok_or(ENOMEM)?,
        })
    }

    /// Revokes the key a grace period from now.
    pub(super) fn add(&self, mut revocation: KBox<Revocation>) {
        revocation.queue = self;
        let revocation = KBox::into_raw(revocation);

        // SAFETY: The head is in a box that is given to the callback, which is called once, for
        // each is consumed here.
        unsafe {
            bindings::keyagent_helper_call_rcu(
                (*revocation).rcu.get(),
                Some(Revocation::has_waited),
            );
        }
    }

    /// Leaves to the work item a key that has waited. Must not sleep.
    fn revoke_soon(&self, mut revocation: KBox<Revocation>) {
        let was_empty = {
            let mut ready = self.ready.lock();

            revocation.next = ready.take();
            let was_empty = revocation.next.is_none();
            *ready = Some(revocation);
            was_empty
        };

        // Otherwise it is queued, and has not begun or it would have taken what is there.
        if was_empty {
            // SAFETY: The queue is valid by the type invariant, and the item was initialised.
            unsafe {
                bindings::keyagent_helper_queue_work(self.workqueue.as_ptr(), self.work.get())
            };
        }
    }

    /// # Safety
    ///
    /// Called in a kernel thread, with no locks held, for the work item of a queue, which is not
    /// dropped meanwhile; may sleep.
    unsafe extern "C" fn run(work: *mut kbindings::work_struct) {
        // SAFETY: The work item is that of a queue.
        let this = unsafe {
            let work: *mut Opaque<kbindings::work_struct> = work.cast();
            &*container_of!(work, Self, work)
        };
        let mut ready = take(&mut *this.ready.lock());

        // One by one: to drop them as a list would take a stack as deep.
        while let Some(mut revocation) = ready {
            ready = revocation.next.take();
            revocation.key.revoke();
        }
    }
}

#[pinned_drop]
impl PinnedDrop for RevocationQueue {
    /// Waits until all are revoked. May sleep for a few grace periods.
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: After the barrier all that was added has been called back, and is in the list or
        // was. Destroying the workqueue, which is valid, lets the item run to its end.
        unsafe {
            kbindings::rcu_barrier();
            kbindings::destroy_workqueue(self.workqueue.as_ptr());
        }
    }
}
