// SPDX-License-Identifier: GPL-2.0-or-later

//! Why a command failed.

use std::{fmt, io};

use super::errors;

/// The exit status when a command cannot do what it is for.
const FAILED: u8 = 1;
/// That when the program to run is there and cannot be run.
const CANNOT_RUN: u8 = 126;
/// That when it is not there.
const NOT_FOUND: u8 = 127;

/// Why a command failed, and what to do.
#[derive(Debug)]
pub(super) struct Failure {
    /// The exit status.
    pub(super) status: u8,
    what: String,
    why: String,
    advice: String,
}

impl Failure {
    /// A failure of a command of its own.
    pub(super) fn new(
        what: impl Into<String>,
        why: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            status: FAILED,
            what: what.into(),
            why: why.into(),
            advice: advice.into(),
        }
    }

    /// A system call that failed.
    pub(super) fn of(
        what: impl Into<String>,
        error: &io::Error,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(what, errors::describe(error), advice)
    }

    /// The program that was to be run was not.
    pub(super) fn not_run(program: &std::ffi::OsStr, error: &io::Error) -> Self {
        let what = super::output::printable(program);
        if error.kind() == io::ErrorKind::NotFound {
            Self {
                status: NOT_FOUND,
                ..Self::new(
                    what,
                    "there is no such program",
                    "give its path, or a name that is in PATH",
                )
            }
        } else {
            Self {
                status: CANNOT_RUN,
                ..Self::of(
                    what,
                    error,
                    "it must be a program that may be executed: see its mode with ls -l",
                )
            }
        }
    }

    /// Says it on standard error.
    pub(super) fn report(&self) {
        eprintln!("keyagent: {self}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.why, self.advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn statuses_are_those_of_shells() {
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        let locked = io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(Failure::not_run(OsStr::new("x"), &missing).status, 127);
        assert_eq!(Failure::not_run(OsStr::new("x"), &locked).status, 126);
        assert_eq!(Failure::of("x", &missing, "y").status, 1);
    }

    #[test]
    fn says_what_why_and_what_to_do() {
        let failure = Failure::of("key 5", &io::Error::from_raw_os_error(libc::EACCES), "ask");
        assert_eq!(failure.to_string(), "key 5: EACCES, Permission denied; ask");
    }
}
