// SPDX-License-Identifier: GPL-2.0-or-later

//! Rules of keyagentd.conf(5), and of request-key.conf(5) as request-key(8) of keyutils 1.6.3 reads
//! and ranks them.

pub(crate) mod answer;
pub(crate) mod command;
pub(crate) mod errno;
pub(crate) mod line;
pub(crate) mod option;
pub(crate) mod pattern;
pub(crate) mod problem;
pub(crate) mod source;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::answer::Answer;
use self::command::Command;
use self::line::Dialect;
use self::option::Options;
use self::pattern::Pattern;
use self::problem::{Found, Oddity, Place, Problem, Refused};
use self::source::Sources;
use crate::request::Request;

/// What is done about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A program is run.
    Run(Command),
    /// It is answered without one. This is to be had in keyagentd.conf(5) only.
    Answer(Answer),
}

/// A rule: for these requests, do this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the operation, the type, the description and the callout info have to match.
    pub patterns: [Pattern; 4],
    /// What to do then.
    pub action: Action,
    /// With what in addition.
    pub options: Options,
    /// The file that the rule is in.
    pub file: Arc<Path>,
    /// Its line there, from 1.
    pub line: usize,
}

impl Rule {
    /// How much of each of the four the asterisks stand for, or `None` if the rule is not for this
    /// request. The less, in the order of the fields, the better the rule.
    #[must_use]
    pub fn skips(&self, request: &Request) -> Option<[usize; 4]> {
        let [operation, key_type, description, callout] = &self.patterns;
        Some([
            operation.skips(request.operation.as_bytes())?,
            key_type.skips(request.key_type.as_bytes())?,
            description.skips(request.description.as_bytes())?,
            callout.skips(request.callout_text())?,
        ])
    }
}

/// Rules, in the order in which they were read.
#[derive(Debug, Default)]
pub struct Config {
    rules: Vec<Rule>,
    oddities: Vec<Found<Oddity>>,
}

impl Config {
    /// Reads a configuration: first the files that are our own, then those of request-key(8).
    ///
    /// The files of an own directory come in the order of their names, byte by byte, and links to
    /// files count as these. Those of request-key(8)'s directory come in the order in which the
    /// file system has them, and links are left out, for request-key(8) neither sorts them nor
    /// follows links. In both, files whose names begin with a dot are left out, and so are
    /// directories, devices and the like. Which file is first matters only when rules in two of
    /// them are equally good for a request.
    ///
    /// # Errors
    ///
    /// When there is anything wrong in any of the files, with all that is. A caller that has a
    /// configuration already should keep it then.
    pub fn load(sources: &Sources) -> Result<Self, Refused> {
        Reader::default().load(sources)
    }

    /// Reads it once more, without waiting for anybody.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`], and when one of the files is not regular: a pipe or the standard
    /// input.
    pub fn reload(sources: &Sources) -> Result<Self, Refused> {
        let reader = Reader {
            again: true,
            ..Reader::default()
        };
        reader.load(sources)
    }

    /// Takes a configuration from memory. Its file is called `<memory>`.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`].
    pub fn parse(dialect: Dialect, text: &[u8]) -> Result<Self, Refused> {
        let mut reader = Reader::default();
        reader.text(dialect, &Arc::from(Path::new("<memory>")), text);
        reader.finish()
    }

    /// The rule for a request: of all that match the one whose asterisks stand for least, which is
    /// compared field by field; the first that was read if several are as good. `None` means that
    /// nobody cares for such requests: they are to be failed.
    #[must_use]
    pub fn find(&self, request: &Request) -> Option<&Rule> {
        // Of equal ones, min_by_key() takes the first.
        self.rules
            .iter()
            .filter_map(|rule| Some((rule.skips(request)?, rule)))
            .min_by_key(|(skips, _)| *skips)
            .map(|(_, rule)| rule)
    }

    /// All the rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What an administrator may want to be told, although it works as with request-key(8).
    #[must_use]
    pub fn oddities(&self) -> &[Found<Oddity>] {
        &self.oddities
    }
}

/// A configuration in the making.
#[derive(Default)]
struct Reader {
    /// Not for the first time.
    again: bool,
    config: Config,
    problems: Vec<Found<Problem>>,
}

impl Reader {
    fn load(mut self, sources: &Sources) -> Result<Config, Refused> {
        for path in &sources.own {
            self.own(path, sources.own_required);
        }
        if let Some((directory, file)) = &sources.request_key {
            match source::request_key_files(directory, &mut self.config.oddities) {
                Ok(files) => files
                    .iter()
                    .for_each(|file| self.file(Dialect::RequestKey, file, true)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => self.refuse_file(directory, Problem::Unreadable(error)),
            }
            self.file(Dialect::RequestKey, file, true);
        }
        self.finish()
    }

    fn refuse(&mut self, file: &Arc<Path>, place: Option<Place>, what: Problem) {
        self.problems.push(Found {
            file: Arc::clone(file),
            place,
            what,
        });
    }

    fn refuse_file(&mut self, file: &Path, what: Problem) {
        self.refuse(&Arc::from(file), None, what);
    }

    /// Reads a file of keyagentd.conf(5) or a directory of such files.
    fn own(&mut self, path: &Path, required: bool) {
        match source::kind(path) {
            Ok(Some(kind)) if kind.is_dir() => match source::own_entries(path) {
                Ok(entries) => entries.into_iter().for_each(|entry| self.own_entry(entry)),
                Err(error) => self.refuse_file(path, Problem::Unreadable(error)),
            },
            Ok(Some(_)) => {
                // What was read from standard input is not to be replaced by nothing.
                let null = !required || path == Path::new("/dev/null");
                self.file(Dialect::Own, path, null);
            }
            Ok(None) if required => self.refuse_file(path, Problem::NotThere),
            Ok(None) => {}
            Err(error) => self.refuse_file(path, Problem::Unreadable(error)),
        }
    }

    fn own_entry(&mut self, path: PathBuf) {
        match source::kind(&path) {
            Ok(Some(kind)) if kind.is_file() => self.file(Dialect::Own, &path, true),
            Ok(Some(_)) => self.config.oddities.push(source::not_regular(path)),
            // Removed since its name was read.
            Ok(None) => {}
            Err(error) => self.refuse_file(&path, Problem::Unreadable(error)),
        }
    }

    /// Reads a file, if it is there. With `null` it may be the null device also the next time.
    fn file(&mut self, dialect: Dialect, path: &Path, null: bool) {
        let text = if self.again {
            source::read_again(path, null)
        } else {
            fs::read(path)
        };
        match text {
            Ok(text) => self.text(dialect, &Arc::from(path), &text),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.refuse_file(path, Problem::Unreadable(error)),
        }
    }

    fn text(&mut self, dialect: Dialect, file: &Arc<Path>, text: &[u8]) {
        for (line, bytes) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
            let mut oddities = Vec::new();
            match line::parse(dialect, bytes, &mut oddities) {
                Ok(None) => {}
                Ok(Some(parts)) => self.config.rules.push(Rule {
                    patterns: parts.patterns,
                    action: parts.action,
                    options: parts.options,
                    file: Arc::clone(file),
                    line,
                }),
                Err((column, problem)) => self.refuse(file, Some(Place { line, column }), problem),
            }
            self.config
                .oddities
                .extend(oddities.into_iter().map(|(column, what)| Found {
                    file: Arc::clone(file),
                    place: Some(Place { line, column }),
                    what,
                }));
        }
    }

    fn finish(self) -> Result<Config, Refused> {
        if self.problems.is_empty() {
            Ok(self.config)
        } else {
            Err(Refused(self.problems))
        }
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
