// SPDX-License-Identifier: GPL-2.0

//! What the newest kernel crate has and that of an older kernel lacks.
//!
//! The file `kernels` names the oldest and the newest kernel. Nothing else in the module depends on
//! the version: `scripts/lint`, `check_kernels`. An item goes when the last kernel that lacks it
//! does.

use kernel::prelude::*;

/// Required key not available.
pub(crate) fn enokey() -> Error {
    #[cfg(kernel_ge_7_3)]
    return kernel::error::code::ENOKEY;

    #[cfg(not(kernel_ge_7_3))]
    Error::from_errno(-(kernel::bindings::ENOKEY as i32))
}

#[cfg(kernel_ge_7_3)]
pub(super) use kernel::sync::rcu::rcu_barrier;

/// Waits until RCU has called back all that was queued before. May sleep.
#[cfg(not(kernel_ge_7_3))]
pub(super) fn rcu_barrier() {
    // SAFETY: Always safe to call; it only sleeps.
    unsafe { kernel::bindings::rcu_barrier() };
}
