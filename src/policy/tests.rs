// SPDX-License-Identifier: GPL-2.0

//! The truth table of the rule: from a case that is granted, each clause alone flips the answer.

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
    may_trace: false,
};

const OPEN: Process = Process {
    is_dumpable: true,
    may_trace: false,
};

const SHUT: Process = Process {
    is_dumpable: false,
    may_trace: false,
};

/// The user's agent for a process of the same user, by the narrowest margin in everything.
const GRANTED: Case = Case {
    agent: USER,
    real: SAME,
    subjective: SAME,
    granted: SAME,
    requester: OPEN,
    grantor: OPEN,
    agent_no_new_privs: false,
    no_new_privs: false,
    is_overridden: false,
    may_administer_system: false,
};

/// What each of the three standings may not be.
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

/// Puts a standing in each of the three places of a case.
fn in_each_place(case: Case, standing: Standing) -> [Case; 3] {
    [
        Case {
            real: standing,
            ..case
        },
        Case {
            subjective: standing,
            ..case
        },
        Case {
            granted: standing,
            ..case
        },
    ]
}

#[kernel::macros::kunit_tests(keyagent_policy)]
mod table {
    use super::*;

    #[test]
    fn same_user_is_granted() {
        assert_eq!(judge(&GRANTED), Ok(()));
    }

    #[test]
    fn each_flaw_of_each_standing_denies() {
        for (standing, denial) in bad_standings() {
            for case in in_each_place(GRANTED, standing) {
                assert_eq!(judge(&case), Err(denial));
            }
        }
    }

    #[test]
    fn who_may_trace_needs_nothing_else_of_a_standing() {
        for (standing, denial) in bad_standings() {
            let traced = Standing {
                may_trace: true,
                ..standing
            };
            for case in in_each_place(GRANTED, traced) {
                assert_eq!(judge(&case), Ok(()));
            }
            // Only over the credentials for which it may.
            let case = Case {
                real: traced,
                granted: standing,
                ..GRANTED
            };
            assert_eq!(judge(&case), Err(denial));
        }
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
            assert_eq!(judge(&case), Err(Denial::User));
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
            assert_eq!(judge(&case), Err(Denial::Group));
        }
    }

    #[test]
    fn equal_but_mixed_ids_do_not_suffice() {
        let uids = Ids {
            effective: 0,
            ..USER.uids
        };
        let mixed = Identity { uids, ..USER };
        let standing = Standing {
            identity: mixed,
            ..SAME
        };
        let case = Case {
            agent: mixed,
            real: standing,
            subjective: standing,
            granted: standing,
            ..GRANTED
        };
        assert_eq!(judge(&case), Err(Denial::User));
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
        assert_eq!(judge(&case), Ok(()));
    }

    #[test]
    fn both_processes_have_to_be_dumpable() {
        let requester = Case {
            requester: SHUT,
            ..GRANTED
        };
        let grantor = Case {
            grantor: SHUT,
            ..GRANTED
        };
        assert_eq!(judge(&requester), Err(Denial::NotDumpable));
        assert_eq!(judge(&grantor), Err(Denial::NotDumpable));
    }

    #[test]
    fn who_may_trace_may_look_into_a_process() {
        let open = Process {
            may_trace: true,
            ..SHUT
        };
        let case = Case {
            requester: open,
            grantor: open,
            ..GRANTED
        };
        assert_eq!(judge(&case), Ok(()));

        // Tracing in the user namespace of the credentials is another matter.
        let standing = Standing {
            may_trace: true,
            ..SAME
        };
        let case = Case {
            real: standing,
            requester: SHUT,
            ..GRANTED
        };
        assert_eq!(judge(&case), Err(Denial::NotDumpable));
    }

    #[test]
    fn no_new_privs_is_not_left_by_asking() {
        let agent = Case {
            agent_no_new_privs: true,
            ..GRANTED
        };
        assert_eq!(judge(&agent), Err(Denial::NoNewPrivs));

        let both = Case {
            no_new_privs: true,
            ..agent
        };
        assert_eq!(judge(&both), Ok(()));

        let requester = Case {
            no_new_privs: true,
            ..GRANTED
        };
        assert_eq!(judge(&requester), Ok(()));

        let traced = Case {
            real: Standing {
                may_trace: true,
                ..SAME
            },
            ..agent
        };
        assert_eq!(judge(&traced), Ok(()));
    }

    #[test]
    fn the_kernel_is_answered_by_an_administrator() {
        let overridden = Case {
            is_overridden: true,
            ..GRANTED
        };
        assert_eq!(judge(&overridden), Err(Denial::Overridden));

        let administrator = Case {
            may_administer_system: true,
            ..overridden
        };
        assert_eq!(judge(&administrator), Ok(()));
        for (standing, denial) in bad_standings() {
            for case in in_each_place(administrator, standing) {
                assert_eq!(judge(&case), Err(denial));
            }
        }
    }

    /// What a request is judged by first: that leaves out whom the agent may trace.
    #[test]
    fn tracing_only_makes_up_for_something() {
        let traced = |case: Case| {
            let standing = |it| Standing {
                may_trace: true,
                ..it
            };
            let process = |it| Process {
                may_trace: true,
                ..it
            };
            Case {
                real: standing(case.real),
                subjective: standing(case.subjective),
                granted: standing(case.granted),
                requester: process(case.requester),
                grantor: process(case.grantor),
                ..case
            }
        };
        let mut granted = 0;

        for bits in 0..1u32 << 7 {
            let bit = |number: u32| bits & 1 << number != 0;
            let process = |open| if open { OPEN } else { SHUT };
            let case = Case {
                real: Standing {
                    same_user_ns: bit(0),
                    ..SAME
                },
                requester: process(bit(1)),
                grantor: process(bit(2)),
                agent_no_new_privs: bit(3),
                no_new_privs: bit(4),
                is_overridden: bit(5),
                may_administer_system: bit(6),
                ..GRANTED
            };
            if judge(&case).is_ok() {
                assert_eq!(judge(&traced(case)), Ok(()));
                granted += 1;
            }
        }
        // Nine of the sixteen of the last four flags, with the first three set.
        assert_eq!(granted, 9);
    }
}
