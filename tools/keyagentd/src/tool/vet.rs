// SPDX-License-Identifier: GPL-2.0-or-later

//! Checks a key or a keyring before it is linked as an agent.
//!
//! A subscriber can use every key that a linked keyring holds, and the host answers its requests
//! when the keyring has no live agent. So the keyring must belong to the caller, hold agents' keys
//! only, and have a live agent.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use super::agents::{self, KEY_TYPE};
use super::counters::Status;
use super::errors;
use super::failure::Failure;
use super::output::printable;
use crate::cli::tool::Accept;
use crate::sys::keyctl::{self, Description, Serial};
use crate::sys::keyrings;

/// How long to wait before the next look for a live agent.
const INTERVAL: Duration = Duration::from_millis(50);

/// An agent, or a keyring that has some.
#[derive(Debug)]
pub(super) struct Named {
    /// The key.
    pub(super) serial: Serial,
    /// What the key is.
    pub(super) description: Description,
    /// The key types of those agents in the keyring that are dead, fit to be printed.
    pub(super) dead: Vec<String>,
}

/// Why an agent is not linked.
#[derive(Debug)]
pub(super) enum Refused {
    /// No live agent is there. Another one may come.
    Absent(Failure),
    /// Any other reason. Waiting does not help.
    Unfit(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Unfit(failure)
    }
}

/// Looks for an agent until a live one is there, or for as long as `accept` says.
pub(super) fn wait_for<T>(
    accept: &Accept,
    look: impl Fn() -> Result<T, Refused>,
) -> Result<T, Failure> {
    let end = accept.wait.map(|time| Instant::now() + time);
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(Refused::Unfit(failure)) => return Err(failure),
            Err(Refused::Absent(failure)) if end.is_none_or(|end| end <= Instant::now()) => {
                return Err(failure);
            }
            Err(Refused::Absent(_)) => thread::sleep(INTERVAL),
        }
    }
}

/// Checks what is to be linked. `name` is what the caller calls it.
pub(super) fn vet(serial: Serial, name: &str, accept: &Accept) -> Result<Named, Refused> {
    // A possessor may see more. The link also keeps the key, and with it the serial.
    keyctl::link(serial, Serial::THREAD_KEYRING).map_err(|error| cannot_be_used(name, &error))?;
    let description = keyctl::describe(serial).map_err(|error| cannot_be_used(name, &error))?;
    let mut named = Named {
        serial,
        description,
        dead: Vec::new(),
    };
    if named.description.key_type == KEY_TYPE {
        let alive = serves(serial, &named.description, Serial::THREAD_KEYRING)
            .map_err(|error| cannot_be_used(name, &error))?;
        if !alive && !accept.allow_dead {
            return Err(Refused::Unfit(Failure::new(
                format!("agent {name}"),
                "the agent is dead: it has ended or is about to, or executes another program",
                "start it again, and give its new key, which keyagent ls shows; or a keyring, \
                 which can be waited for",
            )));
        }
    } else if named.description.key_type == "keyring" {
        named.dead = dead_in_keyring(&named, name, accept)?;
    } else {
        let key_type = printable(&named.description.key_type);
        return Err(Refused::Unfit(Failure::new(
            format!("agent {name}"),
            format!("this is a key of type {key_type}"),
            "give an agent's key, which keyagent ls shows, or a keyring of agents' keys",
        )));
    }
    Ok(named)
}

