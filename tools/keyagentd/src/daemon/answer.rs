// SPDX-License-Identifier: GPL-2.0-or-later

//! Answers that need no program.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::authority::Authority;
use crate::config::answer::{Answer, LONGEST_PAYLOAD};
use crate::sys::keyctl::{self, Serial};

/// Has the calling thread possess the keys of its user, whatever its session keyring is.
pub(super) fn possess_user_keys() -> io::Result<()> {
    keyctl::get_keyring_id(Serial::THREAD_KEYRING, true)?;
    keyctl::link(Serial::USER_KEYRING, Serial::THREAD_KEYRING)
}

/// What became of a request that was answered at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// The key has its payload.
    Instantiated,
    /// The request failed with this error, for so many seconds.
    Rejected(i32, u32),
    /// It was given back.
    Declined,
}

/// Answers. An error is that of the answer, with the authority if it can still be used.
pub(super) fn give(
    answer: &Answer,
    expires: Option<u32>,
    negative: u32,
    authority: Authority,
) -> Result<Answered, (io::Error, Option<Authority>)> {
    let gone = |error| (error, None);
    let payload = match answer {
        Answer::Negate { seconds } => {
            let seconds = seconds.unwrap_or(negative);
            authority.reject(seconds, libc::ENOKEY).map_err(gone)?;
            return Ok(Answered::Rejected(libc::ENOKEY, seconds));
        }
        Answer::Reject { error, seconds } => {
            let seconds = seconds.unwrap_or(negative);
            authority.reject(seconds, *error).map_err(gone)?;
            return Ok(Answered::Rejected(*error, seconds));
        }
        Answer::Decline => {
            return match authority.decline() {
                Ok(()) => Ok(Answered::Declined),
                Err((error, authority)) => Err((error, Some(authority))),
            };
        }
        Answer::Constant(payload) => {
            return instantiate(authority, payload, expires);
        }
        // Whoever opens a file has it opened with his keys.
        Answer::File(path) => authority.without(|| file(path)),
        Answer::Key {
            key_type,
            description,
        } => authority.without(|| key(key_type, description)),
    };
    let (payload, authority) = payload.map_err(gone)?;
    match payload {
        Ok(payload) => instantiate(authority, &payload, expires),
        Err(error) => Err((error, Some(authority))),
    }
}

fn instantiate(
    authority: Authority,
    payload: &[u8],
    expires: Option<u32>,
) -> Result<Answered, (io::Error, Option<Authority>)> {
    match authority.instantiate(payload, expires) {
        Ok(()) => Ok(Answered::Instantiated),
        Err((error, authority)) => Err((error, Some(authority))),
    }
}

/// The contents of a file. One that is no regular file could keep the daemon waiting. So can a file
/// system that hangs, about which nothing is done: the manual says so.
fn file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    // With all the room at once nothing is left behind by a move. Files that the kernel makes up
    // have no length.
    let room = about.len().min(LONGEST_PAYLOAD as u64) + 1;
    let mut payload = Zeroizing::new(Vec::with_capacity(room as usize));
    file.take(LONGEST_PAYLOAD as u64 + 1)
        .read_to_end(&mut payload)?;
    if payload.len() > LONGEST_PAYLOAD {
        return Err(io::Error::other("it is too long for a key"));
    }
    Ok(payload)
}

/// The payload of a key of the daemon's user. Not of its session: that can be the requester's, too.
/// A key that is under construction may be the very one that is asked for, or wait for an answer of
/// this daemon.
fn key(key_type: &OsStr, description: &OsStr) -> io::Result<Zeroizing<Vec<u8>>> {
    keyctl::search(Serial::THREAD_KEYRING, key_type, description)
        .and_then(keyctl::read_at_once)
        .map(Zeroizing::new)
}
