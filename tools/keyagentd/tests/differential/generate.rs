// SPDX-License-Identifier: GPL-2.0-or-later

//! Configurations and requests at random, so made that rules often match, and often equally well.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use keyagentd::Request;

use crate::random::Random;

/// A configuration: files with their names, the main one last.
pub(crate) struct Case {
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) requests: Vec<Request>,
    /// Is there something wrong in it?
    pub(crate) broken: bool,
}

const OPERATIONS: [&[u8]; 3] = [b"create", b"create", b"negate"];
const TYPES: [&[u8]; 4] = [b"user", b"logon", b"dns_resolver", b"us"];

/// For texts: few different bytes, so that they have much in common.
const BYTES: [&[u8]; 12] = [
    b"a", b"a", b"a", b"b", b"b", b":", b":", b"debug:", b"*", b" ", b"\n", b"\xff",
];

const BLANKS: [&[u8]; 7] = [b" ", b" ", b" ", b"\t", b"  \t", b"\x0b\x0c", b"\r "];
const LINE_ENDS: [&[u8]; 4] = [b"\n", b"\n", b" \t\n", b"\r\n"];

const PROGRAMS: [&[u8]; 8] = [
    b"/bin/a",
    b"/sbin/key.b",
    b"/usr/lib/c/d",
    b"e/f",
    b"/",
    b"/g/",
    b"|/h",
    b"/\xfe",
];
const ARGUMENTS: [&[u8]; 28] = [
    b"%o",
    b"%k",
    b"%t",
    b"%d",
    b"%c",
    b"%u",
    b"%g",
    b"%T",
    b"%P",
    b"%S",
    b"%d",
    b"%c",
    b"%%",
    b"%%k",
    b"%%%",
    b"%%{",
    b"%kk",
    b"%}x",
    b"k%",
    b"x%k",
    b"{user:a}",
    b"\"a",
    b"b\"",
    b"|",
    b"#",
    b"\xff",
    b"30",
    b"\\",
];
/// What is wrong on its own.
const BAD_ARGUMENTS: [&[u8]; 12] = [
    b"%", b"%x", b"%{", b"%*", b"%{}", b"%{a", b"%{a:", b"%{a:b", b"%{a:b}c", b"%{:b}", b"%{a:}",
    b"%{a}:",
];

fn text(random: &mut Random) -> Vec<u8> {
    let parts = random.below(8);
    (0..parts)
        .flat_map(|_| random.pick(&BYTES))
        .copied()
        .collect()
}

/// A pattern for one of the values, at least probably.
fn pattern(random: &mut Random, value: &[u8]) -> Vec<u8> {
    let mut pattern = value.to_vec();
    let wildcards = match random.below(100) {
        0..=24 => 0,
        25..=39 => {
            pattern.clear();
            1
        }
        40..=92 => 1,
        _ => 2,
    };
    for _ in 0..wildcards {
        let from = random.below(pattern.len() + 1);
        let to = from + random.below(pattern.len() - from + 1);
        pattern.splice(from..to, *b"*");
    }
    if pattern.is_empty() {
        pattern.push(b'*');
    }
    // A pattern is a word.
    for byte in &mut pattern {
        if byte.is_ascii_whitespace() {
            *byte = b'*';
        }
    }
    pattern
}

fn fields(random: &mut Random, requests: &[Request]) -> Vec<Vec<u8>> {
    let request = &requests[random.below(requests.len())];
    [
        request.operation.as_encoded_bytes(),
        request.key_type.as_encoded_bytes(),
        request.description.as_encoded_bytes(),
        request.callout_text(),
    ]
    .map(|value| pattern(random, value))
    .into()
}

/// The words of a rule. Most have an argument by which they can be told apart.
fn words(random: &mut Random, requests: &[Request], name: &str) -> Vec<Vec<u8>> {
    let mut words = fields(random, requests);
    let mut program = random.pick(&PROGRAMS).to_vec();
    if random.percent(20) {
        program.insert(0, b'|');
    }
    words.push(program);
    if random.percent(95) {
        words.push(name.into());
    }
    for _ in 0..random.below(6) {
        words.push(random.pick(&ARGUMENTS).to_vec());
    }
    if random.percent(3) {
        words.push(b"%{user:keyagentd-no-such-key}".to_vec());
    }
    words
}

