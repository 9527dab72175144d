// SPDX-License-Identifier: GPL-2.0-or-later

//! What is in keyrings, as far as the caller may see it.

use std::collections::{HashSet, VecDeque};
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

fn look(serial: Serial) -> Option<Found> {
    let key = keyctl::describe(serial).ok()?;
    Some(Found { serial, key })
}

/// What is in a keyring itself. One that is under construction is not waited for.
fn contents(keyring: Serial) -> io::Result<Vec<Serial>> {
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

    #[test]
    fn contents_are_whole_numbers() {
        let mut bytes = 4711_i32.to_ne_bytes().to_vec();
        bytes.extend(8_i32.to_ne_bytes());
        bytes.push(1);
        assert_eq!(serials(&bytes), list(&[4711, 8]));
    }
}
