// SPDX-License-Identifier: GPL-2.0

//! Errors that the kernel crate of 7.2 has no constants for.

use kernel::{
    bindings,
    prelude::*, //
};

/// Required key not available.
pub(crate) fn enokey() -> Error {
    Error::from_errno(-(bindings::ENOKEY as i32))
}
