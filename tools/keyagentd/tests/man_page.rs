// SPDX-License-Identifier: GPL-2.0-or-later

//! What keyagentd.conf(5) shows is what there is.

use keyagentd::{
    Action, Answer, Config, Dialect, Options, Request, Rule, LONGEST_LINE, LONGEST_PAYLOAD,
    MOST_ARGUMENTS,
};

const PAGE: &str = include_str!("../../../Documentation/man/keyagentd.conf.5.rst");

/// The literal blocks of the page, each as a file of rules. All are examples.
fn examples() -> Vec<String> {
    let mut examples = Vec::new();
    let mut lines = PAGE.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("..") || !line.ends_with("::") {
            continue;
        }
        let mut example = String::new();
        while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with("    ")) {
            example += line.get(4..).unwrap_or_default();
            example += "\n";
        }
        examples.push(example);
    }
    examples
}

fn parse(text: &str) -> Config {
    Config::parse(Dialect::Own, text.as_bytes())
        .unwrap_or_else(|refused| panic!("{text}\n{refused}"))
}

/// What all the examples together do about a request with an empty callout info.
fn find(key_type: &str, description: &str) -> Option<Rule> {
    let request = Request {
        operation: "create".into(),
        key_type: key_type.into(),
        description: description.into(),
        ..Request::default()
    };
    parse(&examples().concat()).find(&request).cloned()
}

fn constant(key_type: &str, description: &str) -> Option<String> {
    match find(key_type, description)?.action {
        Action::Answer(Answer::Constant(payload)) => Some(String::from_utf8(payload).unwrap()),
        _ => None,
    }
}

#[test]
fn examples_are_right() {
    let examples = examples();
    assert_eq!(examples.len(), 4);
    for example in &examples {
        let config = parse(example);
        assert!(!config.rules().is_empty(), "{example}");
        assert!(config.oddities().is_empty(), "{:?}", config.oddities());
    }
}

#[test]
fn examples_show_everything() {
    let config = parse(&examples().concat());
    let any = |what: fn(&Rule) -> bool| config.rules().iter().any(what);
    assert!(any(
        |rule| matches!(&rule.action, Action::Run(command) if command.pipe)
    ));
    assert!(any(
        |rule| matches!(&rule.action, Action::Run(command) if !command.pipe)
    ));
    assert!(any(|rule| rule.options.timeout.is_some()));
    assert!(any(|rule| rule.options.expires.is_some()));
    for shown in ["Constant", "File", "Key", "Negate", "Reject", "Decline"] {
        let debug = |rule: &Rule| format!("{:?}", rule.action);
        let mut all = config.rules().iter().map(debug);
        assert!(
            all.any(|action| action.starts_with(&format!("Answer({shown}"))),
            "{shown}"
        );
    }
}

/// The kernel takes numbers and addresses with a NUL at their end only, and names as they are.
#[test]
fn examples_are_what_the_kernel_takes() {
    for (key_type, description, payload) in [
        ("dns_resolver", "db.tenant1.example", "192.0.2.7\0"),
        ("id_resolver", "uid:alice@tenant1.example", "1000\0"),
        ("id_resolver", "gid:staff@tenant1.example", "50\0"),
        ("id_resolver", "user:1000", "alice@tenant1.example"),
        ("id_resolver", "group:50", "staff@tenant1.example"),
        ("id_resolver", "uid:bob@tenant1.example", "65534\0"),
        ("id_resolver", "gid:wheel@tenant1.example", "65534\0"),
        ("user", "motd", "Be nice.\n"),
    ] {
        assert_eq!(
            constant(key_type, description).as_deref(),
            Some(payload),
            "{description}"
        );
    }
    // What is kept for everybody has to expire.
    let config = parse(&examples().concat());
    for rule in config.rules() {
        if matches!(rule.action, Action::Answer(Answer::Constant(_))) {
            assert_ne!(rule.options, Options::default(), "line {}", rule.line);
        }
    }
}

#[test]
fn examples_match_as_they_say() {
    let declines = |key_type: &str, description: &str| {
        let rule = find(key_type, description);
        rule.is_none_or(|rule| rule.action == Action::Answer(Answer::Decline))
    };
    assert!(declines("dns_resolver", "www.example.org"));
    assert!(!declines("dns_resolver", "www.tenant1.example"));
    let spnego = |host| format!("ver=0x2;host={host};ip4=192.0.2.9;sec=krb5;uid=0x0");
    assert!(declines("cifs.spnego", &spnego("fs0.example")));
    assert!(!declines("cifs.spnego", &spnego("fs1.example")));
    for uid in ["uid:eve@elsewhere.example", "user:0"] {
        let rule = find("id_resolver", uid).unwrap();
        assert!(matches!(rule.action, Action::Run(_)), "{uid}");
    }
    let rule = find("user", "password:root").unwrap();
    assert!(matches!(rule.action, Action::Answer(Answer::Reject { .. })));
}

#[test]
fn numbers() {
    for number in [LONGEST_LINE, LONGEST_PAYLOAD, MOST_ARGUMENTS] {
        assert!(PAGE.contains(&format!(" {number} ")), "{number}");
    }
}
