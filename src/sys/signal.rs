// SPDX-License-Identifier: GPL-2.0

//! The real-time signal that tells an agent of a request.
//!
//! C header: [`include/linux/signal.h`](srctree/include/linux/signal.h).

use super::{
    bindings,
    cred::{
        self,
        Requester, //
    },
    task::Thread, //
};
use core::mem::MaybeUninit;
use kernel::{
    bindings as kbindings,
    cred::Credential,
    error::to_result,
    prelude::*, //
};

/// `si_code` of the signal, as in `include/uapi/linux/keyagent.h`.
const SI_KEYAGENT: i32 = -8;

/// A real-time signal's number.
///
/// # Invariants
///
/// Between `SIGRTMIN` and `SIGRTMAX` of the kernel, both included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RtSignal(u16);

impl RtSignal {
    /// Checks the number.
    pub(crate) fn new(number: u16) -> Result<Self> {
        if (kbindings::SIGRTMIN..=kbindings::SIGRTMAX).contains(&u32::from(number)) {
            // INVARIANT: Just checked.
            Ok(Self(number))
        } else {
            Err(EINVAL)
        }
    }

    /// The number.
    pub(crate) fn number(self) -> u16 {
        self.0
    }

    /// Whether `thread` would see the signal, and survive it: it blocks it, waits for it or
    /// handles it.
    pub(crate) fn would_be_seen_by(self, thread: &Thread) -> bool {
        // SAFETY: The task is valid, and the number is in range by the type invariant.
        unsafe { bindings::keyagent_helper_sees_signal(thread.as_ptr(), i32::from(self.0)) }
    }

    /// How often the signal is in `thread`'s own queue with [`SI_KEYAGENT`]. A queue with more
    /// signals than are looked at counts as [`u32::MAX`].
    pub(crate) fn queued_for(self, thread: &Thread) -> u32 {
        // SAFETY: The task is valid.
        unsafe {
            bindings::keyagent_helper_queued_signals(
                thread.as_ptr(),
                i32::from(self.0),
                SI_KEYAGENT,
            )
        }
    }

    /// Queues the signal for `thread`, whose credentials are `agent`, with the serial of the key
    /// under construction. `number` is that of the current process, the requester's, as the agent
    /// sees it.
    ///
    /// Success does not mean that the thread will see it: it may be exiting. `EAGAIN` means that
    /// its queue is full.
    pub(crate) fn send(
        self,
        thread: &Thread,
        agent: &Credential,
        requester: &Requester,
        number: i32,
        serial: i32,
    ) -> Result {
        // All of it is copied to user space, padding included: it is filled in where it is.
        let mut info: MaybeUninit<kbindings::kernel_siginfo> = MaybeUninit::zeroed();

        // SAFETY: Both credentials and the user namespace are valid.
        let uid = unsafe {
            let real = (*requester.real().as_ptr()).uid;
            kbindings::from_kuid_munged((*agent.as_ptr()).user_ns, real)
        };

        // SAFETY: All zeroes is a valid value of the structure. The queued form of the union is the
        // one that belongs to this `si_code`.
        unsafe {
            let fields = &mut (*info.as_mut_ptr()).__bindgen_anon_1;
            fields.si_signo = i32::from(self.0);
            fields.si_code = SI_KEYAGENT;
            let queued = &mut fields._sifields._rt;
            queued._pid = number;
            queued._uid = uid;
            queued._sigval.sival_int = serial;
        }

        // The uid is what the agent is to see. The sending function would translate it from the
        // sender's user namespace, in which the requester's own need not have a number.
        cred::with(agent, || {
            // SAFETY: `info` is wholly initialised, and the task is valid.
            to_result(unsafe {
                kbindings::send_sig_info(i32::from(self.0), info.as_mut_ptr(), thread.as_ptr())
            })
        })
    }
}
