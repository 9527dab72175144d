// SPDX-License-Identifier: GPL-2.0-or-later

//! `keyagent exec`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::agents::need_module;
use super::failure::Failure;
use super::ids;
use crate::cli::tool::Exec;
use crate::sys::keyctl::{self, Serial};

/// Becomes the program, in a new session keyring with the agents.
pub(super) fn exec(options: &Exec) -> Result<u8, Failure> {
    need_module("exec")?;
    let agents = ids::agents(&options.agents, &options.accept)?;
    // With the session keyring goes the possession of what only that leads to. What is in the
    // thread keyring stays, until the program begins.
    for agent in &agents {
        agent.link(Serial::THREAD_KEYRING)?;
    }
    new_session()?;
    for agent in &agents {
        agent.link(Serial::SESSION_KEYRING)?;
    }

    let (program, arguments) = options.program.split();
    let error = Command::new(program).args(arguments).exec();
    Err(Failure::not_run(program, &error))
}

/// Gives this process a new session keyring.
pub(super) fn new_session() -> Result<(), Failure> {
    match keyctl::join_new_session_keyring() {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::of(
            "new session keyring",
            &error,
            match error.raw_os_error() {
                Some(libc::EDQUOT) => {
                    "the user has too many keys: see /proc/key-users and the limits in \
                     /proc/sys/kernel/keys"
                }
                _ => "seccomp can forbid keyctl(2): try it outside of the container",
            },
        )),
    }
}
