// SPDX-License-Identifier: GPL-2.0-or-later

//! How much agents do in a second.

use std::time::Duration;

use super::agents::{Agent, Agents};
use super::counters::IN_FLIGHT;
use super::ls::{who, COUNTERS, WHO};
use super::table::{cell, Side, Table};

/// A table of what agents did in some time, with dashes for those that are new.
pub(super) fn table(before: Option<&Agents>, after: &Agents, time: Duration) -> Vec<String> {
    let headings = COUNTERS.map(|(_, heading)| format!("{heading}/S"));
    let mut columns = WHO.to_vec();
    columns.extend(headings.iter().map(|name| (name.as_str(), Side::Right)));
    columns.push(("NOW", Side::Right));

    let mut table = Table::new(&columns);
    for agent in &after.list {
        let mut line = who(agent);
        let earlier = before.and_then(|before| before.get(agent.serial));
        line.extend(COUNTERS.map(|(name, _)| cell(rate(earlier, agent, name, time))));
        line.push(cell(agent.counters.as_ref().map(|all| all.get(IN_FLIGHT))));
        table.add(line);
    }
    table.lines()
}

fn rate(before: Option<&Agent>, after: &Agent, name: &str, time: Duration) -> Option<String> {
    let before = before?.counters.as_ref()?.get(name);
    let number = after.counters.as_ref()?.get(name).saturating_sub(before);
    let seconds = time.as_secs_f64();
    (seconds > 0.0).then(|| format!("{:.1}", number as f64 / seconds))
}

#[cfg(test)]
mod tests {
    use super::super::counters::Counters;
    use super::super::proc_keys::State;
    use super::*;
    use crate::sys::keyctl::Serial;

    fn agent(serial: i32, served: Option<u64>) -> Agent {
        Agent {
            serial: Serial(serial),
            key_type: "user".into(),
            uid: 0,
            state: State::Alive,
            pid: Some(84),
            command: None,
            signal: Some(34),
            in_session: false,
            counters: served.map(|number| {
                Counters([("served".to_string(), number), (IN_FLIGHT.into(), 2)].into())
            }),
        }
    }

    fn agents(list: &[Agent]) -> Agents {
        Agents {
            list: list.to_vec(),
            have_proc_keys: true,
        }
    }

    fn words(lines: &[String]) -> Vec<String> {
        lines
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn in_a_second() {
        let before = agents(&[agent(1, Some(10)), agent(3, None)]);
        let after = agents(&[agent(1, Some(15)), agent(2, Some(9)), agent(3, None)]);
        let lines = words(&table(Some(&before), &after, Duration::from_secs(2)));
        assert!(lines[0].contains("SERVED/S REJECTED/S"), "{}", lines[0]);
        assert!(
            lines[1].ends_with("alive no 2.5 0.0 0.0 0.0 0.0 0.0 0.0 2"),
            "{}",
            lines[1]
        );
        assert!(
            lines[2].ends_with("alive no - - - - - - - 2"),
            "{}",
            lines[2]
        );
        assert!(
            lines[3].ends_with("alive no - - - - - - - -"),
            "{}",
            lines[3]
        );
    }

    #[test]
    fn no_time_has_passed() {
        let now = agents(&[agent(1, Some(10))]);
        for before in [None, Some(&now)] {
            let lines = words(&table(before, &now, Duration::ZERO));
            assert!(lines[1].ends_with("no - - - - - - - 2"), "{}", lines[1]);
        }
        // A serial that another agent has now.
        let fewer = agents(&[agent(1, Some(4))]);
        let lines = words(&table(Some(&now), &fewer, Duration::from_secs(1)));
        assert!(lines[1].contains("no 0.0 "), "{}", lines[1]);
    }
}
