// SPDX-License-Identifier: GPL-2.0-or-later

//! The key service: add_key(2), request_key(2), keyctl(2).
//!
//! The errors are those of the system calls. A type, a description or callout info with a NUL byte
//! in it is `EINVAL`: the kernel's would end there.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::time::Duration;
use std::{fmt, io};

use libc::{c_int, c_long};

use super::interrupt::Interrupter;

/// The serial number of a key, or one of the names that the kernel has for keyrings of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(pub i32);

impl Serial {
    /// The calling thread's keyring.
    pub const THREAD_KEYRING: Self = Self(-1);
    /// The calling process' keyring.
    pub const PROCESS_KEYRING: Self = Self(-2);
    /// The session keyring.
    pub const SESSION_KEYRING: Self = Self(-3);
    /// The user's keyring.
    pub const USER_KEYRING: Self = Self(-4);
    /// The user's session keyring.
    pub const USER_SESSION_KEYRING: Self = Self(-5);
    /// The authkey of the assumed authority.
    pub const AUTHKEY: Self = Self(-7);
    /// The destination keyring of the request that the assumed authority is for.
    pub const REQUESTOR_KEYRING: Self = Self(-8);
    /// No keyring.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bits of a key's permissions, for one class. [`Permissions`] has all classes.
pub mod perm {
    /// See that the key is there.
    pub const VIEW: u32 = 0x01;
    /// Read the payload.
    pub const READ: u32 = 0x02;
    /// Change the payload.
    pub const WRITE: u32 = 0x04;
    /// Find the key.
    pub const SEARCH: u32 = 0x08;
    /// Link the key.
    pub const LINK: u32 = 0x10;
    /// Change owner and permissions, and revoke the key.
    pub const SETATTR: u32 = 0x20;
    /// All of them.
    pub const ALL: u32 = 0x3f;
}

/// Who may do what with a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Those who possess it, in addition to what their ids allow.
    pub possessor: u32,
    /// Its owner.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// All others.
    pub other: u32,
}

impl Permissions {
    fn bits(self) -> u32 {
        self.possessor << 24 | self.user << 16 | self.group << 8 | self.other
    }
}

/// What KEYCTL_DESCRIBE tells of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name of its type.
    pub key_type: OsString,
    /// The owner, as the caller's user namespace has it.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The description proper.
    pub description: OsString,
}

impl Description {
    /// Is it this key? The descriptions of some types are compared otherwise in the kernel.
    #[must_use]
    pub fn is(&self, key_type: &OsStr, description: &OsStr) -> bool {
        self.key_type == key_type && self.description == description
    }

    /// Takes apart `TYPE;UID;GID;PERMISSIONS;DESCRIPTION`.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = text.splitn(5, |byte| *byte == b';');
        let mut next = || fields.next();
        let number = |field: &[u8]| {
            let text = std::str::from_utf8(field).ok()?;
            // Written with %d.
            text.parse::<i32>().ok().map(|id| id as u32)
        };
        let key_type = OsStr::from_bytes(next()?).into();
        let (uid, gid) = (number(next()?)?, number(next()?)?);
        next()?;
        Some(Self {
            key_type,
            uid,
            gid,
            description: OsStr::from_bytes(next()?).into(),
        })
    }
}

/// What a system call returned: -1 is an error.
fn checked(result: c_long) -> io::Result<c_long> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Serials are positive `int`s.
fn serial(result: c_long) -> Serial {
    Serial(result as i32)
}

fn text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// keyctl(2) with arguments that are numbers.
fn keyctl(operation: u32, arguments: [c_long; 4]) -> io::Result<c_long> {
    let [a, b, c, d] = arguments;
    // SAFETY: The callers pass operations whose arguments are numbers only.
    checked(unsafe { libc::syscall(libc::SYS_keyctl, operation as c_long, a, b, c, d) })
}

/// Adds a key, or makes a keyring if that is the type and the payload is empty. A key of the same
/// type and description in the keyring is updated or displaced.
///
/// # Errors
///
/// `ENODEV` when there is no such type.
pub fn add_key(
    key_type: &OsStr,
    description: &OsStr,
    payload: &[u8],
    keyring: Serial,
) -> io::Result<Serial> {
    let (key_type, description) = (text(key_type)?, text(description)?);
    // SAFETY: Two NUL-terminated strings and a buffer of this length, which the kernel only reads.
    let result = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            key_type.as_ptr(),
            description.as_ptr(),
            payload.as_ptr(),
            payload.len(),
            c_long::from(keyring.0),
        )
    };
    checked(result).map(serial)
}

