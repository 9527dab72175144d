// SPDX-License-Identifier: GPL-2.0-or-later

//! What the kernel asks for.

use std::ffi::OsString;

/// A request for a key, with what the kernel tells `/sbin/request-key` about it.
///
/// The numbers are written as the kernel writes them: as signed ones, so that the uid 4294967294
/// becomes `-2`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What is to be done: `create`, or `negate` after a failure.
    pub operation: OsString,
    /// The serial of the key under construction.
    pub key: i32,
    /// The type of that key.
    pub key_type: OsString,
    /// Its description.
    pub description: OsString,
    /// The callout info, all of it. Rules see the part before the first NUL only.
    pub callout: Vec<u8>,
    /// The requester's uid.
    pub uid: u32,
    /// The requester's gid.
    pub gid: u32,
    /// The requester's thread keyring, 0 if there is none.
    pub thread_keyring: i32,
    /// The requester's process keyring, 0 if there is none.
    pub process_keyring: i32,
    /// The requester's session keyring.
    pub session_keyring: i32,
}

impl Request {
    /// The callout info as request-key(8) sees it: up to the first NUL, if there is one. That is
    /// what patterns are matched with, what `%c` stands for, and what a program behind a bar reads.
    #[must_use]
    pub fn callout_text(&self) -> &[u8] {
        let end = self.callout.iter().position(|byte| *byte == 0);
        &self.callout[..end.unwrap_or(self.callout.len())]
    }

    /// The request that is looked up next when a program behind a bar has failed.
    #[must_use]
    pub fn negate(&self) -> Self {
        Self {
            operation: "negate".into(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callout_ends_at_nul() {
        let mut request = Request {
            callout: b"ab\0cd\0".to_vec(),
            ..Request::default()
        };
        assert_eq!(request.callout_text(), b"ab");
        request.callout = b"ab".to_vec();
        assert_eq!(request.callout_text(), b"ab");
        request.callout.clear();
        assert_eq!(request.callout_text(), b"");
    }

    #[test]
    fn negate_changes_the_operation_only() {
        let request = Request {
            operation: "create".into(),
            key: 5,
            callout: b"x".to_vec(),
            ..Request::default()
        };
        let negated = request.negate();
        assert_eq!(negated.operation, "negate");
        assert_eq!(
            Request {
                operation: "create".into(),
                ..negated
            },
            request
        );
    }
}
