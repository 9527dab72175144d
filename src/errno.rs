// SPDX-License-Identifier: GPL-2.0

//! Errors that the kernel crate has no constants for.

use kernel::{
    bindings,
    prelude::*, //
};

/// Required key not available.
pub(crate) fn enokey() -> Error {
    from_number(bindings::ENOKEY)
}

/// Too many levels: here of agents that wait for each other.
pub(crate) fn eloop() -> Error {
    from_number(bindings::ELOOP)
}

/// The time for an agent's answer is over.
pub(crate) fn etimedout() -> Error {
    from_number(bindings::ETIMEDOUT)
}

fn from_number(number: u32) -> Error {
    Error::from_errno(-(number as i32))
}
