// SPDX-License-Identifier: GPL-2.0-or-later

//! What can be said about a configuration.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::{error, fmt, io};

use super::answer::LONGEST_PAYLOAD;

/// How many bytes a line of request-key.conf(5) may have, without its newline.
pub const LONGEST_LINE: usize = 4094;

/// How many arguments a program may have, without its name.
pub const MOST_ARGUMENTS: usize = 253;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The byte in that line, from 1.
    pub column: usize,
}

/// Something, and where it was found.
#[derive(Debug)]
pub struct Found<T> {
    /// The file.
    pub file: Arc<Path>,
    /// The place in it, or `None` if it is the file as a whole.
    pub place: Option<Place>,
    /// What was found there.
    pub what: T,
}

impl<T: fmt::Display> fmt::Display for Found<T> {
    /// `FILE:LINE:COLUMN: WHAT`, as compilers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.what)
    }
}

/// Why a configuration is refused.
///
/// In files of request-key.conf(5) it is what request-key(8) would give up on, or for a missing
/// newline do what nobody can have meant. No payload is ever part of it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// A file or the directory is there and cannot be read.
    Unreadable(io::Error),
    /// A file or a directory that has to be there is not.
    NotThere,
    /// A line of request-key.conf(5) is longer than [`LONGEST_LINE`].
    LineTooLong,
    /// A line holds a NUL.
    Nul,
    /// The last line is a rule of request-key.conf(5) and has no newline. request-key(8) would lose
    /// its last character.
    NoNewline,
    /// A line ends before the field of this name.
    Missing(&'static str),
    /// The program is not given with its directory.
    NoDirectory(OsString),
    /// The path of the program does not begin with a slash. This and what follows are problems of
    /// keyagentd.conf(5) only.
    RelativeProgram(OsString),
    /// A field has a second asterisk.
    SecondAsterisk,
    /// There is no option of this name.
    UnknownOption(OsString),
    /// The option of this name is there already.
    OptionTwice(&'static str),
    /// A built-in has `timeout=`.
    TimeoutWithoutProgram,
    /// What gives no payload has `expires=`.
    ExpiresWithoutPayload,
    /// A number of seconds is none, or too small or too large.
    BadSeconds {
        /// The smallest one.
        least: u32,
        /// The largest one.
        most: u32,
    },
    /// There is no built-in of this name.
    UnknownBuiltIn(OsString),
    /// A line ends before the built-in has what this usage says.
    BuiltInLacks(&'static str),
    /// A line goes on after what this usage says.
    BuiltInHasMore(&'static str),
    /// A backslash in a constant is not followed by what makes an escape.
    BadEscape,
    /// A constant is longer than [`LONGEST_PAYLOAD`].
    PayloadTooLong,
    /// The path of a built-in does not begin with a slash.
    RelativeFile(OsString),
    /// There is no error of this name or number.
    UnknownError(OsString),
    /// In a file of request-key.conf(5), where a program is due: something of keyagentd.conf(5).
    OwnDialectOnly,
    /// There is nothing right after the bar.
    NothingAfterBar,
    /// There are more than [`MOST_ARGUMENTS`].
    TooManyArguments,
    /// An argument is a single percent sign.
    LonePercent,
    /// An argument is a percent sign and a character that is no macro.
    UnknownMacro(OsString),
    /// An argument begins as `%{type:description}` does, and this is wrong with it.
    BadKeyMacro(&'static str),
}

impl fmt::Display for Problem {
    /// What is wrong, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => {
                write!(f, "cannot be read: {error}; make it readable or remove it")
            }
            Self::NotThere => write!(
                f,
                "there is no such file or directory; check the path, or create it"
            ),
            Self::LineTooLong => write!(
                f,
                "the line is too long; it may have {LONGEST_LINE} bytes without its newline"
            ),
            Self::Nul => write!(f, "a NUL byte; remove it: the file must be text"),
            Self::NoNewline => write!(
                f,
                "the last line does not end with a newline, for want of which request-key(8) \
                 takes the last character away; add one"
            ),
            Self::Missing(field) => write!(
                f,
                "the line ends before its {field}; a rule has an operation, a type, a \
                 description, a callout info and a program (or in keyagentd.conf(5) a built-in), \
                 with blanks between them; complete it, or begin the line with # to make it a \
                 comment"
            ),
            Self::NoDirectory(program) => write!(
                f,
                "the program {program:?} has no directory; give its full path, as in /bin/keyctl"
            ),
            Self::RelativeProgram(program) => write!(
                f,
                "the program {program:?} is not given with its full path; let it begin with /"
            ),
            Self::SecondAsterisk => write!(
                f,
                "a second * in a field, of which one only can be a wildcard; leave out this one"
            ),
            Self::UnknownOption(name) => write!(
                f,
                "there is no option {name:?}, but timeout=SECONDS and expires=SECONDS"
            ),
            Self::OptionTwice(name) => write!(f, "{name:?} is given twice; leave out one"),
            Self::TimeoutWithoutProgram => write!(
                f,
                "timeout= is for programs, and a built-in runs none; leave it out"
            ),
            Self::ExpiresWithoutPayload => write!(
                f,
                "expires= is for @constant, @file, @key and programs behind a |, which give a \
                 payload; leave it out: a program that instantiates the key itself sets its \
                 time-out itself, and @negate and @reject have their own SECONDS"
            ),
            Self::BadSeconds { least, most } => write!(
                f,
                "not a number of seconds; write a whole one from {least} to {most}"
            ),
            Self::UnknownBuiltIn(name) => write!(
                f,
                "there is no built-in {name:?}, but @constant, @file, @key, @negate, @reject and \
                 @decline"
            ),
            Self::BuiltInLacks(usage) => write!(f, "the line ends too early; write {usage}"),
            Self::BuiltInHasMore(usage) => {
                write!(f, "one word too many; write {usage}, and no more")
            }
            Self::BadEscape => write!(
                f,
                "no escape begins like this, but \\n \\t \\s \\0 \\xHH and \\\\; for a backslash \
                 write two"
            ),
            Self::PayloadTooLong => write!(
                f,
                "the payload is too long; the kernel takes {LONGEST_PAYLOAD} bytes"
            ),
            Self::RelativeFile(path) => write!(
                f,
                "the file {path:?} is not given with its full path; let it begin with /"
            ),
            Self::UnknownError(error) => write!(
                f,
                "there is no error {error:?} to reject a key with; write its name in capitals, as \
                 in EACCES or EKEYREJECTED (see errno(3)), or its number"
            ),
            Self::OwnDialectOnly => write!(
                f,
                "options and built-ins are not for request-key.conf(5); move the rule to a file of \
                 keyagentd.conf(5), or begin with the full path of a program"
            ),
            Self::NothingAfterBar => {
                write!(f, "no program right after the |; write it without a blank")
            }
            Self::TooManyArguments => write!(
                f,
                "too many arguments, there may be {MOST_ARGUMENTS}; put them into a script"
            ),
            Self::LonePercent => write!(f, "a % without a macro's name; %% is a percent sign"),
            Self::UnknownMacro(text) => write!(
                f,
                "there is no macro {text:?}, but %o %k %t %d %c %u %g %T %P %S and \
                 %{{type:description}}; for this text, double the percent sign"
            ),
            Self::BadKeyMacro(what) => write!(f, "{what}; it is written %{{type:description}}"),
        }
    }
}

/// What is in a configuration and works, in files of request-key.conf(5) as it does with
/// request-key(8), though hardly as it was meant.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Oddity {
    /// A line begins with a blank, and is ignored for that.
    Indented,
    /// A pattern has its asterisk between other text.
    AsteriskWithin,
    /// A pattern that begins with an asterisk has another one.
    SecondAsterisk,
    /// A word begins with a quotation mark.
    Quote,
    /// The program's path does not begin with a slash.
    RelativeProgram,
    /// An argument begins with a percent sign and is no macro.
    NotAMacro(OsString),
    /// The operation is neither `create` nor `negate`, so that the rule can never match.
    NoSuchOperation,
    /// The key type is that of the keys of agents, so that the rule can never match.
    TypeOfAgents,
    /// In keyagentd.conf(5) the callout info looks like an option.
    OptionAsCallout,
    /// In a word of a built-in there is what would be a macro in an argument.
    MacroInBuiltIn,
    /// In a directory, and not read because it is no regular file.
    NotRegular,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Indented => write!(f, "the line begins with a blank and is ignored"),
            Self::AsteriskWithin => write!(
                f,
                "request-key(8) compares what follows this * with a wrong part of the value, and \
                 so does this: put the * at the beginning or the end"
            ),
            Self::SecondAsterisk => write!(
                f,
                "only the first * of a field is a wildcard, this one stands for itself"
            ),
            Self::Quote => write!(
                f,
                "quotation marks have no meaning, words end at blanks all the same"
            ),
            Self::RelativeProgram => {
                write!(f, "the program is looked for from /; give its full path")
            }
            Self::NotAMacro(text) => {
                write!(f, "{text:?} is no macro and is passed on as it is")
            }
            Self::NoSuchOperation => write!(
                f,
                "this never matches: an operation is create, or negate after a program behind a | \
                 has failed"
            ),
            Self::TypeOfAgents => write!(
                f,
                "this never matches: nobody is asked for keys of type keyagent"
            ),
            Self::OptionAsCallout => write!(
                f,
                "this is compared with the callout info, an option comes after that: if it is to \
                 be one, put a * before it"
            ),
            Self::MacroInBuiltIn => {
                write!(f, "a built-in has no macros, this stands for itself")
            }
            Self::NotRegular => write!(f, "is ignored: it is no regular file"),
        }
    }
}

