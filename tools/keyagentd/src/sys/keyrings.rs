// SPDX-License-Identifier: GPL-2.0-or-later

//! What is in keyrings, as far as the caller may see it.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::io;

use zeroize::Zeroizing;

use super::keyctl::{self, Description, Serial};

/// The kernel searches no deeper.
const DEEPEST: usize = 6;
/// Who has more keys than this has to wait too long.
const MOST: usize = 20_000;

/// A key that a keyring leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The key.
    pub serial: Serial,
    /// What it is.
    pub key: Description,
}

/// All keys that a keyring leads to, the nearest first, without those that cannot be used any more.
/// Of a keyring that may not be read none.
#[must_use]
pub fn below(keyring: Serial) -> Vec<Found> {
    walk(
        keyring,
        |keyring| contents(keyring).unwrap_or_default(),
        look,
    )
}

/// The keyring of this name that is linked in the user's keyring itself: below that are also
/// keyrings into which others may link theirs.
///
/// # Errors
///
/// `ENOKEY` when there is none, or none that can be used any more.
pub fn in_user_keyring(name: &OsStr) -> io::Result<Found> {
    let linked = contents(Serial::USER_KEYRING)?;
    let mut linked = linked.into_iter().filter_map(look);
    linked
        .find(|found| found.key.is(OsStr::new("keyring"), name))
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOKEY))
}

fn look(serial: Serial) -> Option<Found> {
    let key = keyctl::describe(serial).ok()?;
    Some(Found { serial, key })
}

/// What is in a keyring itself. One that is under construction is not waited for.
///
/// # Errors
///
/// `EACCES` when the caller may not read the keyring, `ENOTDIR` when the key is no keyring.
pub fn contents(keyring: Serial) -> io::Result<Vec<Serial>> {
    keyctl::read_at_once(keyring).map(|payload| serials(&Zeroizing::new(payload)))
}

/// The payload of a keyring, taken apart.
fn serials(payload: &[u8]) -> Vec<Serial> {
    payload
        .chunks_exact(4)
        .map(|bytes| Serial(i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
        .collect()
}

/// Goes through keyrings, level by level, through each once. Keyrings may contain one another.
fn walk(
    root: Serial,
    mut contents: impl FnMut(Serial) -> Vec<Serial>,
    mut look: impl FnMut(Serial) -> Option<Found>,
) -> Vec<Found> {
    let mut keys = Vec::new();
    let mut seen = HashSet::new();
    let mut todo = VecDeque::from([(root, 0)]);

    while let Some((keyring, depth)) = todo.pop_front() {
        for serial in contents(keyring) {
            if seen.len() >= MOST {
                return keys;
            }
            if !seen.insert(serial) {
                continue;
            }
            let Some(found) = look(serial) else {
                continue;
            };
            if found.key.key_type == "keyring" && depth < DEEPEST {
                todo.push_back((serial, depth + 1));
            }
            keys.push(found);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Below 100 are keyrings.
    fn kind(serial: Serial) -> Option<Found> {
        Some(Found {
            serial,
            key: Description {
                key_type: if serial.0 < 100 { "keyring" } else { "user" }.into(),
                uid: 0,
                gid: 0,
                description: "x".into(),
            },
        })
    }

    fn walked(contents: impl FnMut(Serial) -> Vec<Serial>) -> Vec<i32> {
        walk(Serial(1), contents, kind)
            .iter()
            .map(|found| found.serial.0)
            .collect()
    }

    fn list(serials: &[i32]) -> Vec<Serial> {
        serials.iter().copied().map(Serial).collect()
    }

    #[test]
    fn the_nearest_first_and_each_once() {
        let keys = walked(|keyring| match keyring.0 {
            1 => list(&[2, 100, 3]),
            2 => list(&[101, 3, 2, 1]),
            3 => list(&[102, 101, 2]),
            _ => list(&[]),
        });
        assert_eq!(keys, [2, 100, 3, 101, 1, 102]);
    }

    #[test]
    fn no_deeper_than_the_kernel() {
        let keys = walked(|keyring| list(&[keyring.0 + 1, keyring.0 + 101]));
        assert_eq!(
            keys.iter().filter(|serial| **serial > 100).count(),
            DEEPEST + 1
        );
    }

    #[test]
    fn not_for_ever() {
        let mut next = 100;
        let keys = walked(|_| {
            (0..MOST + 10)
                .map(|_| {
                    next += 1;
                    Serial(next)
                })
                .collect()
        });
        assert_eq!(keys.len(), MOST);
    }

    #[test]
    fn what_cannot_be_seen_is_left_out() {
        let keys = walk(
            Serial(1),
            |_| list(&[100, 101]),
            |serial| kind(serial).filter(|_| serial.0 != 100),
        );
        assert_eq!(keys.len(), 1);
    }

    /// The keyrings are in the user's keyring as long as the test runs.
    #[test]
    fn only_what_is_in_the_user_keyring_itself() {
        let add = |name: &str, keyring| {
            keyctl::add_key(OsStr::new("keyring"), OsStr::new(name), b"", keyring).unwrap()
        };
        let find = |name| in_user_keyring(OsStr::new(name)).map(|found| found.serial);
        let user = Serial::USER_KEYRING;
        keyctl::get_keyring_id(Serial::THREAD_KEYRING, true).unwrap();
        keyctl::link(user, Serial::THREAD_KEYRING).unwrap();

        let outer = add("keyagentd test: outer", user);
        let inner = add("keyagentd test: inner", outer);
        let found = (
            find("keyagentd test: outer"),
            find("keyagentd test: inner"),
            keyctl::search(
                user,
                OsStr::new("keyring"),
                OsStr::new("keyagentd test: inner"),
            ),
        );
        keyctl::unlink(outer, user).unwrap();
        assert_eq!(found.0.unwrap(), outer);
        assert_eq!(found.1.unwrap_err().raw_os_error(), Some(libc::ENOKEY));
        assert_eq!(found.2.unwrap(), inner);
    }

    #[test]
    fn contents_are_whole_numbers() {
        let mut bytes = 4711_i32.to_ne_bytes().to_vec();
        bytes.extend(8_i32.to_ne_bytes());
        bytes.push(1);
        assert_eq!(serials(&bytes), list(&[4711, 8]));
    }
}
