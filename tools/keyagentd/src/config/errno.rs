// SPDX-License-Identifier: GPL-2.0-or-later

//! The names of errors.

/// The largest error that an agent can reject a key with: those above are the kernel's own.
const LARGEST: i32 = 511;

macro_rules! names {
    ($($name:ident)*) => {
        /// Each name with its number here, for that is not the same on all architectures.
        const NAMES: &[(&str, i32)] = &[$((stringify!($name), libc::$name)),*];
    };
}

names! {
    E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EADV EAFNOSUPPORT EAGAIN EALREADY EBADE EBADF EBADFD
    EBADMSG EBADR EBADRQC EBADSLT EBFONT EBUSY ECANCELED ECHILD ECHRNG ECOMM ECONNABORTED
    ECONNREFUSED ECONNRESET EDEADLK EDEADLOCK EDESTADDRREQ EDOM EDOTDOT EDQUOT EEXIST EFAULT EFBIG
    EHOSTDOWN EHOSTUNREACH EHWPOISON EIDRM EILSEQ EINPROGRESS EINTR EINVAL EIO EISCONN EISDIR
    EISNAM EKEYEXPIRED EKEYREJECTED EKEYREVOKED EL2HLT EL2NSYNC EL3HLT EL3RST ELIBACC ELIBBAD
    ELIBEXEC ELIBMAX ELIBSCN ELNRNG ELOOP EMEDIUMTYPE EMFILE EMLINK EMSGSIZE EMULTIHOP
    ENAMETOOLONG ENAVAIL ENETDOWN ENETRESET ENETUNREACH ENFILE ENOANO ENOBUFS ENOCSI ENODATA
    ENODEV ENOENT ENOEXEC ENOKEY ENOLCK ENOLINK ENOMEDIUM ENOMEM ENOMSG ENONET ENOPKG ENOPROTOOPT
    ENOSPC ENOSR ENOSTR ENOSYS ENOTBLK ENOTCONN ENOTDIR ENOTEMPTY ENOTNAM ENOTRECOVERABLE ENOTSOCK
    ENOTSUP ENOTTY ENOTUNIQ ENXIO EOPNOTSUPP EOVERFLOW EOWNERDEAD EPERM EPFNOSUPPORT EPIPE EPROTO
    EPROTONOSUPPORT EPROTOTYPE ERANGE EREMCHG EREMOTE EREMOTEIO ERESTART ERFKILL EROFS ESHUTDOWN
    ESOCKTNOSUPPORT ESPIPE ESRCH ESRMNT ESTALE ESTRPIPE ETIME ETIMEDOUT ETOOMANYREFS ETXTBSY
    EUCLEAN EUNATCH EUSERS EWOULDBLOCK EXDEV EXFULL
}

/// The error of this name, or this number in decimal digits, if a key can be rejected with it.
pub(super) fn parse(word: &[u8]) -> Option<i32> {
    if let Ok(at) = NAMES.binary_search_by_key(&word, |(name, _)| name.as_bytes()) {
        return Some(NAMES[at].1);
    }
    let number = super::option::number(word)?.try_into().ok()?;
    (1..=LARGEST).contains(&number).then_some(number)
}

/// The name of this error. Some have two, of which this is the first.
pub(crate) fn name(error: i32) -> Option<&'static str> {
    let found = NAMES.iter().find(|(_, number)| *number == error);
    found.map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_names() {
        assert_eq!(name(libc::EKEYREJECTED), Some("EKEYREJECTED"));
        assert_eq!(name(libc::EWOULDBLOCK), Some("EAGAIN"));
        assert_eq!(name(0), None);
        assert_eq!(name(4095), None);
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn every_name() {
        for (name, number) in NAMES {
            assert_eq!(parse(name.as_bytes()), Some(*number), "{name}");
            assert_eq!(parse(number.to_string().as_bytes()), Some(*number));
        }
        assert_eq!(parse(b"EACCES"), Some(libc::EACCES));
        assert_eq!(parse(b"ENOKEY"), Some(libc::ENOKEY));
    }

    #[test]
    fn what_is_no_error() {
        for word in [
            "",
            "E",
            "EACCE",
            "EACCESS",
            "eacces",
            "EPERM ",
            "0",
            "-13",
            "+13",
            "512",
            "529",
            "4095",
            "4294967297",
            "99999999999999999999",
            "1.5",
            "0x1",
            "1a",
        ] {
            assert_eq!(parse(word.as_bytes()), None, "{word}");
        }
        for number in [1, 511] {
            assert_eq!(parse(number.to_string().as_bytes()), Some(number));
        }
    }
}
