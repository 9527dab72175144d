// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.
//!
//! They are defined in `params.c`, because those of the kernel crate cannot be written at run time.
//! They are read again for each request.

use super::bindings;
use kernel::{
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    time::Delta, //
};

/// How long a requester waits for an agent's answer.
pub(crate) fn timeout() -> Delta {
    Delta::from_millis(i64::from(read(&raw mut bindings::keyagent_timeout_ms)))
}

/// How long, in seconds, a key stays negative when no answer came.
pub(crate) fn negative_ttl() -> u32 {
    read(&raw mut bindings::keyagent_negative_ttl)
}

/// How many requests an agent may have at once.
pub(crate) fn max_in_flight() -> u32 {
    read(&raw mut bindings::keyagent_max_in_flight)
}

/// Whether a user without `CAP_SYS_ADMIN` may register an agent.
pub(crate) fn unprivileged() -> bool {
    read(&raw mut bindings::keyagent_unprivileged) != 0
}

fn read(parameter: *mut u32) -> u32 {
    // SAFETY: Callers pass variables of `params.c`, which are static, aligned and only written
    // with WRITE_ONCE().
    unsafe { Atomic::from_ptr(parameter) }.load(Relaxed)
}
