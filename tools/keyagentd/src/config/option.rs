// SPDX-License-Identifier: GPL-2.0-or-later

//! What a rule of keyagentd.conf(5) can say before its program or built-in.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::answer::Answer;
use super::line::At;
use super::problem::Problem;
use super::Action;

/// What a rule adds to what it does. A rule of request-key.conf(5) has none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `timeout=SECONDS`: for how long the program may run, from 1 s to [`LONGEST_TIMEOUT`]. Only
    /// with a program.
    pub timeout: Option<Duration>,
    /// `expires=SECONDS`: after how many seconds, at least 1, the key expires. Only with what gives
    /// a payload: the program behind a bar, `@constant`, `@file` and `@key`.
    pub expires: Option<u32>,
}

/// Options, with the columns at which they stand.
#[derive(Debug, Default)]
pub(super) struct Written {
    timeout: Option<At<u32>>,
    expires: Option<At<u32>>,
}

/// The most seconds that a program may be given, as by `--timeout`. No request lasts so long.
pub const LONGEST_TIMEOUT: u32 = 3600;

const TIMEOUT: &str = "timeout=";
const EXPIRES: &str = "expires=";

/// Does this word, where a program is due, give an option? A program begins with a slash or a bar.
pub(super) fn is_option(word: &[u8]) -> bool {
    let end = word.iter().find(|byte| b"/|@=".contains(byte));
    end == Some(&b'=')
}

/// Is it one that there is?
pub(super) fn is_known(word: &[u8]) -> bool {
    [TIMEOUT, EXPIRES]
        .iter()
        .any(|name| word.starts_with(name.as_bytes()))
}

/// A number of decimal digits and nothing else.
pub(super) fn number(word: &[u8]) -> Option<u32> {
    let digits = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(word).ok()?.parse().ok())?
}

impl Written {
    /// Takes one more.
    pub(super) fn take(&mut self, column: usize, word: &[u8]) -> Result<(), At<Problem>> {
        let (slot, name, most) = if word.starts_with(TIMEOUT.as_bytes()) {
            (&mut self.timeout, TIMEOUT, LONGEST_TIMEOUT)
        } else if word.starts_with(EXPIRES.as_bytes()) {
            (&mut self.expires, EXPIRES, u32::MAX)
        } else {
            let name = word.split_inclusive(|byte| *byte == b'=').next();
            let name = OsStr::from_bytes(name.unwrap_or(word)).into();
            return Err((column, Problem::UnknownOption(name)));
        };
        if slot.is_some() {
            return Err((column, Problem::OptionTwice(name)));
        }
        let value = number(&word[name.len()..]).filter(|number| (1..=most).contains(number));
        let value = value.ok_or((column + name.len(), Problem::BadSeconds { least: 1, most }))?;
        *slot = Some((column, value));
        Ok(())
    }

    /// The options, if what the rule does can have them.
    pub(super) fn of(self, action: &Action) -> Result<Options, At<Problem>> {
        let (runs, pays) = match action {
            Action::Run(command) => (true, command.pipe),
            Action::Answer(Answer::Constant(_) | Answer::File(_) | Answer::Key { .. }) => {
                (false, true)
            }
            Action::Answer(Answer::Negate { .. } | Answer::Reject { .. } | Answer::Decline) => {
                (false, false)
            }
        };
        let value = |written: Option<At<u32>>, allowed: bool, problem| match written {
            Some((column, _)) if !allowed => Err((column, problem)),
            written => Ok(written.map(|(_, value)| value)),
        };
        let timeout = value(self.timeout, runs, Problem::TimeoutWithoutProgram)?;
        Ok(Options {
            timeout: timeout.map(|seconds| Duration::from_secs(seconds.into())),
            expires: value(self.expires, pays, Problem::ExpiresWithoutPayload)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (word, value) in [
            ("0", Some(0)),
            ("30", Some(30)),
            ("007", Some(7)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1s", None),
            ("1.5", None),
            ("\u{661}", None),
        ] {
            assert_eq!(number(word.as_bytes()), value, "{word}");
        }
    }

    #[test]
    fn what_an_option_looks_like() {
        for word in ["timeout=1", "timeout=", "=", "tiemout=5", "a=/b"] {
            assert!(is_option(word.as_bytes()), "{word}");
        }
        for word in ["", "timeout", "/a=b", "|/a=b", "@a=b", "a/b=c"] {
            assert!(!is_option(word.as_bytes()), "{word}");
        }
        assert!(is_known(b"timeout=x") && is_known(b"expires="));
        assert!(!is_known(b"timeout") && !is_known(b"expire=1"));
    }
}
