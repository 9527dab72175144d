// SPDX-License-Identifier: GPL-2.0

//! The truth table of the rule: from a case that is granted, each clause alone flips the answer.
//!
//! `tests/rule` goes through all the cases, outside of a kernel.

#![deny(unsafe_code)]

use super::*;
use kernel::prelude::*;

const fn all(id: u32) -> Ids {
    Ids {
        real: id,
        effective: id,
        saved: id,
        fs: id,
    }
}

const USER: Identity = Identity {
    uids: all(1000),
    gids: all(100),
    permitted: 0b0110,
};

const SAME: Standing = Standing {
    identity: USER,
    same_user_ns: true,
};

const OPEN: Process = Process {
    is_dumpable: true,
    same_label: true,
    no_new_privs: false,
};

/// The user's agent for a process of the same user, by the narrowest margin in everything.
const GRANTED: Case = Case {
    agent: USER,
    agent_no_new_privs: false,
    real: SAME,
    subjective: None,
    granted: None,
    requester: OPEN,
    grantor: None,
    is_seen: true,
    granted_is_grantors: true,
};

/// The verdict on an agent with these powers and no others.
fn with(case: &Case, powers: &[Power]) -> Result<(), Denial> {
    judge(case, |power| powers.contains(&power))
}

/// What none of the three standings may be.
fn bad_standings() -> [(Standing, Denial); 11] {
    let with = |identity| Standing { identity, ..SAME };
    let uids = |uids| with(Identity { uids, ..USER });
    let gids = |gids| with(Identity { gids, ..USER });
    let (u, g) = (USER.uids, USER.gids);

    [
        (
            Standing {
                same_user_ns: false,
                ..SAME
            },
            Denial::UserNamespace,
        ),
        (uids(Ids { real: 0, ..u }), Denial::User),
        (uids(Ids { effective: 0, ..u }), Denial::User),
        (uids(Ids { saved: 0, ..u }), Denial::User),
        (uids(Ids { fs: 0, ..u }), Denial::User),
        (uids(all(1001)), Denial::User),
        (gids(Ids { real: 0, ..g }), Denial::Group),
        (gids(Ids { effective: 0, ..g }), Denial::Group),
        (gids(Ids { saved: 0, ..g }), Denial::Group),
        (gids(Ids { fs: 0, ..g }), Denial::Group),
        (
            with(Identity {
                permitted: 0b1110,
                ..USER
            }),
            Denial::Capabilities,
        ),
    ]
}

/// Puts a standing in each of the three places of a case, with the power that makes up for it.
fn in_each_place(standing: Standing) -> [(Case, Power); 3] {
    [
        (
            Case {
                real: standing,
                ..GRANTED
            },
            Power::TraceReal,
        ),
        (
            Case {
                subjective: Some(standing),
                ..GRANTED
            },
            Power::TraceSubjective,
        ),
        (
            Case {
                granted: Some(standing),
                ..GRANTED
            },
            Power::TraceGranted,
        ),
    ]
}

/// Puts a process in each of the two places of a case that has both.
fn as_requester_and_grantor(process: Process) -> [Case; 2] {
    let nested = Case {
        granted: Some(SAME),
        grantor: Some(OPEN),
        ..GRANTED
    };

    [
        Case {
            requester: process,
            ..nested
        },
        Case {
            grantor: Some(process),
            ..nested
        },
    ]
}

#[kernel::macros::kunit_tests(keyagent_policy)]
mod table {
    use super::*;

    #[test]
    fn same_user_is_granted() {
        assert_eq!(with(&GRANTED, &[]), Ok(()));
    }

    #[test]
    fn each_flaw_of_each_standing_denies() {
        for (standing, denial) in bad_standings() {
            for (case, power) in in_each_place(standing) {
                assert_eq!(with(&case, &[Power::AdministerSystem]), Err(denial));
                assert_eq!(with(&case, &[Power::AdministerSystem, power]), Ok(()));
            }
        }
    }

    #[test]
    fn tracing_counts_where_something_is_missing_and_nowhere_else() {
        for (standing, denial) in bad_standings() {
            for (place, (case, _)) in in_each_place(standing).into_iter().enumerate() {
                let mut others = [
                    Power::TraceReal,
                    Power::TraceSubjective,
                    Power::TraceGranted,
                    Power::TraceRequester,
                    Power::TraceGrantor,
                    Power::AdministerSystem,
                ];
                others[place] = Power::AdministerSystem;
                assert_eq!(with(&case, &others), Err(denial));
            }
        }
    }

    #[test]
    fn what_the_agent_does_not_see_it_may_not_answer() {
        let case = Case {
            is_seen: false,
            ..GRANTED
        };
        assert_eq!(judge(&case, |_| true), Err(Denial::PidNamespace));
    }

    #[test]
    fn each_id_of_the_agent_counts() {
        let (u, g) = (USER.uids, USER.gids);

        for uids in [
            Ids { real: 0, ..u },
            Ids { effective: 0, ..u },
            Ids { saved: 0, ..u },
            Ids { fs: 0, ..u },
            all(0),
        ] {
            let case = Case {
                agent: Identity { uids, ..USER },
                ..GRANTED
            };
            assert_eq!(with(&case, &[]), Err(Denial::User));
        }
        for gids in [
            Ids { real: 0, ..g },
            Ids { effective: 0, ..g },
            Ids { saved: 0, ..g },
            Ids { fs: 0, ..g },
            all(0),
        ] {
            let case = Case {
                agent: Identity { gids, ..USER },
                ..GRANTED
            };
            assert_eq!(with(&case, &[]), Err(Denial::Group));
        }
    }

