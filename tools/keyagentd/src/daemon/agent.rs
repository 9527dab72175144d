// SPDX-License-Identifier: GPL-2.0-or-later

//! The agent's keys: what others link to have their requests sent here.
//!
//! Subscribers cannot take the agent from each other: the keys are shared ones, and a keyring that
//! the daemon makes for them takes no other keys. Processes of the daemon's user can: they may
//! change permissions, which the daemon does to withdraw, and write to that keyring, as the next
//! daemon does.

use std::ffi::{OsStr, OsString};
use std::{fs, io};

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
    hint: &'static str,
}

impl std::fmt::Display for NotAnAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, why, hint } = self;
        write!(f, "{what}: {why}{hint}")
    }
}

fn cannot(what: impl Into<String>) -> impl FnOnce(io::Error) -> NotAnAgent {
    |why| NotAnAgent {
        what: what.into(),
        hint: hint(&why),
        why,
    }
}

fn hint(why: &io::Error) -> &'static str {
    match why.raw_os_error() {
        Some(libc::ENODEV) => {
            "; the module is not loaded, or not for this kernel: modprobe keyagent"
        }
        Some(libc::ENOSYS) => "; this kernel has no key service (CONFIG_KEYS)",
        Some(libc::EPERM) => "; a container's system call filter may refuse add_key and keyctl",
        Some(libc::EDQUOT) => "; the user has too many keys, see /proc/key-users",
        _ => "",
    }
}

/// Why there is no key for this type. `unprivileged` is what the module's parameter says, if that
/// can be read.
fn not_registered(key_type: &OsStr, why: io::Error, unprivileged: Option<&str>) -> NotAnAgent {
    let hint = match why.raw_os_error() {
        Some(libc::EINVAL) if !can_have_agent(key_type) => {
            "; a key type's name has 1 to 31 characters and is not keyagent"
        }
        Some(libc::EINVAL) => {
            "; the module is older than keyagentd and has no shared agents (KEYAGENT_SHARED): load \
             a newer one"
        }
        Some(libc::EPERM) if unprivileged == Some("0") => {
            "; the module's parameter unprivileged is 0: agents need CAP_SYS_ADMIN"
        }
        Some(libc::EPERM) if unprivileged.is_none() => {
            "; the module's parameter unprivileged may be 0, or a container's system call filter \
             refuses add_key"
        }
        _ => hint(&why),
    };
    NotAnAgent {
        what: format!("cannot become the key agent for keys of type {key_type:?}"),
        why,
        hint,
    }
}

fn can_have_agent(key_type: &OsStr) -> bool {
    (1..=31).contains(&key_type.len()) && key_type != "keyagent"
}

/// Where the module says whether users without `CAP_SYS_ADMIN` may be agents.
const UNPRIVILEGED: &str = "/sys/module/keyagent/parameters/unprivileged";

fn add_key(key_type: &OsStr, signal: i32) -> Result<Serial, NotAnAgent> {
    keyctl::add_shared_agent(key_type, signal as u16, Serial::PROCESS_KEYRING).map_err(|why| {
        let unprivileged = fs::read_to_string(UNPRIVILEGED).ok();
        not_registered(key_type, why, unprivileged.as_deref().map(str::trim))
    })
}

/// What those have who do not possess the key or keyring.
fn permissions(of_owner: u32, share: Share) -> Permissions {
    let to = |whom| if share >= whom { SUBSCRIBE } else { 0 };
    Permissions {
        // Neither SETATTR nor WRITE: every subscriber possesses it.
        possessor: SUBSCRIBE,
        user: of_owner,
        group: to(Share::Group),
        other: to(Share::Other),
    }
}

/// The keyring that is to hold the agent's keys.
struct Holder {
    serial: Serial,
    /// The keyring is new: subscribers do not find it yet.
    hidden: bool,
}

impl Holder {
    /// Puts a new keyring where subscribers look for it. It must hold the agent's keys by then:
    /// with an empty keyring, the host would answer the subscribers.
    fn publish(&self) -> io::Result<()> {
        if !self.hidden {
            return Ok(());
        }
        keyctl::link(self.serial, Serial::USER_KEYRING)?;
        keyctl::unlink(self.serial, Serial::PROCESS_KEYRING)
    }
}

fn holder(name: &OsStr, share: Share) -> io::Result<Holder> {
    if let Some(serial) = keyctl::keyring_by_name(name) {
        let hidden = false;
        return Ok(Holder { serial, hidden });
    }
    if name.as_encoded_bytes().starts_with(b"@") {
        let known = "those of the caller are @t @p @s @u @us";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, known));
    }
    let (serial, hidden) = match keyrings::in_user_keyring(name) {
        Ok(Found { serial, key }) => {
            // Its owner could put another agent into it. With CAP_SYS_ADMIN all that follows works
            // with another user's, too.
            if key.uid != geteuid().as_raw() {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("keyring {serial} in the user keyring is another user's: unlink it"),
                ));
            }
            (serial, false)
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOKEY) => {
            return new_keyring(name, share)
        }
        Err(error) => return Err(error),
    };
    set_up(serial, share)?;
    Ok(Holder { serial, hidden })
}

