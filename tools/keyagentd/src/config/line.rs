// SPDX-License-Identifier: GPL-2.0-or-later

//! One line of a configuration.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::command::{Argument, Command};
use super::option::{self, Options};
use super::pattern::Pattern;
use super::problem::{Oddity, Problem, LONGEST_LINE, MOST_ARGUMENTS};
use super::{answer, Action};

/// What a rule is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// request-key.conf(5), as request-key(8) of keyutils 1.6.3 reads it, with all its oddities.
    RequestKey,
    /// keyagentd.conf(5): the same, with options and built-ins, and without these oddities:
    ///
    ///  - What follows an asterisk between other text is compared with the end of the value, see
    ///    [`Pattern`]. A second asterisk in a field is refused.
    ///  - The last line needs no newline, for nothing is taken from it.
    ///  - Blanks at the beginning of a line mean nothing: what follows them is a rule, or a
    ///    comment.
    ///  - Lines may be longer than [`LONGEST_LINE`], that large payloads can be written.
    ///  - A program's path must begin with a slash.
    ///  - An argument that begins with a percent sign must be a macro, or `%%` and any text.
    ///
    /// A line of request-key.conf(5) in which there is nothing odd means the same here. What stays
    /// is that words end at blanks, and that there is no quoting.
    Own,
}

/// What the first four fields are called, in the order in which they are ranked.
const FIELDS: [&str; 4] = ["operation", "type", "description", "callout info"];

/// What the kernel asks for, and what becomes of it when a program behind a bar has failed.
const OPERATIONS: [&[u8]; 2] = [b"create", b"negate"];

/// The type of the keys of agents. Of it there can be none that has to be asked for.
const AGENTS: &[u8] = b"keyagent";

/// A rule, without the place where it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) patterns: [Pattern; 4],
    pub(super) action: Action,
    pub(super) options: Options,
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

/// Takes a line with its newline. There is no rule in a comment or in an empty line.
pub(super) fn parse(
    dialect: Dialect,
    line: &[u8],
    oddities: &mut Vec<At<Oddity>>,
) -> Result<Option<Parts>, At<Problem>> {
    let text = match dialect {
        Dialect::RequestKey => request_key_text(line, oddities)?,
        Dialect::Own => own_text(line),
    };
    let Some(text) = text else {
        return Ok(None);
    };
    if let Some(at) = text.iter().position(|byte| *byte == 0) {
        return Err((at + 1, Problem::Nul));
    }
    if dialect == Dialect::RequestKey && !line.ends_with(b"\n") {
        return Err((line.len() + 1, Problem::NoNewline));
    }
    rule(dialect, text, oddities).map(Some)
}

/// The part of a line that is a rule.
///
/// Only what stands at the beginning of a line makes it a comment: a hash mark or any blank.
fn request_key_text<'a>(
    line: &'a [u8],
    oddities: &mut Vec<At<Oddity>>,
) -> Result<Option<&'a [u8]>, At<Problem>> {
    // request-key(8) counts the newline, and where there is none leaves room for it all the same.
    if line.len() > LONGEST_LINE + 1 {
        return Err((LONGEST_LINE + 1, Problem::LineTooLong));
    }
    match line {
        [] | [b'#', ..] => Ok(None),
        [first, ..] if is_blank(*first) => {
            oddities.extend(
                words(line)
                    .next()
                    .filter(|(_, word)| !word.starts_with(b"#"))
                    .map(|(column, _)| (column, Oddity::Indented)),
            );
            Ok(None)
        }
        [0] => Err((1, Problem::Nul)),
        // What request-key(8) makes of a last line of one byte is an empty one.
        [_] => Ok(None),
        _ => Ok(Some(line.strip_suffix(b"\n").unwrap_or(line))),
    }
}

/// The same in the own dialect: a hash mark makes a comment also after blanks.
fn own_text(line: &[u8]) -> Option<&[u8]> {
    let (_, first) = words(line).next()?;
    (!first.starts_with(b"#")).then(|| line.strip_suffix(b"\n").unwrap_or(line))
}

