// SPDX-License-Identifier: GPL-2.0

//! Waiting for a key's construction.
//!
//! C header: [`include/linux/wait_bit.h`](srctree/include/linux/wait_bit.h).

use super::{
    bindings,
    key::Key, //
};
use kernel::{
    bindings as kbindings,
    time::Jiffies, //
};

/// How a wait ended.
pub(crate) enum Slice {
    /// The key is no longer under construction, or the time is over, or `is_over` said so.
    Over,
    /// The current task has a signal to see to.
    Interrupted,
}

/// Waits until `key` is constructed, `is_over` returns true, a signal comes, or `jiffies` are over.
///
/// Woken by the key service when the key is instantiated or rejected; whoever makes `is_over`
/// return true wakes the task. With `killable`, only a fatal signal ends the wait. May be called
/// with none of this module's locks held; `is_over` must not sleep.
pub(crate) fn for_construction(
    key: &Key,
    killable: bool,
    jiffies: Jiffies,
    is_over: impl Fn() -> bool,
) -> Slice {
    let mode = if killable {
        kbindings::TASK_KILLABLE
    } else {
        kbindings::TASK_INTERRUPTIBLE
    };
    let mut entry = core::mem::MaybeUninit::uninit();
    let mut left = jiffies as isize;

    // SAFETY: The key is valid during the wait; the entry is initialised before it is used, and
    // stays where it is until `finish_wait` has taken it off the queue.
    unsafe {
        let queue = bindings::keyagent_helper_init_construction_wait(
            entry.as_mut_ptr(),
            key.as_ptr(), //
        );
        let wq_entry = &raw mut (*entry.as_mut_ptr()).wq_entry;

        let slice = loop {
            kbindings::prepare_to_wait(queue, wq_entry, mode as i32);
            if !key.is_under_construction() || is_over() {
                break Slice::Over;
            }
            if bindings::keyagent_helper_signal_pending_state(mode) {
                break Slice::Interrupted;
            }
            if left == 0 {
                break Slice::Over;
            }
            left = kbindings::schedule_timeout(left);
        };
        kbindings::finish_wait(queue, wq_entry);
        slice
    }
}
