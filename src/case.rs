// SPDX-License-Identifier: GPL-2.0

//! One request and one agent as [`crate::policy`] wants to know them.

use crate::{
    policy::{
        self,
        Case,
        Denial,
        Power,
        Process,
        Standing, //
    },
    sys::{
        authkey::{
            AuthKey,
            Grantor, //
        },
        cred::{
            self,
            Requester, //
        },
        task::{
            CurrentThread,
            Thread, //
        }, //
    }, //
};
use kernel::cred::Credential;

/// Whether the agent, a thread with these credentials, may have the authority as things are at this
/// moment. `number` is that of the current process as the agent sees it.
pub(crate) fn may_answer(
    thread: &Thread,
    agent: &Credential,
    requester: &Requester,
    number: i32,
    authkey: &AuthKey<'_>,
) -> Result<(), Denial> {
    let current = CurrentThread::new();
    let real = requester.real();
    let granted = authkey.granted_cred();
    let grantor = authkey.grantor();

    let standing = |other: &Credential| Standing {
        identity: cred::identity(other),
        same_user_ns: cred::same_user_ns(agent, other),
    };
    let process = |other: &Thread| Process {
        is_dumpable: other.is_dumpable(),
        same_label: thread.has_label_of(other),
        no_new_privs: other.has_no_new_privs(),
    };

    // The credentials of a process are read before the rest: see Thread::is_dumpable().
    let grants_own = cred::same(granted, real);
    let granted_is_grantors = match &grantor {
        Grantor::Requester => grants_own,
        Grantor::Other(grantor) => grantor.cred().is_ok_and(|own| cred::same(granted, &own)),
        Grantor::Gone => false,
    };
    let case = Case {
        agent: cred::identity(agent),
        agent_no_new_privs: thread.has_no_new_privs(),
        real: standing(real),
        subjective: requester
            .is_overridden()
            .then(|| standing(requester.subjective())),
        granted: (!grants_own).then(|| standing(granted)),
        requester: process(&current),
        grantor: match &grantor {
            Grantor::Requester => None,
            Grantor::Other(grantor) => Some(process(grantor)),
            Grantor::Gone => Some(Process::GONE),
        },
        is_seen: number != 0
            && match &grantor {
                Grantor::Other(grantor) => thread.number_of(grantor) != 0,
                Grantor::Requester | Grantor::Gone => true,
            },
        granted_is_grantors,
    };

    policy::judge(&case, |power| match power {
        Power::TraceReal => cred::may_trace_in_user_ns_of(agent, real),
        Power::TraceSubjective => cred::may_trace_in_user_ns_of(agent, requester.subjective()),
        Power::TraceGranted => cred::may_trace_in_user_ns_of(agent, granted),
        Power::TraceRequester => cred::may_trace_program_of(agent, &current),
        Power::TraceGrantor => match &grantor {
            Grantor::Requester => cred::may_trace_program_of(agent, &current),
            Grantor::Other(grantor) => cred::may_trace_program_of(agent, grantor),
            Grantor::Gone => cred::may_trace_in_user_ns_of(agent, granted),
        },
        Power::AdministerSystem => cred::may_administer_system(agent),
    })
}
