// SPDX-License-Identifier: GPL-2.0-or-later

//! The agents that can be seen from here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::{fs, io};

use zeroize::Zeroizing;

use super::counters::{Counters, Status, IN_FLIGHT};
use super::failure::Failure;
use super::output::printable;
use super::proc_keys::{self, State};
use super::session;
use crate::sys::keyctl::{self, Description, Serial};
use crate::sys::keyrings::Found;

/// The type of agents' keys.
pub(super) const KEY_TYPE: &str = "keyagent";

/// What is known of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    /// Its key.
    pub(super) serial: Serial,
    /// The key type that it answers for, fit to be printed.
    pub(super) key_type: String,
    /// The owner of its key.
    pub(super) uid: u32,
    /// Whether it is asked.
    pub(super) state: State,
    /// The agent's thread, unless it is gone or not visible from here.
    pub(super) pid: Option<u32>,
    /// The name of that thread, fit to be printed.
    pub(super) command: Option<String>,
    /// The number of its signal, unless it is gone.
    pub(super) signal: Option<u32>,
    /// Whether the caller's session keyring leads to its key.
    pub(super) in_session: bool,
    /// What it has done, if the caller may know.
    pub(super) counters: Option<Counters>,
}

/// All agents, and whether these are all.
#[derive(Debug, Default)]
pub(super) struct Agents {
    /// By serial.
    pub(super) list: Vec<Agent>,
    /// Whether /proc/keys could be read and had keys in it. Container runtimes hide it; then only
    /// the agents in the session keyring are known.
    pub(super) have_proc_keys: bool,
}

impl Agents {
    /// Looks at all of them.
    pub(super) fn look() -> Self {
        let text = fs::read("/proc/keys").unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut agents: BTreeMap<i32, Agent> = proc_keys::agents(&text)
            .into_iter()
            .filter_map(|line| {
                let agent = Agent::checked(line, keyctl::describe)?;
                Some((agent.serial.0, agent))
            })
            .collect();

        for Found { serial, key } in session::keys() {
            if key.key_type == KEY_TYPE {
                let agent = agents.entry(serial.0).or_insert_with(|| Agent {
                    serial,
                    key_type: printable(&key.description),
                    uid: key.uid,
                    state: State::Unknown,
                    pid: None,
                    command: None,
                    signal: None,
                    in_session: true,
                    counters: None,
                });
                agent.in_session = true;
            }
        }
        Self {
            list: agents
                .into_values()
                .map(|mut agent| {
                    agent.read();
                    agent
                })
                .collect(),
            have_proc_keys: !text.is_empty(),
        }
    }

    /// How many requests they have at this moment.
    pub(super) fn requests(&self) -> u64 {
        let counters = self.list.iter().filter_map(|agent| agent.counters.as_ref());
        counters.map(|counters| counters.get(IN_FLIGHT)).sum()
    }

    /// The agent with this key.
    pub(super) fn get(&self, serial: Serial) -> Option<&Agent> {
        self.list.iter().find(|agent| agent.serial == serial)
    }
}

impl Agent {
    /// The agent of a line of /proc/keys, if the kernel agrees: whoever makes a key chooses its
    /// description, which can have newlines in it, and with them lines that look like this one.
    ///
    /// What the kernel describes no more is as the line has it, but for its state.
    fn checked(
        line: proc_keys::Line,
        describe: impl FnOnce(Serial) -> io::Result<Description>,
    ) -> Option<Self> {
        let serial = Serial(line.serial);
        let bare = |key_type: &OsStr, uid, state| Self {
            serial,
            key_type: printable(key_type),
            uid,
            state,
            pid: None,
            command: None,
            signal: None,
            in_session: false,
            counters: None,
        };
        match describe(serial) {
            Ok(key) if key.key_type == KEY_TYPE => {
                let agent = bare(&key.description, key.uid, State::Unknown);
                Some(match line.state {
                    State::Alive | State::Dead => {
                        let visible = line.thread.filter(|(pid, _)| *pid != 0);
                        Self {
                            state: line.state,
                            pid: visible.map(|(pid, _)| pid),
                            signal: line.thread.map(|(_, signal)| signal),
                            ..agent
                        }
                    }
                    // It would not have been described.
                    _ => agent,
                })
            }
            Err(error) if gone(&error).is_some() => {
                Some(bare(OsStr::new(&line.key_type), line.uid, gone(&error)?))
            }
            _ => None,
        }
    }

    /// Adds what reading the key tells, and the agent's name.
    fn read(&mut self) {
        if matches!(self.state, State::Revoked | State::Expired) {
            return;
        }
        match read(self.serial) {
            Ok(line) => {
                if let Some(status) = Status::parse(&line) {
                    self.add(status);
                }
            }
            Err(error) if self.state == State::Unknown => {
                self.state = match error.raw_os_error() {
                    Some(libc::ENOKEY) => State::Invalidated,
                    _ => gone(&error).unwrap_or(State::Unknown),
                };
            }
            Err(_) => {}
        }
        self.command = self.pid.and_then(command);
    }

    fn add(&mut self, status: Status) {
        if self.state == State::Unknown {
            if status.alive {
                self.state = State::Alive;
                self.pid = Some(status.pid).filter(|pid| *pid != 0);
                self.signal = Some(status.signal);
            } else {
                self.state = State::Dead;
            }
        }
        self.counters = Some(status.counters);
    }

    /// Who it is, in a few words.
    pub(super) fn who(&self) -> String {
        let mut text = format!("agent {}", self.serial);
        if let Some(pid) = self.pid {
            text += &format!(", pid {pid}");
        }
        if let Some(command) = &self.command {
            text += &format!(" ({command})");
        }
        text
    }
}

