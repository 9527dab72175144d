// SPDX-License-Identifier: GPL-2.0-or-later

//! Agents in /proc/keys. What looks like one there need not be one: the kernel writes descriptions
//! as they are, and anybody can make a key with a newline in its description.

use std::collections::BTreeMap;

/// An agent's key as a line of /proc/keys shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The key.
    pub(super) serial: i32,
    /// Its owner.
    pub(super) uid: u32,
    /// The key type that the agent answers for.
    pub(super) key_type: String,
    /// What becomes of requests.
    pub(super) state: State,
    /// The agent's thread, 0 if it is not visible for this /proc, and its signal; not for one that
    /// is gone.
    pub(super) thread: Option<(u32, u32)>,
}

/// What an agent's key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Its agent is asked.
    Alive,
    /// The agent has ended, or executes another program.
    Dead,
    /// The key is revoked.
    Revoked,
    /// The key has expired.
    Expired,
    /// The key is invalidated, or about to be removed.
    Invalidated,
    /// It may not be looked at.
    Unknown,
}

impl State {
    /// Its name, which is that in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Invalidated => "invalidated",
            Self::Unknown => "unknown",
        }
    }
}

/// The agents in the contents of /proc/keys, one for each serial. Of one with several lines that
/// differ it is not known which line is the kernel's, and so neither its state nor its thread.
pub(super) fn agents(text: &str) -> Vec<Line> {
    let mut lines: BTreeMap<i32, Line> = BTreeMap::new();
    for line in text.lines().filter_map(Line::parse) {
        lines
            .entry(line.serial)
            .and_modify(|other| {
                if *other != line {
                    other.state = State::Unknown;
                    other.thread = None;
                }
            })
            .or_insert(line);
    }
    lines.into_values().collect()
}

impl Line {
    /// `SERIAL FLAGS USAGE EXPIRY PERMISSIONS UID GID TYPE DESCRIPTION`, if the type is ours.
    fn parse(line: &str) -> Option<Self> {
        let mut rest = line;
        let mut fields = [""; 8];
        for field in &mut fields {
            rest = rest.trim_start_matches(' ');
            (*field, rest) = rest.split_once(' ')?;
        }
        let [serial, flags, _, expiry, _, uid, _, "keyagent"] = fields else {
            return None;
        };
        let serial = u32::from_str_radix(serial, 16).ok()?.try_into().ok()?;
        // The type is padded to nine characters.
        let described = Described::parse(rest.strip_prefix(' ').unwrap_or(rest));
        let state = if flags.contains('R') {
            State::Revoked
        } else if flags.contains(['i', 'D']) {
            State::Invalidated
        } else if expiry == "expd" {
            State::Expired
        } else {
            match described {
                Described { dead: true, .. } => State::Dead,
                Described {
                    thread: Some(_), ..
                } => State::Alive,
                _ => State::Unknown,
            }
        };
        Some(Self {
            serial,
            uid: uid.parse::<i64>().ok()? as u32,
            key_type: described.key_type.into(),
            state,
            thread: described.thread,
        })
    }
}

/// `TYPE: pid PID sig SIGNAL`, and a word for each flag of the agent's (` shared`); `TYPE: dead`;
/// or only `TYPE`, which may have blanks in it.
struct Described<'a> {
    key_type: &'a str,
    dead: bool,
    thread: Option<(u32, u32)>,
}

