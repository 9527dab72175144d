// SPDX-License-Identifier: GPL-2.0

//! Waiting for a key's construction.
//!
//! C header: [`include/linux/wait_bit.h`](srctree/include/linux/wait_bit.h).

use super::key::Key;
use kernel::{
    bindings as kbindings,
    time::Jiffies, //
};

/// How a wait ended.
pub(crate) enum Slice {
    /// The key is no longer under construction.
    Constructed,
    /// The time is over.
    Elapsed,
    /// The current task has been killed.
    Killed,
}

/// Waits until `key` is constructed, the current task is killed, or `jiffies` are over.
///
/// The key service wakes the task when the key is instantiated or rejected. A signal that the task
/// handles does not end the wait, and the freezer does not either: the caller may hold locks of the
/// kernel. To be called with none of this module's locks held.
pub(crate) fn for_construction(key: &Key, jiffies: Jiffies) -> Slice {
    // SAFETY: The key is valid during the wait, its flags are an array of bits, and
    // `bit_wait_timeout` is the action that belongs to the function.
    let ret = unsafe {
        kbindings::out_of_line_wait_on_bit_timeout(
            (&raw mut (*key.as_ptr()).flags).cast(),
            kbindings::KEY_FLAG_USER_CONSTRUCT as i32,
            Some(kbindings::bit_wait_timeout),
            kbindings::TASK_KILLABLE,
            jiffies,
        )
    };

    if ret == 0 {
        Slice::Constructed
    } else if ret == -(kbindings::EAGAIN as i32) {
        Slice::Elapsed
    } else {
        Slice::Killed
    }
}
