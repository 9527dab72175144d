// SPDX-License-Identifier: GPL-2.0-or-later

//! Signals through a file descriptor, real-time ones among them.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, signalfd_siginfo};

/// The code of a signal that tells a key agent of a request, from `<linux/keyagent.h>`.
pub const SI_KEYAGENT: i32 = -8;

/// The first real-time signal that the C library leaves to programs.
#[must_use]
pub fn first_realtime() -> c_int {
    libc::SIGRTMIN()
}

/// Has each signal do what it does by default, as in a program that the kernel starts, but for
/// SIGPIPE, which request-key(8) ignores, and so do the programs that it starts.
pub fn reset_dispositions() {
    for number in 1..=libc::SIGRTMAX() {
        let disposition = match number {
            libc::SIGPIPE => libc::SIG_IGN,
            _ => libc::SIG_DFL,
        };
        // SAFETY: No handler is a function of ours. Those that cannot be changed stay.
        unsafe {
            libc::signal(number, disposition);
        }
    }
}

/// Blocks no signal in the calling thread. Async-signal-safe.
pub(super) fn unblock_all() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset() initialises the set, which is only read then.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// What is known of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its number.
    pub number: c_int,
    /// Where it is from: [`SI_KEYAGENT`] for a request, which anybody with the same uid can forge.
    pub code: i32,
    /// The integer that came with it.
    pub value: i32,
    /// Who caused it, 0 if that cannot be seen from here.
    pub pid: u32,
}

/// Signals that the calling thread has blocked, to be read instead. They stay blocked.
#[derive(Debug)]
pub struct SignalFd {
    fd: OwnedFd,
}

impl SignalFd {
    /// Blocks these signals, for the calling thread and those that it starts.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a number that is no signal.
    pub fn new(numbers: &[c_int]) -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset() initialises the set, which the others then read or change.
        let fd = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for number in numbers {
                if libc::sigaddset(set.as_mut_ptr(), *number) == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            let error = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: It was just opened, and nobody else has it.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }

    /// Takes some of the signals that are pending, the standard ones first; none if there are none.
    ///
    /// # Errors
    ///
    /// Hardly: those of read(2).
    pub fn take(&self) -> io::Result<Vec<Info>> {
        const MOST: usize = 32;

        let mut buffer = MaybeUninit::<[signalfd_siginfo; MOST]>::uninit();
        // SAFETY: The kernel writes whole structures to this buffer, and not beyond its length.
        let got = unsafe {
            use std::os::fd::AsRawFd;
            libc::read(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                size_of_val(&buffer),
            )
        };
        if got == -1 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Vec::new()),
                _ => Err(error),
            };
        }
        let count = got as usize / size_of::<signalfd_siginfo>();
        // SAFETY: So many of them were written.
        let infos = unsafe {
            std::slice::from_raw_parts(buffer.as_ptr().cast::<signalfd_siginfo>(), count)
        };
        Ok(infos
            .iter()
            .map(|info| Info {
                number: info.ssi_signo as c_int,
                code: info.ssi_code,
                value: info.ssi_int,
                pid: info.ssi_pid,
            })
            .collect())
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends one to the calling thread, as an unprivileged forger can.
    fn forge(number: c_int, value: i32) {
        // SAFETY: All bytes zero is a valid siginfo.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        info.si_signo = number;
        info.si_code = SI_KEYAGENT;
        // SAFETY: On Linux si_pid, si_uid and si_value follow the three integers and, on 64-bit
        // machines, a padding one: the value is integer 6 of 32.
        unsafe {
            (&raw mut info).cast::<i32>().add(6).write(value);
            let tid = libc::syscall(libc::SYS_gettid);
            let result = libc::syscall(
                libc::SYS_rt_tgsigqueueinfo,
                libc::getpid(),
                tid,
                number,
                &raw const info,
            );
            assert_eq!(result, 0);
        }
    }

    #[test]
    fn arrive_with_their_values() {
        let number = first_realtime() + 3;
        let signals = SignalFd::new(&[number]).unwrap();
        assert_eq!(signals.take().unwrap(), []);
        for value in 0..40 {
            forge(number, value);
        }
        let mut infos = signals.take().unwrap();
        assert_eq!(infos.len(), 32);
        infos.extend(signals.take().unwrap());
        assert_eq!(signals.take().unwrap(), []);
        let values: Vec<_> = infos.iter().map(|info| info.value).collect();
        assert_eq!(values, (0..40).collect::<Vec<_>>());
        assert!(infos
            .iter()
            .all(|info| (info.number, info.code) == (number, SI_KEYAGENT)));
    }

    #[test]
    fn refuses_what_is_no_signal() {
        assert!(SignalFd::new(&[65]).is_err());
    }
}