/// Makes the calling thread the key agent for this type, as include/uapi/linux/keyagent.h says:
/// requests are announced by `signal`, and with `KEYAGENT_SHARED` no subscriber can revoke or
/// invalidate the key. There is no second try without that flag: it would leave the subscribers
/// without what was asked for.
///
/// # Errors
///
/// `EINVAL` for a bad type, or when the module does not know the flag; `EPERM` when the module
/// admits privileged agents only.
pub fn add_shared_agent(key_type: &OsStr, signal: u16, keyring: Serial) -> io::Result<Serial> {
    const KEYAGENT_SHARED: u32 = 1;

    // struct keyagent_payload
    let mut payload = [0; 8];
    payload[..2].copy_from_slice(&signal.to_ne_bytes());
    payload[4..].copy_from_slice(&KEYAGENT_SHARED.to_ne_bytes());
    add_key(OsStr::new("keyagent"), key_type, &payload, keyring)
}

/// Has a keyring take agents' keys only, for good. With its first key, nobody can clear, revoke or
/// invalidate it any more, or unlink the key of a shared agent from it.
///
/// # Errors
///
/// `EEXIST` when it is restricted already, `ENOENT` when the module has no such restriction.
pub fn restrict_to_agents(keyring: Serial) -> io::Result<()> {
    // SAFETY: Two NUL-terminated strings.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_RESTRICT_KEYRING as c_long,
            c_long::from(keyring.0),
            c"keyagent".as_ptr(),
            c"".as_ptr(),
        )
    };
    checked(result).map(drop)
}

/// Searches the caller's keyrings for a key and, with callout info, has it requested if it is not
/// there.
///
/// # Errors
///
/// `ENOKEY` when it is not there, and whatever it was rejected with.
pub fn request_key(
    key_type: &OsStr,
    description: &OsStr,
    callout: Option<&OsStr>,
    keyring: Serial,
) -> io::Result<Serial> {
    let (key_type, description) = (text(key_type)?, text(description)?);
    let callout = callout.map(text).transpose()?;
    // SAFETY: NUL-terminated strings, the third of which may be missing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_request_key,
            key_type.as_ptr(),
            description.as_ptr(),
            callout.as_deref().map_or(ptr::null(), CStr::as_ptr),
            c_long::from(keyring.0),
        )
    };
    checked(result).map(serial)
}

/// The serial behind a keyring's name such as [`Serial::PROCESS_KEYRING`]; with `create`, the
/// keyring is made if there is none.
///
/// # Errors
///
/// `ENOKEY` when there is none.
pub fn get_keyring_id(keyring: Serial, create: bool) -> io::Result<Serial> {
    keyctl(
        libc::KEYCTL_GET_KEYRING_ID,
        [keyring.0.into(), create.into(), 0, 0],
    )
    .map(serial)
}

/// Gives the calling process a new session keyring without a name. Async-signal-safe.
///
/// # Errors
///
/// `EDQUOT` when the user has too many keys.
pub fn join_new_session_keyring() -> io::Result<Serial> {
    keyctl(libc::KEYCTL_JOIN_SESSION_KEYRING, [0; 4]).map(serial)
}

/// Links a key into a keyring, in place of one of the same type and description. Async-signal-safe.
///
/// # Errors
///
/// `EACCES` when the key may not be linked, or the keyring not be written.
pub fn link(key: Serial, keyring: Serial) -> io::Result<()> {
    keyctl(libc::KEYCTL_LINK, [key.0.into(), keyring.0.into(), 0, 0]).map(drop)
}

/// Removes a key from a keyring.
///
/// # Errors
///
/// `ENOENT` when it is not there.
pub fn unlink(key: Serial, keyring: Serial) -> io::Result<()> {
    keyctl(libc::KEYCTL_UNLINK, [key.0.into(), keyring.0.into(), 0, 0]).map(drop)
}

/// Revokes a key: nobody can use it any longer.
///
/// # Errors
///
/// `EACCES` without the permission to write or to set attributes.
#[cfg(test)]
pub fn revoke(key: Serial) -> io::Result<()> {
    keyctl(libc::KEYCTL_REVOKE, [key.0.into(), 0, 0, 0]).map(drop)
}

/// Sets who may do what with a key.
///
/// # Errors
///
/// `EACCES` without the permission to set attributes.
pub fn set_permissions(key: Serial, permissions: Permissions) -> io::Result<()> {
    keyctl(
        libc::KEYCTL_SETPERM,
        [key.0.into(), permissions.bits().into(), 0, 0],
    )
    .map(drop)
}

/// Has a key expire after so many seconds; 0 is never.
///
/// # Errors
///
/// `EACCES` without the permission to set attributes, or authority over the key.
pub fn set_timeout(key: Serial, seconds: u32) -> io::Result<()> {
    keyctl(
        libc::KEYCTL_SET_TIMEOUT,
        [key.0.into(), seconds.into(), 0, 0],
    )
    .map(drop)
}

