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
    /// The current task has a signal to see to.
    Interrupted,
}

/// Waits until `key` is constructed, a signal comes, or `jiffies` are over.
///
/// Woken by the key service when the key is instantiated or rejected. With `killable`, only a
/// fatal signal ends the wait. May be called with none of this module's locks held.
pub(crate) fn for_construction(key: &Key, killable: bool, jiffies: Jiffies) -> Slice {
    let mode = if killable {
        kbindings::TASK_KILLABLE
    } else {
        kbindings::TASK_INTERRUPTIBLE
    };

    // SAFETY: The key is valid during the wait, its flags are an array of bits, and
    // `bit_wait_timeout` is the action that belongs to the function.
    let ret = unsafe {
        kbindings::out_of_line_wait_on_bit_timeout(
            (&raw mut (*key.as_ptr()).flags).cast(),
            kbindings::KEY_FLAG_USER_CONSTRUCT as i32,
            Some(kbindings::bit_wait_timeout),
            mode,
            jiffies,
        )
    };

    if ret == 0 {
        Slice::Constructed
    } else if ret == -(kbindings::EAGAIN as i32) {
        Slice::Elapsed
    } else {
        Slice::Interrupted
    }
}
