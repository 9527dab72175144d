// SPDX-License-Identifier: GPL-2.0-or-later

use super::super::proc_keys::State;
use super::*;
use crate::sys::keyctl::Serial;

fn counters(pairs: &[(&str, u64)]) -> Counters {
    Counters(
        pairs
            .iter()
            .map(|(name, number)| (name.to_string(), *number))
            .collect(),
    )
}

fn agent(serial: i32, pairs: Option<&[(&str, u64)]>) -> Agent {
    Agent {
        serial: Serial(serial),
        key_type: "user".into(),
        uid: 0,
        state: State::Alive,
        pid: Some(84),
        command: Some("sample".into()),
        signal: Some(34),
        in_session: true,
        counters: pairs.map(counters),
    }
}

/// One agent that has counted this since, and what the module has.
fn judge(
    error: Option<i32>,
    since: &[(&str, u64)],
    outcomes: Option<&[(&str, u64)]>,
) -> (Verdict, String) {
    let before = agent(7, Some(&[("served", 5)]));
    let mut after = before.clone();
    for (name, number) in since {
        let all = &mut after.counters.as_mut().unwrap().0;
        *all.entry((*name).into()).or_default() += number;
    }
    let evidence = Evidence {
        agents: [vec![&before], vec![&after]],
        outcomes: outcomes.map(|pairs| [counters(&[]), counters(pairs)]),
        error,
    };
    let verdict = evidence.judge();
    let text = verdict.to_string();
    (verdict, text)
}

const WHO: &str = "agent 7, pid 84 (sample)";

#[test]
fn agent_answered() {
    let outcomes: [Option<&[(&str, u64)]>; 2] = [None, Some(&[("served", 1)])];
    for outcomes in outcomes {
        assert_eq!(judge(None, &[("served", 1)], outcomes).1, WHO);
    }
    let (verdict, text) = judge(Some(libc::EKEYREJECTED), &[("rejected", 1)], None);
    assert!(matches!(verdict, Verdict::Agent(_)));
    assert_eq!(text, format!("{WHO}, which refused"));
    // Others' requests had nothing to do with agents for this type.
    let busy: &[_] = &[("served", 1), ("no_agent", 12)];
    assert_eq!(judge(None, &[("served", 1)], Some(busy)).1, WHO);
}

#[test]
fn agent_did_not() {
    let timed_out = judge(Some(libc::ETIMEDOUT), &[("timed_out", 1)], None);
    assert_eq!(timed_out.1, format!("nobody: {WHO} did not answer in time"));
    let died = judge(Some(libc::ENOKEY), &[("died", 1)], None);
    assert_eq!(died.1, format!("nobody: {WHO} died over it"));
    let untaken = judge(None, &[("died", 1)], None);
    assert_eq!(
        untaken.1,
        format!("/sbin/request-key: {WHO} died before it began")
    );
    let untaken = judge(
        Some(libc::ENOKEY),
        &[("died", 1)],
        Some(&[("died_untaken", 1)]),
    );
    assert!(matches!(untaken.0, Verdict::Upcall(_)));
    let invalidated = judge(Some(libc::ENOKEY), &[], Some(&[("invalidated", 1)]));
    assert_eq!(invalidated.1, "nobody: an agent invalidated the authkey");
}

#[test]
fn upcall() {
    let declined = judge(None, &[("declined", 1)], None);
    assert_eq!(declined.1, format!("/sbin/request-key: {WHO} gave it back"));
    let denied = judge(None, &[("denied", 1)], Some(&[("denied_not_dumpable", 1)]));
    assert!(denied.1.ends_with("(denied_not_dumpable)"), "{}", denied.1);
    let denied = judge(None, &[("denied", 1)], Some(&[("denied_destination", 1)]));
    assert!(
        denied.1.contains("the keyring that the key goes to"),
        "{}",
        denied.1
    );
    for outcomes in [None, Some(&[("busy", 1)][..])] {
        let busy = judge(None, &[("busy", 1)], outcomes);
        assert!(
            busy.1.ends_with("as many requests as it may have"),
            "{}",
            busy.1
        );
        assert!(matches!(busy.0, Verdict::Upcall(_)));
    }
    let denied = judge(None, &[("denied", 1)], None);
    assert!(denied.1.contains("may not answer"), "{}", denied.1);
    let none = judge(None, &[], None);
    assert!(none.1.ends_with("was not asked"), "{}", none.1);
    let failed = judge(Some(libc::ENOKEY), &[], None);
    assert!(failed.1.contains("if anybody"), "{}", failed.1);
    let sure = judge(Some(libc::ENOKEY), &[], Some(&[("no_agent", 1)]));
    assert!(!sure.1.contains("if anybody"), "{}", sure.1);
}

#[test]
fn ends_of_others() {
    for name in ["killed", "frozen", "dying"] {
        let outcomes: &[_] = &[(name, 1), ("served", 1)];
        let served = judge(None, &[("served", 1)], Some(outcomes));
        assert_eq!(served.1, WHO);
        let inside = judge(Some(libc::EDQUOT), &[], Some(&[(name, 2)]));
        assert!(matches!(inside.0, Verdict::Nobody(_)));
    }
}

#[test]
fn nobody() {
    let interrupted = judge(Some(libc::EINTR), &[("served", 1)], None);
    assert!(matches!(interrupted.0, Verdict::Nobody(_)));
    let inside = judge(Some(libc::EDQUOT), &[], Some(&[]));
    assert!(matches!(inside.0, Verdict::Nobody(_)));
}

#[test]
fn what_cannot_be_told() {
    let is_unclear = |error, since: &[(&str, u64)], outcomes| {
        let (verdict, text) = judge(error, since, outcomes);
        assert!(matches!(verdict, Verdict::Unclear(_)), "{text}");
    };
    // Two of them.
    is_unclear(None, &[("served", 2)], None);
    is_unclear(None, &[("served", 1), ("rejected", 1)], None);
    is_unclear(None, &[("served", 2)], Some(&[("served", 2)]));
    // Not this one.
    is_unclear(Some(libc::ENOKEY), &[("served", 1)], None);
    is_unclear(None, &[("rejected", 1)], None);
    is_unclear(Some(libc::ENOKEY), &[("timed_out", 1)], None);
    is_unclear(None, &[("later", 1)], None);
}

#[test]
fn counters_that_may_not_be_read() {
    let hidden = agent(7, None);
    let judge = |in_session, outcomes: Option<[Counters; 2]>| {
        let agent = Agent {
            in_session,
            ..hidden.clone()
        };
        let evidence = Evidence {
            agents: [vec![&agent], vec![&agent]],
            outcomes,
            error: None,
        };
        evidence.judge()
    };
    assert!(matches!(judge(true, None), Verdict::Unclear(_)));
    assert!(matches!(judge(false, None), Verdict::Upcall(_)));
    let served = [counters(&[]), counters(&[("served", 1)])];
    assert_eq!(judge(true, Some(served)), Verdict::Agent("an agent".into()));
}

#[test]
fn agents_that_come_and_go() {
    let new = agent(8, Some(&[("served", 1)]));
    let old = agent(7, Some(&[("served", 9)]));
    let evidence = Evidence {
        agents: [vec![&old], vec![&new]],
        outcomes: None,
        error: None,
    };
    assert_eq!(evidence.judge(), Verdict::Agent(new.who()));
    let evidence = Evidence {
        agents: [vec![], vec![]],
        outcomes: None,
        error: None,
    };
    assert!(evidence
        .judge()
        .to_string()
        .contains("no agent for this type"));
}
