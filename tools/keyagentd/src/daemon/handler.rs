// SPDX-License-Identifier: GPL-2.0-or-later

//! A handler that runs.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::process::{
    kill_process, kill_process_group, waitid, waitpid, Signal, WaitId, WaitIdOptions, WaitOptions,
};
use zeroize::Zeroizing;

use crate::config::command::Invocation;
use crate::sys::spawn::{self, Child};

/// As much of a payload as request-key(8) takes from a program behind a bar.
const LONGEST_PAYLOAD: usize = 32768;

/// A handler, from its start until it has ended and closed its pipes.
#[derive(Debug)]
pub(super) struct Handler {
    child: Child,
    /// When it is to be killed.
    pub(super) deadline: Instant,
    pipes: Option<Pipes>,
    ended: Option<End>,
}

/// How its process has ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Status(i32),
    Signal(i32),
}

/// The pipes of a handler behind a bar. Each is closed as soon as it has no use.
#[derive(Debug)]
struct Pipes {
    stdin: Option<OwnedFd>,
    callout: Vec<u8>,
    written: usize,
    stdout: Option<OwnedFd>,
    payload: Zeroizing<Vec<u8>>,
}

/// How a handler failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It could not be started.
    NotStarted(String),
    /// It ended with this status.
    Status(i32),
    /// It was killed by this signal.
    Killed(i32),
    /// It wrote more than a payload may have.
    TooMuch,
    /// It has ended and left the key as it was.
    Unfinished,
    /// It has written a payload that the key's type refuses, or the time was over.
    Refused(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(why) => write!(f, "the program {why}"),
            Self::Status(status) => write!(f, "the program ended with status {status}"),
            Self::Killed(signal) => write!(f, "the program was killed by signal {signal}"),
            Self::TooMuch => write!(f, "the program wrote more than {LONGEST_PAYLOAD} bytes"),
            Self::Unfinished => write!(f, "the program ended without an answer"),
            Self::Refused(error) => write!(f, "the payload was refused: {error}"),
        }
    }
}

impl Handler {
    /// Starts it, with the authority that is assumed.
    pub(super) fn start(
        invocation: &Invocation,
        callout: &[u8],
        deadline: Instant,
    ) -> io::Result<Self> {
        let mut child = spawn::spawn(&invocation.program, &invocation.argv, invocation.pipe)?;
        let pipes = child.pipes.take().map(|(stdin, stdout)| Pipes {
            stdin: Some(stdin),
            callout: callout.into(),
            written: 0,
            stdout: Some(stdout),
            payload: Zeroizing::new(Vec::new()),
        });
        Ok(Self {
            child,
            deadline,
            pipes,
            ended: None,
        })
    }

    /// Its process.
    pub(super) fn pid(&self) -> i32 {
        self.child.pid.as_raw_nonzero().get()
    }

    /// Kills it, with all that it has started and that did not get away.
    pub(super) fn kill(&mut self) {
        // The first fails if it has not come far. If it has ended, and left others behind that it
        // has started, its group is still there.
        let _ = kill_process_group(self.child.pid, Signal::KILL);
        let _ = kill_process(self.child.pid, Signal::KILL);
        // Who did get away may keep the other ends.
        self.pipes = None;
    }

    /// Has its process ended? It is not waited for yet: as long as others whom it has started have
    /// its pipe they can be killed with it, and nobody else gets its number.
    pub(super) fn has_ended(&mut self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if self.ended.is_none() {
            if let Ok(Some(status)) = waitid(WaitId::Pid(self.child.pid), options) {
                self.end(status.exit_status(), status.terminating_signal());
            }
        }
        self.ended.is_some()
    }

    fn end(&mut self, status: Option<i32>, signal: Option<i32>) {
        let status = End::Status(status.unwrap_or(0));
        self.ended = Some(signal.map_or(status, End::Signal));
        self.transfer();
    }

    /// Lets go of its process, which has ended: its number may be another one's from now on, and it
    /// is not to be killed.
    pub(super) fn reap(&self) {
        let _ = waitpid(Some(self.child.pid), WaitOptions::NOHANG);
    }

    /// Can something be transferred through this? For poll(2).
    pub(super) fn waits_for(&self) -> impl Iterator<Item = (&OwnedFd, bool)> {
        let pipes = self.pipes.as_ref();
        let stdin = pipes.and_then(|pipes| pipes.stdin.as_ref());
        let stdout = pipes.and_then(|pipes| pipes.stdout.as_ref());
        stdin
            .map(|fd| (fd, true))
            .into_iter()
            .chain(stdout.map(|fd| (fd, false)))
    }

    /// Passes on what can be passed on without waiting.
    pub(super) fn transfer(&mut self) {
        if let Some(pipes) = &mut self.pipes {
            pipes.write();
            pipes.read();
        }
    }

    /// Has it ended, and with it what it has to say?
    pub(super) fn is_over(&self) -> bool {
        let open = self.pipes.as_ref().is_some_and(|it| it.stdout.is_some());
        self.ended.is_some() && !open
    }

    /// What came of it when it is over: the payload, of a handler behind a bar, or nothing of one
    /// that answers by itself.
    pub(super) fn result(mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        if let Some(why) = self.child.failure() {
            return Err(Failure::NotStarted(why));
        }
        let payload = self.pipes.map(|pipes| pipes.payload);
        // Then it has got a signal or an error for it.
        if payload
            .as_ref()
            .is_some_and(|it| it.len() > LONGEST_PAYLOAD)
        {
            return Err(Failure::TooMuch);
        }
        match self.ended {
            Some(End::Signal(signal)) => Err(Failure::Killed(signal)),
            Some(End::Status(0)) | None => Ok(payload),
            Some(End::Status(status)) => Err(Failure::Status(status)),
        }
    }
}

impl Pipes {
    fn write(&mut self) {
        let Some(stdin) = &self.stdin else {
            return;
        };
        while self.written < self.callout.len() {
            match rustix::io::write(stdin.as_fd(), &self.callout[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The program does not want it.
                Err(_) => break,
            }
        }
        self.stdin = None;
    }

    fn read(&mut self) {
        let Some(stdout) = &self.stdout else {
            return;
        };
        // Room for one byte too many is made at once: nothing is left behind by a move.
        let mut room = LONGEST_PAYLOAD + 1 - self.payload.len();
        self.payload.reserve_exact(room);
        while room > 0 {
            let mut buffer = Zeroizing::new([0; 4096]);
            let part = room.min(buffer.len());
            match rustix::io::read(stdout.as_fd(), &mut buffer[..part]) {
                Ok(0) => break,
                Ok(count) => {
                    self.payload.extend_from_slice(&buffer[..count]);
                    room -= count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        // The end, or too much: then writing more kills the program.
        self.stdout = None;
    }
}

#[cfg(test)]
#[path = "handler_tests.rs"]
mod tests;
