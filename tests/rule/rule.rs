// SPDX-License-Identifier: GPL-2.0

//! Proof that `src/policy.rs` and the page `keyagent-policy.rst` say the same, for every request.
//!
//! The rule compares IDs with each other and with nothing else, so that all requests with the same
//! IDs equal are one case: a partition of the eight IDs of two tasks into those that are equal. All
//! else that it looks at are flags and sets of capabilities. So the cases can be gone through.
//!
//! An agent with more never gets less: each case is compared with those in which one thing more
//! speaks for the agent.

#[path = "../../src/policy.rs"]
#[allow(dead_code)]
mod policy;

mod page;

/// What the rule needs of the module's.
mod outcome {
    #[allow(dead_code, clippy::enum_variant_names)]
    pub(crate) enum Outcome {
        DeniedUserNamespace,
        DeniedPidNamespace,
        DeniedUser,
        DeniedGroup,
        DeniedCapabilities,
        DeniedNotDumpable,
        DeniedLabel,
        DeniedNoNewPrivs,
        DeniedOverridden,
    }
}

use std::cell::Cell;

use page::{
    Credentials,
    Objections,
    Owner, //
};
use policy::{
    judge,
    Case,
    Denial,
    Identity,
    Ids,
    Power,
    Process,
    Standing, //
};

/// The page's name for a denial.
fn objection(denial: Denial) -> Objections {
    match denial {
        Denial::UserNamespace => page::USER_NS,
        Denial::PidNamespace => page::PID_NS,
        Denial::User => page::USER,
        Denial::Group => page::GROUP,
        Denial::Capabilities => page::CAPABILITIES,
        Denial::NotDumpable => page::NOT_DUMPABLE,
        Denial::Label => page::LABEL,
        Denial::NoNewPrivs => page::NO_NEW_PRIVS,
        Denial::Overridden => page::OVERRIDDEN,
    }
}

/// Granted when the page has no objection, denied for one of its objections otherwise.
fn agree(verdict: Result<(), Denial>, objections: Objections) -> bool {
    match verdict {
        Ok(()) => objections == 0,
        Err(denial) => objections & objection(denial) != 0,
    }
}

/// A set of powers, a bit for each.
type Powers = u32;

const ALL_POWERS: Powers = 0b11_1111;

fn bit(power: Power) -> Powers {
    match power {
        Power::TraceReal => 1 << 0,
        Power::TraceSubjective => 1 << 1,
        Power::TraceGranted => 1 << 2,
        Power::TraceRequester => 1 << 3,
        Power::TraceGrantor => 1 << 4,
        Power::AdministerSystem => 1 << 5,
    }
}

fn verdict(case: &Case, powers: Powers) -> Result<(), Denial> {
    judge(case, |power| powers & bit(power) != 0)
}

fn ids(ids: [u32; 4]) -> Ids {
    let [real, effective, saved, fs] = ids;
    Ids {
        real,
        effective,
        saved,
        fs,
    }
}

fn identity(credentials: &Credentials) -> Identity {
    Identity {
        uids: ids(credentials.uids),
        gids: ids(credentials.gids),
        permitted: credentials.permitted,
    }
}

fn standing(agents: &Credentials, theirs: &Credentials) -> Standing {
    Standing {
        identity: identity(theirs),
        same_user_ns: agents.user_ns == theirs.user_ns,
    }
}

/// A process that nothing is wrong with.
const OPEN: Process = Process {
    is_dumpable: true,
    same_label: true,
    no_new_privs: true,
};

/// The agent's and the requester's credentials when nothing is wrong with them.
const SAME: Credentials = Credentials {
    user_ns: 0,
    uids: [1000; 4],
    gids: [100; 4],
    permitted: 0b01,
};

/// A request of a process for itself, with nothing but its credentials to look at.
fn plain(agents: &Credentials, theirs: &Credentials) -> Case {
    Case {
        agent: identity(agents),
        agent_no_new_privs: false,
        real: standing(agents, theirs),
        subjective: None,
        granted: None,
        requester: OPEN,
        grantor: None,
        is_seen: true,
        granted_is_grantors: true,
    }
}

