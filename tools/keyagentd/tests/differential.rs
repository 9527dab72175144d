// SPDX-License-Identifier: GPL-2.0-or-later

//! Rules are applied as the real request-key(8) applies them.
//!
//! What to try is chosen at random. `KEYAGENTD_SEED` chooses what a run chose that printed it, and
//! `KEYAGENTD_CASES` says how many configurations to try. Without request-key(8), or the key system
//! calls, this passes and says that it was skipped, unless `KEYAGENTD_NEED_ORACLE` is set and not
//! empty: scripts/check-daemon does that.

#[path = "differential/generate.rs"]
mod generate;
#[path = "differential/oracle.rs"]
mod oracle;
#[path = "differential/random.rs"]
mod random;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use generate::{case, Case};
use keyagentd::{Action, Config, Keys, Refused, Request, Sources};
use oracle::{ask, ask_through, find, Verdict};
use random::{from_environment, seed, Random};

/// No key, or one: its description and contents.
struct OneKey(Option<(&'static str, &'static [u8])>);

impl Keys for OneKey {
    fn read(&self, _: &OsStr, description: &OsStr) -> io::Result<Vec<u8>> {
        match self.0 {
            Some((name, contents)) if description == name => Ok(contents.to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Says something that is to be seen even when the test passes: println!() would be captured.
fn tell(what: &str) {
    // A test does not fail for want of a reader.
    let _ = writeln!(io::stderr(), "{what}");
}

/// Says that a test is skipped, or fails where nothing may be missing.
fn skip(test: &str, why: &str) {
    let needed = std::env::var_os("KEYAGENTD_NEED_ORACLE").is_some_and(|it| !it.is_empty());
    assert!(!needed, "{test}: {why}, and KEYAGENTD_NEED_ORACLE is set");
    tell(&format!("skipped: {test}: {why}"));
}

/// request-key(8), or `None` after saying that the test is skipped.
fn request_key(test: &str) -> Option<PathBuf> {
    let found = find("request-key");
    if found.is_none() {
        skip(test, "there is no request-key(8), install keyutils");
    }
    found
}

/// An empty directory for a test.
fn directory(test: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn load(directory: &Path) -> Result<Config, Refused> {
    Config::load(&Sources {
        own: Vec::new(),
        own_required: false,
        request_key: Some((
            directory.join("request-key.d"),
            directory.join("request-key.conf"),
        )),
    })
}

/// What keyagentd would do.
fn ours(config: &Config, request: &Request, keys: &OneKey) -> Verdict {
    match config.find(request).map(|rule| &rule.action) {
        None => Verdict::NoRule,
        Some(Action::Run(command)) => match command.expand(request, keys) {
            Ok(invocation) => Verdict::Runs(invocation),
            Err(_) => Verdict::NoKey,
        },
        Some(Action::Answer(answer)) => panic!("{answer:?} is nothing that request-key knows"),
    }
}

fn write(directory: &Path, case: &Case) {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory.join("request-key.d")).unwrap();
    for (name, text) in &case.files {
        fs::write(directory.join(name), text).unwrap();
    }
}

#[test]
fn random_rules() {
    let Some(program) = request_key("random_rules") else {
        return;
    };
    let seed = seed();
    let cases = from_environment("KEYAGENTD_CASES").unwrap_or(400);
    tell(&format!("random_rules: KEYAGENTD_SEED={seed}"));

    let directory = directory("random");
    let mut random = Random(seed);
    let (mut runs, mut no_rule, mut no_key, mut refused) = (0, 0, 0, 0);
    for number in 0..cases {
        let case = case(&mut random, 8);
        write(&directory, &case);
        let at = format!("KEYAGENTD_SEED={seed}, configuration {number}, {directory:?}");
        let config = match load(&directory) {
            Err(problems) => {
                assert!(case.broken, "{at} is right and was refused:\n{problems}");
                refused += 1;
                continue;
            }
            Ok(config) => config,
        };
        assert!(!case.broken, "{at} is wrong and was not refused");
        for request in &case.requests {
            let theirs = ask(&program, &directory, request);
            assert_eq!(
                ours(&config, request, &OneKey(None)),
                theirs,
                "{at}, {request:?}"
            );
            match theirs {
                Verdict::Runs(_) => runs += 1,
                Verdict::NoRule => no_rule += 1,
                Verdict::NoKey => no_key += 1,
                Verdict::Dies(_) => unreachable!("keyagentd never dies"),
            }
        }
    }
    fs::remove_dir_all(&directory).unwrap();
    tell(&format!(
        "random_rules: {cases} configurations, {refused} of them refused; {} requests: \
         {runs} run a program, {no_rule} have no rule, {no_key} lack a key",
        runs + no_rule + no_key
    ));
    if cases >= 100 {
        let each = cases / 4;
        assert!(runs > each && no_rule > each && refused > 0 && no_key > 0);
    }
}

/// A request that the patterns `create user debug:*` match.
fn debug_request() -> Request {
    Request {
        operation: "create".into(),
        key: 1,
        key_type: "user".into(),
        description: "debug:1234".into(),
        callout: b"info".to_vec(),
        uid: 2,
        gid: 3,
        thread_keyring: 4,
        process_keyring: 5,
        session_keyring: 6,
    }
}

/// What is refused is not refused for nothing.
#[test]
fn refused_lines() {
    let Some(program) = request_key("refused_lines") else {
        return;
    };
    let directory = directory("refused");
    let rule = |rest: &str| format!("create user debug:* * {rest}\n");
    let mut texts = vec![
        "create\n".into(),
        "create \n".into(),
        "create user\n".into(),
        "create user debug:1234 \t\r\n".into(),
        "create user debug:1234 *\n".into(),
        "create user debug:1234 * \n".into(),
        // No request is needed for these.
        "x\n".into(),
        "\0\n".into(),
        format!("{:<4095}\n", "#"),
        format!("{:<4095}\n", " "),
        format!("{:<4096}", "#"),
        format!("{:<9000}\n", "#"),
    ];
    texts.extend(
        [
            "cat",
            "|cat",
            "|",
            "| /bin/cat",
            "/x %",
            "/x a % b",
            "/x %x",
            "/x %{",
            "/x %{a",
            "/x %{a:",
            "/x %{a:b",
            "/x %{a:b}c",
            "/x %{:b}",
            "/x %{a:}",
            "/x %{a}:",
            "/x %{}",
        ]
        .map(rule),
    );
    texts.push(rule(&format!("/x{}", " a".repeat(254))));
    texts.push(rule(&"/".repeat(4095)));

    for text in &texts {
        fs::write(directory.join("request-key.conf"), text).unwrap();
        let start = &text[..text.len().min(60)];
        assert!(load(&directory).is_err(), "{start:?} is not refused");
        let theirs = ask(&program, &directory, &debug_request());
        assert!(
            matches!(theirs, Verdict::Dies(_)),
            "{start:?} is refused, but request-key does this: {theirs:?}"
        );
    }

    // Here it does not give up, but runs something else than what is written.
    for (text, what) in [
        ("create user debug:* * /bin/cats", "cat"),
        ("create user debug:* * /bin/catx\0y\n", "cat"),
    ] {
        fs::write(directory.join("request-key.conf"), text).unwrap();
        assert!(load(&directory).is_err(), "{text:?} is not refused");
        match ask(&program, &directory, &debug_request()) {
            Verdict::Runs(invocation) => assert_eq!(invocation.argv, [what]),
            theirs => panic!("{text:?}: {theirs:?}"),
        }
    }
    fs::remove_dir_all(&directory).unwrap();
}

/// Lines that are just short enough.
#[test]
fn limits() {
    let Some(program) = request_key("limits") else {
        return;
    };
    let directory = directory("limits");
    for text in [
        format!("create user debug:* * /x{}\n", " a".repeat(253)),
        format!("{:-<4094}\n", "create user debug:* * /x "),
        format!(
            "{:<4094}\n{:<4094}\ncreate * * * /x\n{:<4095}",
            "#", " ", "#"
        ),
    ] {
        fs::write(directory.join("request-key.conf"), &text).unwrap();
        let config = load(&directory).unwrap();
        let theirs = ask(&program, &directory, &debug_request());
        assert!(matches!(theirs, Verdict::Runs(_)));
        assert_eq!(ours(&config, &debug_request(), &OneKey(None)), theirs);
    }
    fs::remove_dir_all(&directory).unwrap();
}

/// Of files in the directory the same are read, and in the same order.
#[test]
fn which_files() {
    let Some(program) = request_key("which_files") else {
        return;
    };
    let directory = directory("files");
    let theirs = || ask(&program, &directory, &debug_request());
    let both = |what: &str| {
        let config = load(&directory).unwrap_or_else(|refused| panic!("{what}: {refused}"));
        let theirs = theirs();
        assert_eq!(
            ours(&config, &debug_request(), &OneKey(None)),
            theirs,
            "{what}"
        );
        theirs
    };
    assert_eq!(both("nothing there"), Verdict::NoRule);

    let drop_ins = directory.join("request-key.d");
    fs::create_dir(&drop_ins).unwrap();
    assert_eq!(both("an empty directory"), Verdict::NoRule);
    fs::create_dir(drop_ins.join("directory.conf")).unwrap();
    let rule = |name: &str| format!("create user * * /bin/x {name}\n");
    for name in [".hidden.conf", ".conf", "file", "x.conf~", "x.CONF", "conf"] {
        fs::write(drop_ins.join(name), rule(name)).unwrap();
    }
    std::os::unix::fs::symlink("file", drop_ins.join("link.conf")).unwrap();
    assert_eq!(both("files that do not count"), Verdict::NoRule);
    assert_eq!(load(&directory).unwrap().oddities().len(), 2);

    std::os::unix::fs::symlink("request-key.d/file", directory.join("request-key.conf")).unwrap();
    assert!(matches!(both("a linked file"), Verdict::Runs(_)));

    // All are as good: it is the order that decides.
    for number in 0..40 {
        let name = format!("{}.conf", (number * 7919) % 1000);
        fs::write(drop_ins.join(&name), rule(&name)).unwrap();
        both(&name);
    }

    fs::remove_file(directory.join("request-key.conf")).unwrap();
    fs::create_dir(directory.join("request-key.conf")).unwrap();
    assert!(load(&directory).is_err());
    assert!(matches!(theirs(), Verdict::Dies(_)));
    fs::remove_dir_all(&directory).unwrap();

    fs::create_dir(&directory).unwrap();
    fs::write(&drop_ins, "").unwrap();
    assert!(load(&directory).is_err());
    assert!(matches!(theirs(), Verdict::Dies(_)));
    fs::remove_dir_all(&directory).unwrap();
}

/// `%{type:description}`, with real keys.
#[test]
fn contents_of_keys() {
    let Some(program) = request_key("contents_of_keys") else {
        return;
    };
    let keyctl = find("keyctl").expect("keyctl(1) comes with request-key(8)");
    let directory = directory("keys");
    // In a session keyring of its own, with a key of the first argument's name.
    let with_key = |contents: &str| {
        let mut command = Command::new(&keyctl);
        command.args(["session", "-", "sh", "-c"]);
        command.arg("printf \"$1\" | keyctl padd user ka:{d @s >/dev/null; shift; exec \"$@\"");
        command.args(["sh", contents]);
        command
    };
    let probe = with_key("x")
        .args(["keyctl", "search", "@s", "user", "ka:{d"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip(
            "contents_of_keys",
            "the key system calls cannot be used here",
        );
        return;
    }

    let text = "create user debug:* * |/bin/x %k %{user:ka:{d} %{user:ka:{d} %c\n";
    fs::write(directory.join("request-key.conf"), text).unwrap();
    let config = load(&directory).unwrap();
    for (written, contents) in [
        ("a b %%k %%{user:x} ~", &b"a b %k %{user:x} ~"[..]),
        ("a\\n", b"a\n"),
        ("\\177", b"\x7f"),
        ("a\\0b", b"a\0b"),
        ("\\303\\244", b"\xc3\xa4"),
    ] {
        let mut command = with_key(written);
        command.arg(&program);
        let theirs = ask_through(command, &directory, &debug_request());
        let keys = OneKey(Some(("ka:{d", contents)));
        assert_eq!(ours(&config, &debug_request(), &keys), theirs, "{written}");
        let printable = contents.iter().all(|byte| matches!(byte, b' '..=b'~'));
        assert_eq!(matches!(theirs, Verdict::Runs(_)), printable, "{written}");
    }
    fs::remove_dir_all(&directory).unwrap();
}
