// SPDX-License-Identifier: GPL-2.0

//! Raw spinlocks: locks that never sleep, not even on PREEMPT_RT.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h).

use super::bindings;
use kernel::{
    bindings as kbindings,
    ffi::c_char,
    sync::lock::Backend, //
};

/// The kernel's `raw_spinlock_t` as a lock backend.
///
/// To be held for short only: interrupts are off meanwhile.
pub(crate) struct RawSpinLockBackend;

// SAFETY: The underlying `raw_spinlock_t` ensures mutual exclusion. `relock` is the default
// implementation, which calls the same locking method.
unsafe impl Backend for RawSpinLockBackend {
    type State = kbindings::raw_spinlock_t;
    /// The flags that interrupts are restored from.
    type GuardState = usize;

    unsafe fn init(
        ptr: *mut Self::State,
        name: *const c_char,
        key: *mut kbindings::lock_class_key,
    ) {
        // SAFETY: `ptr` is valid for writes, and `name` and `key` are valid indefinitely.
        unsafe { bindings::keyagent_helper_raw_spin_lock_init(ptr, name, key) }
    }

    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: `ptr` points to an initialised lock.
        unsafe { bindings::keyagent_helper_raw_spin_lock(ptr) }
    }

    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        let mut flags = 0;

        // SAFETY: `ptr` points to an initialised lock, and `flags` is a local variable.
        unsafe { bindings::keyagent_helper_raw_spin_trylock(ptr, &raw mut flags) }.then_some(flags)
    }

    unsafe fn unlock(ptr: *mut Self::State, guard_state: &Self::GuardState) {
        // SAFETY: `ptr` points to an initialised lock that the caller owns, and the flags are
        // those that locking it returned.
        unsafe { bindings::keyagent_helper_raw_spin_unlock(ptr, *guard_state) }
    }

    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: `ptr` points to an initialised lock.
        unsafe { bindings::keyagent_helper_raw_spin_assert_held(ptr) }
    }
}