/// All partitions of eight things, as the number of the part that each is in.
fn partitions() -> Vec<[usize; 8]> {
    let mut all = vec![([0; 8], 0)];
    for place in 0..8 {
        all = all
            .into_iter()
            .flat_map(|(parts, used)| {
                (0..=used).map(move |part| {
                    let mut parts: [usize; 8] = parts;
                    parts[place] = part;
                    (parts, used.max(part + 1))
                })
            })
            .collect();
    }
    all.into_iter().map(|(parts, _)| parts).collect()
}

/// Numbers for the parts. None of them is special to the rule, not root's either.
const NUMBERS: [[u32; 8]; 3] = [
    [1000, 0, 1, 1001, 65534, 100, 2, 3],
    [0, 1000, u32::MAX, 100, 7, 6, 5, 4],
    [100, 1000, 0, 65534, u32::MAX, 1, 2, 0x8000_0000],
];

#[test]
fn partitions_are_all() {
    // The Bell number of eight.
    assert_eq!(partitions().len(), 4140);
    let one: std::collections::BTreeSet<_> = partitions().into_iter().collect();
    assert_eq!(one.len(), 4140);
}

/// Each partition of the user IDs, and each of the group IDs, in the one and in another user
/// namespace, with each pair of sets of two capabilities, and with each power.
#[test]
fn credentials() {
    let mut granted = 0;
    for parts in partitions() {
        for numbers in NUMBERS {
            let number = parts.map(|part| numbers[part]);
            let (ours, others) = (
                [number[0], number[1], number[2], number[3]],
                [number[4], number[5], number[6], number[7]],
            );
            for flags in 0..1u32 << 6 {
                let flag = |place: u32| flags >> place & 1 == 1;
                let mut agents = SAME;
                let mut theirs = SAME;
                if flag(0) {
                    (agents.uids, theirs.uids) = (ours, others);
                } else {
                    (agents.gids, theirs.gids) = (ours, others);
                }
                theirs.user_ns = u32::from(flag(1));
                agents.permitted = u64::from(flags >> 2 & 0b11);
                theirs.permitted = u64::from(flags >> 4 & 0b11);

                let case = plain(&agents, &theirs);
                let objections = page::about_credentials(&agents, &theirs);
                for powers in [0, bit(Power::TraceReal), ALL_POWERS] {
                    let traced = powers != 0;
                    let expected = if traced { 0 } else { objections };
                    let verdict = verdict(&case, powers);
                    assert!(
                        agree(verdict, expected),
                        "{agents:?}, {theirs:?}, traced: {traced}: {verdict:?}"
                    );
                    granted += u32::from(!traced && verdict.is_ok());
                }
            }
        }
    }
    // One partition of each kind, three times, in the same user namespace, with the nine pairs of
    // sets of which one is in the other.
    assert_eq!(granted, 2 * 3 * 9);
}

/// The highest capability counts like the lowest.
#[test]
fn each_capability() {
    for capability in 0..u64::BITS {
        let mut theirs = SAME;
        theirs.permitted = 1 << capability;
        for permitted in [0, u64::MAX, !theirs.permitted, theirs.permitted] {
            let agents = Credentials { permitted, ..SAME };
            let expected = page::about_credentials(&agents, &theirs);
            assert!(agree(verdict(&plain(&agents, &theirs), 0), expected));
        }
    }
}

/// With more capabilities the agent gets no less, for no three sets that it is measured by.
#[test]
fn more_capabilities() {
    let with = |permitted: u64| Credentials { permitted, ..SAME };
    for sets in 0..1u64 << 9 {
        let theirs = [0, 3, 6].map(|place| with(sets >> place & 0b111));
        let verdict = |permitted: u64| {
            let agents = with(permitted);
            let case = Case {
                subjective: Some(standing(&agents, &theirs[1])),
                granted: Some(standing(&agents, &theirs[2])),
                ..plain(&agents, &theirs[0])
            };
            verdict(&case, bit(Power::AdministerSystem))
        };
        for less in 0..0b1000u64 {
            for more in (0..0b1000u64).filter(|more| less & !more == 0) {
                assert!(verdict(less).is_err() || verdict(more).is_ok());
            }
        }
    }
}

