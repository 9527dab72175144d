// SPDX-License-Identifier: GPL-2.0

//! The key type `keyagent`: a key that stands for a thread which answers requests.
//!
//! The description of such a key is the name of the key type that the agent answers for; its
//! payload is the number of a real-time signal. It is bound to the thread that added it and to the
//! program which that runs.

use crate::{
    asked::AskedTable,
    errno::enokey,
    outcome::{
        Counters,
        Outcome, //
    },
    sys::{
        cred,
        key_type::{
            KeyType,
            StaticKeyType, //
        },
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
    sync::Arc, //
};

/// The longest name of a key type that an agent can answer for, without the NUL.
const MAX_TYPE_NAME: usize = 31;

/// The key type.
pub(crate) static KEY_TYPE: StaticKeyType<AgentKey> = StaticKeyType::new();

/// What the agent keys are to the key service.
pub(crate) struct AgentKey;

/// The thread that answers, how to tell it, and what it has done so far.
pub(crate) struct Agent {
    pid: ThreadPid,
    exec_id: ExecId,
    signal: RtSignal,
    asked: Arc<AskedTable>,
    outcomes: Counters,
}

impl Agent {
    /// The agent's thread, unless it is gone or runs another program.
    pub(crate) fn thread(&self) -> Option<Thread> {
        self.pid.thread().filter(|thread| self.is_alive(thread))
    }

    /// Whether `thread`, which was the agent's, still is.
    pub(crate) fn is_alive(&self, thread: &Thread) -> bool {
        !thread.is_exiting() && thread.exec_id() == self.exec_id
    }

    /// The signal that tells the agent of a request.
    pub(crate) fn signal(&self) -> RtSignal {
        self.signal
    }

    /// The requests that it was asked to answer and that are not over.
    pub(crate) fn asked(&self) -> &Arc<AskedTable> {
        &self.asked
    }

    /// How the requests ended for which it was found.
    pub(crate) fn outcomes(&self) -> &Counters {
        &self.outcomes
    }
}

impl KeyType for AgentKey {
    const NAME: &'static CStr = c"keyagent";
    const REQUEST_ERROR: Error = EPERM;

    type Payload = Agent;

    fn vet_description(description: &CStr) -> Result {
        check_description(description.to_bytes())
    }

    fn preparse(data: &[u8]) -> Result<Arc<Agent>> {
        let signal = parse_payload(data)?;

        // The authorisation keys are linked there. It is not made here: that would replace the
        // credentials that the key service is using.
        if !cred::current_has_process_keyring() {
            return Err(enokey());
        }

        Ok(Arc::new(
            Agent {
                pid: ThreadPid::current()?,
                exec_id: ExecId::current(),
                signal,
                asked: Arc::pin_init(AskedTable::new(), GFP_KERNEL)?,
                outcomes: Counters::new(),
            },
            GFP_KERNEL,
        )?)
    }

    /// One line of words and numbers, in pairs with an equals sign, with blanks between them.
    fn read(agent: &Agent) -> Result<CString> {
        let outcomes = &agent.outcomes;
        let load = agent.asked.load();

        CString::try_from_fmt(fmt!(
            "state={} pid={} sig={} served={} rejected={} timed_out={} died={} declined={} \
             denied={} in_flight={} oldest_ms={}",
            if agent.thread().is_some() {
                "alive"
            } else {
                "dead"
            },
            agent.pid.number_for_current(),
            agent.signal.number(),
            outcomes.get(Outcome::Served),
            outcomes.get(Outcome::Rejected),
            outcomes.get(Outcome::TimedOut),
            outcomes.get(Outcome::Died) + outcomes.get(Outcome::DiedUntaken),
            outcomes.get(Outcome::Declined),
            outcomes.denied(),
            load.count,
            load.oldest_ms,
        ))
    }

    fn describe(description: &CStr, payload: Option<&Agent>, out: &Output<'_>) {
        out.print(fmt!("{}", description));
        match payload {
            Some(agent) if agent.thread().is_some() => out.print(fmt!(
                ": pid {} sig {}",
                agent.pid.number_for(out),
                agent.signal.number()
            )),
            Some(_) => out.print(fmt!(": dead")),
            None => {}
        }
    }
}

/// Checks the name of the key type that an agent is to answer for. The type need not exist yet.
fn check_description(description: &[u8]) -> Result {
    if description.is_empty()
        || description.len() > MAX_TYPE_NAME
        || description == AgentKey::NAME.to_bytes()
    {
        return Err(EINVAL);
    }
    Ok(())
}

/// Reads the signal from the payload.
///
/// The number is in the first two bytes. Two more may follow, for published agents pass a 16-bit
/// variable with the size of an `unsigned int`: what is in them is undefined.
fn parse_payload(data: &[u8]) -> Result<RtSignal> {
    match *data {
        [a, b] | [a, b, _, _] => RtSignal::new(u16::from_ne_bytes([a, b])),
        _ => Err(EINVAL),
    }
}

#[kernel::macros::kunit_tests(keyagent_agent)]
mod tests {
    use super::*;

    fn parse(data: &[u8]) -> Option<u16> {
        parse_payload(data).ok().map(RtSignal::number)
    }

    #[test]
    fn payloads_of_two_and_four_bytes_are_read() {
        assert_eq!(parse(&34u16.to_ne_bytes()), Some(34));
        let [a, b] = 34u16.to_ne_bytes();
        assert_eq!(parse(&[a, b, 0, 0]), Some(34));
        assert_eq!(parse(&[a, b, 0xff, 0xa5]), Some(34));
    }

    #[test]
    fn other_lengths_are_refused() {
        let [a, b] = 34u16.to_ne_bytes();
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[a]), None);
        assert_eq!(parse(&[a, b, 0]), None);
        assert_eq!(parse(&[a, b, 0, 0, 0]), None);
    }

    #[test]
    fn only_real_time_signals_are_taken() {
        for number in [0u16, 1, 9, 31, 65, 255, u16::MAX] {
            assert_eq!(parse(&number.to_ne_bytes()), None);
        }
        for number in [32u16, 33, 64] {
            assert_eq!(parse(&number.to_ne_bytes()), Some(number));
        }
    }

    #[test]
    fn descriptions_are_names_of_other_types() {
        assert!(check_description(b"user").is_ok());
        assert!(check_description(&[b'x'; 31]).is_ok());
        assert!(check_description(b"keyagents").is_ok());
        assert!(check_description(&[b'x'; 32]).is_err());
        assert!(check_description(b"").is_err());
        assert!(check_description(b"keyagent").is_err());
    }
}
