// SPDX-License-Identifier: GPL-2.0-or-later

//! A request that a handler answers.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handler::Handler;
use crate::config::command::{Argument, Command, Macro};
use crate::config::Rule;
use crate::request::Request;
use crate::sys::keyctl::Serial;

/// Which rule: its file and line.
pub(super) type RuleId = (Arc<Path>, usize);

/// So many bytes of a description are shown. It can have 4095, most of which can take six
/// characters when they are quoted, and a request can fail as often as its requester likes.
const SHOWN: usize = 200;

/// A request as log lines name it. What a requester chose is quoted, and the callout info, which
/// may be a secret, is not there.
#[derive(Clone, Debug)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn new(request: &Request, pid: u32) -> Self {
        let Request {
            key,
            key_type,
            description,
            ..
        } = request;
        let bytes = description.as_bytes();
        let shown = OsStr::from_bytes(&bytes[..bytes.len().min(SHOWN)]);
        let rest = if bytes.len() > SHOWN { "..." } else { "" };
        Self(format!(
            "key {key}, {key_type:?} {shown:?}{rest} for process {pid}"
        ))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a rule is, as log lines have it.
pub(super) fn place(rule: &Rule) -> String {
    format!("{}:{}", rule.file.display(), rule.line)
}

/// A handler to run, and for what.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) name: Name,
    pub(super) request: Request,
    /// Where the rule is, for log lines.
    pub(super) by: String,
    pub(super) command: Command,
    pub(super) timeout: Option<Duration>,
    pub(super) expires: Option<u32>,
    /// Whose place it takes. The rule for what has failed runs in that of the rule that has.
    pub(super) slot: RuleId,
    /// Has a program behind a bar failed already?
    pub(super) again: bool,
}

impl Task {
    pub(super) fn new(rule: &Rule, command: &Command, request: Request, name: Name) -> Self {
        Self {
            name,
            request,
            by: place(rule),
            command: command.clone(),
            timeout: rule.options.timeout,
            expires: rule.options.expires,
            slot: (Arc::clone(&rule.file), rule.line),
            again: false,
        }
    }

    /// The target key.
    pub(super) fn key(&self) -> Serial {
        Serial(self.request.key)
    }

    /// Does the command name a keyring of the requester's?
    pub(super) fn wants_keyrings(&self) -> bool {
        let wants = |argument: &Argument| {
            matches!(
                argument,
                Argument::Macro(
                    Macro::ThreadKeyring | Macro::ProcessKeyring | Macro::SessionKeyring
                ) | Argument::Contents { .. }
            )
        };
        self.command.arguments.iter().any(wants)
    }
}

/// A handler that runs, and for what.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) task: Task,
    pub(super) handler: Handler,
    /// Its time was over: the request is settled, and the handler killed.
    pub(super) late: bool,
}

impl Job {
    /// When something is to be done about it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.late).then_some(self.handler.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(description: &[u8]) -> String {
        let request = Request {
            key: 5,
            key_type: "user".into(),
            description: OsStr::from_bytes(description).into(),
            callout: b"secret".into(),
            ..Request::default()
        };
        Name::new(&request, 7).to_string()
    }

    #[test]
    fn names_are_quoted_and_short() {
        assert_eq!(name(b"a"), "key 5, \"user\" \"a\" for process 7");
        assert_eq!(
            name(b"a\n\x1b[m\xff\""),
            r#"key 5, "user" "a\n\u{1b}[m\xFF\"" for process 7"#
        );
        // A right-to-left override.
        assert!(name("\u{202e}".as_bytes()).is_ascii());
        assert!(name(&[b'x'; 200]).ends_with("x\" for process 7"));
        assert!(name(&[b'x'; 201]).ends_with("x\"... for process 7"));
        assert!(name(&[1; 4095]).len() < 1500);
    }
}
