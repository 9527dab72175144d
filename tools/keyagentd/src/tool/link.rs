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
    if keyring == Serial::SESSION_KEYRING {
        session::need_own("link")?;
    }
    if [Serial::THREAD_KEYRING, Serial::PROCESS_KEYRING].contains(&keyring) {
        return Err(Failure::new(
            "link",
            "this keyring ends with this program",
            "give another one with --to: @s, @u, or a serial",
        ));
    }
    for agent in ids::agents(&options.agents, &options.accept)? {
        agent.link(keyring)?;
    }
    Ok(0)
}
