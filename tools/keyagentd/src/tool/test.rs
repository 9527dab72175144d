// SPDX-License-Identifier: GPL-2.0-or-later

//! `keyagent test`.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use zeroize::Zeroize;

use super::agents::{type_exists, Agent, Agents};
use super::counters::{parse_outcomes, Counters};
use super::failure::Failure;
use super::output::printable;
use super::verdict::{Evidence, Verdict};
use super::{errors, output, session};
use crate::cli::tool::Test;
use crate::sys::child;
use crate::sys::interrupt::Interrupter;
use crate::sys::keyctl::{self, Serial};

/// The file that counts all requests.
const OUTCOMES: &str = "/sys/kernel/debug/keyagent/outcomes";
/// How often to look whether the process that makes the request has ended.
const LOOK: Duration = Duration::from_millis(5);
/// How long that process may take to end when it is killed. It takes longer while
/// /sbin/request-key works for it.
const ENDING: Duration = Duration::from_millis(200);

/// How it went.
struct Outcome {
    result: io::Result<Serial>,
    time: Duration,
    verdict: Verdict,
}

/// Makes one request.
pub(super) fn test(options: &Test) -> Result<u8, Failure> {
    let (key_type, description) = (&options.key_type, &options.description);
    let what = format!("{}:{}", printable(key_type), printable(description));
    if !type_exists(key_type) {
        return Err(Failure::new(
            what,
            format!("the kernel has no key type {}", printable(key_type)),
            "is the module loaded that brings it? See the types in /proc/keys",
        ));
    }
    // The key may be under construction, for somebody else who has asked for it.
    let interrupter = interrupter(options)?;
    let found = find(key_type, description);
    drop(interrupter);
    let outcome = match (found, options.timeout) {
        (Some(outcome), _) => outcome,
        (None, None) => request(options)?,
        (None, Some(time)) => match request_for(options, time)? {
            Ok(status) => return Ok(status),
            Err(outcome) => outcome,
        },
    };
    let first = match &outcome.result {
        Ok(key) => format!("key: {key}"),
        Err(error) => format!("error: {}", errors::describe(error)),
    };
    let text = format!(
        "{first}\nanswered by: {}\ntook: {:.1} ms\n",
        outcome.verdict,
        outcome.time.as_secs_f64() * 1e3
    );
    output::print(text.as_bytes())?;
    match outcome.result {
        Ok(_) => Ok(0),
        Err(error) => Err(Failure::of(what, &error, errors::advice(&error))),
    }
}

/// What there is without asking anybody: a key, or one that is negative or cannot be used.
///
/// It is looked for before this process has a thread keyring: the kernel forgets what it has seen
/// of a key that was rejected, and is in the session keyring, when the thread keyring has none.
fn find(key_type: &OsStr, description: &OsStr) -> Option<Outcome> {
    let start = Instant::now();
    let result = keyctl::request_key(key_type, description, None, Serial::NONE);
    let time = start.elapsed();
    let why = match &result {
        Ok(_) => "the key was there already".into(),
        Err(error) if error.raw_os_error() == Some(libc::ENOKEY) => {
            // This is also the error for no key at all.
            let negative = negative(key_type, description)?;
            format!("negative key {negative} was there already, from an earlier request")
        }
        Err(error) if error.raw_os_error() == Some(libc::EINTR) => {
            "the wait for an earlier request was interrupted".into()
        }
        Err(_) => "it failed before anybody was asked, as with a negative or revoked key".into(),
    };
    Some(Outcome {
        result,
        time,
        verdict: Verdict::Nobody(why),
    })
}

/// A negative key in the session keyring that requests end with.
fn negative(key_type: &OsStr, description: &OsStr) -> Option<Serial> {
    let is_negative = |serial| match keyctl::read(serial) {
        Ok(mut payload) => {
            payload.zeroize();
            false
        }
        Err(error) => error.raw_os_error() == Some(libc::ENOKEY),
    };
    session::keys()
        .into_iter()
        .filter(|found| found.key.is(key_type, description))
        .map(|found| found.serial)
        .find(|serial| is_negative(*serial))
}

/// Asks. What comes of it is kept in no keyring but one that goes with this program.
fn request(options: &Test) -> Result<Outcome, Failure> {
    let keyring = keyctl::add_key(
        OsStr::new("keyring"),
        OsStr::new("keyagent test"),
        b"",
        Serial::THREAD_KEYRING,
    )
    .map_err(|error| Failure::of("keyring for the answer", &error, errors::advice(&error)))?;

    let before = (Agents::look(), outcomes());
    let start = Instant::now();
    let result = keyctl::request_key(
        &options.key_type,
        &options.description,
        Some(&options.callout),
        keyring,
    );
    let time = start.elapsed();
    let after = (Agents::look(), outcomes());

    let key_type = printable(&options.key_type);
    let evidence = Evidence {
        agents: [
            for_type(&before.0, &key_type),
            for_type(&after.0, &key_type),
        ],
        outcomes: before.1.zip(after.1).map(<[Counters; 2]>::from),
        error: result
            .as_ref()
            .err()
            .map(|error| error.raw_os_error().unwrap_or(libc::EIO)),
    };
    Ok(Outcome {
        verdict: evidence.judge(),
        result,
        time,
    })
}

/// Has another process make the request, and kills it when the time is over: nothing less ends the
/// wait for an agent. Returns that process' exit status if it was in time, and has printed all.
fn request_for(options: &Test, time: Duration) -> Result<Result<u8, Outcome>, Failure> {
    let failed = |error: io::Error| {
        let hint = "the request needs a process of its own; try it without --timeout";
        Failure::of("time-out", &error, hint)
    };
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["test", "--"])
        .args([&options.key_type, &options.description, &options.callout])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    child::set_apart(&mut command);
    child::wait_for_children();
    let start = Instant::now();
    let mut requester = command.spawn().map_err(failed)?;

    let mut ended = wait(&mut requester, time).map_err(failed)?;
    let took = start.elapsed();
    if ended.is_none() {
        requester.kill().map_err(failed)?;
        ended = wait(&mut requester, ENDING).map_err(failed)?;
    }
    let mut said = Vec::new();
    if let (Some(_), Some(stdout)) = (ended, &mut requester.stdout) {
        stdout.read_to_end(&mut said).map_err(failed)?;
    }
    match ended.and_then(|status| status.code()) {
        Some(status) => output::print(&said).map(|_| Ok(status as u8)),
        None => Ok(Err(Outcome {
            result: Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer in {} s", time.as_secs_f64()),
            )),
            time: took,
            verdict: Verdict::Nobody("the request was killed when its time was over".into()),
        })),
    }
}

/// Waits for a process to end; `None` when it has not within this time.
fn wait(process: &mut Child, time: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        let status = process.try_wait()?;
        if status.is_some() || start.elapsed() >= time {
            return Ok(status);
        }
        thread::sleep(LOOK);
    }
}

/// What ends the wait for a request of somebody else.
fn interrupter(options: &Test) -> Result<Option<Interrupter>, Failure> {
    let interrupter = options.timeout.map(Interrupter::new).transpose();
    interrupter.map_err(|error| Failure::of("time-out", &error, "try a shorter one, or none"))
}

fn outcomes() -> Option<Counters> {
    Some(parse_outcomes(&fs::read_to_string(OUTCOMES).ok()?))
}

fn for_type<'a>(agents: &'a Agents, key_type: &str) -> Vec<&'a Agent> {
    let mut list: Vec<_> = agents.list.iter().collect();
    list.retain(|agent| agent.key_type == key_type);
    list
}
