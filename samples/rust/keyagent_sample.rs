// SPDX-License-Identifier: GPL-2.0-or-later

//! The key agent of `keyagent-sample.c` in Rust, without any crate. The C program says why each
//! step is there. This one shows how a type can keep the rules: [`Authority`] is given back when
//! it goes out of scope, however the request ends.

use std::ffi::{c_char, c_int, c_long, c_uint, c_void, CStr, CString};
use std::io::{Error, Read, Result};
use std::os::fd::FromRawFd;

/// What is used of libkeyutils, libc and `<linux/keyagent.h>`.
mod c {
    use super::*;

    pub const SI_KEYAGENT: i32 = -8;
    pub const PROCESS_KEYRING: i32 = -2;
    pub const REQKEY_AUTH_KEY: i32 = -7;
    pub const KEYAGENT_SHARED: u32 = 1;
    pub const VIEW_SEARCH_LINK: u32 = 0x1919_0000; // of KEY_POS and KEY_USR
    pub const EKEYREJECTED: i32 = 129;
    pub const EINVAL: i32 = 22;
    pub const SIGINT: c_int = 2;
    pub const SIGTERM: c_int = 15;
    pub const SIG_BLOCK: c_int = 0;
    /// As large as a `sigset_t`.
    pub type SigSet = [u64; 16];
    pub type Str = *const c_char;

    /// `struct keyagent_payload`.
    #[repr(C)]
    pub struct Payload {
        pub signal: u16,
        pub reserved: u16,
        pub flags: u32,
    }

    // SAFETY: As in the C headers. Safe are those without a pointer, or with one to a set only.
    unsafe extern "C" {
        pub fn add_key(kind: Str, desc: Str, data: *const Payload, len: usize, ring: i32) -> i32;
        pub safe fn keyctl_get_keyring_ID(id: i32, create: c_int) -> i32;
        pub safe fn keyctl_setperm(id: i32, permissions: u32) -> c_long;
        pub safe fn keyctl_assume_authority(id: i32) -> c_long;
        pub fn keyctl_describe_alloc(id: i32, buffer: *mut *mut c_char) -> c_int;
        pub fn keyctl_read_alloc(id: i32, buffer: *mut *mut c_char) -> c_int;
        pub fn keyctl_instantiate(id: i32, data: *const u8, len: usize, ring: i32) -> c_long;
        pub safe fn keyctl_reject(id: i32, timeout: c_uint, error: c_uint, ring: i32) -> c_long;
        pub fn free(memory: *mut c_void);
        pub safe fn sigaddset(set: &mut SigSet, signal: c_int) -> c_int;
        pub safe fn sigprocmask(how: c_int, set: &SigSet, old: Option<&mut SigSet>) -> c_int;
        pub safe fn signalfd(fd: c_int, set: &SigSet, flags: c_int) -> c_int;
        pub safe fn __libc_current_sigrtmin() -> c_int; // SIGRTMIN
    }
}

/// Turns what a C function returned, -1 for failure, into a [`Result`].
fn check<T: Into<i64> + Copy>(ret: T) -> Result<T> {
    match ret.into() {
        0.. => Ok(ret),
        _ => Err(Error::last_os_error()),
    }
}

/// Calls a function of libkeyutils that allocates a string, which ends with a NUL.
fn text(id: i32, f: unsafe extern "C" fn(i32, *mut *mut c_char) -> c_int) -> Result<Vec<u8>> {
    let mut p = std::ptr::null_mut();
    // SAFETY: After success `p` is a string from malloc(3), and ours; it is freed after its use.
    unsafe {
        check(f(id, &mut p))?;
        let text = CStr::from_ptr(p).to_bytes().to_vec();
        c::free(p.cast());
        Ok(text)
    }
}

/// The authority to answer one request. Without it a signal is worth nothing.
struct Authority(i32);

impl Authority {
    fn assume(key: i32) -> Result<Self> {
        check(c::keyctl_assume_authority(key)).map(|_| Authority(key))
    }

