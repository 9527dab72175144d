// SPDX-License-Identifier: GPL-2.0-or-later

//! `keyagent hook`: what OCI runtimes run before the program of a container.
//!
//! The user who starts a container chooses its annotations, and the host need not trust that user.
//! So an annotation only chooses among the agents that the administrator has listed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};

use serde::Deserialize;

use super::agents::need_module;
use super::containers::{self, Entry};
use super::failure::Failure;
use super::output::printable;
use super::vet::{self, Named, Refused};
use super::{ids, session};
use crate::cli::tool::{Accept, Hook};
use crate::sys::keyctl::Serial;

/// The annotation that names the agent.
const ANNOTATION: &str = "keyagent.agent";
/// The longest state in bytes.
const LONGEST: u64 = 16 << 20;

/// The part of a container's state that the hook uses. The runtime writes the state to standard
/// input, in the form of the OCI runtime specification.
#[derive(Deserialize)]
struct State {
    annotations: Option<BTreeMap<String, String>>,
}

/// Links the agent that the container's annotation names into the session keyring. Does nothing for
/// a container without the annotation.
pub(super) fn hook(options: &Hook) -> Result<u8, Failure> {
    let mut state = Vec::new();
    io::stdin()
        .take(LONGEST + 1)
        .read_to_end(&mut state)
        .map_err(|error| Failure::of("hook", &error, "standard input is the container's state"))?;
    let Some(name) = annotation(&state)? else {
        return Ok(0);
    };
    need_module("hook")?;
    let entry = containers::find(&options.list, &name)?;
    session::need_own("hook")?;
    let named = vet::wait_for(&options.accept, || keyring(&entry, &options.accept))?;
    named.warn();
    named.link(Serial::SESSION_KEYRING)?;
    Ok(0)
}

/// The agent that the annotation names.
fn annotation(state: &[u8]) -> Result<Option<String>, Failure> {
    if state.len() as u64 > LONGEST {
        return Err(Failure::new(
            "hook",
            format!("the container's state has more than {LONGEST} bytes"),
            "the hook is for OCI runtimes",
        ));
    }
    let state: State = serde_json::from_slice(state).map_err(|error| {
        Failure::new(
            "hook",
            format!("standard input is not the state of a container: {error}"),
            "the hook is for OCI runtimes",
        )
    })?;
    let annotations = state.annotations.unwrap_or_default();
    let Some(name) = annotations.get(ANNOTATION) else {
        return Ok(None);
    };
    if !containers::is_name(name) {
        return Err(Failure::new(
            format!("annotation {ANNOTATION}"),
            format!(
                "\"{}\" is not the name of an agent",
                printable(OsStr::new(name))
            ),
            "give the name that keyagentd --keyring was given; a serial, or a keyring such as @u, \
             is not accepted",
        ));
    }
    Ok(Some(name.clone()))
}

/// Finds the keyring of a line of the list, and checks it.
fn keyring(entry: &Entry, accept: &Accept) -> Result<Named, Refused> {
    let name = &entry.name;
    let serial = match entry.serial {
        Some(serial) => serial,
        None => ids::in_user_keyring(OsStr::new(name))?,
    };
    let named = vet::vet(serial, name, accept)?;
    // The list may be old: the kernel gives the serial of a key that is gone to another key.
    let key = &named.description;
    if key.is(OsStr::new("keyring"), OsStr::new(name)) {
        return Ok(named);
    }
    Err(Refused::Unfit(Failure::new(
        format!("agent {name}"),
        format!(
            "key {serial} is the {} {}",
            printable(&key.key_type),
            printable(&key.description)
        ),
        format!("the list of agents has a wrong serial: see keyctl search @u keyring {name}"),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(state: &str) -> Result<Option<String>, String> {
        annotation(state.as_bytes()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn only_the_annotation_counts() {
        let web = Ok(Some("web".to_string()));
        let simple = r#"{"id": "c", "annotations": {"a": "b", "keyagent.agent": "web"}}"#;
        assert_eq!(named(simple), web);
        let odd = "{\"annotations\":\n{\"keyagent\\u002eagent\" :\n\"w\\u0065b\"}}";
        assert_eq!(named(odd), web);

        for state in [
            "{}",
            r#"{"annotations": null}"#,
            r#"{"annotations": {}}"#,
            r#"{"annotations": {"x.keyagent.agent": "web", "keyagent_agent": "web"}}"#,
            // Other text of whoever starts the container.
            r#"{"id": "x", "keyagent.agent": "web"}"#,
            r#"{"linux": {"annotations": {"keyagent.agent": "web"}}, "annotations": {}}"#,
            r#"{"annotations": {"x": "{\"keyagent.agent\": \"web\"}"}}"#,
            r#"{"bundle": "/x, \"keyagent.agent\": \"web\"", "annotations": {"a": "b"}}"#,
        ] {
            assert_eq!(named(state), Ok(None), "{state}");
        }
    }

    #[test]
    fn what_is_no_state() {
        for state in [
            "",
            "x",
            "[]",
            r#"{"annotations": {"keyagent.agent": "web"}"#,
            r#"{"annotations": {"keyagent.agent": 5}}"#,
            r#"{"annotations": {}, "annotations": {"keyagent.agent": "web"}}"#,
        ] {
            let text = named(state).unwrap_err();
            assert!(text.contains("is not the state"), "{state}: {text}");
        }
    }

    #[test]
    fn no_option_no_serial_and_no_special_keyring() {
        for value in ["", "@u", "@s", "-5", "--to=@us", "4711", "x y", r"a\nb"] {
            let state = format!(r#"{{"annotations": {{"keyagent.agent": "{value}"}}}}"#);
            let text = named(&state).unwrap_err();
            assert!(
                text.contains("is not the name of an agent"),
                "{value}: {text}"
            );
        }
    }
}
