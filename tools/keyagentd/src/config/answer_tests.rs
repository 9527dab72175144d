// SPDX-License-Identifier: GPL-2.0-or-later

use super::super::line::{parse as line, Dialect, Parts};
use super::super::Action;
use super::*;

fn parts(rest: &str) -> Result<Parts, At<Problem>> {
    let rule = format!("create user * * {rest}\n");
    let parts = line(Dialect::Own, rule.as_bytes(), &mut Vec::new())?;
    Ok(parts.expect("a rule"))
}

fn answer(rest: &str) -> Answer {
    let parts = parts(rest).unwrap_or_else(|(at, problem)| panic!("{rest}: {at}: {problem}"));
    match parts.action {
        Action::Answer(answer) => answer,
        Action::Run(command) => panic!("{rest}: {command:?}"),
    }
}

/// What is wrong, and how far after the callout info.
fn refused(rest: &str) -> At<Problem> {
    let (column, problem) = parts(rest).expect_err("something wrong");
    (column - "create user * * ".len(), problem)
}

fn constant(text: &str) -> Vec<u8> {
    match answer(&format!("@constant {text}")) {
        Answer::Constant(payload) => payload,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn each_built_in() {
    assert_eq!(answer("@constant a"), Answer::Constant(b"a".to_vec()));
    assert_eq!(answer("@file /a/b"), Answer::File("/a/b".into()));
    assert_eq!(
        answer("@key user a:b"),
        Answer::Key {
            key_type: "user".into(),
            description: "a:b".into()
        }
    );
    assert_eq!(answer("@negate"), Answer::Negate { seconds: None });
    assert_eq!(answer("@negate 0"), Answer::Negate { seconds: Some(0) });
    let reject = |seconds| Answer::Reject {
        error: libc::EACCES,
        seconds,
    };
    assert_eq!(answer("@reject EACCES"), reject(None));
    assert_eq!(answer("@reject 13 \t 60 "), reject(Some(60)));
    assert_eq!(answer("@decline"), Answer::Decline);
}

#[test]
fn escapes() {
    assert_eq!(constant("plain"), b"plain");
    assert_eq!(constant("a\\nb\\tc\\sd\\\\e\\0"), b"a\nb\tc d\\e\0");
    assert_eq!(constant("\\x00\\x7f\\xFf\\xaB"), b"\0\x7f\xff\xab");
    // Not octal, and a digit more than two is text.
    assert_eq!(constant("\\012\\x414"), b"\x0012A4");
    assert_eq!(constant("\\\\n"), b"\\n");
    assert_eq!(constant("\u{e4}#%=@"), "\u{e4}#%=@".as_bytes());
}

#[test]
fn bad_escapes() {
    for (text, at) in [
        ("\\", 1),
        ("a\\", 2),
        ("\\q", 1),
        ("ab\\N", 3),
        ("\\x", 1),
        ("\\x4", 1),
        ("\\x4g", 1),
        ("\\x+1", 1),
        ("\\\\\\", 3),
        ("\\n\\sa\\r", 6),
    ] {
        let (column, problem) = refused(&format!("@constant {text}"));
        assert!(matches!(problem, Problem::BadEscape), "{text}: {problem}");
        assert_eq!(column, "@constant ".len() + at, "{text}");
    }
}

#[test]
fn long_payloads() {
    let longest = "a".repeat(LONGEST_PAYLOAD);
    assert_eq!(constant(&longest).len(), LONGEST_PAYLOAD);
    // What counts is not what is written.
    let escaped = "\\x00".repeat(LONGEST_PAYLOAD);
    assert_eq!(constant(&escaped).len(), LONGEST_PAYLOAD);
    for text in [longest + "a", escaped + "\\0"] {
        let (column, problem) = refused(&format!("@constant {text}"));
        assert!(matches!(problem, Problem::PayloadTooLong));
        assert_eq!(column, 11);
    }
}

#[test]
fn unknown_built_ins() {
    for name in ["@", "@Constant", "@constants", "@negate=1", "@/bin/x"] {
        let (column, problem) = refused(&format!("{name} a"));
        assert!(
            matches!(&problem, Problem::UnknownBuiltIn(said) if *said == name),
            "{name}: {problem}"
        );
        assert_eq!(column, 1);
    }
}

#[test]
fn too_few_words() {
    for (rest, at) in [
        ("@constant", 10),
        ("@file \t", 8),
        ("@key", 5),
        ("@key user", 10),
        ("@reject", 8),
    ] {
        let (column, problem) = refused(rest);
        assert!(
            matches!(problem, Problem::BuiltInLacks(_)),
            "{rest}: {problem}"
        );
        assert_eq!(column, at, "{rest}");
    }
}

#[test]
fn too_many_words() {
    for (rest, at) in [
        ("@constant a b", 13),
        ("@file /a #", 10),
        ("@key user a b", 13),
        ("@negate 1 2", 11),
        ("@reject EPERM 1 2", 17),
        ("@decline 1", 10),
    ] {
        let (column, problem) = refused(rest);
        assert!(
            matches!(problem, Problem::BuiltInHasMore(_)),
            "{rest}: {problem}"
        );
        assert_eq!(column, at, "{rest}");
    }
}

#[test]
fn bad_words() {
    let (column, problem) = refused("@file a/b");
    assert!(matches!(problem, Problem::RelativeFile(path) if path == "a/b"));
    assert_eq!(column, 7);

    for error in ["EFOO", "eperm", "0", "-1", "512", "4095", "%k"] {
        let (column, problem) = refused(&format!("@reject {error} 1"));
        assert!(matches!(problem, Problem::UnknownError(said) if said == error));
        assert_eq!(column, 9);
    }
    for seconds in ["-1", "1s", "4294967296", "x", "%c"] {
        for start in ["@negate ", "@reject EPERM "] {
            let (column, problem) = refused(&format!("{start}{seconds}"));
            assert!(matches!(problem, Problem::BadSeconds { least: 0, .. }));
            assert_eq!(column, start.len() + 1);
        }
    }
}

#[test]
fn odd_words() {
    let oddities = |rest: &str| {
        let mut oddities = Vec::new();
        let rule = format!("create user * * {rest}\n");
        line(Dialect::Own, rule.as_bytes(), &mut oddities).unwrap();
        oddities
    };
    assert_eq!(oddities("@constant 100%,%%,%x"), []);
    assert_eq!(oddities("@file /a/%d"), [(17 + 9, Oddity::MacroInBuiltIn)]);
    assert_eq!(
        oddities("@key '%{ \"a"),
        [
            (17 + 6, Oddity::MacroInBuiltIn),
            (17 + 5, Oddity::Quote),
            (17 + 9, Oddity::Quote)
        ]
    );
}

#[test]
fn payloads_are_not_shown() {
    let shown = format!("{:?}", parts("@constant seCret"));
    assert!(shown.contains("6 bytes"), "{shown}");
    assert!(!shown.contains("seCret"), "{shown}");
    // Nor is what is wrong with one.
    for rest in [
        "@constant seCret seCret",
        "@constant seCret\\",
        "@constant \"seCret",
    ] {
        let mut oddities = Vec::new();
        let rule = format!("create user * * {rest}\n");
        let result = line(Dialect::Own, rule.as_bytes(), &mut oddities);
        let odd = oddities.iter().map(|(_, odd)| odd.to_string());
        let problem = result.err().map(|(_, problem)| problem.to_string());
        let said: String = problem.into_iter().chain(odd).collect();
        assert!(!said.is_empty() && !said.contains("seCret"), "{said}");
    }
}
