// SPDX-License-Identifier: GPL-2.0-or-later

//! What is written to standard output.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;

use super::failure::Failure;

/// Writes text. Returns whether there is still somebody who reads it.
pub(super) fn write(text: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::of(
            "standard output",
            &error,
            "is there room, and is it open?",
        )),
    }
}

/// Writes all that a command has to say. A reader that has seen enough is no failure.
pub(super) fn print(text: &[u8]) -> Result<u8, Failure> {
    write(text).map(|_| 0)
}

/// Text from somebody else, without what could move the cursor of a terminal.
pub(super) fn printable(text: &OsStr) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{:02x}", u32::from(character));
            } else {
                out.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        let text = OsStr::from_bytes(b"a \x1b[2J\n\xff\xc2\x9b\xc3\xa4");
        assert_eq!(printable(text), "a \\x1b[2J\\x0a\\xff\\x9b\u{e4}");
    }
}
