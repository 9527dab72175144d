// SPDX-License-Identifier: GPL-2.0-or-later

//! The line that reading an agent's key gives.

use std::collections::BTreeMap;

/// What an agent has done since its key was made, by the names that the module has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters(pub(super) BTreeMap<String, u64>);

/// How many requests it has now.
pub(super) const IN_FLIGHT: &str = "in_flight";

impl Counters {
    /// The number of this name; 0 if the module has none.
    pub(super) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// What has been counted since `before`, by name, without what is the same.
    pub(super) fn since(&self, before: &Self) -> BTreeMap<String, u64> {
        self.0
            .iter()
            .filter(|(name, _)| name.as_str() != IN_FLIGHT)
            .map(|(name, number)| (name.clone(), number.saturating_sub(before.get(name))))
            .filter(|(_, number)| *number > 0)
            .collect()
    }
}

/// That line, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// Whether there is still an agent.
    pub(super) alive: bool,
    /// The agent's thread, 0 if it is not visible here.
    pub(super) pid: u32,
    /// The number of its signal.
    pub(super) signal: u32,
    /// The rest.
    pub(super) counters: Counters,
}

impl Status {
    /// Takes `state=alive pid=84 sig=34 served=1 ...` apart. What it does not know it keeps if it
    /// is a number: later versions of the module may have more.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (mut state, mut pid, mut signal) = (None, None, None);
        let mut counters = Counters::default();

        for word in line.trim_end_matches(['\0', '\n']).split(' ') {
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            match name {
                "state" => state = Some(value),
                "pid" => pid = value.parse().ok(),
                "sig" => signal = value.parse().ok(),
                _ => {
                    if let Ok(number) = value.parse() {
                        counters.0.insert(name.into(), number);
                    }
                }
            }
        }
        Some(Self {
            alive: state? == "alive",
            pid: pid?,
            signal: signal?,
            counters,
        })
    }
}

/// Lines `NAME NUMBER`, as debugfs `keyagent/outcomes` has them.
pub(super) fn parse_outcomes(text: &str) -> Counters {
    let pairs = text.lines().filter_map(|line| {
        let (name, number) = line.split_once(char::is_whitespace)?;
        Some((name.to_string(), number.trim().parse().ok()?))
    });
    Counters(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"state=alive pid=84 sig=34 served=1 rejected=2 timed_out=0 died=0 \
        declined=0 denied=0 in_flight=1 busy=3 flags=shared";

    #[test]
    fn line_of_the_module() {
        let status = Status::parse(LINE).unwrap();
        assert!(status.alive);
        assert_eq!((status.pid, status.signal), (84, 34));
        assert_eq!(status.counters.get("rejected"), 2);
        assert_eq!(status.counters.get("busy"), 3);
        assert_eq!(status.counters.get("unheard_of"), 0);
        assert_eq!(status.counters.0.len(), 8);
    }

    #[test]
    fn words_of_later_versions() {
        let status = Status::parse(b"later=7 state=dead odd pid=0 name=x sig=34\n").unwrap();
        assert!(!status.alive);
        assert_eq!(status.counters.get("later"), 7);
        assert_eq!(status.counters.0.len(), 1);
    }

    #[test]
    fn what_is_no_such_line() {
        for line in ["", "secret", "state=alive pid=x sig=34", "pid=1 sig=34"] {
            assert_eq!(Status::parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(Status::parse(b"state=\xff pid=1 sig=34"), None);
    }

    #[test]
    fn differences() {
        let before = Status::parse(LINE).unwrap().counters;
        let mut after = before.clone();
        after.0.insert("served".into(), 4);
        after.0.insert(IN_FLIGHT.into(), 9);
        after.0.insert("new".into(), 1);
        after.0.insert("rejected".into(), 1);
        let since = after.since(&before);
        assert_eq!(
            since,
            BTreeMap::from([("served".to_string(), 3), ("new".to_string(), 1)])
        );
    }

    #[test]
    fn outcomes() {
        let counters = parse_outcomes("served 3\nno_agent      12\nodd\nodder x\n");
        assert_eq!(counters.get("no_agent"), 12);
        assert_eq!(counters.0.len(), 2);
    }
}