/// Checks a keyring. Returns the types of its agents that are dead.
fn dead_in_keyring(named: &Named, name: &str, accept: &Accept) -> Result<Vec<String>, Refused> {
    let ring = named.serial;
    let unfit = |why: String, advice: String| {
        Err(Refused::Unfit(Failure::new(
            format!("agent {name}"),
            why,
            advice,
        )))
    };
    let (owner, caller) = (named.description.uid, geteuid().as_raw());
    if owner != caller && accept.owner != Some(owner) {
        return unfit(
            format!("keyring {ring} belongs to user {owner}, not to user {caller}"),
            format!(
                "its owner can put any agent into it: give a keyring of user {caller}'s, or, if \
                 that user is to be trusted, --owner {owner}"
            ),
        );
    }

    let (mut alive, mut dead) = (0, Vec::new());
    for key in keyrings::contents(ring).map_err(|error| cannot_be_used(name, &error))? {
        let looked = keyctl::describe(key).and_then(|description| {
            let agent = description.key_type == KEY_TYPE;
            Ok((agent && serves(key, &description, ring)?, description))
        });
        match looked {
            Ok((true, _)) => alive += 1,
            Ok((false, key)) if key.key_type == KEY_TYPE => dead.push(printable(&key.description)),
            Ok((false, other)) => {
                return unfit(
                    format!(
                        "keyring {ring} holds key {key} of type {}",
                        printable(&other.key_type)
                    ),
                    format!(
                        "every subscriber of the keyring could use that key: give a keyring with \
                         agents' keys only, or take the key out of it: keyctl unlink {key} {ring}"
                    ),
                );
            }
            // Nobody can use such a key again.
            Err(error) if is_gone(&error) => {}
            Err(error) => {
                return unfit(
                    format!(
                        "keyring {ring} holds key {key}, which cannot be looked at: {}",
                        errors::describe(&error)
                    ),
                    format!("take the key out of the keyring: keyctl unlink {key} {ring}"),
                );
            }
        }
    }
    if alive == 0 && !accept.allow_dead {
        let why = if dead.is_empty() {
            format!("keyring {ring} has no agent: it has ended, or was not started")
        } else {
            format!("the agents in keyring {ring} are dead: they have ended, or are about to")
        };
        return Err(Refused::Absent(Failure::new(
            format!("agent {name}"),
            why,
            "start the agent, or wait for it with --wait SECONDS; with --allow-dead, \
             /sbin/request-key answers on the host until it is there",
        )));
    }
    Ok(dead)
}

/// Whether the agent lives, and requests find its key in `keyring`: an agent that is about to end
/// has taken SEARCH permission away.
fn serves(agent: Serial, key: &Description, keyring: Serial) -> io::Result<bool> {
    let line = agents::read(agent)?;
    let status = Status::parse(&line).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;

    Ok(status.alive
        && keyctl::search(keyring, &key.key_type, &key.description)
            .is_ok_and(|found| found == agent))
}

/// Whether the key is revoked, or invalidated.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOKEY | libc::EKEYREVOKED))
}

/// Why a key was not linked.
pub(super) fn cannot_be_used(name: &str, error: &io::Error) -> Failure {
    let what = format!("agent {name}");
    let advice = match error.raw_os_error() {
        Some(libc::ENOKEY) => {
            return Failure::new(what, "there is no such key", "keyagent ls shows the agents")
        }
        Some(libc::EACCES) => {
            "linking needs LINK permission for the key and WRITE permission for the keyring: see \
             keyagentd --share, and keyctl describe"
        }
        Some(libc::EKEYREVOKED | libc::EKEYEXPIRED) => {
            "the agent has withdrawn its key, or somebody else has: start it again"
        }
        Some(libc::EDQUOT) => {
            "the user has too many keys: see /proc/key-users and the limits in \
             /proc/sys/kernel/keys"
        }
        Some(libc::ENOTDIR) => "the key to link it into is no keyring: give another one",
        _ => "keyagent ls shows the agents, keyctl show the keyrings",
    };
    Failure::of(what, error, advice)
}

impl Named {
    /// Whether this one's link replaces the other one's in a keyring.
    pub(super) fn displaces(&self, other: &Self) -> bool {
        self.description
            .is(&other.description.key_type, &other.description.description)
    }

    /// Links it.
    pub(super) fn link(&self, keyring: Serial) -> Result<(), Failure> {
        keyctl::link(self.serial, keyring)
            .map_err(|error| cannot_be_used(&self.serial.to_string(), &error))
    }

    /// Says which of its agents are dead, if another one lives.
    pub(super) fn warn(&self) {
        for key_type in &self.dead {
            eprintln!(
                "keyagent: keyring {}: its agent for {key_type} is dead; /sbin/request-key gets \
                 those requests",
                self.serial
            );
        }
    }
}

#[cfg(test)]
#[path = "vet_tests.rs"]
mod tests;
