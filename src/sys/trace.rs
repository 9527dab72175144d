// SPDX-License-Identifier: GPL-2.0

//! Tracepoints.
//!
//! The events are in `trace.h`. All are of the current task as the requester.

use super::{
    bindings,
    key::Key, //
};
use kernel::{
    prelude::*,
    time::Delta, //
};

/// A request for `target` came to the module.
pub(crate) fn request_start(target: &Key) {
    // SAFETY: The name ends with a NUL and is copied.
    unsafe {
        bindings::keyagent_helper_trace_request_start(
            target.type_name().as_char_ptr(),
            target.serial(), //
        );
    }
}

/// The process `agent` is given the authority to construct `target`, and told by `signal`.
pub(crate) fn handover(target: &Key, agent: i32, signal: u16) {
    // SAFETY: Always safe to call.
    unsafe {
        bindings::keyagent_helper_trace_handover(target.serial(), agent, i32::from(signal));
    }
}

/// A request for `target` is over for the module. `agent` is 0 when none was asked.
pub(crate) fn request_end(target: &Key, agent: i32, outcome: &CStr, latency: Delta) {
    // SAFETY: The strings end with a NUL and are copied.
    unsafe {
        bindings::keyagent_helper_trace_request_end(
            target.type_name().as_char_ptr(),
            target.serial(),
            agent,
            outcome.as_char_ptr(),
            latency.as_nanos().unsigned_abs(),
        );
    }
}
