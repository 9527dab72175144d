// SPDX-License-Identifier: GPL-2.0-or-later

//! Agents and keyrings as they are named on the command line.

use std::ffi::OsStr;

use super::failure::Failure;
use super::output::printable;
use super::vet::{self, Named, Refused};
use crate::cli::tool::Accept;
use crate::sys::keyctl::{self, Serial};
use crate::sys::keyrings;

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

/// An agent that lives, or a keyring with one.
fn agent(id: &OsStr, accept: &Accept) -> Result<Named, Refused> {
    let serial = match keyctl::keyring_by_name(id) {
        // What @s is does not depend on the session that is joined later.
        Some(special) if special < Serial::NONE => keyctl::get_keyring_id(special, false)
            .map_err(|error| vet::cannot_be_used(&printable(id), &error))?,
        Some(serial) => serial,
        None => in_user_keyring(id)?,
    };
    vet::vet(serial, &printable(id), accept)
}

/// Several of them, of which none would displace another one's link in a keyring.
pub(super) fn agents(ids: &[impl AsRef<OsStr>], accept: &Accept) -> Result<Vec<Named>, Failure> {
    let list = vet::wait_for(accept, || {
        let agents = ids.iter().map(|id| agent(id.as_ref(), accept));
        agents.collect::<Result<Vec<_>, _>>()
    })?;

    let mut distinct: Vec<Named> = Vec::new();
    for named in list {
        if distinct.iter().any(|other| other.serial == named.serial) {
            continue;
        }
        if let Some(other) = distinct.iter().find(|other| other.displaces(&named)) {
            let key = &named.description;
            let name = format!(
                "{} {}",
                printable(&key.key_type),
                printable(&key.description)
            );
            return Err(Failure::new(
                format!("agents {} and {}", other.serial, named.serial),
                format!("both are \"{name}\", and a keyring holds one of a name"),
                "give one of them",
            ));
        }
        named.warn();
        distinct.push(named);
    }
    Ok(distinct)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_agent() {
        let text = |id: &str| match agent(OsStr::new(id), &Accept::default()).unwrap_err() {
            Refused::Absent(failure) => format!("absent: {failure}"),
            Refused::Unfit(failure) => failure.to_string(),
        };
        assert!(text("1").contains("there is no such key"), "{}", text("1"));
        let missing = text("keyagent test: no such keyring");
        assert!(missing.starts_with("absent: "), "{missing}");
        assert!(missing.contains("has no keyring of this name"), "{missing}");
    }
}