fn rule(
    dialect: Dialect,
    text: &[u8],
    oddities: &mut Vec<At<Oddity>>,
) -> Result<Parts, At<Problem>> {
    let end = text.len() + 1;
    let mut words = words(text).peekable();
    let mut next = |field| words.next().ok_or((end, Problem::Missing(field)));

    let fields = [
        next(FIELDS[0])?,
        next(FIELDS[1])?,
        next(FIELDS[2])?,
        next(FIELDS[3])?,
    ];
    let [operation, key_type, description, callout] = fields;
    let patterns = [
        pattern(dialect, operation, oddities)?,
        pattern(dialect, key_type, oddities)?,
        pattern(dialect, description, oddities)?,
        pattern(dialect, callout, oddities)?,
    ];
    let mut matches = OPERATIONS.iter().map(|value| patterns[0].skips(value));
    if matches.all(|skips| skips.is_none()) {
        oddities.push((operation.0, Oddity::NoSuchOperation));
    }
    if patterns[1].is_exactly(AGENTS) {
        oddities.push((key_type.0, Oddity::TypeOfAgents));
    }
    if dialect == Dialect::Own && option::is_known(callout.1) {
        oddities.push((callout.0, Oddity::OptionAsCallout));
    }
    let mut options = option::Written::default();
    if dialect == Dialect::Own {
        while let Some((column, word)) = words.next_if(|(_, word)| option::is_option(word)) {
            options.take(column, word)?;
        }
    }
    let (column, word) = words.next().ok_or((end, Problem::Missing("program")))?;
    let action = match word {
        [b'@', ..] if dialect == Dialect::Own => {
            Action::Answer(answer::parse((column, word), words, end, oddities)?)
        }
        _ => {
            let (pipe, program) = program(dialect, column, word, oddities)?;
            Action::Run(Command {
                program: OsStr::from_bytes(program).into(),
                pipe,
                arguments: arguments(dialect, words, oddities)?,
            })
        }
    };
    Ok(Parts {
        options: options.of(&action)?,
        patterns,
        action,
    })
}

/// Takes one of the first four fields.
fn pattern(
    dialect: Dialect,
    (column, word): At<&[u8]>,
    oddities: &mut Vec<At<Oddity>>,
) -> Result<Pattern, At<Problem>> {
    let pattern = Pattern::new(dialect, word);
    let second = pattern.second_asterisk().map(|at| column + at);
    match dialect {
        Dialect::RequestKey => {
            let within = pattern.asterisk_within();
            let within = within.map(|at| (column + at, Oddity::AsteriskWithin));
            let second = second.map(|column| (column, Oddity::SecondAsterisk));
            oddities.extend(within.or(second));
        }
        Dialect::Own => {
            if let Some(column) = second {
                return Err((column, Problem::SecondAsterisk));
            }
        }
    }
    note_quote(column, word, oddities);
    Ok(pattern)
}

/// Takes the bar off a program's path.
fn program<'a>(
    dialect: Dialect,
    column: usize,
    word: &'a [u8],
    oddities: &mut Vec<At<Oddity>>,
) -> Result<(bool, &'a [u8]), At<Problem>> {
    let (pipe, column, path) = match word.strip_prefix(b"|") {
        Some(path) => (true, column + 1, path),
        None => (false, column, word),
    };
    let name = || OsStr::from_bytes(path).into();
    match (path, dialect) {
        ([], _) => return Err((column, Problem::NothingAfterBar)),
        ([b'/', ..], _) => {}
        (_, Dialect::RequestKey) if path.contains(&b'/') => {
            oddities.push((column, Oddity::RelativeProgram));
        }
        (_, Dialect::Own) if path.contains(&b'/') => {
            return Err((column, Problem::RelativeProgram(name())));
        }
        (_, Dialect::RequestKey) if word.starts_with(b"@") || option::is_known(word) => {
            return Err((column, Problem::OwnDialectOnly));
        }
        _ => return Err((column, Problem::NoDirectory(name()))),
    }
    Ok((pipe, path))
}

fn arguments<'a>(
    dialect: Dialect,
    words: impl Iterator<Item = At<&'a [u8]>>,
    oddities: &mut Vec<At<Oddity>>,
) -> Result<Vec<Argument>, At<Problem>> {
    let mut arguments = Vec::new();
    for (column, word) in words {
        if arguments.len() == MOST_ARGUMENTS {
            return Err((column, Problem::TooManyArguments));
        }
        let argument = Argument::parse(word).map_err(|problem| (column, problem))?;
        let text = OsStr::from_bytes(word);
        if word.starts_with(b"%") && argument == Argument::Text(text.into()) {
            match dialect {
                Dialect::RequestKey => oddities.push((column, Oddity::NotAMacro(text.into()))),
                Dialect::Own => return Err((column, Problem::UnknownMacro(text.into()))),
            }
        }
        note_quote(column, word, oddities);
        arguments.push(argument);
    }
    Ok(arguments)
}

/// Says that a word begins with a quotation mark.
pub(super) fn note_quote(column: usize, word: &[u8], oddities: &mut Vec<At<Oddity>>) {
    if matches!(word, [b'"' | b'\'', ..]) {
        oddities.push((column, Oddity::Quote));
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "own_tests.rs"]
mod own_tests;
