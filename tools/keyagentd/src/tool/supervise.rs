// SPDX-License-Identifier: GPL-2.0-or-later

//! A program and the daemon that serves it.
//!
//! The program stays in the process group that keyagent is in, so that it is what the terminal's
//! keys are for, and a shell's job control sees one job. The daemon is in a session of its own.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{kill_process, wait, Pid, Signal, WaitOptions};

use super::failure::Failure;
use crate::sys::child::{self, Blocked};
use crate::sys::signal::{Info, SignalFd};

/// How long the daemon may take to finish what it has accepted. A handler has eight seconds, a
/// request ten.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Signals that the program gets, too.
const FORWARDED: [i32; 8] = [
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTSTP,
    libc::SIGCONT,
];

/// The code of a signal that the kernel sends, as for a key of the terminal.
const SI_KERNEL: i32 = 0x80;

/// Looks after both.
#[derive(Debug)]
pub(super) struct Supervisor {
    signals: SignalFd,
    blocked: Blocked,
    /// While it runs.
    daemon: Option<Pid>,
    /// While it runs.
    program: Option<Pid>,
    status: u8,
}

impl Supervisor {
    /// With a daemon that is ready. From now on the signals are held.
    pub(super) fn new(daemon: &Child) -> Result<Self, Failure> {
        let numbers: Vec<_> = FORWARDED.iter().copied().chain([libc::SIGCHLD]).collect();
        let blocked = Blocked::now().map_err(|error| failed(&error))?;
        Ok(Self {
            signals: SignalFd::new(&numbers).map_err(|error| failed(&error))?,
            blocked,
            daemon: Pid::from_raw(daemon.id() as i32),
            program: None,
            status: 0,
        })
    }

    /// Runs the program, and ends the daemon after it. Returns the program's exit status, or what a
    /// shell says for a signal.
    pub(super) fn run(mut self, mut command: Command) -> Result<u8, Failure> {
        self.blocked.restore_in(&mut command);
        let started = command.spawn();
        let result = match &started {
            Ok(child) => {
                self.program = Pid::from_raw(child.id() as i32);
                self.until_program_ends()
            }
            Err(error) => Err(Failure::not_run(command.get_program(), error)),
        };
        self.end_daemon();
        result.map(|()| self.status)
    }

    fn until_program_ends(&mut self) -> Result<(), Failure> {
        loop {
            self.reap();
            if self.program.is_none() {
                return Ok(());
            }
            self.sleep(None).map_err(|error| failed(&error))?;
            for info in self.signals.take().map_err(|error| failed(&error))? {
                self.forward(info);
            }
        }
    }

    fn forward(&self, info: Info) {
        let (Some(program), Some(signal)) = (self.program, Signal::from_named_raw(info.number))
        else {
            return;
        };
        if is_forwarded(info, program.as_raw_nonzero().get()) {
            // It may just have ended, but it has not been waited for.
            let _ = kill_process(program, signal);
        }
    }

    /// Takes note of children that ended or stopped, and of orphans, which come to the first
    /// process of a container.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            let status = ExitStatus::from_raw(status.as_raw());
            let pid = Some(pid);
            if status.stopped_signal().is_some() {
                if pid == self.program {
                    // A shell sees a job that is stopped. The signal that continues this is
                    // forwarded, and where nothing was stopped there is none: whoever has stopped
                    // the program continues it.
                    let _ = child::stop();
                }
            } else if pid == self.program {
                self.program = None;
                self.status = exit_status(status);
            } else if pid == self.daemon {
                self.daemon = None;
                if self.program.is_some() {
                    eprintln!(
                        "keyagent: keyagentd: {} while the program runs; requests go to \
                         /sbin/request-key from now on, and keyagentd's messages say why",
                        ended(status)
                    );
                }
            }
        }
    }

    /// Has the daemon finish, but not for ever, and not for long when a signal says so.
    fn end_daemon(&mut self) {
        let end = Instant::now() + LAST_REQUESTS;
        if let Some(daemon) = self.daemon {
            let _ = kill_process(daemon, Signal::TERM);
        }
        loop {
            self.reap();
            let Some(daemon) = self.daemon else {
                return;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.sleep(Some(left)).is_err() {
                let _ = kill_process(daemon, Signal::KILL);
                // It cannot be waited for if somebody else has done that.
                let _ = rustix::process::waitpid(Some(daemon), WaitOptions::empty());
                return;
            }
            for info in self.signals.take().unwrap_or_default() {
                if [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP].contains(&info.number)
                {
                    let _ = kill_process(daemon, Signal::TERM);
                }
            }
        }
    }

    /// Until there is a signal.
    fn sleep(&self, time: Option<Duration>) -> io::Result<()> {
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let mut polled = [PollFd::new(&self.signals, PollFlags::IN)];
        match poll(&mut polled, time.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the program is to get this signal. What the terminal's keys cause the kernel sends to
/// the program as well, but for a hang-up, of which only the first process of a session is told.
fn is_forwarded(info: Info, program: i32) -> bool {
    let by_key = [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP].contains(&info.number);
    FORWARDED.contains(&info.number)
        && !(by_key && info.code == SI_KERNEL)
        // It knows what it does.
        && !(info.code <= 0 && info.pid == program as u32)
}

/// The exit status of a program as shells have it.
fn exit_status(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => 128 + signal as u8,
        (None, None) => 1,
    }
}

/// How a program ended, in words.
pub(super) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with status {code}"),
        (None, Some(signal)) => format!("it was killed by signal {signal}"),
        (None, None) => "it ended".into(),
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::of(
        "run",
        error,
        "is there enough memory, and are there file descriptors left?",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_shells() {
        let status = |raw| exit_status(ExitStatus::from_raw(raw));
        assert_eq!(status(0), 0);
        assert_eq!(status(7 << 8), 7);
        assert_eq!(status(255 << 8), 255);
        assert_eq!(status(libc::SIGKILL), 137);
        // With a core dump.
        assert_eq!(status(libc::SIGSEGV | 0x80), 139);
        assert_eq!(
            ended(ExitStatus::from_raw(78 << 8)),
            "it ended with status 78"
        );
        assert_eq!(ended(ExitStatus::from_raw(9)), "it was killed by signal 9");
    }

    #[test]
    fn terminal_is_not_forwarded_twice() {
        let forwarded = |number, code, pid| {
            is_forwarded(
                Info {
                    number,
                    code,
                    value: 0,
                    pid,
                },
                84,
            )
        };
        for number in [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP] {
            assert!(!forwarded(number, SI_KERNEL, 0), "{number}");
            assert!(forwarded(number, libc::SI_USER, 1), "{number}");
        }
        assert!(forwarded(libc::SIGHUP, SI_KERNEL, 0));
        assert!(forwarded(libc::SIGTERM, libc::SI_USER, 1));
        assert!(!forwarded(libc::SIGTERM, libc::SI_USER, 84));
        assert!(!forwarded(libc::SIGCHLD, libc::CLD_EXITED, 84));
    }
}
