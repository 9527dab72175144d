// SPDX-License-Identifier: GPL-2.0-or-later

//! What a child process does between fork and exec, for programs that keyagent runs, and what its
//! parent does for a shell's job control.

use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{io, ptr};

use rustix::process::{
    getpid, getppid, kill_process, set_parent_process_death_signal, setsid, Pid, Signal,
};

/// The signals that a thread has blocked.
#[derive(Clone, Copy)]
pub struct Blocked(libc::sigset_t);

impl std::fmt::Debug for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blocked")
    }
}

impl Blocked {
    /// Those of the calling thread.
    ///
    /// # Errors
    ///
    /// None that is known.
    pub fn now() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: Without a set to change to, the present one is only written to this one.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: It was written.
        Ok(Self(unsafe { set.assume_init() }))
    }

    /// Has the program begin with these signals blocked, whatever is blocked where it is started.
    pub fn restore_in(self, command: &mut Command) {
        let set = self.0;
        // SAFETY: pthread_sigmask() is async-signal-safe, and the closure owns the set.
        unsafe {
            command.pre_exec(move || {
                match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) {
                    0 => Ok(()),
                    error => Err(io::Error::from_raw_os_error(error)),
                }
            });
        }
    }
}

/// Has the program run in a session of its own, out of the reach of the terminal's signals, and end
/// by SIGTERM when the thread ends that starts it.
pub fn set_apart(command: &mut Command) {
    let parent = getpid();
    // SAFETY: These are system calls, and allocate nothing.
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            set_parent_process_death_signal(Some(Signal::TERM))?;
            // It may have been too late for that.
            if getppid() != Some(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// Has ended children wait to be waited for, even if the caller of this program ignored them.
pub fn wait_for_children() {
    // SAFETY: This is no handler, and the signal is one that exists.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
}

/// A child that has ended and was not waited for, which it still can be.
#[must_use]
pub fn ended() -> Option<Pid> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: The kernel writes to this structure only. All bytes zero is a valid one, with 0 for
    // the process, as it stays when there is none.
    unsafe {
        if libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) == -1 {
            return None;
        }
        Pid::from_raw(info.assume_init().si_pid())
    }
}

/// Stops the calling process as Ctrl-Z does, even if the thread has that signal blocked, until
/// something continues it. Where there is no shell with job control, or the signal is ignored, this
/// does nothing.
///
/// # Errors
///
/// None that is known.
pub fn stop() -> io::Result<()> {
    let (mut stop, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: sigemptyset() and pthread_sigmask() initialise the sets, which are only read then.
    unsafe {
        libc::sigemptyset(stop.as_mut_ptr());
        libc::sigaddset(stop.as_mut_ptr(), libc::SIGTSTP);
        let error = libc::pthread_sigmask(libc::SIG_UNBLOCK, stop.as_ptr(), before.as_mut_ptr());
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
    }
    let result = kill_process(getpid(), Signal::TSTP);
    // SAFETY: It was written.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
    }
    Ok(result?)
}