/// What may be wrong with credentials, one bit for each of the four.
const FLAWS: usize = 16;

/// Credentials with these flaws.
fn flawed(flaws: usize) -> Credentials {
    let mut theirs = SAME;
    if flaws & 1 != 0 {
        theirs.user_ns = 1;
    }
    if flaws & 2 != 0 {
        theirs.uids[1] = 0;
    }
    if flaws & 4 != 0 {
        theirs.gids[3] = 0;
    }
    if flaws & 8 != 0 {
        theirs.permitted = 0b11;
    }
    theirs
}

/// A process with these flaws.
fn process(flaws: usize) -> Process {
    Process {
        is_dumpable: flaws & 1 == 0,
        same_label: flaws & 2 == 0,
        no_new_privs: flaws & 4 == 0,
    }
}

/// The parts of a case, each with how many values it has. Where a part can be missing, that is its
/// last value.
const SIZES: [usize; 8] = [FLAWS, FLAWS + 1, FLAWS + 1, 8, 9, 2, 2, 2];

/// One value of each part.
type Values = [usize; SIZES.len()];

fn values(mut number: usize) -> Values {
    SIZES.map(|size| {
        let value = number % size;
        number /= size;
        value
    })
}

/// Which cases have one flaw less: by how much their numbers are lower.
fn steps(values: &Values) -> Vec<usize> {
    let mut steps = Vec::new();
    let mut place = 1;
    for (size, value) in SIZES.into_iter().zip(values) {
        let flaws = size & !1;
        steps.extend(
            (0..usize::BITS)
                .map(|bit| 1 << bit)
                .filter(|flaw| *value < flaws && value & flaw != 0)
                .map(|flaw| flaw * place),
        );
        place *= size;
    }
    steps
}

fn case_of(values: &Values) -> Case {
    let [real, subjective, granted, requester, grantor, agent, foreign, unseen] = *values;
    let standing = |flaws| standing(&SAME, &flawed(flaws));
    Case {
        agent: identity(&SAME),
        agent_no_new_privs: agent == 1,
        real: standing(real),
        subjective: (subjective < FLAWS).then(|| standing(subjective)),
        granted: (granted < FLAWS).then(|| standing(granted)),
        requester: process(requester),
        grantor: (grantor < 8).then(|| process(grantor)),
        is_seen: unseen == 0,
        granted_is_grantors: foreign == 0,
    }
}

/// The same for the page, but for the powers.
struct Question {
    objections: [Objections; 3],
    /// Which power is about each of the credentials, and about each of the processes.
    owners: [Powers; 3],
    processes: [Process; 2],
    programs: [Powers; 2],
    of_processes: [Powers; 2],
    agent_no_new_privs: bool,
    seen: bool,
    overridden: bool,
}

impl Question {
    fn new(values: &Values) -> Self {
        let [real, subjective, granted, requester, grantor, agent, foreign, unseen] = *values;
        let about = |flaws| page::about_credentials(&SAME, &flawed(flaws));
        let own = (about(real), bit(Power::TraceReal));
        let or_own = |flaws, power| {
            if flaws < FLAWS {
                (about(flaws), bit(power))
            } else {
                own
            }
        };
        let acting = or_own(subjective, Power::TraceSubjective);
        let opened = or_own(granted, Power::TraceGranted);
        let asking = (process(requester), bit(Power::TraceRequester), own.1);
        let granting = if grantor < 8 {
            (process(grantor), bit(Power::TraceGrantor), opened.1)
        } else {
            asking
        };
        Self {
            objections: [own.0, acting.0, opened.0],
            owners: [own.1, acting.1, opened.1],
            processes: [asking.0, granting.0],
            programs: [asking.1, granting.1],
            of_processes: [asking.2, granting.2],
            agent_no_new_privs: agent == 1,
            seen: unseen == 0,
            overridden: subjective < FLAWS || foreign == 1,
        }
    }