    fn instantiate(&self, data: &[u8]) -> Result<()> {
        // SAFETY: The kernel reads the `len()` bytes of `data`.
        check(unsafe { c::keyctl_instantiate(self.0, data.as_ptr(), data.len(), 0) }).map(drop)
    }

    fn reject(&self, errno: i32) -> Result<()> {
        check(c::keyctl_reject(self.0, 5, errno as c_uint, 0)).map(drop)
    }

    fn serve(&self, pid: u32, uid: u32) -> Result<()> {
        let attributes = text(self.0, c::keyctl_describe_alloc)?;
        let attributes = String::from_utf8_lossy(&attributes);
        let mut fields = attributes.splitn(5, ';'); // type;uid;gid;permissions;description
        let (kind, desc) = (fields.next().unwrap_or(""), fields.nth(3).unwrap_or(""));
        let callout = text(c::REQKEY_AUTH_KEY, c::keyctl_read_alloc)?;

        // Requesters choose this text: do not let it forge lines of the log. The callout info may
        // be a secret.
        let len = callout.len();
        let line =
            format!("asked for {kind}:{desc} by pid {pid} uid {uid}, {len} bytes of callout info");
        println!("{}", line.replace(|ch: char| !matches!(ch, ' '..='~'), "?"));

        if desc.starts_with("reject:") {
            return self.reject(c::EKEYREJECTED);
        }
        self.instantiate(format!("answer for {desc}").as_bytes())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        c::keyctl_assume_authority(0);
    }
}

fn run(kind: Option<String>) -> Result<()> {
    let kind = CString::new(kind.ok_or(Error::other("usage: keyagent_sample TYPE"))?)?;
    check(c::keyctl_get_keyring_ID(c::PROCESS_KEYRING, 1))?;
    let sig = c::__libc_current_sigrtmin();
    let mut set: c::SigSet = [0; 16];
    for s in [sig, c::SIGINT, c::SIGTERM] {
        c::sigaddset(&mut set, s);
    }
    check(c::sigprocmask(c::SIG_BLOCK, &set, None))?;
    let fd = check(c::signalfd(-1, &set, 0))?;
    // SAFETY: The file descriptor is new and nobody else's.
    let mut signals = unsafe { std::fs::File::from_raw_fd(fd) };
    let name = c"keyagent".as_ptr();
    let agent = c::Payload {
        signal: sig as u16,
        reserved: 0,
        flags: c::KEYAGENT_SHARED,
    };
    // SAFETY: Two strings that end with a NUL, and a structure of that size.
    let key = check(unsafe {
        let len = size_of_val(&agent);
        c::add_key(name, kind.as_ptr(), &agent, len, c::PROCESS_KEYRING)
    })
    // Not tried again without the flag: the subscribers rely on it.
    .map_err(|e| match e.raw_os_error() {
        Some(c::EINVAL) => Error::other(
            "no such name of a key type, or the module is too old for KEYAGENT_SHARED: \
             see /sys/module/keyagent/parameters/features",
        ),
        _ => e,
    })?;
    check(c::keyctl_setperm(key, c::VIEW_SEARCH_LINK))?;
    println!("agent key: {key}");

    let mut info = [0; 128]; // struct signalfd_siginfo
    loop {
        signals.read_exact(&mut info)?;
        let field = |at: usize| i32::from_ne_bytes(info[at..at + 4].try_into().unwrap());
        let (signo, code, pid, uid, key) = (field(0), field(8), field(12), field(16), field(44));
        if signo != sig {
            return Ok(()); // SIGINT, SIGTERM
        }
        match Authority::assume(key) {
            Ok(authority) if code == c::SI_KEYAGENT => {
                if let Err(e) = authority.serve(pid as u32, uid as u32) {
                    eprintln!("keyagent_sample: cannot answer for key {key}: {e}");
                    // Do not let the requester wait.
                    let _ = authority.reject(e.raw_os_error().unwrap_or(c::EKEYREJECTED));
                }
            }
            _ => eprintln!("keyagent_sample: no request for key {key}"),
        }
    }
}

fn main() {
    if let Err(e) = run(std::env::args().nth(1)) {
        eprintln!("keyagent_sample: {e}");
        std::process::exit(1);
    }
}
