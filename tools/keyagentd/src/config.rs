// SPDX-License-Identifier: GPL-2.0-or-later

//! Rules of request-key.conf(5), as request-key(8) of keyutils 1.6.3 reads and ranks them.

pub(crate) mod command;
mod line;
pub(crate) mod pattern;
pub(crate) mod problem;

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Result as IoResult};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::command::Command;
use self::pattern::Pattern;
use self::problem::{Found, Oddity, Place, Problem, Refused};
use crate::request::Request;

/// Where a configuration is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// A directory whose files `*.conf` are read first. It need not be there.
    pub directory: PathBuf,
    /// A file that is read after them. It need not be there.
    pub file: PathBuf,
}

impl Default for Sources {
    /// Those of request-key(8).
    fn default() -> Self {
        Self {
            directory: "/etc/request-key.d".into(),
            file: "/etc/request-key.conf".into(),
        }
    }
}

/// A rule: for these requests, run this command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the operation, the type, the description and the callout info have to match.
    pub patterns: [Pattern; 4],
    /// What to run then.
    pub command: Command,
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
    /// Reads a configuration.
    ///
    /// The files of the directory come first, in the order in which the file system has them: sorted
    /// they are not, for request-key(8) does not sort them. Which of them is first matters only when
    /// rules in two of them are equally good for a request. Left out are those whose names begin
    /// with a dot, and all that are no regular files, symbolic links among them.
    ///
    /// # Errors
    ///
    /// When there is anything wrong in any of the files, with all that is. A caller that has a
    /// configuration already should keep it then.
    pub fn load(sources: &Sources) -> Result<Self, Refused> {
        let mut reader = Reader::default();

        match files_in(&sources.directory, &mut reader.config.oddities) {
            Ok(files) => files.into_iter().for_each(|file| reader.file(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => reader.refuse(
                &Arc::from(sources.directory.as_path()),
                None,
                Problem::Unreadable(error),
            ),
        }
        reader.file(sources.file.clone());
        reader.finish()
    }

    /// Takes a configuration from memory. Its file is called `<memory>`.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`].
    pub fn parse(text: &[u8]) -> Result<Self, Refused> {
        let mut reader = Reader::default();
        reader.text(&Arc::from(Path::new("<memory>")), text);
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

/// The files of a directory that are to be read.
fn files_in(directory: &Path, oddities: &mut Vec<Found<Oddity>>) -> IoResult<Vec<PathBuf>> {
    let mut files = Vec::new();

    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !is_conf(&entry.file_name()) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            Ok(_) => oddities.push(Found {
                file: entry.path().into(),
                place: None,
                what: Oddity::NotRegular,
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

fn is_conf(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".conf") && !name.starts_with(b".")
}

/// A configuration in the making.
#[derive(Default)]
struct Reader {
    config: Config,
    problems: Vec<Found<Problem>>,
}

impl Reader {
    fn refuse(&mut self, file: &Arc<Path>, place: Option<Place>, what: Problem) {
        self.problems.push(Found {
            file: Arc::clone(file),
            place,
            what,
        });
    }

    fn file(&mut self, path: PathBuf) {
        let text = fs::read(&path);
        let file = Arc::from(path);
        match text {
            Ok(text) => self.text(&file, &text),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.refuse(&file, None, Problem::Unreadable(error)),
        }
    }

    fn text(&mut self, file: &Arc<Path>, text: &[u8]) {
        for (line, bytes) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
            let mut oddities = Vec::new();
            match line::parse(bytes, &mut oddities) {
                Ok(None) => {}
                Ok(Some(parts)) => self.config.rules.push(Rule {
                    patterns: parts.patterns,
                    command: parts.command,
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
