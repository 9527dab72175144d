// SPDX-License-Identifier: GPL-2.0

//! Revoking authorisation keys a grace period after their invalidation.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h).

use super::{
    bindings,
    key::Key, //
};
use core::ptr::NonNull;
use kernel::{
    bindings as kbindings,
    container_of,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// An invalidated authorisation key that waits for its revocation.
#[repr(C)]
pub(super) struct Revocation {
    work: Opaque<kbindings::rcu_work>,
    key: ARef<Key>,
}

impl Revocation {
    pub(super) fn new(key: ARef<Key>) -> Result<KBox<Self>> {
        let this = KBox::new(
            Self {
                work: Opaque::uninit(),
                key,
            },
            GFP_KERNEL,
        )?;

        // SAFETY: The work item stays where it is: in the box, until `run` frees that.
        unsafe { bindings::keyagent_helper_init_rcu_work(this.work.get(), Some(Self::run)) };
        Ok(this)
    }

    /// The authorisation key.
    pub(super) fn key(&self) -> &ARef<Key> {
        &self.key
    }

    /// # Safety
    ///
    /// Called once in a kernel thread, with no locks held, for a work item that
    /// [`RevocationQueue::add`] queued; may sleep.
    unsafe extern "C" fn run(work: *mut kbindings::work_struct) {
        // SAFETY: The work item is the one in the box that was given to the queue, and nobody
        // else has a pointer to it.
        let this = unsafe {
            let work = container_of!(work, kbindings::rcu_work, work);
            let work: *mut Opaque<kbindings::rcu_work> = work.cast();
            KBox::from_raw(container_of!(work, Self, work))
        };
        this.key.revoke();
    }
}

/// Revokes authorisation keys a grace period after they were invalidated.
///
/// # Invariants
///
/// The pointer is that of a workqueue, which only this object destroys.
pub(crate) struct RevocationQueue(NonNull<kbindings::workqueue_struct>);

// SAFETY: Workqueues belong to no thread.
unsafe impl Send for RevocationQueue {}

// SAFETY: Queueing is synchronised by the C side.
unsafe impl Sync for RevocationQueue {}

impl RevocationQueue {
    /// Makes a queue.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Always safe to call.
        let queue = unsafe { bindings::keyagent_helper_alloc_workqueue() };

        // INVARIANT: Made just now.
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }

    /// Revokes the key a grace period from now.
    pub(super) fn add(&self, revocation: KBox<Revocation>) {
        let revocation = KBox::into_raw(revocation);

        // SAFETY: The queue is valid by the type invariant. The work item was initialised when
        // it was made, and is queued for the first time, for each is consumed here.
        unsafe { kbindings::queue_rcu_work(self.0.as_ptr(), (*revocation).work.get()) };
    }
}

impl Drop for RevocationQueue {
    /// Waits until all are revoked. May sleep for a few grace periods.
    fn drop(&mut self) {
        // SAFETY: The barrier lets every grace period that `add` started end with its work item in
        // the queue, whose destruction runs them all.
        unsafe {
            kbindings::rcu_barrier();
            kbindings::destroy_workqueue(self.0.as_ptr());
        }
    }
}