impl<'a> Described<'a> {
    fn parse(text: &'a str) -> Self {
        let bare = Self {
            key_type: text,
            dead: false,
            thread: None,
        };
        let Some((key_type, status)) = text.rsplit_once(": ") else {
            return bare;
        };
        if status == "dead" {
            return Self {
                key_type,
                dead: true,
                thread: None,
            };
        }
        let words: Vec<_> = status.split(' ').collect();
        let ["pid", pid, "sig", signal, ..] = words[..] else {
            return bare;
        };
        match (pid.parse(), signal.parse()) {
            (Ok(pid), Ok(signal)) => Self {
                key_type,
                dead: false,
                thread: Some((pid, signal)),
            },
            _ => bare,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: &str =
        "38a8a5b7 I--Q---     2 perm 19190000  1000  1000 keyagent  user: pid 84 sig 34";

    fn one(line: &str) -> Line {
        Line::parse(line).unwrap_or_else(|| panic!("{line}"))
    }

    #[test]
    fn agent_that_lives() {
        assert_eq!(
            one(ALIVE),
            Line {
                serial: 0x38a8_a5b7,
                uid: 1000,
                key_type: "user".into(),
                state: State::Alive,
                thread: Some((84, 34)),
            }
        );
    }

    #[test]
    fn agent_with_flags() {
        for flags in ["shared", "shared later"] {
            assert_eq!(one(&format!("{ALIVE} {flags}")), one(ALIVE));
        }
    }

    #[test]
    fn other_states() {
        let dead = one(&ALIVE.replace("pid 84 sig 34", "dead"));
        assert_eq!((dead.state, dead.thread), (State::Dead, None));
        assert_eq!(dead.key_type, "user");
        let state = |from, to| one(&ALIVE.replace(from, to)).state;
        assert_eq!(state("I--Q---", "IR-Q---"), State::Revoked);
        assert_eq!(state("I--Q---", "I--Q--i"), State::Invalidated);
        assert_eq!(state("perm", "expd"), State::Expired);
        assert_eq!(state("perm", "  3m"), State::Alive);
        assert_eq!(state(": pid 84 sig 34", ""), State::Unknown);
        // Not visible for this /proc: alive all the same.
        assert_eq!(one(&ALIVE.replace("84", "0")).thread, Some((0, 34)));
    }

    #[test]
    fn types_with_odd_names() {
        for name in ["a b", "x: dead", "x: pid 1 sig 2", "x:", "\\n", "ä"] {
            let line = ALIVE.replace("user", name);
            assert_eq!(one(&line).key_type, name);
            assert_eq!(one(&line).thread, Some((84, 34)));
            let dead = line.replace("pid 84 sig 34", "dead");
            assert_eq!(one(&dead).key_type, name);
        }
        // Without its payload, so that no more can be said.
        assert_eq!(one(&ALIVE.replace(" sig 34", "")).key_type, "user: pid 84");
    }

    #[test]
    fn wide_numbers() {
        let line = "00000007 I--Q---   123 perm 19190000 4294967294 -2 keyagent  user: dead";
        assert_eq!(one(line).uid, u32::MAX - 1);
        assert_eq!(one(line).serial, 7);
        assert_eq!(one(&line.replace("4294967294", "   -1")).uid, u32::MAX);
    }

    #[test]
    fn other_keys_and_nonsense() {
        for line in [
            "",
            "x",
            "38a8a5b7 I--Q---     2 perm 19190000     0     0 user      keyagent: pid 84 sig 34",
            "38a8a5b7 I--Q---     2 perm 19190000     0     0 keyring   keyagent : dead",
            "f8a8a5b7 I--Q---     2 perm 19190000     0     0 keyagent  user: dead",
            "38a8a5b7 I--Q---     2 perm 19190000     x     0 keyagent  user: dead",
        ] {
            assert_eq!(Line::parse(line), None, "{line}");
        }
        let other = ALIVE.replace("38a8a5b7", "38a8a5b8");
        let text = format!("{ALIVE}\nnonsense\n{other}\n");
        assert_eq!(agents(&text).len(), 2);
    }

    /// One is the kernel's, and the other somebody's description.
    #[test]
    fn two_lines_for_one_key() {
        let twice = format!("{ALIVE}\n{ALIVE}\n");
        assert_eq!(agents(&twice), [one(ALIVE)]);
        let dead = ALIVE.replace("pid 84 sig 34", "dead");
        for text in [
            format!("{ALIVE}\n{dead}"),
            format!("{dead}\n{ALIVE}\n{dead}"),
            format!("{ALIVE}\n{}", ALIVE.replace("84", "1")),
        ] {
            let list = agents(&text);
            let [line] = &list[..] else {
                panic!("{list:?}");
            };
            assert_eq!((line.state, line.thread), (State::Unknown, None));
        }
    }
}
