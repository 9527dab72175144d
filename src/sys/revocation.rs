// SPDX-License-Identifier: GPL-2.0

//! Revoking authorisation keys a grace period after their invalidation.
//!
//! C headers: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h),
//! [`include/linux/llist.h`](srctree/include/linux/llist.h).
//!
//! Each key waits for its own grace period. One work item revokes all keys that have waited: waking
//! a kernel thread for each key would cost more than the rest.
//!
//! A barrier in place of the grace period is not enough: `tests/lkmm/revoked.litmus` and
//! `tests/lkmm/revoked-after-answer.litmus`.
//!
//! Locks: none. The list of keys that have waited is lock-free, because RCU calls back in a
//! softirq.

use super::{
    bindings,
    compat::rcu_barrier,
    key::Key, //
};
use core::{
    mem::ManuallyDrop,
    ptr::{
        null,
        null_mut,
        NonNull, //
    }, //
};
use kernel::{
    bindings as kbindings,
    container_of,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};
use pin_init::{
    pin_data,
    pinned_drop, //
};

/// An authorisation key that is to be revoked once it was invalidated.
pub(super) struct Revocation {
    rcu: Opaque<kbindings::callback_head>,
    node: Opaque<kbindings::llist_node>,
    key: ARef<Key>,
    /// The queue, once this was added to one.
    queue: *const RevocationQueue,
}

// SAFETY: Only the queue has the pointer followed, and that is `Sync`.
unsafe impl Send for Revocation {}

impl Revocation {
    pub(super) fn new(key: ARef<Key>) -> Result<KBox<Self>> {
        Ok(KBox::new(
            Self {
                rcu: Opaque::uninit(),
                node: Opaque::uninit(),
                key,
                queue: null(),
            },
            GFP_KERNEL,
        )?)
    }

    /// # Safety
    ///
    /// Called by RCU, once, in a softirq or a kernel thread, for a revocation that
    /// [`RevocationQueue::add`] was given; must not sleep.
    unsafe extern "C" fn has_waited(rcu: *mut kbindings::callback_head) {
        // SAFETY: The head is in the box that was given to the queue, and nobody else has a pointer
        // to it. The queue waits for this function when it is dropped.
        unsafe {
            let rcu: *mut Opaque<kbindings::callback_head> = rcu.cast();
            let this = container_of!(rcu, Self, rcu);
            (*(*this).queue).revoke_soon(KBox::from_raw(this));
        }
    }
}

/// Revokes authorisation keys a grace period after they were invalidated.
///
/// # Invariants
///
/// `workqueue` is that of a workqueue, which only this object destroys. `ready` has boxes of
/// [`Revocation`] whose grace period is over.
#[pin_data(PinnedDrop)]
pub(crate) struct RevocationQueue {
    #[pin]
    work: Opaque<kbindings::work_struct>,
    #[pin]
    ready: Opaque<kbindings::llist_head>,
    workqueue: NonNull<kbindings::workqueue_struct>,
}

// SAFETY: Workqueues and work items belong to no thread.
unsafe impl Send for RevocationQueue {}

// SAFETY: The C side synchronises the workqueue and the list.
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
            ready: Opaque::new(kbindings::llist_head { first: null_mut() }),
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

        // SAFETY: The head is in a box that is given to the callback. The callback is called once,
        // because each box is consumed here.
        unsafe {
            bindings::keyagent_helper_call_rcu(
                (*revocation).rcu.get(),
                Some(Revocation::has_waited),
            );
        }
    }

    /// Leaves to the work item a key that has waited. Does not sleep.
    fn revoke_soon(&self, revocation: KBox<Revocation>) {
        let revocation = ManuallyDrop::new(revocation);

        // SAFETY: The node is in a box that the list owns from here. The list and the workqueue are
        // valid by the type invariants, and the work item was initialised. A list that was not
        // empty has its work item queued, and not yet begun, or it would be empty
        // (`tests/lkmm/revocation-queue.litmus`).
        unsafe {
            if bindings::keyagent_helper_llist_add(revocation.node.get(), self.ready.get()) {
                bindings::keyagent_helper_queue_work(self.workqueue.as_ptr(), self.work.get());
            }
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
        // SAFETY: The list is valid, and what is taken from it belongs to this function.
        let mut next = unsafe { bindings::keyagent_helper_llist_del_all(this.ready.get()) };

        while !next.is_null() {
            // SAFETY: By the type invariant the node is in a box of a revocation, which the list
            // gave up.
            let revocation = unsafe {
                let node: *mut Opaque<kbindings::llist_node> = next.cast();
                next = (*next).next;
                KBox::from_raw(container_of!(node, Revocation, node))
            };
            revocation.key.revoke();
        }
    }
}

#[pinned_drop]
impl PinnedDrop for RevocationQueue {
    /// Waits until all are revoked. May sleep for a few grace periods.
    fn drop(self: Pin<&mut Self>) {
        // After this each key that was added has been called back, and is or was in the list.
        rcu_barrier();

        // SAFETY: The workqueue is valid. Destroying it lets the item run to its end.
        unsafe { kbindings::destroy_workqueue(self.workqueue.as_ptr()) };
    }
}
