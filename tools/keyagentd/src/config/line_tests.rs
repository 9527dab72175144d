// SPDX-License-Identifier: GPL-2.0-or-later

use super::super::command::Macro;
use super::*;

/// The rule in a line, if there is one.
fn accepted(line: impl AsRef<[u8]>) -> Option<Parts> {
    let line = line.as_ref();
    parse(Dialect::RequestKey, line, &mut Vec::new())
        .unwrap_or_else(|(column, problem)| panic!("{line:?}: {column}: {problem}"))
}

/// Why a line is refused, and where.
fn refused(line: impl AsRef<[u8]>) -> At<Problem> {
    parse(Dialect::RequestKey, line.as_ref(), &mut Vec::new()).expect_err("a line that is wrong")
}

/// The command of a rule.
fn command(parts: Parts) -> Command {
    match parts.action {
        Action::Run(command) => command,
        Action::Answer(answer) => panic!("{answer:?}"),
    }
}

fn oddities(line: &str) -> Vec<At<Oddity>> {
    let mut oddities = Vec::new();
    parse(Dialect::RequestKey, line.as_bytes(), &mut oddities).expect("a line that is right");
    oddities
}

#[test]
fn a_rule() {
    let parts = accepted("create user debug:* negate |/bin/keyctl negate %k 30\n").unwrap();
    assert_eq!(
        parts.patterns,
        ["create", "user", "debug:*", "negate"]
            .map(|text| Pattern::new(Dialect::RequestKey, text.as_bytes()))
    );
    assert_eq!(
        command(parts),
        Command {
            program: "/bin/keyctl".into(),
            pipe: true,
            arguments: vec![
                Argument::Text("negate".into()),
                Argument::Macro(Macro::Key),
                Argument::Text("30".into()),
            ],
        }
    );
}

#[test]
fn any_blanks_separate() {
    let plain = accepted("create user * * /bin/x a b\n");
    assert_eq!(
        accepted("create\tuser \x0b* \x0c\t*\t\t/bin/x\ra  b \t\r\n"),
        plain
    );
    // Not a blank in C's locale.
    let parts = accepted("create us\u{a0}er * * /bin/x\n").unwrap();
    assert_eq!(
        parts.patterns[1],
        Pattern::new(Dialect::RequestKey, "us\u{a0}er".as_bytes())
    );
}

#[test]
fn no_quoting() {
    let parts = accepted("create user * * /bin/x \"a b\" c\\ d #e\n").unwrap();
    assert_eq!(
        command(parts).arguments,
        ["\"a", "b\"", "c\\", "d", "#e"].map(|text| Argument::Text(text.into()))
    );
}

#[test]
fn no_rule() {
    for line in [
        "\n",
        "  \t\n",
        "# create user * * /bin/x\n",
        "#",
        " ",
        " create user * * /bin/x\n",
        "\tno rule\n",
        "\r\n",
        "x",
    ] {
        assert_eq!(accepted(line), None, "{line:?}");
    }
    assert_eq!(accepted(b"#\0\n"), None);
}

#[test]
fn too_long() {
    let rule = |len: usize| format!("{:<len$}\n", "create user * * /bin/x");
    assert!(accepted(rule(LONGEST_LINE)).is_some());
    assert!(matches!(
        refused(rule(LONGEST_LINE + 1)),
        (4095, Problem::LineTooLong)
    ));
    // Even if it is a comment or blank, or has no newline.
    for first in ["#", " "] {
        let line = format!("{first:<LONGEST_LINE$}\n");
        assert_eq!(accepted(&line), None);
        assert_eq!(accepted(line.replace('\n', " ")), None);
        let line = format!(" {line}");
        assert!(matches!(refused(&line), (4095, Problem::LineTooLong)));
    }
}

#[test]
fn incomplete() {
    for (line, at, field) in [
        ("create", 7, "type"),
        ("create ", 8, "type"),
        ("create user", 12, "description"),
        ("create user *", 14, "callout info"),
        ("create user * *", 16, "program"),
        ("create user * * \t\r", 19, "program"),
    ] {
        let (column, problem) = refused(format!("{line}\n"));
        assert!(
            matches!(problem, Problem::Missing(missing) if missing == field),
            "{line}: {problem}"
        );
        assert_eq!(column, at, "{line}");
    }
}

#[test]
fn no_newline() {
    let (column, problem) = refused("create user * * /bin/x");
    assert!(matches!(problem, Problem::NoNewline));
    assert_eq!(column, 23);
}

#[test]
fn nul() {
    for (line, at) in [(&b"\0\n"[..], 1), (b"create us\0er * * /bin/x\n", 10)] {
        let (column, problem) = refused(line);
        assert!(matches!(problem, Problem::Nul));
        assert_eq!(column, at);
    }
}

#[test]
fn programs() {
    for (word, program, pipe) in [
        ("/x", "/x", false),
        ("|/x", "/x", true),
        ("a/x", "a/x", false),
        ("||/x", "|/x", true),
        ("/", "/", false),
    ] {
        let command = command(accepted(format!("create * * * {word} |\n")).unwrap());
        assert_eq!(command.program, program);
        assert_eq!(command.pipe, pipe);
        assert_eq!(command.arguments, [Argument::Text("|".into())]);
    }
    assert!(matches!(
        refused("create * * * cat x\n"),
        (14, Problem::NoDirectory(_))
    ));
    assert!(matches!(
        refused("create * * * |cat\n"),
        (15, Problem::NoDirectory(_))
    ));
    assert!(matches!(
        refused("create * * * | /bin/cat\n"),
        (15, Problem::NothingAfterBar)
    ));
}

#[test]
fn many_arguments() {
    let line = |count: usize| format!("create * * * /bin/x{}\n", " a".repeat(count));
    let parts = accepted(line(MOST_ARGUMENTS)).unwrap();
    assert_eq!(command(parts).arguments.len(), 253);
    assert!(matches!(
        refused(line(MOST_ARGUMENTS + 1)),
        (527, Problem::TooManyArguments)
    ));
}

#[test]
fn bad_macro() {
    assert!(matches!(
        refused("create * * * /bin/x %k %x\n"),
        (24, Problem::UnknownMacro(_))
    ));
}

#[test]
fn odd() {
    assert_eq!(oddities("create us* *b * /bin/x %k %%foo a%k\n"), []);
    assert_eq!(oddities("  # create\n"), []);
    assert_eq!(oddities("  \t\n"), []);
    assert_eq!(
        oddities("  create user * * /bin/x\n"),
        [(3, Oddity::Indented)]
    );
    assert_eq!(
        oddities("created keyagent * timeout=1 /bin/x\n"),
        [(1, Oddity::NoSuchOperation), (9, Oddity::TypeOfAgents)]
    );
    assert_eq!(
        oddities("create user a*b* * bin/x %kk 'a b'\n"),
        [
            (14, Oddity::AsteriskWithin),
            (20, Oddity::RelativeProgram),
            (26, Oddity::NotAMacro("%kk".into())),
            (30, Oddity::Quote),
        ]
    );
    assert_eq!(
        oddities("create *ser* \"a * |x/y\n"),
        [
            (12, Oddity::SecondAsterisk),
            (14, Oddity::Quote),
            (20, Oddity::RelativeProgram),
        ]
    );
}
