// SPDX-License-Identifier: GPL-2.0-or-later

//! System calls that do not wait for ever.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::time::Duration;
use std::{io, ptr};

use libc::{c_int, timer_t};

/// While this is there, the calling thread's system calls are interrupted by SIGALRM (`EINTR`) from
/// some time on, again and again: the first time may come before the system call begins.
#[derive(Debug)]
pub struct Interrupter {
    timer: timer_t,
    // Not for another thread.
    _here: PhantomData<*const ()>,
}

/// How long after an interruption the next one comes, at most.
const AGAIN: Duration = Duration::from_millis(100);

extern "C" fn nothing(_: c_int) {}

impl Interrupter {
    /// Interrupts from `after` on.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a time that is too long for the kernel, `EAGAIN` when there is no timer.
    pub fn new(after: Duration) -> io::Result<Self> {
        unblock()?;
        let mut timer: timer_t = ptr::null_mut();
        // SAFETY: All bytes zero is a valid sigevent, which the kernel only reads.
        checked(unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGALRM;
            event.sigev_notify_thread_id = libc::gettid();
            libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer)
        })?;
        let interrupter = Self {
            timer,
            _here: PhantomData,
        };
        // A time of 0 would be none at all.
        let after = after.max(Duration::from_micros(1));
        let when = libc::itimerspec {
            it_value: timespec(after),
            it_interval: timespec(after.min(AGAIN)),
        };
        // SAFETY: The timer is there, and the kernel only reads the structure.
        checked(unsafe { libc::timer_settime(timer, 0, &raw const when, ptr::null_mut()) })?;
        Ok(interrupter)
    }
}

impl Drop for Interrupter {
    fn drop(&mut self) {
        // SAFETY: It was created, and is deleted once.
        unsafe {
            libc::timer_delete(self.timer);
        }
    }
}

/// Has SIGALRM do nothing but interrupt.
fn unblock() -> io::Result<()> {
    // SAFETY: All bytes zero is a valid sigaction; without SA_RESTART, calls are interrupted. The
    // handler does nothing, which is async-signal-safe. sigemptyset() initialises the set.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(c_int) as libc::sighandler_t;
        checked(libc::sigaction(
            libc::SIGALRM,
            &raw const action,
            ptr::null_mut(),
        ))?;
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGALRM);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
    }
    Ok(())
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: time.subsec_nanos().into(),
    }
}

fn checked(result: c_int) -> io::Result<()> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_a_wait() {
        let (nothing_comes, _writer) = rustix::pipe::pipe().unwrap();
        for _ in 0..3 {
            let _interrupter = Interrupter::new(Duration::from_millis(1)).unwrap();
            let error = rustix::io::read(&nothing_comes, &mut [0; 1]).unwrap_err();
            assert_eq!(error, rustix::io::Errno::INTR);
        }
    }
}
