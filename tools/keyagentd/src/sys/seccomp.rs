// SPDX-License-Identifier: GPL-2.0-or-later

//! A filter for system calls, for tests.

use std::io;
use std::mem::offset_of;

use libc::{seccomp_data, sock_filter, sock_fprog};

/// Has an operation of keyctl(2) fail with this error, for the calling thread.
pub(crate) fn refuse_keyctl(operation: u32, error: i32) -> io::Result<()> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // The lower half of the first argument.
    let half = if cfg!(target_endian = "big") { 4 } else { 0 };

    let step = |code: u32, skip: u8, k: u32| sock_filter {
        code: code as u16,
        jt: 0,
        jf: skip,
        k,
    };
    let mut steps = [
        step(LOAD, 0, offset_of!(seccomp_data, nr) as u32),
        step(EQUAL, 3, libc::SYS_keyctl as u32),
        step(LOAD, 0, offset_of!(seccomp_data, args) as u32 + half),
        step(EQUAL, 1, operation),
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: A program of this length, which the kernel only reads.
    let results = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ),
        ]
    };
    if results == [0, 0] {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
