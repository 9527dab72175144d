// SPDX-License-Identifier: GPL-2.0

//! Tracepoints.
//!
//! The events are in `trace.h`. All are of the current task as the requester.

use super::{
    bindings,
    key::Key,
    task::Thread, //
};
use kernel::{
    cred::Credential,
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    }, //
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

/// `thread`, whose credentials are `agent`, is given the authority to construct `target`, and is
/// told by `signal`. If it belongs to another user than the requester, an audit record says so as
/// well.
pub(crate) fn handover(target: &Key, thread: &Thread, agent: &Credential, signal: u16) {
    // SAFETY: The name ends with a NUL and is copied. The task and the credentials are valid.
    unsafe {
        bindings::keyagent_helper_trace_handover(
            target.type_name().as_char_ptr(),
            target.serial(),
            thread.as_ptr(),
            agent.as_ptr(),
            i32::from(signal),
        );
    }
}

/// A request for `target`, which came at `start`, is over for the module. `agent` is 0 when none
/// was asked.
pub(crate) fn request_end(target: &Key, agent: i32, outcome: &CStr, start: Instant<Monotonic>) {
    // The clock is read for this event alone.
    // SAFETY: Always safe to call.
    if !unsafe { bindings::keyagent_helper_traces_request_end() } {
        return;
    }
    // SAFETY: The strings end with a NUL and are copied.
    unsafe {
        bindings::keyagent_helper_trace_request_end(
            target.type_name().as_char_ptr(),
            target.serial(),
            agent,
            outcome.as_char_ptr(),
            start.elapsed().as_nanos().unsigned_abs(),
        );
    }
}
