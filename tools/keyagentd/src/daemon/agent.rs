// SPDX-License-Identifier: GPL-2.0-or-later

//! The agent's keys: what others link to have their requests sent here.

use std::ffi::{OsStr, OsString};
use std::io;

use rustix::process::geteuid;

use crate::cli::daemon::Share;
use crate::sys::keyctl::{self, perm, Permissions, Serial};
use crate::sys::keyrings::{self, Found};

/// What a subscriber does with an agent's key or the keyring that it is in.
const SUBSCRIBE: u32 = perm::VIEW | perm::READ | perm::SEARCH | perm::LINK;

/// One of the agent's keys.
#[derive(Debug)]
pub(super) struct AgentKey {
    pub(super) key_type: OsString,
    pub(super) serial: Serial,
}

/// Why this process is no key agent.
#[derive(Debug)]
pub(super) struct NotAnAgent {
    what: String,
    why: io::Error,
}

impl std::fmt::Display for NotAnAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hint = match self.why.raw_os_error() {
            Some(libc::ENODEV) => {
                "; the module is not loaded, or not for this kernel: modprobe keyagent"
            }
            Some(libc::ENOSYS) => "; this kernel has no key service (CONFIG_KEYS)",
            Some(libc::EPERM) => "; a container's system call filter may refuse add_key and keyctl",
            Some(libc::EDQUOT) => "; the user has too many keys, see /proc/key-users",
            Some(libc::EINVAL) => "; a key type's name has 1 to 31 characters and is not keyagent",
            _ => "",
        };
        write!(f, "{}: {}{hint}", self.what, self.why)
    }
}

fn cannot(what: impl Into<String>) -> impl FnOnce(io::Error) -> NotAnAgent {
    |why| NotAnAgent {
        what: what.into(),
        why,
    }
}

/// What those have who do not possess the key or keyring.
fn permissions(of_owner: u32, share: Share) -> Permissions {
    let to = |whom| if share >= whom { SUBSCRIBE } else { 0 };
    Permissions {
        // Not to revoke it, nor to put another key in its place: others have it, too.
        possessor: SUBSCRIBE,
        user: of_owner,
        group: to(Share::Group),
        other: to(Share::Other),
    }
}

/// The keyring that is to hold the agent's keys.
fn keyring(name: &OsStr, share: Share) -> io::Result<Serial> {
    if let Some(keyring) = keyctl::keyring_by_name(name) {
        return Ok(keyring);
    }
    if name.as_encoded_bytes().starts_with(b"@") {
        let known = "those of the caller are @t @p @s @u @us";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, known));
    }
    let keyring = match keyrings::in_user_keyring(name) {
        Ok(Found { serial, key }) => {
            // Its owner could put another agent into it. With CAP_SYS_ADMIN all that follows works
            // with another user's, too.
            if key.uid != geteuid().as_raw() {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("keyring {serial} in the user keyring is another user's: unlink it"),
                ));
            }
            serial
        }
        // That of one that cannot be used any more is displaced, too.
        Err(error) if error.raw_os_error() == Some(libc::ENOKEY) => {
            keyctl::add_key(OsStr::new("keyring"), name, b"", Serial::USER_KEYRING)?
        }
        Err(error) => return Err(error),
    };
    keyctl::set_permissions(keyring, permissions(perm::ALL, share))?;
    Ok(keyring)
}

/// Is there a key of an agent that lives, in the keyring itself?
fn is_taken(keyring: Serial, key_type: &OsStr) -> Option<Serial> {
    let key = keyctl::search(keyring, OsStr::new("keyagent"), key_type).ok()?;
    let state = keyctl::read_at_once(key).ok()?;
    state.starts_with(b"state=alive ").then_some(key)
}

/// Makes the calling thread the key agent for these types of keys. It gets `signal` for each
/// request.
///
/// A key of the same type in the keyring is displaced: that of an agent that has ended. None is when
/// one of the keys cannot be made.
pub(super) fn register(
    types: &[OsString],
    signal: i32,
    name: &OsStr,
    share: Share,
) -> Result<Vec<AgentKey>, NotAnAgent> {
    // Without it, no request could be answered, and each would look as if it were over.
    keyctl::assume_authority(Serial::NONE)
        .map_err(cannot("the authority for a request cannot be assumed"))?;
    keyctl::get_keyring_id(Serial::PROCESS_KEYRING, true)
        .map_err(cannot("the process keyring cannot be made"))?;
    let keyring =
        keyring(name, share).map_err(cannot(format!("the keyring {name:?} cannot be used")))?;
    let payload = (signal as u16).to_ne_bytes();
    let mut keys = Vec::new();

    for key_type in types {
        let failed = || format!("cannot become the key agent for keys of type {key_type:?}");
        if keys.iter().any(|it: &AgentKey| it.key_type == *key_type) {
            continue;
        }
        let process = Serial::PROCESS_KEYRING;
        let serial = keyctl::add_key(OsStr::new("keyagent"), key_type, &payload, process)
            .map_err(cannot(failed()))?;
        // The owner keeps SETATTR, to withdraw it: so does every process of the owner's, in
        // containers, too.
        keyctl::set_permissions(serial, permissions(SUBSCRIBE | perm::SETATTR, share))
            .map_err(cannot(failed()))?;
        keys.push(AgentKey {
            key_type: key_type.clone(),
            serial,
        });
    }
    for AgentKey { key_type, serial } in &keys {
        if let Some(other) = is_taken(keyring, key_type).filter(|other| other != serial) {
            log::warn!("key {other}, of another agent for {key_type:?} that lives, is displaced");
        }
        keyctl::link(*serial, keyring).map_err(cannot(format!(
            "key {serial} cannot be linked into the keyring {name:?}"
        )))?;
    }
    Ok(keys)
}

/// Withdraws the keys: whoever has them linked is from now on without this agent.
pub(super) fn withdraw(keys: &[AgentKey]) {
    for key in keys {
        if let Err(error) = keyctl::revoke(key.serial) {
            log::warn!("key {}: cannot be revoked: {error}", key.serial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::seccomp;

    /// As in a container whose filter lets keys be made only.
    #[test]
    fn no_agent_without_authority() {
        std::thread::spawn(|| {
            seccomp::refuse_keyctl(libc::KEYCTL_ASSUME_AUTHORITY, libc::EPERM).unwrap();
            let error = register(&["user".into()], 34, OsStr::new("@t"), Share::User).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("the authority "), "{text}");
            assert!(text.contains("system call filter"), "{text}");
        })
        .join()
        .unwrap();
    }
}
