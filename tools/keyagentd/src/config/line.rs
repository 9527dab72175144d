// SPDX-License-Identifier: GPL-2.0-or-later

//! One line of a configuration.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::command::{Argument, Command};
use super::pattern::Pattern;
use super::problem::{Oddity, Problem, LONGEST_LINE, MOST_ARGUMENTS};

/// What the first four fields are called, in the order in which they are ranked.
const FIELDS: [&str; 4] = ["operation", "type", "description", "callout info"];

/// A rule, without the place where it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) patterns: [Pattern; 4],
    pub(super) command: Command,
}

/// What is wrong or odd in a line, with the column.
pub(super) type At<T> = (usize, T);

/// What separates words: the blanks of C's `isspace()`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The words of a line, each with its column.
fn words(text: &[u8]) -> impl Iterator<Item = At<&[u8]>> {
    let mut start = 0;
    text.split(|byte| is_blank(*byte))
        .map(move |word| {
            let column = start + 1;
            start += word.len() + 1;
            (column, word)
        })
        .filter(|(_, word)| !word.is_empty())
}

/// Takes a line with its newline. There is no rule in a comment.
///
/// Only what stands at the beginning of a line makes it a comment: a hash mark or any blank.
pub(super) fn parse(
    line: &[u8],
    oddities: &mut Vec<At<Oddity>>,
) -> Result<Option<Parts>, At<Problem>> {
    // request-key(8) counts the newline, and where there is none leaves room for it all the same.
    if line.len() > LONGEST_LINE + 1 {
        return Err((LONGEST_LINE + 1, Problem::LineTooLong));
    }
    let Some(first) = line.first() else {
        return Ok(None);
    };
    if *first == b'#' {
        return Ok(None);
    }
    if is_blank(*first) {
        oddities.extend(
            words(line)
                .next()
                .filter(|(_, word)| !word.starts_with(b"#"))
                .map(|(column, _)| (column, Oddity::Indented)),
        );
        return Ok(None);
    }
    if let Some(at) = line.iter().position(|byte| *byte == 0) {
        return Err((at + 1, Problem::Nul));
    }
    let Some(text) = line.strip_suffix(b"\n") else {
        // What request-key(8) makes of a last line of one byte is an empty one.
        return if line.len() == 1 {
            Ok(None)
        } else {
            Err((line.len() + 1, Problem::NoNewline))
        };
    };
    rule(text, oddities).map(Some)
}

fn rule(text: &[u8], oddities: &mut Vec<At<Oddity>>) -> Result<Parts, At<Problem>> {
    let mut words = words(text);
    let mut next = |field| {
        words
            .next()
            .ok_or((text.len() + 1, Problem::Missing(field)))
    };
    let mut pattern = |field| {
        let (column, word) = next(field)?;
        let pattern = Pattern::new(word);
        let within = pattern.asterisk_within();
        let within = within.map(|at| (column + at, Oddity::AsteriskWithin));
        let second = pattern.second_asterisk();
        let second = second.map(|at| (column + at, Oddity::SecondAsterisk));
        oddities.extend(within.or(second));
        note_quote(column, word, oddities);
        Ok(pattern)
    };
    let patterns = [
        pattern(FIELDS[0])?,
        pattern(FIELDS[1])?,
        pattern(FIELDS[2])?,
        pattern(FIELDS[3])?,
    ];
    let (column, word) = next("program")?;
    let (pipe, program) = program(column, word, oddities)?;

    let mut arguments = Vec::new();
    for (column, word) in words {
        if arguments.len() == MOST_ARGUMENTS {
            return Err((column, Problem::TooManyArguments));
        }
        let argument = Argument::parse(word).map_err(|problem| (column, problem))?;
        if word.starts_with(b"%") && argument == Argument::Text(OsStr::from_bytes(word).into()) {
            oddities.push((column, Oddity::NotAMacro(OsStr::from_bytes(word).into())));
        }
        note_quote(column, word, oddities);
        arguments.push(argument);
    }
    Ok(Parts {
        patterns,
        command: Command {
            program: OsStr::from_bytes(program).into(),
            pipe,
            arguments,
        },
    })
}

/// Takes the bar off a program's path.
fn program<'a>(
    column: usize,
    word: &'a [u8],
    oddities: &mut Vec<At<Oddity>>,
) -> Result<(bool, &'a [u8]), At<Problem>> {
    let (pipe, column, path) = match word.strip_prefix(b"|") {
        Some(path) => (true, column + 1, path),
        None => (false, column, word),
    };
    if path.is_empty() {
        return Err((column, Problem::NothingAfterBar));
    }
    if !path.contains(&b'/') {
        return Err((column, Problem::NoDirectory(OsStr::from_bytes(path).into())));
    }
    if !path.starts_with(b"/") {
        oddities.push((column, Oddity::RelativeProgram));
    }
    Ok((pipe, path))
}

fn note_quote(column: usize, word: &[u8], oddities: &mut Vec<At<Oddity>>) {
    if matches!(word, [b'"' | b'\'', ..]) {
        oddities.push((column, Oddity::Quote));
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
