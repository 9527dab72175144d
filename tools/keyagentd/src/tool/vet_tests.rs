// SPDX-License-Identifier: GPL-2.0-or-later

use std::cell::Cell;
use std::ffi::OsStr;

use super::*;

fn named(key_type: &str, description: &str) -> Named {
    Named {
        serial: Serial(1),
        description: Description {
            key_type: key_type.into(),
            uid: 0,
            gid: 0,
            description: description.into(),
        },
        dead: Vec::new(),
    }
}

#[test]
fn one_link_for_each_type_and_description() {
    let user = named("keyagent", "user");
    assert!(user.displaces(&named("keyagent", "user")));
    assert!(!user.displaces(&named("keyring", "user")));
    assert!(!user.displaces(&named("keyagent", "logon")));
}

/// A keyring in this thread's keyring.
fn ring(name: &str) -> Serial {
    let name = OsStr::new(name);
    keyctl::add_key(OsStr::new("keyring"), name, b"", Serial::THREAD_KEYRING).unwrap()
}

fn add(key_type: &str, payload: &[u8], keyring: Serial) -> Serial {
    let name = OsStr::new("keyagent test: content");
    keyctl::add_key(OsStr::new(key_type), name, payload, keyring).unwrap()
}

fn refusal(result: Result<Named, Refused>) -> (bool, String) {
    match result.unwrap_err() {
        Refused::Absent(failure) => (true, failure.to_string()),
        Refused::Unfit(failure) => (false, failure.to_string()),
    }
}

#[test]
fn keyring_without_an_agent() {
    let ring = ring("keyagent test: empty");
    let mut accept = Accept::default();
    let (absent, text) = refusal(vet(ring, "web", &accept));
    assert!(absent && text.starts_with("agent web: "), "{text}");
    assert!(text.contains("has no agent"), "{text}");
    accept.allow_dead = true;
    vet(ring, "web", &accept).unwrap();

    // A key that is gone is none.
    let key = add("user", b"x", ring);
    keyctl::revoke(key).unwrap();
    vet(ring, "web", &accept).unwrap();
}

#[test]
fn keyring_with_other_keys() {
    let accept = Accept {
        allow_dead: true,
        ..Accept::default()
    };
    for (key_type, payload) in [("user", &b"secret"[..]), ("keyring", b"")] {
        let ring = ring("keyagent test: others");
        let key = add(key_type, payload, ring);
        let (absent, text) = refusal(vet(ring, "web", &accept));
        let holds = format!("holds key {key} of type {key_type}");
        assert!(!absent && text.contains(&holds), "{text}");
    }
}

/// What a key is cannot be seen once it has expired, and its owner can make it last longer.
#[test]
fn keyring_with_an_expired_key() {
    let accept = Accept {
        allow_dead: true,
        ..Accept::default()
    };
    let ring = ring("keyagent test: expired");
    let key = add("user", b"x", ring);
    keyctl::set_timeout(key, 1).unwrap();
    thread::sleep(Duration::from_millis(2100));
    let (absent, text) = refusal(vet(ring, "web", &accept));
    assert!(!absent && text.contains("EKEYEXPIRED"), "{text}");
}

#[test]
fn another_users_keyring() {
    let named = Named {
        serial: ring("keyagent test: owner"),
        ..named("keyring", "web")
    };
    let caller = geteuid().as_raw();
    let mut foreign = named;
    foreign.description.uid = caller + 1;
    let mut accept = Accept {
        allow_dead: true,
        owner: Some(caller + 2),
        ..Accept::default()
    };
    let (absent, text) = match dead_in_keyring(&foreign, "web", &accept).unwrap_err() {
        Refused::Absent(failure) => (true, failure.to_string()),
        Refused::Unfit(failure) => (false, failure.to_string()),
    };
    let owner = format!("belongs to user {}, not to user {caller}", caller + 1);
    assert!(!absent && text.contains(&owner), "{text}");
    accept.owner = Some(caller + 1);
    assert!(dead_in_keyring(&foreign, "web", &accept)
        .unwrap()
        .is_empty());
}

#[test]
fn a_key_is_no_agent() {
    let key = add("user", b"x", ring("keyagent test: key"));
    let (absent, text) = refusal(vet(key, "web", &Accept::default()));
    assert!(
        !absent && text.contains("this is a key of type user"),
        "{text}"
    );
    let (_, text) = refusal(vet(Serial(1), "1", &Accept::default()));
    assert!(text.starts_with("agent 1: there is no such key"), "{text}");
}

#[test]
fn waits_for_what_may_come() {
    let looks = Cell::new(0);
    let mut accept = Accept::default();
    let look = |needed| {
        looks.set(looks.get() + 1);
        if looks.get() < needed {
            Err(Refused::Absent(Failure::new("a", "b", "c")))
        } else {
            Ok(())
        }
    };
    assert!(wait_for(&accept, || look(2)).is_err());
    assert_eq!(looks.replace(0), 1);
    accept.wait = Some(Duration::from_secs(60));
    assert!(wait_for(&accept, || look(3)).is_ok());
    assert_eq!(looks.replace(0), 3);
    accept.wait = Some(Duration::from_millis(120));
    assert!(wait_for(&accept, || look(1000)).is_err());
    assert!((2..10).contains(&looks.get()), "{}", looks.get());

    let unfit = || Err::<(), _>(Refused::Unfit(Failure::new("a", "b", "c")));
    accept.wait = Some(Duration::from_secs(3600));
    assert!(wait_for(&accept, unfit).is_err());
}
