// SPDX-License-Identifier: GPL-2.0-or-later

//! `keyagent ls`.

use super::agents::{need_module, Agent, Agents};
use super::counters::IN_FLIGHT;
use super::failure::Failure;
use super::table::{cell, Side, Table};
use super::{json, output};
use crate::cli::tool::Ls;

/// The columns that say which agent it is.
pub(super) const WHO: [(&str, Side); 6] = [
    ("SERIAL", Side::Right),
    ("TYPE", Side::Left),
    ("PID", Side::Right),
    ("COMMAND", Side::Left),
    ("STATE", Side::Left),
    ("SESSION", Side::Left),
];

/// The counters that have columns, and their headings.
pub(super) const COUNTERS: [(&str, &str); 7] = [
    ("served", "SERVED"),
    ("rejected", "REJECTED"),
    ("timed_out", "TIMED-OUT"),
    ("died", "DIED"),
    ("declined", "DECLINED"),
    ("denied", "DENIED"),
    ("busy", "BUSY"),
];

/// Lists the agents.
pub(super) fn ls(options: &Ls) -> Result<u8, Failure> {
    need_module("ls")?;
    let agents = Agents::look();
    if options.json {
        return output::print(json::document(&agents.list).as_bytes());
    }
    if !agents.have_proc_keys {
        eprintln!(
            "keyagent: ls: /proc/keys is empty or hidden; these are the agents in the session \
             keyring"
        );
    }
    if agents.list.is_empty() {
        eprintln!("keyagent: ls: no agent is visible from here");
        return Ok(0);
    }
    output::print((table(&agents.list).join("\n") + "\n").as_bytes())
}

fn table(agents: &[Agent]) -> Vec<String> {
    let mut columns = WHO.to_vec();
    columns.extend(COUNTERS.map(|(_, heading)| (heading, Side::Right)));
    columns.push(("NOW", Side::Right));
    let mut table = Table::new(&columns);
    for agent in agents {
        let mut line = who(agent);
        let names = COUNTERS.iter().map(|(name, _)| *name);
        line.extend(
            names
                .chain([IN_FLIGHT])
                .map(|name| cell(agent.counters.as_ref().map(|counters| counters.get(name)))),
        );
        table.add(line);
    }
    table.lines()
}

/// The cells for [`WHO`].
pub(super) fn who(agent: &Agent) -> Vec<String> {
    vec![
        agent.serial.to_string(),
        agent.key_type.clone(),
        cell(agent.pid),
        cell(agent.command.as_ref()),
        agent.state.name().into(),
        if agent.in_session { "yes" } else { "no" }.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::counters::Counters;
    use super::super::proc_keys::State;
    use super::*;
    use crate::sys::keyctl::Serial;

    #[test]
    fn what_is_unknown_is_a_dash() {
        let counters = [("served", 12), ("denied", 3), ("busy", 4), (IN_FLIGHT, 5)];
        let counters = counters.map(|(name, number)| (name.to_string(), number));
        let agent = Agent {
            serial: Serial(950_576_567),
            key_type: "user".into(),
            uid: 0,
            state: State::Alive,
            pid: Some(84),
            command: Some("sample".into()),
            signal: Some(34),
            in_session: true,
            counters: Some(Counters(counters.into())),
        };
        let dead = Agent {
            serial: Serial(7),
            state: State::Dead,
            pid: None,
            command: None,
            in_session: false,
            counters: None,
            ..agent.clone()
        };
        let words: Vec<Vec<String>> = table(&[agent, dead])
            .iter()
            .map(|line| line.split_whitespace().map(Into::into).collect())
            .collect();
        assert_eq!(words[0].len(), words[1].len());
        assert_eq!(
            words[1].join(" "),
            "950576567 user 84 sample alive yes 12 0 0 0 0 3 4 5"
        );
        assert_eq!(words[2].join(" "), "7 user - - dead no - - - - - - - -");
    }
}