fn line(random: &mut Random, words: &[Vec<u8>]) -> Vec<u8> {
    let mut line = Vec::new();
    for word in words {
        if !line.is_empty() {
            line.extend(random.pick(&BLANKS));
        }
        line.extend(word);
    }
    line.extend(random.pick(&LINE_ENDS));
    line
}

/// A line that is no rule.
fn comment(random: &mut Random) -> Vec<u8> {
    let long = |first: &str| format!("{first:<4094}\n").into_bytes();
    match random.below(7) {
        0 => b"\n".to_vec(),
        1 => b" \t\r\n".to_vec(),
        2 => b"#\n".to_vec(),
        3 => b"# create * * * /bin/comment \0 cat\n".to_vec(),
        4 => b" create * * * /bin/indented\n".to_vec(),
        5 => long("#"),
        _ => long(" "),
    }
}

/// A line that is wrong.
fn broken(random: &mut Random, requests: &[Request]) -> Vec<u8> {
    let mut words = words(random, requests, "broken");
    words.truncate(6);
    match random.below(7) {
        0 => {
            words.truncate(1 + random.below(4));
            let mut line = words.join(&b' ');
            line.extend(random.pick(&LINE_ENDS));
            return line;
        }
        1 => words[4] = random.pick(&[&b"cat"[..], b"|cat", b"|", b"\xff"]).to_vec(),
        2 => words.push(random.pick(&BAD_ARGUMENTS).to_vec()),
        3 => words.resize(5 + 254, b"a".to_vec()),
        4 => words.push(vec![b'a'; 4095]),
        5 => words[random.below(5)].push(0),
        _ => {
            let first = random.pick(&["#", " "]);
            return format!("{first:<4095}\n").into_bytes();
        }
    }
    line(random, &words)
}

fn file(random: &mut Random, requests: &[Request], name: &str) -> Vec<u8> {
    let mut file = Vec::new();
    for number in 0..random.below(8) {
        if random.percent(15) {
            file.extend(comment(random));
        }
        let words = words(random, requests, &format!("{name}:{number}"));
        file.extend(line(random, &words));
    }
    if random.percent(10) {
        // What needs no newline.
        file.extend(random.pick(&[&b"#"[..], b"# comment", b" ", b"x"]));
    }
    file
}

fn request(random: &mut Random) -> Request {
    let number = |random: &mut Random| random.next() as u32;
    let string = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let mut callout = text(random);
    if random.percent(5) {
        callout.extend(b"\0after it");
    }
    Request {
        operation: string(random.pick(&OPERATIONS)),
        key: number(random) as i32,
        key_type: string(random.pick(&TYPES)),
        description: OsString::from_vec(text(random)),
        callout,
        uid: number(random),
        gid: number(random) >> random.below(32),
        thread_keyring: number(random) as i32,
        process_keyring: 0,
        session_keyring: (number(random) >> 1) as i32,
    }
}

/// A configuration, and requests for it.
pub(crate) fn case(random: &mut Random, requests: usize) -> Case {
    let requests: Vec<_> = (0..requests).map(|_| request(random)).collect();
    let mut files = Vec::new();

    for number in 0..random.below(6) {
        let name = format!("{:x}{number}.conf", random.below(4096));
        let text = file(random, &requests, &name);
        files.push((format!("request-key.d/{name}"), text));
    }
    let name = "request-key.conf";
    files.push((name.into(), file(random, &requests, name)));

    let broken = random.percent(15);
    if broken {
        let at = random.below(files.len());
        let text = &mut files[at].1;
        let mut line = self::broken(random, &requests);
        if random.percent(20) {
            // Right but for its end.
            let words = words(random, &requests, "unended");
            line = self::line(random, &words);
            line.pop();
            // What request-key.conf has without a newline is at its end.
            while text.last().is_some_and(|byte| *byte != b'\n') {
                text.pop();
            }
            text.extend(line);
        } else {
            line.extend(text.iter());
            *text = line;
        }
    }
    Case {
        files,
        requests,
        broken,
    }
}
