// SPDX-License-Identifier: GPL-2.0-or-later

use super::*;

fn request(description: &str, callout: &str) -> Request {
    Request {
        operation: "create".into(),
        key_type: "user".into(),
        description: description.into(),
        callout: callout.into(),
        ..Request::default()
    }
}

/// The line of the rule that is found.
fn line(text: &str, request: &Request) -> Option<usize> {
    let config = Config::parse(Dialect::RequestKey, text.as_bytes()).unwrap();
    config.find(request).map(|rule| rule.line)
}

#[test]
fn no_rule_matches() {
    assert_eq!(line("", &request("a", "")), None);
    assert_eq!(line("negate * * * /x\n", &request("a", "")), None);
    assert_eq!(line("create logon * * /x\n", &request("a", "")), None);
    assert_eq!(line("create user b * /x\n", &request("a", "")), None);
    assert_eq!(line("create user a b /x\n", &request("a", "")), None);
}

#[test]
fn negate() {
    let text = "* user a * /x\nnegate * * * /y\n";
    assert_eq!(line(text, &request("a", "")), Some(1));
    assert_eq!(line(text, &request("a", "").negate()), Some(2));
}

#[test]
fn shortest_skip_wins() {
    let text = "create user * * /x\ncreate user ab* * /x\ncreate user a* * /x\n";
    assert_eq!(line(text, &request("abc", "")), Some(2));
    assert_eq!(line(text, &request("ac", "")), Some(3));
    assert_eq!(line(text, &request("c", "")), Some(1));
}

#[test]
fn fields_rank_from_left_to_right() {
    // One byte less in the description outweighs a callout info without a wildcard.
    let text = "create user a* exact /x\ncreate user ab* * /x\n";
    assert_eq!(line(text, &request("abc", "exact")), Some(2));
    let text = "create u* abc exact /x\ncreate us* * * /x\n";
    assert_eq!(line(text, &request("abc", "exact")), Some(2));
    let text = "c* user abc exact /x\ncr* * * * /x\n";
    assert_eq!(line(text, &request("abc", "exact")), Some(2));
    let text = "create user abc e* /x\ncreate user abc ex* /x\n";
    assert_eq!(line(text, &request("abc", "exact")), Some(2));
}

#[test]
fn first_of_equals_wins() {
    let text = "create user a* * /x\ncreate user *c * /x\n";
    assert_eq!(line(text, &request("abc", "")), Some(1));
    // A wildcard that stands for nothing is as good as none.
    let text = "create user a* * /x\ncreate user a * /x\n";
    assert_eq!(line(text, &request("a", "")), Some(1));
}

#[test]
fn callout_info_is_matched_to_its_nul() {
    let request = Request {
        callout: b"ab\0c".to_vec(),
        ..request("x", "")
    };
    assert_eq!(line("create user * ab /x\n", &request), Some(1));
}

#[test]
fn every_problem_is_reported() {
    let text = b"create user a * cat\n# fine\ncreate user b * /x\ncreate\ncreate user * * /x %";
    let refused = Config::parse(Dialect::RequestKey, text).unwrap_err();
    let places: Vec<_> = refused.0.iter().map(|found| found.place).collect();
    assert_eq!(
        places,
        [(1, 17), (4, 7), (5, 21)].map(|(line, column)| Some(Place { line, column }))
    );
    assert!(refused.to_string().starts_with("<memory>:1:17: "));
}

#[test]
fn oddities_have_places() {
    let config = Config::parse(Dialect::RequestKey, b"# fine\ncreate user *a* * /x\n").unwrap();
    let [oddity] = config.oddities() else {
        panic!("{:?}", config.oddities());
    };
    assert_eq!(oddity.what, Oddity::SecondAsterisk);
    assert_eq!(
        oddity.place,
        Some(Place {
            line: 2,
            column: 15
        })
    );
    assert_eq!(config.rules().len(), 1);
}

#[test]
fn the_rules_that_keyutils_comes_with() {
    let text = "\
create\tdns_resolver *\t\t*\t/sbin/key.dns_resolver %k
create\tuser\tdebug:*\t\tnegate\t/bin/keyctl negate %k 30 %S
create  user    debug:*         rejected        /bin/keyctl reject %k 30 %c %S
create\tuser\tdebug:loop:*\t*\t|/bin/cat
create\tuser\tdebug:*\t\t*\t/usr/share/keyutils/request-key-debug.sh %k %d %c %S
negate\t*\t*\t\t*\t/bin/keyctl negate %k 30 %S
";
    assert_eq!(line(text, &request("debug:x", "negate")), Some(2));
    assert_eq!(line(text, &request("debug:x", "rejected")), Some(3));
    assert_eq!(line(text, &request("debug:x", "spoon")), Some(5));
    assert_eq!(line(text, &request("debug:loop:x", "spoon")), Some(4));
    // The description's asterisk counts before the callout info's.
    assert_eq!(line(text, &request("debug:loop:x", "negate")), Some(4));
    assert_eq!(line(text, &request("other", "")), None);
    assert_eq!(line(text, &request("other", "").negate()), Some(6));
}

#[test]
fn own_rules_rank_as_others() {
    let config = Config::parse(
        Dialect::Own,
        b"create user * * @negate\ncreate user a*c * /x\ncreate user a* * @decline\n",
    )
    .unwrap();
    let line = |description| config.find(&request(description, "")).map(|rule| rule.line);
    assert_eq!(line("abbc"), Some(2));
    assert_eq!(line("abba"), Some(3));
    assert_eq!(line("b"), Some(1));
    assert_eq!(line("ac"), Some(2));
}
