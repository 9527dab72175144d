// SPDX-License-Identifier: GPL-2.0-or-later

//! Lines of keyagentd.conf(5), but for its built-ins.

use std::time::Duration;

use super::super::command::Macro;
use super::*;

/// The rule in a line, if there is one.
fn accepted(line: impl AsRef<[u8]>) -> Option<Parts> {
    let line = line.as_ref();
    parse(Dialect::Own, line, &mut Vec::new())
        .unwrap_or_else(|(column, problem)| panic!("{line:?}: {column}: {problem}"))
}

fn refused(line: impl AsRef<[u8]>) -> At<Problem> {
    parse(Dialect::Own, line.as_ref(), &mut Vec::new()).expect_err("a line that is wrong")
}

fn oddities(line: &str) -> Vec<At<Oddity>> {
    let mut oddities = Vec::new();
    parse(Dialect::Own, line.as_bytes(), &mut oddities).expect("a line that is right");
    oddities
}

/// The options of a rule.
fn options(rest: &str) -> Options {
    accepted(format!("create user * * {rest}\n"))
        .unwrap()
        .options
}

/// What is wrong with a rule, and how far after the callout info.
fn refused_rest(rest: &str) -> At<Problem> {
    let (column, problem) = refused(format!("create user * * {rest}\n"));
    (column - "create user * * ".len(), problem)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn as_in_request_key_conf() {
    for line in [
        "\n",
        " \t\n",
        "#",
        "# create user * * cat\0\n",
        "  # create user * * cat\n",
        "create user debug:* negate |/bin/keyctl negate %k 30 %% %%x %{user:a} a%k #e\n",
        "create\tuser\x0b*b \x0c*c\r/bin/x a=b timeout=5 @negate\r\n",
    ] {
        let theirs = parse(Dialect::RequestKey, line.as_bytes(), &mut Vec::new()).unwrap();
        assert_eq!(accepted(line), theirs, "{line:?}");
    }
}

#[test]
fn what_is_right_here() {
    let plain = accepted("create user a*b * /bin/x %k\n");
    let parts = plain.as_ref().unwrap();
    assert_eq!(parts.patterns[2].skips(b"acb"), Some(1));
    assert_eq!(
        parts.action,
        Action::Run(Command {
            program: "/bin/x".into(),
            pipe: false,
            arguments: vec![Argument::Macro(Macro::Key)],
        })
    );
    assert_eq!(parts.options, Options::default());
    let parts = accepted("negate * * * @decline").unwrap();
    assert_eq!(parts.action, Action::Answer(answer::Answer::Decline));
    // Without a newline, and indented.
    assert_eq!(accepted("create user a*b * /bin/x %k"), plain);
    assert_eq!(accepted(" \tcreate user a*b * /bin/x %k\n"), plain);

    let long = format!("create user * * /bin/x {:a<9000}\n", "");
    assert!(accepted(long).is_some());
}

#[test]
fn what_is_wrong_here() {
    for (line, at) in [
        ("create user a*b* * /x\n", 16),
        ("create * * ** /x\n", 13),
        (" create *a*b * * /x\n", 11),
    ] {
        let (column, problem) = refused(line);
        assert!(matches!(problem, Problem::SecondAsterisk), "{line}");
        assert_eq!(column, at, "{line}");
    }
    for (word, at) in [("bin/x", 1), ("|a/x", 2), ("||/x", 2)] {
        let (column, problem) = refused_rest(word);
        assert!(matches!(problem, Problem::RelativeProgram(_)), "{word}");
        assert_eq!(column, at, "{word}");
    }
    for (word, at) in [("cat", 1), ("|cat", 2), ("|@negate", 2), ("|a=b", 2)] {
        let (column, problem) = refused_rest(word);
        assert!(matches!(problem, Problem::NoDirectory(_)), "{word}");
        assert_eq!(column, at, "{word}");
    }
    assert!(matches!(refused_rest("|"), (2, Problem::NothingAfterBar)));
    assert!(matches!(
        refused_rest("/x %kk"),
        (4, Problem::UnknownMacro(text)) if text == "%kk"
    ));
    assert!(matches!(refused_rest("/x %"), (4, Problem::LonePercent)));
    assert!(matches!(refused(" x\0"), (3, Problem::Nul)));
    assert!(matches!(refused("x"), (2, Problem::Missing("type"))));
    let many = format!("/x{}", " a".repeat(MOST_ARGUMENTS + 1));
    assert!(matches!(
        refused_rest(&many),
        (510, Problem::TooManyArguments)
    ));
}

#[test]
fn each_option() {
    assert_eq!(options("/x"), Options::default());
    assert_eq!(
        options("timeout=5 /x"),
        Options {
            timeout: Some(5 * SECOND),
            expires: None
        }
    );
    let both = Options {
        timeout: Some(5 * SECOND),
        expires: Some(u32::MAX),
    };
    assert_eq!(options("timeout=5 expires=4294967295 |/x"), both);
    assert_eq!(options("expires=4294967295\ttimeout=05 |/x"), both);
    for rest in ["@constant a", "@file /a", "@key user a"] {
        assert_eq!(options(&format!("expires=1 {rest}")).expires, Some(1));
    }
    // After the program they are its arguments.
    assert_eq!(options("/x timeout=5"), Options::default());
}

#[test]
fn bad_options() {
    for word in ["timout=5", "=", "=5", "TIMEOUT=5", "a=/b"] {
        let (column, problem) = refused_rest(&format!("{word} /x"));
        let name = format!("{}=", word.split('=').next().unwrap());
        assert!(
            matches!(&problem, Problem::UnknownOption(said) if *said == *name),
            "{word}: {problem}"
        );
        assert_eq!(column, 1);
    }
    // What keyagentd --timeout takes.
    for value in ["3601", "4294967295"] {
        let (column, problem) = refused_rest(&format!("timeout={value} /x"));
        assert!(problem.to_string().ends_with("from 1 to 3600"), "{problem}");
        assert_eq!(column, 9);
    }
    assert_eq!(
        options("timeout=3600 /x").timeout,
        Some(Duration::from_secs(3600))
    );
    for value in ["", "0", "-1", "1s", "1.5", "4294967296"] {
        let (column, problem) = refused_rest(&format!("expires=1 timeout={value} |/x"));
        assert!(matches!(problem, Problem::BadSeconds { least: 1, .. }));
        assert_eq!(column, 19);
        let (column, problem) = refused_rest(&format!("expires={value} |/x"));
        assert!(matches!(problem, Problem::BadSeconds { least: 1, .. }));
        assert_eq!(column, 9);
    }
    for name in ["timeout=", "expires="] {
        assert!(matches!(
            refused_rest(&format!("{name}1 {name}2 |/x")),
            (11, Problem::OptionTwice(said)) if said == name
        ));
    }
    assert!(matches!(
        refused_rest("timeout=1"),
        (10, Problem::Missing("program"))
    ));
}

#[test]
fn options_where_they_make_no_sense() {
    for rest in [
        "@constant a",
        "@file /a",
        "@key user a",
        "@negate",
        "@reject 1",
        "@decline",
    ] {
        let (column, problem) = refused_rest(&format!("timeout=1 {rest}"));
        assert!(matches!(problem, Problem::TimeoutWithoutProgram), "{rest}");
        assert_eq!(column, 1);
    }
    for rest in ["@negate", "@reject 1", "@decline"] {
        let (column, problem) = refused_rest(&format!("expires=1 {rest}"));
        assert!(matches!(problem, Problem::ExpiresWithoutPayload), "{rest}");
        assert_eq!(column, 1);
    }
    assert!(matches!(
        refused_rest("timeout=1 expires=1 /x"),
        (11, Problem::ExpiresWithoutPayload)
    ));
}

#[test]
fn not_in_request_key_conf() {
    for rest in [
        "timeout=5 /x",
        "expires=5 |/x",
        "@negate",
        "@constant a",
        "@x",
    ] {
        let line = format!("create user * * {rest}\n");
        let problem = parse(Dialect::RequestKey, line.as_bytes(), &mut Vec::new());
        assert!(
            matches!(problem, Err((17, Problem::OwnDialectOnly))),
            "{rest}: {problem:?}"
        );
    }
    // To request-key(8) these are paths.
    for rest in ["timeout=5/x", "@negate/x"] {
        let line = format!("create user * * {rest}\n");
        assert!(parse(Dialect::RequestKey, line.as_bytes(), &mut Vec::new()).is_ok());
    }
}

#[test]
fn odd() {
    assert_eq!(oddities("  create us* a*b * /bin/x %k %%foo a%k"), []);
    assert_eq!(oddities("* *keyagent * * /x"), []);
    assert_eq!(oddities("n* keyagent* * * /x"), []);
    assert_eq!(
        oddities("  Create keyagent 'a timeout=5 @decline"),
        [
            (19, Oddity::Quote),
            (3, Oddity::NoSuchOperation),
            (10, Oddity::TypeOfAgents),
            (22, Oddity::OptionAsCallout),
        ]
    );
}
