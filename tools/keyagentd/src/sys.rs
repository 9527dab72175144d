// SPDX-License-Identifier: GPL-2.0-or-later

//! System calls that no well-kept crate offers: the key service with key types of any name, signals
//! beyond the standard ones, and a program started with a session keyring of its own. The only
//! place with unsafe code, behind safe functions.

#![allow(unsafe_code)]

pub mod child;
pub mod interrupt;
pub mod keyctl;
pub mod keyrings;
#[cfg(test)]
pub(crate) mod seccomp;
pub mod signal;
pub mod spawn;
