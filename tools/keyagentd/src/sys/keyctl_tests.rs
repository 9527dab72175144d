// SPDX-License-Identifier: GPL-2.0-or-later

use super::*;

fn os(text: &str) -> &OsStr {
    OsStr::new(text)
}

/// A thread has a keyring of its own, which goes with it.
fn in_thread(test: impl FnOnce() + Send + 'static) {
    match std::thread::spawn(test).join() {
        Ok(()) => {}
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[test]
fn takes_descriptions_apart() {
    assert_eq!(
        Description::parse(b"user;1000;-2;3f010000;a;b"),
        Some(Description {
            key_type: "user".into(),
            uid: 1000,
            gid: u32::MAX - 1,
            description: "a;b".into(),
        })
    );
    for text in ["", "user", "user;1;2;3f010000", "user;x;2;3f010000;a"] {
        assert_eq!(Description::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn classes_of_permissions() {
    let permissions = Permissions {
        possessor: perm::ALL,
        user: perm::VIEW,
        group: perm::LINK,
        other: perm::SEARCH,
    };
    assert_eq!(permissions.bits(), 0x3f01_1008);
}

#[test]
fn names_of_keyrings() {
    assert_eq!(keyring_by_name(os("@s")), Some(Serial::SESSION_KEYRING));
    assert_eq!(keyring_by_name(os("4711")), Some(Serial(4711)));
    for name in [
        "",
        "@",
        "@x",
        "0",
        "-3",
        "0x12",
        "containers",
        "99999999999",
    ] {
        assert_eq!(keyring_by_name(os(name)), None, "{name}");
    }
}

#[test]
fn key_is_added_and_read() {
    in_thread(|| {
        let ring = Serial::THREAD_KEYRING;
        let long = vec![b'x'; 5000];
        let key = add_key(os("user"), os("keyagentd:test"), &long, ring).unwrap();
        assert_eq!(read(key).unwrap(), long);
        let description = describe(key).unwrap();
        assert_eq!(description.key_type, "user");
        assert_eq!(description.description, "keyagentd:test");
        assert_eq!(search(ring, os("user"), os("keyagentd:test")).unwrap(), key);
        assert_eq!(
            request_key(os("user"), os("keyagentd:test"), None, Serial::NONE).unwrap(),
            key
        );
        unlink(key, ring).unwrap();
        let error = search(ring, os("user"), os("keyagentd:test")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOKEY));
    });
}

#[test]
fn errors_are_those_of_the_kernel() {
    in_thread(|| {
        let ring = Serial::THREAD_KEYRING;
        let error = add_key(os("no such type"), os("x"), b"x", ring).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        let error = assume_authority(Serial(1)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOKEY));
        let error = instantiate(Serial(1), b"x", Serial::NONE).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        let error = add_key(os("user"), os("a\0b"), b"x", ring).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}