    #[test]
    fn equal_but_mixed_ids_do_not_suffice() {
        let uids = Ids {
            effective: 0,
            ..USER.uids
        };
        let mixed = Identity { uids, ..USER };
        let case = Case {
            agent: mixed,
            real: Standing {
                identity: mixed,
                ..SAME
            },
            ..GRANTED
        };
        assert_eq!(with(&case, &[]), Err(Denial::User));
    }

    #[test]
    fn more_capabilities_than_the_requester_are_fine() {
        let case = Case {
            agent: Identity {
                permitted: u64::MAX,
                ..USER
            },
            ..GRANTED
        };
        assert_eq!(with(&case, &[]), Ok(()));
    }

    #[test]
    fn both_processes_have_to_be_dumpable() {
        let [requester, grantor] = as_requester_and_grantor(Process {
            is_dumpable: false,
            ..OPEN
        });
        assert_eq!(with(&requester, &[]), Err(Denial::NotDumpable));
        assert_eq!(with(&requester, &[Power::TraceRequester]), Ok(()));
        assert_eq!(with(&grantor, &[]), Err(Denial::NotDumpable));
        assert_eq!(with(&grantor, &[Power::TraceGrantor]), Ok(()));

        // Tracing in the user namespace of the credentials is another matter.
        assert_eq!(
            with(&requester, &[Power::TraceReal, Power::TraceGranted]),
            Err(Denial::NotDumpable)
        );
    }

    #[test]
    fn both_processes_have_the_label_of_the_agent() {
        let [requester, grantor] = as_requester_and_grantor(Process {
            same_label: false,
            ..OPEN
        });
        assert_eq!(with(&requester, &[]), Err(Denial::Label));
        assert_eq!(with(&requester, &[Power::TraceReal]), Ok(()));
        assert_eq!(with(&grantor, &[]), Err(Denial::Label));
        assert_eq!(with(&grantor, &[Power::TraceGranted]), Ok(()));

        // Each by the user namespace of its own credentials.
        assert_eq!(
            with(&requester, &[Power::TraceRequester, Power::TraceGranted]),
            Err(Denial::Label)
        );
        assert_eq!(
            with(&grantor, &[Power::TraceGrantor, Power::TraceReal]),
            Err(Denial::Label)
        );
    }

    #[test]
    fn no_new_privs_is_not_left_by_asking() {
        let set = Process {
            no_new_privs: true,
            ..OPEN
        };
        let both = Case {
            agent_no_new_privs: true,
            granted: Some(SAME),
            requester: set,
            grantor: Some(set),
            ..GRANTED
        };
        let requester = Case {
            requester: OPEN,
            ..both
        };
        let grantor = Case {
            grantor: Some(OPEN),
            ..both
        };
        assert_eq!(with(&requester, &[]), Err(Denial::NoNewPrivs));
        assert_eq!(with(&requester, &[Power::TraceReal]), Ok(()));
        assert_eq!(with(&grantor, &[]), Err(Denial::NoNewPrivs));
        assert_eq!(with(&grantor, &[Power::TraceGranted]), Ok(()));

        let agent_may = Case {
            agent_no_new_privs: false,
            ..both
        };
        assert_eq!(with(&both, &[]), Ok(()));
        assert_eq!(with(&agent_may, &[]), Ok(()));
    }

    #[test]
    fn of_a_grantor_that_is_gone_the_worst_is_assumed() {
        let gone = Case {
            granted: Some(SAME),
            grantor: Some(Process::GONE),
            granted_is_grantors: false,
            ..GRANTED
        };
        assert_eq!(with(&gone, &[]), Err(Denial::Overridden));
        assert_eq!(
            with(&gone, &[Power::AdministerSystem]),
            Err(Denial::NotDumpable)
        );
        assert_eq!(
            with(&gone, &[Power::AdministerSystem, Power::TraceGrantor]),
            Err(Denial::Label)
        );
        assert_eq!(
            with(
                &gone,
                &[
                    Power::AdministerSystem,
                    Power::TraceGrantor,
                    Power::TraceGranted
                ]
            ),
            Ok(())
        );
    }

    #[test]
    fn the_kernel_is_answered_by_an_administrator() {
        for case in [
            Case {
                subjective: Some(SAME),
                ..GRANTED
            },
            Case {
                granted_is_grantors: false,
                ..GRANTED
            },
        ] {
            let tracer = [
                Power::TraceReal,
                Power::TraceSubjective,
                Power::TraceGranted,
                Power::TraceRequester,
                Power::TraceGrantor,
            ];
            assert_eq!(with(&case, &tracer), Err(Denial::Overridden));
            assert_eq!(with(&case, &[Power::AdministerSystem]), Ok(()));
        }
    }

    /// To find out about powers costs more than all the rest.
    #[test]
    fn no_power_is_asked_for_where_nothing_is_missing() {
        let [nested, _] = as_requester_and_grantor(OPEN);
        for case in [GRANTED, nested] {
            let asked = core::cell::Cell::new(false);
            let verdict = judge(&case, |_| {
                asked.set(true);
                true
            });
            assert_eq!(verdict, Ok(()));
            assert!(!asked.get());
        }
    }
}
