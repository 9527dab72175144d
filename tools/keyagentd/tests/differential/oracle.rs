// SPDX-License-Identifier: GPL-2.0-or-later

//! What the real request-key(8) would do.
//!
//! With `-d` it does everything but access the key and run the program, with `-D` it is told what
//! the key is, with `-l` it reads its configuration from the current directory, with `-n` it leaves
//! the system log alone, and with `-v` it tells what it would run.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use keyagentd::{Invocation, Request};

/// The directory of request-key(8)'s and keyctl(1)'s.
const DIRECTORIES: [&str; 5] = ["/sbin", "/usr/sbin", "/bin", "/usr/bin", "/usr/local/sbin"];

/// What is done about a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This is run.
    Runs(Invocation),
    /// No rule is for it.
    NoRule,
    /// There is a rule, and a key that its arguments name cannot be had.
    NoKey,
    /// The configuration is complained about, with these words.
    Dies(String),
}

/// The path of a program of keyutils', if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
}

/// Asks request-key(8) with the configuration in `directory`.
pub(crate) fn ask(program: &Path, directory: &Path, request: &Request) -> Verdict {
    ask_through(Command::new(program), directory, request)
}

/// The same for a command that begins in another way.
pub(crate) fn ask_through(mut command: Command, directory: &Path, request: &Request) -> Verdict {
    let mut description = request.key_type.clone();
    description.push(";0;0;1f0000;");
    description.push(&request.description);

    let output = command
        .args(["-d", "-l", "-n", "-v", "-D"])
        .arg(description)
        .arg("--")
        .arg(&request.operation)
        .arg(request.key.to_string())
        .arg((request.uid as i32).to_string())
        .arg((request.gid as i32).to_string())
        .arg(request.thread_keyring.to_string())
        .arg(request.process_keyring.to_string())
        .arg(request.session_keyring.to_string())
        .arg(OsStr::from_bytes(request.callout_text()))
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("request-key can be run");
    verdict(&output)
}

fn verdict(output: &Output) -> Verdict {
    let said = &output.stderr;
    if output.status.success() {
        assert_eq!(output.stdout, b"-- exec disabled --\n");
        return Verdict::Runs(invocation(said));
    }
    let last = String::from_utf8_lossy(said.trim_ascii_end());
    let last = last.rsplit('\n').next().unwrap_or_default();
    if last == ": No matching action" {
        Verdict::NoRule
    } else if last.contains("Keysub key not found") || last.contains("data not printable") {
        Verdict::NoKey
    } else {
        Verdict::Dies(last.into())
    }
}

/// Reads the end of what is said: `Run` or `PipeThru` with the program, and then the arguments,
/// each on a line, unless there is a newline within.
fn invocation(said: &[u8]) -> Invocation {
    let (pipe, rest) = after(said, b"\nRun ")
        .map(|rest| (false, rest))
        .or_else(|| after(said, b"\nPipeThru ").map(|rest| (true, rest)))
        .expect("request-key says what it would run");
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (program, mut rest) = rest.split_at(end.expect("a line"));

    let mut argv: Vec<OsString> = Vec::new();
    while let Some(value) = after(rest, format!("\n- argv[{}] = \"", argv.len()).as_bytes()) {
        let next = format!("\"\n- argv[{}] = \"", argv.len() + 1);
        let len = match after(value, next.as_bytes()) {
            Some(more) => value.len() - more.len() - next.len(),
            None => value.len() - b"\"\n".len(),
        };
        argv.push(OsString::from_vec(value[..len].to_vec()));
        rest = &value[len + 1..];
    }
    assert_eq!(rest, b"\n", "what request-key said has no end");
    Invocation {
        program: OsString::from_vec(program.to_vec()),
        pipe,
        argv,
    }
}

/// What follows the first `mark`.
fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(mark.len()).position(|part| part == mark)?;
    Some(&text[at + mark.len()..])
}
