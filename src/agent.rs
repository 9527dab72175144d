// SPDX-License-Identifier: GPL-2.0

//! Agent keys: keys of type `keyagent`, each of which stands for a thread that answers requests.
//!
//! The description of such a key is the name of the key type that the agent answers for. The
//! payload has the number of a real-time signal, and flags. The key is bound to the thread that
//! added it and to the program which that thread runs.

use crate::{
    admission::Load,
    outcome::Tally,
    sys::{
        compat::enokey,
        cred,
        params,
        seq_file::Output,
        signal::RtSignal,
        task::{
            ExecId,
            Thread,
            ThreadPid, //
        }, //
    }, //
};
use kernel::{
    prelude::*,
    str::CString,
    sync::atomic::Relaxed, //
};

/// The name of the key type.
pub(crate) const TYPE_NAME: &CStr = c"keyagent";

/// The longest name of a key type that an agent can answer for, without the NUL.
const MAX_TYPE_NAME: usize = 31;

/// `KEYAGENT_SHARED` of `include/uapi/linux/keyagent.h`: subscribers cannot take the agent from
/// each other.
const SHARED: u32 = 1;

/// The thread that answers, how to tell it of requests, and what it did.
#[pin_data]
pub(crate) struct Agent {
    pid: ThreadPid,
    exec_id: ExecId,
    signal: RtSignal,
    is_shared: bool,
    tally: Tally,
    #[pin]
    load: Load,
}

impl Agent {
    /// The agent's thread, unless it has ended or runs another program.
    pub(crate) fn thread(&self) -> Option<Thread> {
        self.pid.thread().filter(|thread| self.is_alive(thread))
    }

    /// Whether `thread`, which was the agent's, still is.
    pub(crate) fn is_alive(&self, thread: &Thread) -> bool {
        !thread.is_exiting() && thread.exec_id() == self.exec_id
    }

    /// Whether `thread`, which was the agent's, has ended for good: while it is exiting it keeps
    /// the authority that it has assumed.
    pub(crate) fn is_gone(&self, thread: &Thread) -> bool {
        thread.has_exited() || thread.exec_id() != self.exec_id
    }

    /// The signal that tells the agent of a request.
    pub(crate) fn signal(&self) -> RtSignal {
        self.signal
    }

    /// Whether the agent was registered with `KEYAGENT_SHARED`.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The requests that the agent has.
    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    /// How the requests ended for which the agent was found.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Checks the name of the key type that an agent is to answer for. The type need not exist yet.
pub(crate) fn vet_description(description: &[u8]) -> Result {
    if description.is_empty()
        || description.len() > MAX_TYPE_NAME
        || description == TYPE_NAME.to_bytes()
    {
        return Err(EINVAL);
    }
    Ok(())
}

/// Makes an agent of the calling thread from the payload that add_key(2) was given. May sleep.
///
/// Errors: `EINVAL` for a bad payload, `EPERM` when only privileged users may register, `ENOKEY`
/// when the caller has no process keyring.
pub(crate) fn preparse(data: &[u8]) -> Result<impl PinInit<Agent, Error>> {
    let payload = Payload::parse(data)?;

    if !params::unprivileged() && !cred::current_may_administer_system() {
        return Err(EPERM);
    }
    // The authorisation keys are linked into the process keyring. It is not made here: that would
    // replace the credentials that the key service is using.
    if !cred::current_has_process_keyring() {
        return Err(enokey());
    }
    let pid = ThreadPid::current()?;

    Ok(try_pin_init!(Agent {
        pid,
        exec_id: ExecId::current(),
        signal: payload.signal,
        is_shared: payload.flags & SHARED != 0,
        tally: Tally::new(),
        load <- Load::new(),
    }))
}

/// What KEYCTL_READ returns: a line of words and numbers, in pairs with an equals sign, with
/// blanks between the pairs. May sleep.
pub(crate) fn read(agent: &Agent) -> Result<CString> {
    let tally = &agent.tally;

    CString::try_from_fmt(fmt!(
        "state={} pid={} sig={} served={} rejected={} timed_out={} died={} declined={} denied={} \
         in_flight={} busy={} flags={}",
        if agent.thread().is_some() {
            "alive"
        } else {
            "dead"
        },
        agent.pid.number_for_current(),
        agent.signal.number(),
        tally.served.load(Relaxed),
        tally.rejected.load(Relaxed),
        tally.timed_out.load(Relaxed),
        tally.died.load(Relaxed),
        tally.declined.load(Relaxed),
        tally.denied.load(Relaxed),
        agent.load.in_flight(),
        tally.busy.load(Relaxed),
        if agent.is_shared { "shared" } else { "none" },
    ))
}

/// Writes what /proc/keys shows of a key. Does not sleep.
pub(crate) fn describe(description: &CStr, agent: Option<&Agent>, out: &Output<'_>) {
    out.print(fmt!("{}", description));
    match agent {
        Some(agent) if agent.thread().is_some() => out.print(fmt!(
            ": pid {} sig {}{}",
            agent.pid.number_for(out),
            agent.signal.number(),
            if agent.is_shared { " shared" } else { "" },
        )),
        Some(_) => out.print(fmt!(": dead")),
        None => {}
    }
}

/// The payload of add_key(2).
struct Payload {
    signal: RtSignal,
    flags: u32,
}

impl Payload {
    /// Reads a payload of 8 bytes, or the signal alone from one of 2 or 4.
    ///
    /// The signal is in the first two bytes. Bytes 2 and 3 of a payload of 4 are ignored, because
    /// published agents pass a 16-bit variable with the size of an `unsigned int`.
    fn parse(data: &[u8]) -> Result<Self> {
        let (signal, flags) = match *data {
            [a, b] | [a, b, _, _] => ([a, b], 0),
            [a, b, 0, 0, c, d, e, f] => ([a, b], u32::from_ne_bytes([c, d, e, f])),
            _ => return Err(EINVAL),
        };

        if flags & !SHARED != 0 {
            return Err(EINVAL);
        }
        Ok(Self {
            signal: RtSignal::new(u16::from_ne_bytes(signal))?,
            flags,
        })
    }
}

#[kernel::macros::kunit_tests(keyagent_agent)]
mod tests {
    use super::*;

