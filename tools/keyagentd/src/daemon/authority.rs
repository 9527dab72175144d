// SPDX-License-Identifier: GPL-2.0-or-later

//! The authority to construct a key, while it is assumed.

use std::ffi::OsStr;
use std::io;

use crate::config::command::Keys;
use crate::request::Request;
use crate::sys::keyctl::{self, Serial};

/// The calling thread has assumed the authority over a key. It is dropped with this.
#[derive(Debug)]
pub(super) struct Authority {
    key: Serial,
    authkey: Serial,
}

impl Authority {
    /// Assumes it.
    ///
    /// Fails for a signal that was forged, and for a request that is over: it was answered, or the
    /// requester has gone, or the time. Of any other failure nobody else would hear.
    pub(super) fn assume(key: Serial) -> io::Result<Self> {
        match keyctl::assume_authority(key) {
            Ok(authkey) => Ok(Self { key, authkey }),
            Err(error) => {
                if !is_none(&error) {
                    log::warn!("key {key}: the authority over it cannot be assumed: {error}");
                }
                Err(error)
            }
        }
    }

    /// What is asked for, but for the requester's keyrings.
    pub(super) fn request(&self) -> io::Result<Request> {
        let target = keyctl::describe(self.key)?;
        Ok(Request {
            operation: "create".into(),
            key: self.key.0,
            key_type: target.key_type,
            description: target.description,
            callout: keyctl::read(Serial::AUTHKEY)?,
            // The kernel gives a key under construction the requester's ids.
            uid: target.uid,
            gid: target.gid,
            ..Request::default()
        })
    }

    /// Adds the requester's keyrings, as far as they can be known: that is the one which the
    /// request is to link the key to. It is the session keyring unless the requester has a thread
    /// or process keyring, or asked for another one.
    pub(super) fn add_keyrings(&self, request: &mut Request) {
        let keyring = match keyctl::get_keyring_id(Serial::REQUESTOR_KEYRING, false) {
            Ok(keyring) => keyring,
            Err(error) => {
                if !is_none(&error) {
                    let key = self.key;
                    log::warn!("key {key}: the requester's keyring cannot be used: {error}");
                }
                return;
            }
        };
        request.session_keyring = keyring.0;
        match keyctl::describe(keyring) {
            Ok(it) if it.description == "_tid" => request.thread_keyring = keyring.0,
            Ok(it) if it.description == "_pid" => request.process_keyring = keyring.0,
            _ => {}
        }
    }

    /// Gives the key its payload; it expires after so many seconds, if any, and less than one more.
    /// The key's type may refuse the payload: then the request has yet to be settled.
    pub(super) fn instantiate(
        self,
        payload: &[u8],
        expires: Option<u32>,
    ) -> Result<(), (io::Error, Self)> {
        // The kernel counts whole seconds, and the first one has begun: with 1, it could be over
        // before the requester has the key.
        expires
            .map_or(Ok(()), |seconds| {
                keyctl::set_timeout(self.key, seconds.saturating_add(1))
            })
            .and_then(|()| keyctl::instantiate(self.key, payload, Serial::NONE))
            .map_err(|error| (error, self))
    }

    /// Has the request fail with this error, also for others in the next seconds.
    pub(super) fn reject(self, seconds: u32, error: i32) -> io::Result<()> {
        keyctl::reject(self.key, seconds, error, Serial::NONE)
    }

    /// Gives the request back: `/sbin/request-key` gets it, as soon as nobody else has the
    /// authority. What a handler has left running has it, which only a rule for `negate` can come
    /// after. If it fails, the request has yet to be settled.
    pub(super) fn decline(self) -> Result<(), (io::Error, Self)> {
        keyctl::unlink(self.authkey, Serial::PROCESS_KEYRING).map_err(|error| (error, self))
    }

    /// Drops it for as long as `what` takes, which then has none of the requester's keys. Fails
    /// as [`Authority::assume`] does.
    pub(super) fn without<T>(self, what: impl FnOnce() -> T) -> io::Result<(T, Self)> {
        let key = self.key;
        drop(self);
        let result = what();
        Ok((result, Self::assume(key)?))
    }
}

/// Does the error say that there is no authority, or no longer?
fn is_none(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOKEY | libc::EKEYREVOKED))
}

impl Drop for Authority {
    fn drop(&mut self) {
        keyctl::drop_authority();
    }
}

/// Keys that the requester has, for `%{type:description}`: those that the keyring of
/// [`Authority::add_keyrings`] leads to. The kernel would search all that the requester has, but
/// the keyrings of the daemon before them.
pub(super) struct RequesterKeys(pub(super) Serial);

impl Keys for RequesterKeys {
    fn read(&self, key_type: &OsStr, description: &OsStr) -> io::Result<Vec<u8>> {
        // It may be under construction, and wait for this very daemon.
        keyctl::read_at_once(keyctl::search(self.0, key_type, description)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_authority_is_no_failure() {
        let error = Authority::assume(Serial(1)).unwrap_err();
        assert!(is_none(&error), "{error}");
        for (number, none) in [
            (libc::EKEYREVOKED, true),
            (libc::EPERM, false),
            (libc::ENOMEM, false),
        ] {
            assert_eq!(is_none(&io::Error::from_raw_os_error(number)), none);
        }
    }
}
