// SPDX-License-Identifier: GPL-2.0-or-later

//! The list of the agents that containers may have, /etc/keyagent/containers.
//!
//! Each line has the name of a keyring in the user keyring. After a blank it can have the serial of
//! that keyring, for hooks that run in the user namespace of a container, where the name is not
//! found. Blank lines are skipped, and so are lines that begin with `#`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::errors;
use super::failure::Failure;
use crate::sys::keyctl::Serial;

/// The longest list in bytes.
const LONGEST: u64 = 1 << 20;

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name of the keyring.
    pub(super) name: String,
    /// The serial of the keyring, if the list has it.
    pub(super) serial: Option<Serial>,
}

/// Whether this is the name of a keyring that a list can have: a letter, a digit or `_`, then
/// those and any of `.:@+-`, and not only digits, which would be a serial.
pub(super) fn is_name(text: &str) -> bool {
    let simple = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(simple)
        && text.chars().all(|c| simple(c) || ".:@+-".contains(c))
        && !text.chars().all(|c| c.is_ascii_digit())
}

/// The line for an agent in the list at `path`.
pub(super) fn find(path: &Path, name: &str) -> Result<Entry, Failure> {
    let what = format!("agent {name}");
    let text = read(path).map_err(|error| {
        Failure::new(
            &what,
            format!("{}: {}", path.display(), errors::describe(&error)),
            "this file lists the agents that containers may have, and only its owner may write it",
        )
    })?;
    let list = parse(&text).map_err(|(line, why)| {
        Failure::new(
            format!("{}:{line}", path.display()),
            why,
            "each line has the name of a keyring, and the serial of that keyring if need be",
        )
    })?;
    list.into_iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| {
            Failure::new(
                what,
                format!("it is not in {}", path.display()),
                format!("if containers may have this agent, add a line \"{name}\""),
            )
        })
}

/// The list, if nobody but its owner may write it.
fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode();
    let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if mode & 0o022 != 0 {
        return invalid(format!(
            "others than its owner may write it (mode {:o})",
            mode & 0o7777
        ));
    }
    let mut text = String::new();
    if file.take(LONGEST + 1).read_to_string(&mut text)? as u64 > LONGEST {
        return invalid(format!("it has more than {LONGEST} bytes"));
    }
    Ok(text)
}

/// All entries, or the line that is wrong and why.
fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| entry(line).map_err(|why| (number, why)))
        .collect()
}

fn entry(line: &str) -> Result<Entry, String> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    if !is_name(name) {
        return Err(format!("{name:?} is not the name of a keyring"));
    }
    let serial = match words.next().map(|word| (word, word.parse())) {
        None => None,
        Some((_, Ok(serial))) if serial > 0 => Some(Serial(serial)),
        Some((word, _)) => return Err(format!("{word:?} is not the serial of a key")),
    };
    match words.next() {
        None => Ok(Entry {
            name: name.into(),
            serial,
        }),
        Some(word) => Err(format!("there is more than a name and a serial: {word:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn names() {
        for name in [
            "web",
            "keyagentd-web",
            "a",
            "_x",
            "7days",
            "user@host",
            "cluster:1.2",
        ] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "", "@u", "@s", "@", "-a", "--to=@u", "4711", "0", ".dns", "a b", "a\nb", "a\"", "+5",
            "%", "ä", "a/b",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn lines() {
        let entry = |name: &str, serial: Option<i32>| Entry {
            name: name.into(),
            serial: serial.map(Serial),
        };
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("# web\n\n  # db\n").unwrap(), []);
        assert_eq!(
            parse("web\n\tdb  4711 \n#x\ncache").unwrap(),
            [
                entry("web", None),
                entry("db", Some(4711)),
                entry("cache", None)
            ]
        );
        for (text, line) in [
            ("@u", 1),
            ("web\n4711", 2),
            ("web @u", 1),
            ("# x\nweb -5", 2),
            ("web 0", 1),
            ("web 5 6", 1),
            ("web # the shop's", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().0, line, "{text:?}");
        }
    }

    #[test]
    fn files() {
        let path = std::env::temp_dir().join(format!("keyagent-list-{}", std::process::id()));
        let text = |name: &str| find(&path, name).unwrap_err().to_string();
        assert!(text("web").contains("ENOENT"), "{}", text("web"));
        std::fs::write(&path, "web\n").unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o644);
        assert_eq!(find(&path, "web").unwrap().name, "web");
        assert!(text("db").contains("is not in"), "{}", text("db"));
        mode(0o664);
        assert!(text("web").contains("(mode 664)"), "{}", text("web"));
        std::fs::write(&path, "@u\n").unwrap();
        mode(0o600);
        assert!(text("web").contains(":1: \"@u\" is not"), "{}", text("web"));
        std::fs::remove_file(&path).unwrap();
    }
}
