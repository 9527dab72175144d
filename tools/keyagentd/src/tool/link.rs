// SPDX-License-Identifier: GPL-2.0-or-later

//! `keyagent link`.

use super::agents::need_module;
use super::failure::Failure;
use super::{ids, session};
use crate::cli::tool::Link;
use crate::sys::keyctl::Serial;

/// Links agents into a keyring.
pub(super) fn link(options: &Link) -> Result<u8, Failure> {
    need_module("link")?;
    let keyring = ids::keyring(&options.to)?;
    // The kernel would make one, and it would end with this program.
    if keyring == Serial::SESSION_KEYRING && !session::is_own() {
        return Err(Failure::new(
            "link",
            "there is no session keyring to link into",
            "give a keyring with --to, or start a session: with keyagent exec, or keyctl session",
        ));
    }
    if [Serial::THREAD_KEYRING, Serial::PROCESS_KEYRING].contains(&keyring) {
        return Err(Failure::new(
            "link",
            "this keyring ends with this program",
            "give another one with --to: @s, @u, or a serial",
        ));
    }
    for agent in ids::agents(&options.agents)? {
        agent.link(keyring)?;
    }
    Ok(0)
}
