// SPDX-License-Identifier: GPL-2.0-or-later

//! What the errors of the key service mean.

use std::io;

use crate::config::errno;

/// An error in words, with its name if it is a system call's.
pub(super) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(number) = error.raw_os_error() else {
        return text;
    };
    let text = text
        .strip_suffix(&format!(" (os error {number})"))
        .unwrap_or(&text);
    match errno::name(number) {
        Some(name) => format!("{name}, {text}"),
        None => format!("error {number}, {text}"),
    }
}

/// What to do when a request for a key ended with this error.
pub(super) fn advice(error: &io::Error) -> &'static str {
    const TOO_LONG: &str = "it took too long: see what whoever answers is waiting for";

    match error.raw_os_error() {
        Some(libc::ENOKEY) => {
            "nobody has that key: see the rules, request-key.conf(5) and keyagentd.conf(5), and \
             the log of the agent, or of the program that a rule runs"
        }
        Some(libc::ETIMEDOUT) => {
            "the agent took longer than it may: see its log, and the module's timeout_ms"
        }
        Some(libc::EKEYREJECTED) => {
            "whoever answered refused to: see the log of the agent, or of the program that a rule \
             runs"
        }
        Some(libc::EKEYEXPIRED) => {
            "the key was there and has expired: unlink it (keyctl unlink), and request it again"
        }
        Some(libc::EKEYREVOKED) => {
            "the key was there and is revoked: unlink it (keyctl unlink), and request it again"
        }
        Some(libc::EDQUOT) => {
            "the user has too many keys: see /proc/key-users and the limits in \
             /proc/sys/kernel/keys"
        }
        Some(libc::EINTR) => TOO_LONG,
        None if error.kind() == io::ErrorKind::TimedOut => TOO_LONG,
        Some(libc::EPERM) => {
            "key types that begin with a dot cannot be requested, and seccomp can forbid \
             request_key(2): try it outside of the container"
        }
        Some(libc::EACCES) => {
            "there is a key that may not be used, or a keyring that may not be written: see \
             keyctl show"
        }
        Some(libc::EINVAL) => {
            "a type has at most 31 bytes, a description and a callout info at most 4095"
        }
        Some(libc::ENODEV) => {
            "the kernel has no such key type: is the module loaded that brings it?"
        }
        Some(libc::ENOSYS) => "the kernel has no key service, or seccomp hides it",
        _ => {
            "an agent, or the program that a rule runs, can choose any error: see their logs, and \
             errno(3)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_names() {
        let text = |number| describe(&io::Error::from_raw_os_error(number));
        assert_eq!(
            text(libc::EKEYREJECTED),
            "EKEYREJECTED, Key was rejected by service"
        );
        assert!(text(4095).starts_with("error 4095, "));
        assert_eq!(
            describe(&io::Error::new(io::ErrorKind::InvalidData, "odd")),
            "odd"
        );
    }

    #[test]
    fn hints_for_what_is_likely() {
        let general = advice(&io::Error::from_raw_os_error(libc::EIO));
        for number in [
            libc::ENOKEY,
            libc::ETIMEDOUT,
            libc::EKEYREJECTED,
            libc::EDQUOT,
            libc::EINTR,
        ] {
            let error = io::Error::from_raw_os_error(number);
            assert_ne!(advice(&error), general, "{number}");
        }
    }
}
