// SPDX-License-Identifier: GPL-2.0-or-later

//! What is in the caller's session keyring and below.

use super::failure::Failure;
use crate::sys::keyctl::{self, Serial};
use crate::sys::keyrings::{self, Found};

/// All keys that the caller's session keyring leads to, the nearest first, as far as the caller may
/// see them.
pub(super) fn keys() -> Vec<Found> {
    keyrings::below(Serial::SESSION_KEYRING)
}

/// Whether the caller has a session keyring of its own. Without one, the kernel takes that of the
/// user, in which no agent is looked for.
pub(super) fn is_own() -> bool {
    keyctl::describe(Serial::SESSION_KEYRING)
        .ok()
        .and_then(|keyring| keyring.description.into_string().ok())
        .is_none_or(|name| !name.starts_with("_uid_ses."))
}

/// Fails when the caller has no session keyring to link into. The kernel would make one, and it
/// would end with this program.
pub(super) fn need_own(what: &str) -> Result<(), Failure> {
    if is_own() {
        return Ok(());
    }
    Err(Failure::new(
        what,
        "there is no session keyring to link into",
        "give a keyring with --to, or start a session: with keyagent exec, or keyctl session",
    ))
}
