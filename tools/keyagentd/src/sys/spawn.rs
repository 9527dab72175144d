// SPDX-License-Identifier: GPL-2.0-or-later

//! A handler: a program that is started as the kernel starts `/sbin/request-key`, with a session
//! keyring of its own that holds nothing but the authkey.
//!
//! `std::process::Command` waits until the program is executed. That can be long, on a file system
//! that hangs: here the parent goes on, and learns of a failure with the end of the child.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use rustix::fs::OFlags;
use rustix::pipe::{pipe_with, PipeFlags};
use rustix::process::{getpid, Pid};

use super::keyctl::{self, Serial};

/// The environment, as the kernel gives it to `/sbin/request-key`.
const ENVIRONMENT: [&CStr; 2] = [c"HOME=/", c"PATH=/sbin:/bin:/usr/sbin:/usr/bin"];

/// What a child could not do. The numbers go through a pipe.
const STEPS: [&str; 5] = [
    "leave the session of the daemon",
    "get its standard input and output",
    "get a session keyring",
    "put the authkey into its session keyring",
    "be executed",
];

/// A handler that was started.
#[derive(Debug)]
pub struct Child {
    /// Its process, which leads a session and a process group of its own.
    pub pid: Pid,
    /// Where its standard input comes from and its standard output goes to, when asked for. Neither
    /// blocks.
    pub pipes: Option<(OwnedFd, OwnedFd)>,
    failure: File,
}

impl Child {
    /// One that was started otherwise. What it could not do comes from `failure`.
    #[cfg(test)]
    pub(crate) fn for_test(pid: Pid, failure: OwnedFd) -> Self {
        Self {
            pid,
            pipes: None,
            failure: failure.into(),
        }
    }

    /// Why the program was not executed, if it was not. To be asked when the child has ended.
    pub fn failure(&mut self) -> Option<String> {
        let mut report = [0; 8];
        self.failure.read_exact(&mut report).ok()?;
        let (step, error) = report.split_at(4);
        let number = |bytes: &[u8]| i32::from_ne_bytes(bytes.try_into().unwrap_or_default());
        let step = STEPS.get(number(step) as usize)?;
        let error = io::Error::from_raw_os_error(number(error));
        Some(format!("cannot {step}: {error}"))
    }
}

/// Starts a handler. The calling thread has assumed the authority that it is to have. Its standard
/// input and output are pipes if `pipe` is set, otherwise those of the caller.
///
/// # Errors
///
/// When there is a NUL in an argument, or no process or file descriptor to be had.
pub fn spawn(program: &OsStr, argv: &[OsString], pipe: bool) -> io::Result<Child> {
    let program = text(program)?;
    let argv: Vec<_> = argv.iter().map(|arg| text(arg)).collect::<Result<_, _>>()?;
    let pointers = |texts: &mut dyn Iterator<Item = *const libc::c_char>| -> Vec<_> {
        texts.chain([ptr::null()]).collect()
    };
    let argv = pointers(&mut argv.iter().map(|arg| arg.as_ptr()));
    let envp = pointers(&mut ENVIRONMENT.iter().map(|variable| variable.as_ptr()));

    let (failure, report) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let mut ours = None;
    let mut theirs = None;
    if pipe {
        let (stdin, to_stdin) = pipe_with(PipeFlags::CLOEXEC)?;
        let (from_stdout, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&to_stdin, OFlags::NONBLOCK)?;
        rustix::fs::fcntl_setfl(&from_stdout, OFlags::NONBLOCK)?;
        ours = Some((to_stdin, from_stdout));
        theirs = Some((stdin, stdout));
    }
    let plan = Plan {
        program: &program,
        argv: &argv,
        envp: &envp,
        stdio: theirs
            .as_ref()
            .map(|(stdin, stdout)| [stdin.as_raw_fd(), stdout.as_raw_fd()]),
        report: report.as_raw_fd(),
        parent: getpid(),
    };
    // SAFETY: The child calls become() and nothing else, which is async-signal-safe.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => plan.r#become(),
        pid => Ok(Child {
            // The parent of a process sees its id as a positive number.
            pid: Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?,
            pipes: ours,
            failure: failure.into(),
        }),
    }
}

fn text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a NUL in an argument"))
}

/// All that the child needs, made before it is forked: it must not allocate.
struct Plan<'a> {
    program: &'a CStr,
    argv: &'a [*const libc::c_char],
    envp: &'a [*const libc::c_char],
    stdio: Option<[RawFd; 2]>,
    report: RawFd,
    parent: Pid,
}

impl Plan<'_> {
    /// In the child: becomes the program, or ends. Async-signal-safe: system calls only.
    fn r#become(&self) -> ! {
        let step = self.try_become();
        let error = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        let mut report = [0; 8];
        report[..4].copy_from_slice(&step.to_ne_bytes());
        report[4..].copy_from_slice(&error.to_ne_bytes());
        // SAFETY: A buffer of this length. _exit() runs nothing of the parent's.
        unsafe {
            libc::write(self.report, report.as_ptr().cast(), report.len());
            libc::_exit(127)
        }
    }

    /// Returns the step that failed, with errno set.
    fn try_become(&self) -> i32 {
        // SAFETY: No pointers in any of these calls.
        unsafe {
            if libc::setsid() == -1 {
                return 0;
            }
            // A daemon that is gone cannot end a handler that hangs, and nothing that the handler
            // does counts any longer.
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) == -1
                || libc::getppid() != self.parent.as_raw_nonzero().get()
            {
                return 0;
            }
            if let Some([stdin, stdout]) = self.stdio {
                if libc::dup2(stdin, 0) == -1 || libc::dup2(stdout, 1) == -1 {
                    return 1;
                }
            }
            // The program does not get them anyway. But executing it can take long, and who has the
            // other end of a pipe of another handler's would keep that one waiting.
            close_range(3, self.report - 1);
            close_range(self.report + 1, RawFd::MAX);
        }
        if keyctl::join_new_session_keyring().is_err() {
            return 2;
        }
        if keyctl::link(Serial::AUTHKEY, Serial::SESSION_KEYRING).is_err() {
            return 3;
        }
        super::signal::unblock_all();
        // SAFETY: A NUL-terminated string and two arrays of such that end with a null pointer.
        unsafe {
            libc::execve(
                self.program.as_ptr(),
                self.argv.as_ptr(),
                self.envp.as_ptr(),
            );
        }
        4
    }
}

/// Closes files. Async-signal-safe.
fn close_range(first: RawFd, last: RawFd) {
    if first <= last {
        // SAFETY: No pointers. The numbers are positive.
        unsafe {
            libc::close_range(first as u32, last as u32, 0);
        }
    }
}

/// Has every file that is open now, but for the standard ones, closed in the programs that are
/// started.
///
/// # Errors
///
/// `ENOSYS` before Linux 5.11.
pub fn keep_files_from_children() -> io::Result<()> {
    // SAFETY: No pointers.
    match unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{waitpid, WaitOptions};

    #[test]
    fn says_what_cannot_be_done() {
        // Nobody has assumed any authority.
        let mut child = spawn(OsStr::new("/bin/true"), &["true".into()], true).unwrap();
        let (_, status) = waitpid(Some(child.pid), WaitOptions::empty())
            .unwrap()
            .unwrap();
        assert_eq!(status.exit_status(), Some(127));
        let why = child.failure().unwrap();
        assert!(why.contains("session keyring"), "{why}");
    }
}
