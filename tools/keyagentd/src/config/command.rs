// SPDX-License-Identifier: GPL-2.0-or-later

//! The command of a rule, and what becomes of it for a request.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::{error, fmt, io};

use super::problem::Problem;
use crate::request::Request;

/// Where the contents of keys come from, for `%{type:description}`.
pub trait Keys {
    /// Looks for a key of this type and description in the requester's keyrings and reads its
    /// payload. If it is not there this must fail and not have it requested.
    ///
    /// # Errors
    ///
    /// That of the search or of the read.
    fn read(&self, key_type: &OsStr, description: &OsStr) -> io::Result<Vec<u8>>;
}

/// What an argument can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Macro {
    /// `%o`, the operation.
    Operation,
    /// `%k`, the serial of the key under construction.
    Key,
    /// `%t`, its type.
    KeyType,
    /// `%d`, its description.
    Description,
    /// `%c`, the callout info.
    Callout,
    /// `%u`, the requester's uid.
    Uid,
    /// `%g`, the requester's gid.
    Gid,
    /// `%T`, the requester's thread keyring.
    ThreadKeyring,
    /// `%P`, the requester's process keyring.
    ProcessKeyring,
    /// `%S`, the requester's session keyring.
    SessionKeyring,
}

impl Macro {
    fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'o' => Self::Operation,
            b'k' => Self::Key,
            b't' => Self::KeyType,
            b'd' => Self::Description,
            b'c' => Self::Callout,
            b'u' => Self::Uid,
            b'g' => Self::Gid,
            b'T' => Self::ThreadKeyring,
            b'P' => Self::ProcessKeyring,
            b'S' => Self::SessionKeyring,
            _ => return None,
        })
    }

    fn value(self, request: &Request) -> OsString {
        // The kernel writes ids, too, with %d.
        let number = match self {
            Self::Operation => return request.operation.clone(),
            Self::KeyType => return request.key_type.clone(),
            Self::Description => return request.description.clone(),
            Self::Callout => return OsStr::from_bytes(request.callout_text()).into(),
            Self::Key => request.key,
            Self::Uid => request.uid as i32,
            Self::Gid => request.gid as i32,
            Self::ThreadKeyring => request.thread_keyring,
            Self::ProcessKeyring => request.process_keyring,
            Self::SessionKeyring => request.session_keyring,
        };
        number.to_string().into()
    }
}

/// An argument as a rule has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// This text.
    Text(OsString),
    /// A property of the request.
    Macro(Macro),
    /// `%{type:description}`, the contents of another key.
    Contents {
        /// That key's type.
        key_type: OsString,
        /// Its description.
        description: OsString,
    },
}

impl Argument {
    /// Takes an argument as it is written: it is a macro as a whole or not at all.
    pub(super) fn parse(word: &[u8]) -> Result<Self, Problem> {
        let text = |bytes: &[u8]| Ok(Self::Text(OsStr::from_bytes(bytes).into()));

        match word {
            [b'%'] => Err(Problem::LonePercent),
            [b'%', b'%', ..] => text(&word[1..]),
            [b'%', letter] => Macro::from_letter(*letter)
                .map(Self::Macro)
                .ok_or_else(|| Problem::UnknownMacro(OsStr::from_bytes(word).into())),
            [b'%', b'{', key @ ..] => Self::parse_key(key).map_err(Problem::BadKeyMacro),
            _ => text(word),
        }
    }

    /// The rest of `%{type:description}`: the type ends at the first colon, the description at the
    /// first closing brace after that.
    fn parse_key(rest: &[u8]) -> Result<Self, &'static str> {
        let find = |text: &[u8], what| text.iter().position(|byte| *byte == what);

        let colon = find(rest, b':').ok_or("this macro has no colon")?;
        let (key_type, rest) = (&rest[..colon], &rest[colon + 1..]);
        let brace = find(rest, b'}').ok_or("this macro has no closing brace after its colon")?;
        let (description, rest) = (&rest[..brace], &rest[brace + 1..]);
        if !rest.is_empty() {
            return Err("this macro does not end at its closing brace");
        }
        if key_type.is_empty() {
            return Err("this macro has no type");
        }
        if description.is_empty() {
            return Err("this macro has no description");
        }
        Ok(Self::Contents {
            key_type: OsStr::from_bytes(key_type).into(),
            description: OsStr::from_bytes(description).into(),
        })
    }

    fn expand(&self, request: &Request, keys: &dyn Keys) -> Result<OsString, ExpandError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Macro(which) => Ok(which.value(request)),
            Self::Contents {
                key_type,
                description,
            } => {
                let error = |source| ExpandError {
                    key_type: key_type.clone(),
                    description: description.clone(),
                    source,
                };
                let contents = keys.read(key_type, description).map_err(error)?;
                if contents.iter().any(|byte| !matches!(byte, b' '..=b'~')) {
                    return Err(error(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "its contents are not printable",
                    )));
                }
                Ok(OsString::from_vec(contents))
            }
        }
    }
}

/// The command of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The path of the program, with at least one slash. A relative one starts at `/`, which is
    /// where the kernel starts `/sbin/request-key`.
    pub program: OsString,
    /// Was there a bar before it? Then the program reads the callout info and writes the payload.
    pub pipe: bool,
    /// The arguments, without the program's name.
    pub arguments: Vec<Argument>,
}

impl Command {
    /// What is to be run for this request.
    ///
    /// # Errors
    ///
    /// When a key that an argument names cannot be read, or has bytes that are not printable ASCII.
    /// The request is to be failed then, without looking for another rule.
    pub fn expand(&self, request: &Request, keys: &dyn Keys) -> Result<Invocation, ExpandError> {
        let path = self.program.as_bytes();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let mut argv = vec![OsStr::from_bytes(name).into()];

        for argument in &self.arguments {
            argv.push(argument.expand(request, keys)?);
        }
        Ok(Invocation {
            program: self.program.clone(),
            pipe: self.pipe,
            argv,
        })
    }
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Its path, see [`Command::program`].
    pub program: OsString,
    /// Does it read the callout info from its standard input, and write the payload to its standard
    /// output?
    pub pipe: bool,
    /// Its arguments, from `argv[0]`, which is the last component of the path.
    pub argv: Vec<OsString>,
}

/// The key that an argument names cannot be had.
#[derive(Debug)]
pub struct ExpandError {
    /// The type of that key.
    pub key_type: OsString,
    /// Its description.
    pub description: OsString,
    /// Why not.
    pub source: io::Error,
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the key {:?} of type {:?} cannot be put into an argument: {}",
            self.description, self.key_type, self.source
        )
    }
}

impl error::Error for ExpandError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
