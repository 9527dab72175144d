// SPDX-License-Identifier: GPL-2.0-or-later

//! What keyagentd(8) answers by itself.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::line::{note_quote, At};
use super::problem::{Oddity, Problem};
use super::{errno, option};

/// How many bytes the kernel takes for a payload. Some types of keys take fewer: `user` 32767.
pub const LONGEST_PAYLOAD: usize = (1 << 20) - 1;

/// A built-in of keyagentd.conf(5): an answer for which no program is needed.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// `@constant TEXT`: this payload, from 1 to [`LONGEST_PAYLOAD`] bytes.
    Constant(Vec<u8>),
    /// `@file PATH`: what is in this file at the time of the request. The path is absolute. That
    /// the file is there and not too long is not known yet.
    File(PathBuf),
    /// `@key TYPE DESCRIPTION`: the payload of another key, that the daemon itself can find.
    Key {
        /// That key's type.
        key_type: OsString,
        /// Its description.
        description: OsString,
    },
    /// `@negate [SECONDS]`: there is no such key.
    Negate {
        /// For how long that holds; `None` leaves it to the daemon. With 0 the next one to want the
        /// key asks again.
        seconds: Option<u32>,
    },
    /// `@reject ERROR [SECONDS]`: requests fail with this error.
    Reject {
        /// A positive errno that the kernel takes for this.
        error: i32,
        /// As for [`Answer::Negate`].
        seconds: Option<u32>,
    },
    /// `@decline`: it is for somebody else to answer.
    Decline,
}

impl fmt::Debug for Answer {
    /// Payloads are nobody's business: of a constant only the length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(payload) => write!(f, "Constant({} bytes)", payload.len()),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Key {
                key_type,
                description,
            } => f
                .debug_struct("Key")
                .field("key_type", key_type)
                .field("description", description)
                .finish(),
            Self::Negate { seconds } => f.debug_struct("Negate").field("seconds", seconds).finish(),
            Self::Reject { error, seconds } => f
                .debug_struct("Reject")
                .field("error", error)
                .field("seconds", seconds)
                .finish(),
            Self::Decline => f.write_str("Decline"),
        }
    }
}

/// Takes a built-in: its name, and the words after it, of which the line at `end` has no more.
pub(super) fn parse<'a>(
    (column, name): At<&[u8]>,
    words: impl Iterator<Item = At<&'a [u8]>>,
    end: usize,
    oddities: &mut Vec<At<Oddity>>,
) -> Result<Answer, At<Problem>> {
    let usage = match name {
        b"@constant" => "@constant TEXT, where \\s is a blank",
        b"@file" => "@file PATH",
        b"@key" => "@key TYPE DESCRIPTION",
        b"@negate" => "@negate or @negate SECONDS",
        b"@reject" => "@reject ERROR or @reject ERROR SECONDS",
        b"@decline" => "@decline",
        _ => {
            let name = OsStr::from_bytes(name).into();
            return Err((column, Problem::UnknownBuiltIn(name)));
        }
    };
    let mut words = words.inspect(|(column, word)| {
        if let Some(at) = macro_in(word) {
            oddities.push((column + at, Oddity::MacroInBuiltIn));
        }
        note_quote(*column, word, oddities);
    });
    let mut next = || words.next().ok_or((end, Problem::BuiltInLacks(usage)));

    let answer = match name {
        b"@constant" => Answer::Constant(payload(next()?)?),
        b"@file" => match next()? {
            (_, path @ [b'/', ..]) => Answer::File(OsStr::from_bytes(path).into()),
            (column, path) => {
                let path = OsStr::from_bytes(path).into();
                return Err((column, Problem::RelativeFile(path)));
            }
        },
        b"@key" => Answer::Key {
            key_type: OsStr::from_bytes(next()?.1).into(),
            description: OsStr::from_bytes(next()?.1).into(),
        },
        b"@negate" => Answer::Negate {
            seconds: words.next().map(seconds).transpose()?,
        },
        b"@reject" => {
            let (column, word) = next()?;
            let unknown = || Problem::UnknownError(OsStr::from_bytes(word).into());
            Answer::Reject {
                error: errno::parse(word).ok_or_else(|| (column, unknown()))?,
                seconds: words.next().map(seconds).transpose()?,
            }
        }
        _ => Answer::Decline,
    };
    match words.next() {
        Some((column, _)) => Err((column, Problem::BuiltInHasMore(usage))),
        None => Ok(answer),
    }
}

fn seconds((column, word): At<&[u8]>) -> Result<u32, At<Problem>> {
    let most = u32::MAX;
    option::number(word).ok_or((column, Problem::BadSeconds { least: 0, most }))
}

/// Where a macro stands that would be one in an argument. It is none here.
fn macro_in(word: &[u8]) -> Option<usize> {
    word.windows(2)
        .position(|two| two[0] == b'%' && b"oktdcugTPS{".contains(&two[1]))
}

/// Takes the escapes out of a text.
fn payload((column, text): At<&[u8]>) -> Result<Vec<u8>, At<Problem>> {
    let mut payload = Vec::new();
    let mut rest = text;

    while let Some((first, after)) = rest.split_first() {
        let (byte, len) = match (first, after) {
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b's', ..]) => (b' ', 2),
            (b'\\', [b'0', ..]) => (0, 2),
            (b'\\', [b'\\', ..]) => (b'\\', 2),
            (b'\\', [b'x', high, low, ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), 4)
            }
            (b'\\', _) => return Err((column + text.len() - rest.len(), Problem::BadEscape)),
            (byte, _) => (*byte, 1),
        };
        payload.push(byte);
        rest = &rest[len..];
    }
    if payload.len() > LONGEST_PAYLOAD {
        return Err((column, Problem::PayloadTooLong));
    }
    Ok(payload)
}

/// The value of a digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | b' ') - b'a' + 10,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
