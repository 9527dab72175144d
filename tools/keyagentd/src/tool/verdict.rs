// SPDX-License-Identifier: GPL-2.0-or-later

//! Who answered a request, by what was counted meanwhile.

use std::fmt;

use super::agents::Agent;
use super::counters::Counters;

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An agent.
    Agent(String),
    /// `/sbin/request-key`, and why no agent did.
    Upcall(String),
    /// Nobody, and why.
    Nobody(String),
    /// That cannot be told, and why.
    Unclear(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(who) => f.write_str(who),
            Self::Upcall(why) => write!(f, "/sbin/request-key: {why}"),
            Self::Nobody(why) => write!(f, "nobody: {why}"),
            Self::Unclear(why) => write!(f, "cannot be told: {why}"),
        }
    }
}

/// What is known of a request that is over.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    /// The agents for its type as they were, and as they are.
    pub(super) agents: [Vec<&'a Agent>; 2],
    /// What the module counted before and after, all requests of everybody, if that may be read.
    pub(super) outcomes: Option<[Counters; 2]>,
    /// The error that it ended with.
    pub(super) error: Option<i32>,
}

/// Outcomes of requests that are never the one that is judged: whoever made that is alive, and a
/// request that was frozen begins again and has another outcome in the end.
const OF_OTHERS: [&str; 3] = ["killed", "frozen", "dying"];

/// Something that was counted for an agent.
struct Change<'a> {
    agent: &'a Agent,
    name: String,
}

impl Evidence<'_> {
    /// Who answered.
    pub(super) fn judge(&self) -> Verdict {
        if self.error == Some(libc::EINTR) {
            return Verdict::Nobody("the request was interrupted".into());
        }
        let changes = match self.changes() {
            Some(changes) => changes,
            None => {
                return Verdict::Unclear(
                    "agents for this type have ended several requests at the same time".into(),
                );
            }
        };
        let mut ended = Vec::new();
        if let Some([before, after]) = &self.outcomes {
            let mut counted = after.since(before);
            counted.retain(|name, _| !OF_OTHERS.contains(&name.as_str()));
            for (name, number) in counted {
                ended.extend((0..number.min(2)).map(|_| name.clone()));
            }
            match &ended[..] {
                [] => {
                    return Verdict::Nobody(
                        "the kernel did not ask for the key outside of itself".into(),
                    );
                }
                [outcome] => return of_outcome(outcome, changes.as_ref()),
                _ => {}
            }
        }
        match changes {
            Some(change) => self.of_change(&change),
            None => self.without_change(),
        }
    }

    /// What was counted for one agent, `Some(None)` if nothing was, `None` if it was more.
    fn changes(&self) -> Option<Option<Change<'_>>> {
        let [before, after] = &self.agents;
        let mut one = None;
        let nothing = Counters::default();
        for agent in after {
            let Some(counters) = &agent.counters else {
                continue;
            };
            let earlier = before
                .iter()
                .find(|earlier| earlier.serial == agent.serial)
                .and_then(|earlier| earlier.counters.as_ref())
                .unwrap_or(&nothing);
            for (name, number) in counters.since(earlier) {
                if one.is_some() || number > 1 {
                    return None;
                }
                one = Some(Change { agent, name });
            }
        }
        Some(one)
    }

    fn of_change(&self, change: &Change<'_>) -> Verdict {
        let fits = match change.name.as_str() {
            "served" => self.error.is_none(),
            "rejected" => self.error.is_some(),
            "timed_out" => self.error == Some(libc::ETIMEDOUT),
            "died" | "declined" | "denied" | "busy" => true,
            _ => false,
        };
        if !fits {
            return Verdict::Unclear(format!(
                "{} ended another request at the same time",
                change.agent.who()
            ));
        }
        let outcome = match change.name.as_str() {
            // With that, agents that died before they had begun.
            "died" if self.error != Some(libc::ENOKEY) => "died_untaken",
            name => name,
        };
        of_outcome(outcome, Some(change))
    }

    fn without_change(&self) -> Verdict {
        let hidden = self.agents[1]
            .iter()
            .find(|agent| agent.in_session && agent.counters.is_none());
        if let Some(agent) = hidden {
            return Verdict::Unclear(format!("what {} does may not be read", agent.who()));
        }
        let why = if self.agents[1].iter().any(|agent| agent.in_session) {
            "the agent in the session keyring was not asked"
        } else {
            "no agent for this type is in the session keyring"
        };
        match self.error {
            None => Verdict::Upcall(why.into()),
            Some(_) => Verdict::Upcall(format!("if anybody; {why}")),
        }
    }
}

/// Who answered when a request ended like this, by the names of debugfs keyagent/outcomes.
fn of_outcome(outcome: &str, change: Option<&Change<'_>>) -> Verdict {
    let agent = change.map_or_else(|| "an agent".into(), |change| change.agent.who());
    match outcome {
        "served" => Verdict::Agent(agent),
        "rejected" => Verdict::Agent(format!("{agent}, which refused")),
        "timed_out" => Verdict::Nobody(format!("{agent} did not answer in time")),
        "died" => Verdict::Nobody(format!("{agent} died over it")),
        "invalidated" => Verdict::Nobody(format!("{agent} invalidated the authkey")),
        "declined" => Verdict::Upcall(format!("{agent} gave it back")),
        "died_untaken" => Verdict::Upcall(format!("{agent} died before it began")),
        "denied" => Verdict::Upcall(format!("{agent} may not answer for this process")),
        "denied_destination" => Verdict::Upcall(format!(
            "{agent} may not be given the keyring that the key goes to ({outcome})"
        )),
        "busy" => Verdict::Upcall(format!("{agent} has as many requests as it may have")),
        "no_agent" => Verdict::Upcall("no agent for this type is in the session keyring".into()),
        "dead_agent" => Verdict::Upcall("the agent in the session keyring is dead".into()),
        _ => Verdict::Upcall(format!("no agent was asked ({outcome})")),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
