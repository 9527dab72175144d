// SPDX-License-Identifier: GPL-2.0-or-later

//! Whatever a configuration holds, it is accepted or refused, and what is said about it is right.
//!
//! What to try is chosen at random. `KEYAGENTD_SEED` chooses what a run chose that printed it, and
//! `KEYAGENTD_CASES` says how many configurations to try.

#[path = "differential/random.rs"]
mod random;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;

use keyagentd::{
    Action, Answer, Config, Dialect, Keys, Place, Request, Rule, LONGEST_LINE, LONGEST_PAYLOAD,
};
use random::{from_environment, seed, Random};

struct NoKeys;

impl Keys for NoKeys {
    fn read(&self, _: &OsStr, _: &OsStr) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// What rules are made of, and what is nearly that.
const WORDS: [&[u8]; 57] = [
    b"create",
    b"create",
    b"create",
    b"negate",
    b"user",
    b"user",
    b"keyagent",
    b"dns_resolver",
    b"*",
    b"*",
    b"*",
    b"*",
    b"a*",
    b"*b",
    b"a*b",
    b"a*b*",
    b"**",
    b"a",
    b"ab",
    b"/bin/x",
    b"/bin/x",
    b"|/bin/x",
    b"bin/x",
    b"x",
    b"|",
    b"||/",
    b"%k",
    b"%c",
    b"%",
    b"%%",
    b"%kk",
    b"%{user:a}",
    b"%{",
    b"%{:}",
    b"timeout=5",
    b"timeout=0",
    b"timeout=",
    b"expires=60",
    b"expires=4294967296",
    b"tiemout=1",
    b"=",
    b"@constant",
    b"@file",
    b"@key",
    b"@negate",
    b"@reject",
    b"@decline",
    b"@",
    b"@x",
    b"EACCES",
    b"ENOSUCH",
    b"30",
    b"-1",
    b"\\s\\x4\\",
    b"\\xff\\0",
    b"\"a",
    b"#",
];

const BETWEEN: [&[u8]; 12] = [
    b" ", b" ", b" ", b" ", b" ", b"\t", b"  ", b"\x0b", b"\n", b"\n", b"\r\n", b"",
];

/// Bytes that mean something, and any.
fn byte(random: &mut Random) -> u8 {
    let meaning = b" \t\n\r\x0b\x0c\0#*%@|/\\={}:\"'kx0\xff";
    match random.below(2) {
        0 => meaning[random.below(meaning.len())],
        _ => random.below(256) as u8,
    }
}

/// A rule that is right in both dialects, in [`Dialect::Own`] also with options or a built-in.
fn right(random: &mut Random, dialect: Dialect) -> Vec<u8> {
    let fields: [&[&[u8]]; 4] = [
        &[b"create", b"*", b"negate", b"c*"],
        &[b"user", b"*", b"us*", b"logon"],
        &[b"*", b"a*", b"*b", b"ab", b"\xff*"],
        &[b"*", b"a", b"*info"],
    ];
    let programs: &[&[u8]] = &[b"/bin/x", b"|/bin/x %k %c %S", b"/x %% a%k %{user:a}"];
    let own: &[&[u8]] = &[
        b"timeout=5 /bin/x %k",
        b"expires=5 timeout=60 |/bin/x",
        b"@constant \\x00a\\s\\\\",
        b"expires=1 @file /a",
        b"@key user a",
        b"@negate 5",
        b"@reject EKEYREJECTED",
        b"@decline",
    ];
    let mut words: Vec<&[u8]> = fields.map(|field| random.pick(field)).to_vec();
    words.push(match dialect {
        Dialect::Own if random.percent(50) => random.pick(own),
        _ => random.pick(programs),
    });
    let mut rule = words.join(random.pick(&[&b" "[..], b"\t", b"  \x0c"]));
    rule.extend(random.pick(&[&b"\n"[..], b" \n", b"\r\n"]));
    rule
}

fn text(random: &mut Random, dialect: Dialect) -> Vec<u8> {
    let mut text = Vec::new();
    match random.below(4) {
        0 => text.extend((0..random.below(200)).map(|_| byte(random))),
        1 => {
            for _ in 0..random.below(60) {
                text.extend(random.pick(&WORDS));
                text.extend(random.pick(&BETWEEN));
            }
        }
        _ => {
            for _ in 0..random.below(6) {
                text.extend(right(random, dialect));
            }
            if random.percent(5) {
                let fill = random.pick(&[&b" "[..], b"#", b"/", b"\\", b"a "]);
                text.extend(fill.repeat(LONGEST_LINE + random.below(3) - 1));
            }
            // Some are spoilt.
            for _ in 0..random.below(4) {
                let at = random.below(text.len() + 1);
                let to = at + random.below(3).min(text.len() - at);
                let new = byte(random);
                text.splice(at..to, [new]);
            }
        }
    }
    text
}

fn request(random: &mut Random) -> Request {
    let texts: [&[u8]; 7] = [b"", b"a", b"ab", b"aab", b"info", b"\xff\xfe", b"a\nb*\\"];
    let mut string = |of: &[&[u8]]| OsString::from_vec(random.pick(of).to_vec());
    Request {
        operation: string(&[b"create", b"create", b"negate"]),
        key_type: string(&[b"user", b"logon", b"keyagent", b"dns_resolver"]),
        description: string(&texts),
        callout: string(&texts).into_vec(),
        ..Request::default()
    }
}

/// The lines of a text, without their newlines.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
        .collect()
}