/// Assumes the authority to construct a key, for the calling thread and the processes that it
/// starts then. Returns the authkey.
///
/// # Errors
///
/// `ENOKEY` when the caller has no such authority, or has it no longer.
pub fn assume_authority(key: Serial) -> io::Result<Serial> {
    keyctl(libc::KEYCTL_ASSUME_AUTHORITY, [key.0.into(), 0, 0, 0]).map(serial)
}

/// Drops the assumed authority, if there is one.
pub fn drop_authority() {
    // The kernel has no error for this.
    let _ = keyctl(libc::KEYCTL_ASSUME_AUTHORITY, [0; 4]);
}

/// Gives the key under construction its payload and links it to the keyring, if one is given.
///
/// # Errors
///
/// That of the key type which refuses the payload, or that of an authority that is gone.
pub fn instantiate(key: Serial, payload: &[u8], keyring: Serial) -> io::Result<()> {
    // SAFETY: A buffer of this length, which the kernel only reads.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_INSTANTIATE as c_long,
            c_long::from(key.0),
            payload.as_ptr(),
            payload.len(),
            c_long::from(keyring.0),
        )
    };
    checked(result).map(drop)
}

/// Makes the key under construction a negative one: who asks for it sees `error` for so many
/// seconds.
///
/// # Errors
///
/// That of an authority that is gone; `EINVAL` for an error that the kernel does not know.
pub fn reject(key: Serial, seconds: u32, error: c_int, keyring: Serial) -> io::Result<()> {
    keyctl(
        libc::KEYCTL_REJECT,
        [key.0.into(), seconds.into(), error.into(), keyring.0.into()],
    )
    .map(drop)
}

/// Searches a keyring and those in it.
///
/// # Errors
///
/// `ENOKEY` when there is no such key.
pub fn search(keyring: Serial, key_type: &OsStr, description: &OsStr) -> io::Result<Serial> {
    let (key_type, description) = (text(key_type)?, text(description)?);
    // SAFETY: Two NUL-terminated strings.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_SEARCH as c_long,
            c_long::from(keyring.0),
            key_type.as_ptr(),
            description.as_ptr(),
            0 as c_long,
        )
    };
    checked(result).map(serial)
}

/// How long [`read_at_once`] waits.
const AT_ONCE: Duration = Duration::from_millis(1);

/// keyctl(2) with a key and a buffer that the kernel fills as far as there is room. Returns how
/// much room would have been needed.
fn fill(operation: u32, key: Serial, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: The kernel writes to this buffer only, and not beyond this length.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            operation as c_long,
            c_long::from(key.0),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    };
    checked(result).map(|length| length as usize)
}

/// What kind of key it is.
///
/// # Errors
///
/// `EACCES` when the caller may not see it.
pub fn describe(key: Serial) -> io::Result<Description> {
    // A description has at most 4095 bytes, and the rest is short.
    let mut buffer = [0; 4096 + 128];
    let length = fill(libc::KEYCTL_DESCRIBE, key, &mut buffer)?;
    buffer
        .get(..length)
        .and_then(|text| text.strip_suffix(b"\0"))
        .and_then(Description::parse)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// As [`read`], but of a key that is complete: the kernel waits, otherwise, until a key that is
/// under construction is complete, for as long as that may take.
///
/// # Errors
///
/// `ENOKEY`, too, when the key is under construction.
pub fn read_at_once(key: Serial) -> io::Result<Vec<u8>> {
    let _interrupter = Interrupter::new(AT_ONCE)?;
    read(key)
}

/// The payload of a key. It may be a secret. Waits until the key is complete.
///
/// # Errors
///
/// `EACCES` when the caller may not read it, `EOPNOTSUPP` when nobody can.
pub fn read(key: Serial) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        let length = fill(libc::KEYCTL_READ, key, &mut buffer)?;
        if length <= buffer.len() {
            buffer.truncate(length);
            return Ok(buffer);
        }
        zeroize::Zeroize::zeroize(&mut buffer);
        buffer.resize(length, 0);
    }
}

/// A keyring as keyctl(1) names it: a serial, or a name for one of the caller's own, such as `@s`.
/// `None` for anything else.
#[must_use]
pub fn keyring_by_name(name: &OsStr) -> Option<Serial> {
    Some(match name.as_bytes() {
        b"@t" => Serial::THREAD_KEYRING,
        b"@p" => Serial::PROCESS_KEYRING,
        b"@s" => Serial::SESSION_KEYRING,
        b"@u" => Serial::USER_KEYRING,
        b"@us" => Serial::USER_SESSION_KEYRING,
        _ => Serial(name.to_str()?.parse().ok().filter(|serial| *serial > 0)?),
    })
}

#[cfg(test)]
#[path = "keyctl_tests.rs"]
mod tests;