    fn parse(data: &[u8]) -> Option<(u16, u32)> {
        Payload::parse(data)
            .ok()
            .map(|payload| (payload.signal.number(), payload.flags))
    }

    fn long(signal: u16, reserved: u16, flags: u32) -> [u8; 8] {
        let mut data = [0; 8];
        data[..2].copy_from_slice(&signal.to_ne_bytes());
        data[2..4].copy_from_slice(&reserved.to_ne_bytes());
        data[4..].copy_from_slice(&flags.to_ne_bytes());
        data
    }

    #[test]
    fn payloads_of_two_and_four_bytes_have_a_signal() {
        assert_eq!(parse(&34u16.to_ne_bytes()), Some((34, 0)));
        let [a, b] = 34u16.to_ne_bytes();
        assert_eq!(parse(&[a, b, 0, 0]), Some((34, 0)));
        assert_eq!(parse(&[a, b, 0xff, 0xa5]), Some((34, 0)));
    }

    #[test]
    fn payloads_of_eight_bytes_have_flags() {
        assert_eq!(parse(&long(34, 0, 0)), Some((34, 0)));
        assert_eq!(parse(&long(34, 0, 1)), Some((34, 1)));
        assert_eq!(parse(&long(34, 1, 0)), None);
        assert_eq!(parse(&long(34, 0x100, 1)), None);
        assert_eq!(parse(&long(31, 0, 1)), None);
        for bit in 1..32 {
            assert_eq!(parse(&long(34, 0, 1 << bit)), None);
            assert_eq!(parse(&long(34, 0, 1 << bit | 1)), None);
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let data = long(34, 0, 0);
        for length in [0, 1, 3, 5, 6, 7] {
            assert_eq!(parse(&data[..length]), None);
        }
        assert_eq!(parse(&[34, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn only_real_time_signals_are_taken() {
        for number in [0u16, 1, 9, 31, 65, 255, u16::MAX] {
            assert_eq!(parse(&number.to_ne_bytes()), None);
        }
        for number in [32u16, 33, 64] {
            assert_eq!(parse(&number.to_ne_bytes()), Some((number, 0)));
        }
    }

    #[test]
    fn descriptions_are_names_of_other_types() {
        assert!(vet_description(b"user").is_ok());
        assert!(vet_description(&[b'x'; 31]).is_ok());
        assert!(vet_description(b"keyagents").is_ok());
        assert!(vet_description(&[b'x'; 32]).is_err());
        assert!(vet_description(b"").is_err());
        assert!(vet_description(b"keyagent").is_err());
    }
}
