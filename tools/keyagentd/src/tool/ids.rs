// SPDX-License-Identifier: GPL-2.0-or-later

//! Agents and keyrings as they are named on the command line.

use std::ffi::OsStr;
use std::io;

use super::agents::{self, KEY_TYPE};
use super::counters::Status;
use super::failure::Failure;
use super::output::printable;
use super::vet::Refused;
use crate::sys::keyctl::{self, Description, Serial};
use crate::sys::keyrings;

/// An agent, or a keyring.
#[derive(Debug)]
pub(super) struct Named {
    /// The key.
    pub(super) serial: Serial,
    /// What the caller may see of it.
    description: Option<Description>,
}

/// A keyring: a serial, one of the caller's own such as @s, or a name in the user keyring.
pub(super) fn keyring(id: &OsStr) -> Result<Serial, Failure> {
    match keyctl::keyring_by_name(id) {
        Some(serial) => Ok(serial),
        None => in_user_keyring(id).map_err(|refused| match refused {
            Refused::Absent(failure) | Refused::Unfit(failure) => failure,
        }),
    }
}

/// The keyring of this name in the user keyring. No name is an option, a serial, or a keyring such
/// as @s.
pub(super) fn in_user_keyring(name: &OsStr) -> Result<Serial, Refused> {
    // What is in the user keyring may be linked by those who possess it, and a session need not
    // have it.
    let found = keyctl::link(Serial::USER_KEYRING, Serial::THREAD_KEYRING)
        .and_then(|()| keyrings::in_user_keyring(name));
    let name = printable(name);
    found.map(|found| found.serial).map_err(|error| {
        let what = format!("keyring {name}");
        if error.raw_os_error() == Some(libc::ENOKEY) {
            Refused::Absent(Failure::new(
                what,
                "the user keyring has no keyring of this name",
                format!(
                    "give a serial, or start the agent with keyagentd --keyring {name}, as the \
                     same user"
                ),
            ))
        } else {
            Refused::Unfit(Failure::of(what, &error, "see keyctl show @u"))
        }
    })
}

/// An agent that lives, or a keyring.
pub(super) fn agent(id: &OsStr) -> Result<Named, Failure> {
    let serial = keyring(id)?;
    let what = printable(id);
    let failed = |why: &str, advice: &str| Err(Failure::new(format!("agent {what}"), why, advice));

    let description = match keyctl::describe(serial) {
        Ok(description) => Some(description),
        Err(error) => match error.raw_os_error() {
            // What may be linked need not be visible.
            Some(libc::EACCES) => None,
            Some(libc::ENOKEY) => {
                return failed("there is no such key", "keyagent ls shows the agents");
            }
            _ => return Err(cannot_be_used(&what, &error)),
        },
    };
    match description
        .as_ref()
        .map(|description| &description.key_type)
    {
        Some(name) if name == KEY_TYPE => {}
        Some(name) if name == "keyring" => {
            return Ok(Named {
                serial,
                description,
            })
        }
        Some(name) => {
            return failed(
                &format!("this is a key of type {}", printable(name)),
                "give an agent's key, which keyagent ls shows, or a keyring",
            );
        }
        None => {}
    }
    let status = agents::read(serial).ok();
    if status.is_some_and(|line| Status::parse(&line).is_some_and(|status| !status.alive)) {
        return failed(
            "the agent is dead: it has ended, or executes another program",
            "start it again, and give its new key; keyagent ls shows it",
        );
    }
    Ok(Named {
        serial,
        description,
    })
}

/// Several of them, of which none would displace another one's link in a keyring.
pub(super) fn agents(ids: &[impl AsRef<OsStr>]) -> Result<Vec<Named>, Failure> {
    let mut list: Vec<Named> = Vec::new();
    for id in ids {
        let named = agent(id.as_ref())?;
        if list.iter().any(|other| other.serial == named.serial) {
            continue;
        }
        if let Some(other) = list.iter().find(|other| other.displaces(&named)) {
            let name = named.description.as_ref().map_or_else(String::new, |key| {
                format!(
                    "{} {}",
                    printable(&key.key_type),
                    printable(&key.description)
                )
            });
            return Err(Failure::new(
                format!("agents {} and {}", other.serial, named.serial),
                format!("both are \"{name}\", and a keyring holds one of a name"),
                "give one of them",
            ));
        }
        list.push(named);
    }
    Ok(list)
}

impl Named {
    fn displaces(&self, other: &Self) -> bool {
        match (&self.description, &other.description) {
            (Some(one), Some(other)) => {
                (&one.key_type, &one.description) == (&other.key_type, &other.description)
            }
            _ => false,
        }
    }

    /// Links it.
    pub(super) fn link(&self, keyring: Serial) -> Result<(), Failure> {
        keyctl::link(self.serial, keyring)
            .map_err(|error| cannot_be_used(&self.serial.to_string(), &error))
    }
}

/// Why a key was not linked.
fn cannot_be_used(what: &str, error: &io::Error) -> Failure {
    Failure::of(
        format!("agent {what}"),
        error,
        match error.raw_os_error() {
            Some(libc::EACCES) => {
                "linking needs LINK permission for the key and WRITE permission for the keyring: \
                 see keyagentd --share, and keyctl describe"
            }
            Some(libc::ENOKEY) => "there is no such key or keyring; keyagent ls shows the agents",
            Some(libc::EKEYREVOKED | libc::EKEYEXPIRED) => {
                "the agent has withdrawn its key, or somebody else has: start it again"
            }
            Some(libc::EDQUOT) => {
                "the user has too many keys: see /proc/key-users and the limits in \
                 /proc/sys/kernel/keys"
            }
            Some(libc::ENOTDIR) => "the key to link it into is no keyring: give another one",
            _ => "keyagent ls shows the agents, keyctl show the keyrings",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(serial: i32, description: Option<(&str, &str)>) -> Named {
        Named {
            serial: Serial(serial),
            description: description.map(|(key_type, description)| Description {
                key_type: key_type.into(),
                uid: 0,
                gid: 0,
                description: description.into(),
            }),
        }
    }

    #[test]
    fn one_link_for_each_type_and_description() {
        let user = named(1, Some(("keyagent", "user")));
        assert!(user.displaces(&named(2, Some(("keyagent", "user")))));
        assert!(!user.displaces(&named(2, Some(("keyring", "user")))));
        assert!(!user.displaces(&named(2, Some(("keyagent", "logon")))));
        assert!(!user.displaces(&named(2, None)));
    }

    #[test]
    fn what_is_no_agent() {
        let text = |id: &str| agent(OsStr::new(id)).unwrap_err().to_string();
        assert!(text("1").contains("there is no such key"), "{}", text("1"));
        let missing = text("keyagent test: no such keyring");
        assert!(missing.contains("has no keyring of this name"), "{missing}");
    }
}