    fn with(&self, powers: Powers) -> page::Request {
        let process = |number: usize| page::Process {
            dumpable: self.processes[number].is_dumpable,
            same_label: self.processes[number].same_label,
            no_new_privs: self.processes[number].no_new_privs,
            program_traced: powers & self.programs[number] != 0,
            traced: powers & self.of_processes[number] != 0,
        };
        let owner = |number: usize| Owner {
            objections: self.objections[number],
            traced: powers & self.owners[number] != 0,
        };
        page::Request {
            owners: [owner(0), owner(1), owner(2)],
            processes: [process(0), process(1)],
            agent_no_new_privs: self.agent_no_new_privs,
            seen: self.seen,
            overridden: self.overridden,
            administrator: powers & bit(Power::AdministerSystem) != 0,
        }
    }
}

/// With which sets of powers a case is granted, a bit for each of the 64. The page agrees.
fn granted_with(values: &Values) -> u64 {
    let case = case_of(values);
    let question = Question::new(values);
    let mut granted = 0;

    for powers in 0..=ALL_POWERS {
        let verdict = verdict(&case, powers);
        let objections = page::objections(&question.with(powers));
        assert!(
            agree(verdict, objections),
            "{values:?}, powers {powers:06b}: {verdict:?}, not {objections:08b}"
        );
        granted |= u64::from(verdict.is_ok()) << powers;
    }
    granted
}

/// What is granted is granted with a power more.
fn check_powers(values: &Values, granted: u64) {
    for power in (0..6).map(|place| 1 << place) {
        for powers in (0..=ALL_POWERS).filter(|powers| powers & power == 0) {
            let more = powers | power;
            assert!(
                granted >> powers & 1 <= granted >> more & 1,
                "{values:?} is granted with powers {powers:06b}, not with {more:06b}"
            );
        }
    }
}

/// To find out about powers costs more than all the rest: where nothing is missing, none is asked
/// for, and otherwise none that would not help.
fn check_that_powers_are_asked_for_last(values: &Values, granted: u64) {
    let asked = Cell::new(0);
    let verdict = judge(&case_of(values), |power| {
        asked.set(asked.get() | bit(power));
        true
    });

    if values[7] == 1 {
        assert_eq!(verdict, Err(Denial::PidNamespace));
        assert_eq!(asked.get(), 0);
        return;
    }
    assert_eq!(verdict, Ok(()));
    for power in (0..6).map(|place| 1 << place) {
        let is_needed = granted >> (ALL_POWERS & !power) & 1 == 0;
        assert_eq!(asked.get() & power != 0, is_needed, "{values:?}");
    }
}

/// Every combination of flaws of the credentials and the processes, with every set of powers.
#[test]
fn requests() {
    let number_of_cases: usize = SIZES.iter().product();
    let mut all: Vec<u64> = Vec::with_capacity(number_of_cases);

    for number in 0..number_of_cases {
        let values = values(number);
        let granted = granted_with(&values);
        check_powers(&values, granted);
        check_that_powers_are_asked_for_last(&values, granted);
        for step in steps(&values) {
            assert!(
                granted & !all[number - step] == 0,
                "{values:?} is granted, and not with a flaw less"
            );
        }
        all.push(granted);
    }
}

/// The requester's own credentials are one set, whether they are given once or twice.
#[test]
fn own_credentials_are_granted() {
    for number in 0..SIZES.iter().product() {
        let values = values(number);
        if values[2] < FLAWS {
            continue;
        }
        let case = case_of(&values);
        let copy = Case {
            granted: Some(case.real),
            ..case
        };
        for powers in [
            0,
            ALL_POWERS & !bit(Power::TraceReal) & !bit(Power::TraceGranted),
        ] {
            let traced = powers | bit(Power::TraceReal) | bit(Power::TraceGranted);
            assert_eq!(verdict(&case, powers), verdict(&copy, powers));
            assert_eq!(verdict(&case, traced), verdict(&copy, traced));
        }
    }
}
