// SPDX-License-Identifier: GPL-2.0-or-later

//! Agents as JSON: the form is described in keyagent(1), and members are only ever added to it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::agents::Agent;
use super::proc_keys::State;

#[derive(Serialize)]
struct Document<'a> {
    agents: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    serial: i32,
    r#type: &'a str,
    uid: u32,
    state: State,
    pid: Option<u32>,
    command: Option<&'a str>,
    signal: Option<u32>,
    in_session: bool,
    counters: Option<&'a BTreeMap<String, u64>>,
}

/// The document, with a newline at its end.
pub(super) fn document(agents: &[Agent]) -> String {
    let document = Document {
        agents: agents
            .iter()
            .map(|agent| Entry {
                serial: agent.serial.0,
                r#type: &agent.key_type,
                uid: agent.uid,
                state: agent.state,
                pid: agent.pid,
                command: agent.command.as_deref(),
                signal: agent.signal,
                in_session: agent.in_session,
                counters: agent.counters.as_ref().map(|counters| &counters.0),
            })
            .collect(),
    };
    let text = serde_json::to_string_pretty(&document);
    // All members are strings and numbers, and all names are strings.
    text.unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::counters::Counters;
    use super::*;
    use crate::sys::keyctl::Serial;

    #[test]
    fn the_form_stays_as_it_is() {
        let agent = Agent {
            serial: Serial(7),
            key_type: "a\"b".into(),
            uid: 1000,
            state: State::Alive,
            pid: None,
            command: Some("c\\d".into()),
            signal: Some(34),
            in_session: true,
            counters: Some(Counters(BTreeMap::from([("served".into(), 5)]))),
        };
        let dead = Agent {
            state: State::Dead,
            command: None,
            signal: None,
            in_session: false,
            counters: None,
            ..agent.clone()
        };
        let value: serde_json::Value = serde_json::from_str(&document(&[agent, dead])).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"agents": [{
                "serial": 7, "type": "a\"b", "uid": 1000, "state": "alive", "pid": null,
                "command": "c\\d", "signal": 34, "in_session": true, "counters": {"served": 5},
            }, {
                "serial": 7, "type": "a\"b", "uid": 1000, "state": "dead", "pid": null,
                "command": null, "signal": null, "in_session": false, "counters": null,
            }]})
        );
        assert_eq!(document(&[]), "{\n  \"agents\": []\n}\n");
    }
}