/// What a key is that is there and can be used no longer.
fn gone(error: &io::Error) -> Option<State> {
    match error.raw_os_error() {
        Some(libc::EKEYREVOKED) => Some(State::Revoked),
        Some(libc::EKEYEXPIRED) => Some(State::Expired),
        _ => None,
    }
}

/// The payload of an agent's key. Who may link it may read it: possessors can. A key that is none
/// may be under construction, or have a secret.
pub(super) fn read(key: Serial) -> io::Result<Zeroizing<Vec<u8>>> {
    let read = || keyctl::read_at_once(key).map(Zeroizing::new);
    read().or_else(|error| {
        if error.raw_os_error() != Some(libc::EACCES) {
            return Err(error);
        }
        keyctl::link(key, Serial::THREAD_KEYRING).map_err(|_| error)?;
        let line = read();
        // There is no other thread that could have taken it away.
        let _ = keyctl::unlink(key, Serial::THREAD_KEYRING);
        line
    })
}

/// The name of a thread.
fn command(tid: u32) -> Option<String> {
    use std::os::unix::ffi::OsStrExt;

    let name = fs::read(Path::new("/proc").join(tid.to_string()).join("comm")).ok()?;
    Some(printable(OsStr::from_bytes(
        name.strip_suffix(b"\n").unwrap_or(&name),
    )))
}

/// Whether the kernel has this key type.
pub(super) fn type_exists(key_type: &OsStr) -> bool {
    // There is no key without a description, but before that the kernel looks for the type. Where
    // key types may not be asked for like this, it is taken to be there. The thread keyring would
    // be made for this, and with one, the kernel's searches end differently.
    let result = keyctl::add_key(key_type, OsStr::new(""), b"", Serial::USER_KEYRING);
    result.map_or_else(|error| error.raw_os_error() != Some(libc::ENODEV), |_| true)
}

/// Fails when the module is not loaded.
pub(super) fn need_module(what: &str) -> Result<(), Failure> {
    if type_exists(OsStr::new(KEY_TYPE)) {
        return Ok(());
    }
    Err(Failure::new(
        what,
        "the kernel has no key agents: the module is not loaded",
        "as root, run: modprobe keyagent",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(key_type: &str) -> io::Result<Description> {
        Ok(Description {
            key_type: key_type.into(),
            uid: 1000,
            gid: 1000,
            description: "user".into(),
        })
    }

    fn agent(line: &str) -> Agent {
        Agent::checked(proc_keys::agents(line).remove(0), |_| described(KEY_TYPE)).unwrap()
    }

    const LINE: &str =
        "38a8a5b7 I--Q---     2 perm 19190000  1000  1000 keyagent  user: pid 84 sig 34";

    #[test]
    fn says_who_it_is() {
        let mut who = agent(LINE);
        assert_eq!(who.who(), "agent 950576567, pid 84");
        who.command = Some("sample".into());
        assert_eq!(who.who(), "agent 950576567, pid 84 (sample)");
        assert_eq!(agent(&LINE.replace("84", "0")).who(), "agent 950576567");
    }

    #[test]
    fn what_proc_keys_says_counts() {
        let status = Status::parse(b"state=alive pid=7 sig=35 served=3").unwrap();
        let mut seen = agent(LINE);
        seen.add(status.clone());
        assert_eq!((seen.pid, seen.signal), (Some(84), Some(34)));
        assert_eq!(seen.counters.as_ref().unwrap().get("served"), 3);

        let mut hidden = agent(&LINE.replace(": pid 84 sig 34", ""));
        hidden.add(status);
        assert_eq!(hidden.state, State::Alive);
        assert_eq!((hidden.pid, hidden.signal), (Some(7), Some(35)));

        let mut dead = agent(&LINE.replace(": pid 84 sig 34", ""));
        dead.add(Status::parse(b"state=dead pid=0 sig=34").unwrap());
        assert_eq!((dead.state, dead.pid), (State::Dead, None));
    }

    /// What a user's description can say.
    #[test]
    fn what_looks_like_a_line_is_checked() {
        let text = LINE.replace("1000  1000", "   0     0");
        let text = text.replace("keyagent  user", "keyagent  logon");
        let checked = |text: &str, described: io::Result<Description>| {
            Agent::checked(proc_keys::agents(text).remove(0), |serial| {
                assert_eq!(serial, Serial(0x38a8_a5b7));
                described
            })
        };
        let failed = |number| Err(io::Error::from_raw_os_error(number));
        assert_eq!(checked(&text, described("user")), None);
        assert_eq!(checked(&text, failed(libc::ENOKEY)), None);
        assert_eq!(checked(&text, failed(libc::EACCES)), None);

        let agent = checked(&text, described(KEY_TYPE)).unwrap();
        assert_eq!((agent.key_type.as_str(), agent.uid), ("user", 1000));
        let revoked = text.replace("I--Q", "IR-Q");
        let agent = checked(&revoked, described(KEY_TYPE)).unwrap();
        assert_eq!((agent.state, agent.pid), (State::Unknown, None));
        let agent = checked(&text, failed(libc::EKEYREVOKED)).unwrap();
        assert_eq!((agent.state, agent.pid), (State::Revoked, None));
        let agent = checked(&text, failed(libc::EKEYEXPIRED)).unwrap();
        assert_eq!(agent.state, State::Expired);
    }

    #[test]
    fn types_that_are_there() {
        assert!(type_exists(OsStr::new("user")));
        assert!(type_exists(OsStr::new("keyring")));
        assert!(!type_exists(OsStr::new("no_such_type")));
    }

    #[test]
    fn own_threads_have_names() {
        assert!(command(std::process::id()).is_some());
        assert_eq!(command(u32::MAX), None);
    }
}
