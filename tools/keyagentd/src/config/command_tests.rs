// SPDX-License-Identifier: GPL-2.0-or-later

use super::*;

/// A key `user:found` with these contents, and no other.
struct OneKey(&'static [u8]);

impl Keys for OneKey {
    fn read(&self, key_type: &OsStr, description: &OsStr) -> io::Result<Vec<u8>> {
        if key_type == "user" && description == "found" {
            Ok(self.0.to_vec())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

fn request() -> Request {
    Request {
        operation: "create".into(),
        key: 1,
        key_type: "user".into(),
        description: "a key".into(),
        callout: b"call\xff out\0rest".to_vec(),
        uid: 2,
        gid: 3,
        thread_keyring: 4,
        process_keyring: 5,
        session_keyring: 6,
    }
}

fn expand(words: &[&str], request: &Request) -> Result<Vec<OsString>, ExpandError> {
    let command = Command {
        program: "/usr/bin/prog".into(),
        pipe: false,
        arguments: words
            .iter()
            .map(|word| Argument::parse(word.as_bytes()).unwrap())
            .collect(),
    };
    Ok(command.expand(request, &OneKey(b"some ~ text"))?.argv)
}

#[test]
fn each_macro() {
    let argv = expand(
        &["%o", "%k", "%t", "%d", "%u", "%g", "%T", "%P", "%S"],
        &request(),
    );
    assert_eq!(
        argv.unwrap(),
        ["prog", "create", "1", "user", "a key", "2", "3", "4", "5", "6"]
    );
}

#[test]
fn callout_info_is_bytes() {
    let argv = expand(&["%c"], &request()).unwrap();
    assert_eq!(argv[1].as_bytes(), b"call\xff out");
}

#[test]
fn numbers_are_signed() {
    let request = Request {
        key: -1,
        uid: u32::MAX - 1,
        gid: 0x8000_0000,
        thread_keyring: i32::MAX,
        ..request()
    };
    assert_eq!(
        expand(&["%k", "%u", "%g", "%T"], &request).unwrap(),
        ["prog", "-1", "-2", "-2147483648", "2147483647"]
    );
}

#[test]
fn whole_arguments_only() {
    assert_eq!(
        expand(
            &["x%k", "%kk", "%%", "%%k", "%%%k", "{user:found}"],
            &request()
        )
        .unwrap(),
        ["prog", "x%k", "%kk", "%", "%k", "%%k", "{user:found}"]
    );
}

#[test]
fn what_is_expanded_is_not_expanded_again() {
    let request = Request {
        description: "%k".into(),
        ..request()
    };
    assert_eq!(expand(&["%d"], &request).unwrap(), ["prog", "%k"]);
}

#[test]
fn bad_macros() {
    let parse = |word: &str| Argument::parse(word.as_bytes());

    assert!(matches!(parse("%"), Err(Problem::LonePercent)));
    for word in ["%x", "%{", "%K", "%*"] {
        assert!(
            matches!(parse(word), Err(Problem::UnknownMacro(text)) if text == word),
            "{word}"
        );
    }
    for word in [
        "%{}",
        "%{user}",
        "%{user:x",
        "%{us}er:x",
        "%{user:x}y",
        "%{:x}",
        "%{user:}",
    ] {
        assert!(
            matches!(parse(word), Err(Problem::BadKeyMacro(_))),
            "{word}"
        );
    }
}

#[test]
fn key_macro_ends_at_the_first_brace_after_the_first_colon() {
    let argument = Argument::parse(b"%{a}b:c:d{}").unwrap();
    assert_eq!(
        argument,
        Argument::Contents {
            key_type: "a}b".into(),
            description: "c:d{".into()
        }
    );
}

#[test]
fn key_contents() {
    assert_eq!(
        expand(&["%{user:found}"], &request()).unwrap(),
        ["prog", "some ~ text"]
    );
    let error = expand(&["%{user:other}"], &request()).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    assert!(error
        .to_string()
        .starts_with("the key \"other\" of type \"user\" "));
}

#[test]
fn key_contents_must_be_printable() {
    let command = Command {
        program: "/x".into(),
        pipe: false,
        arguments: vec![Argument::parse(b"%{user:found}").unwrap()],
    };
    for contents in [&b"a\n"[..], b"\0", b"\x1f", b"\x7f", b"\x80"] {
        let error = command.expand(&request(), &OneKey(contents)).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::InvalidData);
    }
    assert_eq!(
        command.expand(&request(), &OneKey(b"")).unwrap().argv[1],
        ""
    );
}

#[test]
fn first_argument_is_the_last_component() {
    for (program, name) in [
        ("/bin/cat", "cat"),
        ("a/b", "b"),
        ("/bin/", ""),
        ("//x", "x"),
    ] {
        let command = Command {
            program: program.into(),
            pipe: true,
            arguments: vec![],
        };
        let invocation = command.expand(&request(), &OneKey(b"")).unwrap();
        assert_eq!(invocation.program, program);
        assert!(invocation.pipe);
        assert_eq!(invocation.argv, [name]);
    }
}