/// A configuration was refused as a whole, for all of these reasons.
#[derive(Debug)]
pub struct Refused(pub Vec<Found<Problem>>);

impl fmt::Display for Refused {
    /// One line for each reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<T>(place: Option<(usize, usize)>, what: T) -> Found<T> {
        Found {
            file: Path::new("/etc/request-key.conf").into(),
            place: place.map(|(line, column)| Place { line, column }),
            what,
        }
    }

    #[test]
    fn says_where() {
        assert!(found(Some((3, 14)), Problem::LonePercent)
            .to_string()
            .starts_with("/etc/request-key.conf:3:14: a % "));
        assert!(found(None, Oddity::NotRegular)
            .to_string()
            .starts_with("/etc/request-key.conf: is ignored"));
    }

    #[test]
    fn one_line_for_each_problem() {
        let all = [
            Problem::Unreadable(io::ErrorKind::PermissionDenied.into()),
            Problem::LineTooLong,
            Problem::Nul,
            Problem::NoNewline,
            Problem::Missing("program"),
            Problem::NoDirectory("cat".into()),
            Problem::RelativeProgram("a/b".into()),
            Problem::SecondAsterisk,
            Problem::UnknownOption("a=".into()),
            Problem::OptionTwice("timeout="),
            Problem::TimeoutWithoutProgram,
            Problem::ExpiresWithoutPayload,
            Problem::BadSeconds { least: 1, most: 9 },
            Problem::UnknownBuiltIn("@x\n".into()),
            Problem::BuiltInLacks("@file PATH"),
            Problem::BuiltInHasMore("@decline"),
            Problem::BadEscape,
            Problem::PayloadTooLong,
            Problem::RelativeFile("a".into()),
            Problem::UnknownError("x".into()),
            Problem::OwnDialectOnly,
            Problem::NotThere,
            Problem::NothingAfterBar,
            Problem::TooManyArguments,
            Problem::LonePercent,
            Problem::UnknownMacro("%x".into()),
            Problem::BadKeyMacro("no colon"),
        ];
        let count = all.len();
        let refused = Refused(all.map(|what| found(Some((1, 1)), what)).into());
        assert_eq!(refused.to_string().lines().count(), count);
    }
}
