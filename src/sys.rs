// SPDX-License-Identifier: GPL-2.0

//! The kernel's C interfaces behind safe types, one concept per file.
//!
//! Nothing outside this directory is unsafe.

pub(crate) mod authkey;
pub(crate) mod compat;
pub(crate) mod cred;
pub(crate) mod debugfs;
pub(crate) mod hook;
pub(crate) mod key;
pub(crate) mod key_type;
pub(crate) mod params;
pub(crate) mod revocation;
pub(crate) mod seq_file;
pub(crate) mod signal;
pub(crate) mod task;
pub(crate) mod trace;
pub(crate) mod wait;
pub(crate) mod watchdog;

mod bindings;