/// Makes a keyring. When it is published it displaces a keyring of that name, which no daemon can
/// use any more.
fn new_keyring(name: &OsStr, share: Share) -> io::Result<Holder> {
    let serial = keyctl::add_key(OsStr::new("keyring"), name, b"", Serial::PROCESS_KEYRING)?;
    let hidden = true;
    set_up(serial, share)?;
    Ok(Holder { serial, hidden })
}

fn set_up(keyring: Serial, share: Share) -> io::Result<()> {
    match keyctl::restrict_to_agents(keyring) {
        // By an earlier daemon.
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
        restricted => restricted?,
    }
    keyctl::set_permissions(keyring, permissions(perm::ALL, share))
}

/// Whether the keyring refused an agent's key for its restriction. That of an earlier daemon does
/// so since the module was unloaded: a restriction cannot outlive its key type, nor be replaced.
fn is_useless(name: &OsStr, linked: &io::Result<()>) -> bool {
    let refused = |error: &io::Error| error.raw_os_error() == Some(libc::EPERM);
    keyctl::keyring_by_name(name).is_none() && linked.as_ref().is_err_and(refused)
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
/// A key of the same type in the keyring is displaced: that of an agent that has ended. If one of
/// the keys cannot be made, the agent has none, and a new keyring is not published.
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
    let mut keys = Vec::new();

    for key_type in types {
        if keys.iter().any(|it: &AgentKey| it.key_type == *key_type) {
            continue;
        }
        let serial = add_key(key_type, signal)?;
        // The owner keeps SETATTR, to withdraw it: so does every process of the owner's, in
        // containers, too.
        keyctl::set_permissions(serial, permissions(SUBSCRIBE | perm::SETATTR, share)).map_err(
            cannot(format!("the permissions of key {serial} cannot be set")),
        )?;
        keys.push(AgentKey {
            key_type: key_type.clone(),
            serial,
        });
    }

    // After the keys: without the module, no keyring is left behind.
    let unusable = || format!("the keyring {name:?} cannot be used");
    let mut holder = holder(name, share).map_err(cannot(unusable()))?;
    for AgentKey { key_type, serial } in &keys {
        if let Some(other) = is_taken(holder.serial, key_type).filter(|other| other != serial) {
            log::warn!("key {other}, of another agent for {key_type:?} that lives, is displaced");
        }
        let mut linked = keyctl::link(*serial, holder.serial);
        if is_useless(name, &linked) {
            log::warn!(
                "keyring {}, {name:?}, takes no agent's key any more, as after a reload of the \
                 module: a new one takes its place, and subscribers of the old one have no agent",
                holder.serial
            );
            holder = new_keyring(name, share).map_err(cannot(unusable()))?;
            linked = keyctl::link(*serial, holder.serial);
        }
        linked.map_err(cannot(format!(
            "key {serial} cannot be linked into the keyring {name:?}"
        )))?;
    }
    holder.publish().map_err(cannot(format!(
        "the keyring {name:?} cannot be linked into the user keyring"
    )))?;
    Ok(keys)
}

/// Withdraws the keys: whoever has them linked is from now on without this agent. A shared agent's
/// key cannot be revoked, but without SEARCH permission no request finds it.
pub(super) fn withdraw(keys: &[AgentKey]) {
    let found_by_nobody = Permissions {
        user: perm::VIEW | perm::READ,
        ..Permissions::default()
    };
    for key in keys {
        if let Err(error) = keyctl::set_permissions(key.serial, found_by_nobody) {
            log::warn!("key {}: cannot be withdrawn: {error}", key.serial);
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

    #[test]
    fn what_the_module_refuses() {
        let text = |key_type: &str, error, unprivileged| {
            let why = io::Error::from_raw_os_error(error);
            not_registered(OsStr::new(key_type), why, unprivileged).to_string()
        };
        assert!(text("user", libc::EINVAL, Some("1")).contains("load a newer one"));
        for key_type in ["", "keyagent", &"x".repeat(32)] {
            assert!(text(key_type, libc::EINVAL, Some("1")).contains("31 characters"));
        }
        assert!(text("user", libc::EPERM, Some("0")).contains("unprivileged is 0"));
        assert!(text("user", libc::EPERM, Some("1")).contains("system call filter"));
        assert!(text("user", libc::EPERM, None).contains("may be 0"));
        assert!(text("user", libc::ENODEV, None).contains("modprobe"));
    }
}