/// Is this in the text, or where it ends?
fn check_place(text: &[u8], place: Option<Place>, said: &str) {
    let Place { line, column } = place.expect("a place");
    assert!(
        said.starts_with(&format!("<memory>:{line}:{column}: ")) && !said.contains('\n'),
        "{said}"
    );
    let line = lines(text)[line - 1];
    assert!((1..=line.len() + 1).contains(&column), "{said}");
}

fn check_rule(dialect: Dialect, rule: &Rule) {
    let shown = format!("{rule:?}");
    assert!(!shown.is_empty());
    match &rule.action {
        Action::Run(command) => {
            assert!(command.program.as_encoded_bytes().contains(&b'/'));
            let timeout = rule.options.timeout;
            assert!(timeout.is_none_or(|timeout| timeout.as_secs() > 0));
            assert!(rule.options.expires.is_none() || command.pipe);
        }
        Action::Answer(answer) => {
            assert_eq!(dialect, Dialect::Own);
            assert_eq!(rule.options.timeout, None);
            match answer {
                Answer::Constant(payload) => {
                    assert!((1..=LONGEST_PAYLOAD).contains(&payload.len()));
                }
                Answer::File(path) => assert!(path.is_absolute()),
                Answer::Key { .. } => {}
                Answer::Negate { .. } | Answer::Decline => assert_eq!(rule.options.expires, None),
                Answer::Reject { error, .. } => {
                    assert!((1..4095).contains(error));
                    assert_eq!(rule.options.expires, None);
                }
            }
        }
    }
    if dialect == Dialect::RequestKey {
        assert_eq!(rule.options, keyagentd::Options::default());
    }
}

/// A rule means the same wherever it stands.
fn check_alone(dialect: Dialect, text: &[u8], rule: &Rule) {
    let line = [lines(text)[rule.line - 1], b"\n"].concat();
    let config = Config::parse(dialect, &line).expect("it was right");
    let alone = Rule {
        line: 1,
        ..rule.clone()
    };
    assert_eq!(config.rules(), [alone]);
}

/// What request-key.conf(5) has, if there is nothing odd in it, means the same in
/// keyagentd.conf(5).
fn check_moved(text: &[u8], config: &Config) {
    if config.oddities().is_empty() && text.ends_with(b"\n") {
        let moved = Config::parse(Dialect::Own, text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(moved.rules(), config.rules());
    }
}

#[test]
fn any_bytes() {
    let seed = seed();
    let cases = from_environment("KEYAGENTD_CASES").unwrap_or(8000);
    // println!() would be captured.
    let _ = writeln!(io::stderr(), "any_bytes: KEYAGENTD_SEED={seed}");

    let mut random = Random(seed);
    let (mut accepted, mut refused, mut rules, mut found, mut odd) = (0, 0, 0, 0, 0);
    for number in 0..cases {
        let dialect = match number % 2 {
            0 => Dialect::Own,
            _ => Dialect::RequestKey,
        };
        let text = text(&mut random, dialect);
        let config = match Config::parse(dialect, &text) {
            Err(error) => {
                refused += 1;
                assert!(!error.0.is_empty());
                for problem in &error.0 {
                    check_place(&text, problem.place, &problem.to_string());
                }
                continue;
            }
            Ok(config) => config,
        };
        accepted += 1;
        rules += config.rules().len();
        odd += config.oddities().len();
        for oddity in config.oddities() {
            check_place(&text, oddity.place, &oddity.to_string());
        }
        for rule in config.rules() {
            check_rule(dialect, rule);
            check_alone(dialect, &text, rule);
        }
        if dialect == Dialect::RequestKey {
            check_moved(&text, &config);
        }
        for _ in 0..16 {
            let request = request(&mut random);
            let Some(rule) = config.find(&request) else {
                continue;
            };
            found += 1;
            let skips = rule.skips(&request).expect("it matches");
            let others = config.rules().iter();
            assert!(others
                .filter_map(|other| other.skips(&request))
                .all(|other| skips <= other));
            if let Action::Run(command) = &rule.action {
                let _ = command
                    .expand(&request, &NoKeys)
                    .map_err(|error| error.to_string());
            }
        }
    }
    let _ = writeln!(
        io::stderr(),
        "any_bytes: {cases} configurations, {refused} of them refused; {rules} rules, {odd} \
         oddities, {found} rules found for requests"
    );
    if cases >= 1000 {
        let each = cases / 10;
        assert!(accepted > each && refused > each);
        assert!(rules as u64 > each && odd > 0 && found > each);
    }
}
