// SPDX-License-Identifier: GPL-2.0-or-later

use super::*;
use clap::{error::ErrorKind, CommandFactory};

fn parse(line: &str) -> Result<Command, clap::Error> {
    let words = std::iter::once("keyagent").chain(line.split(' '));
    Tool::try_parse_from(words).map(|tool| tool.command)
}

#[test]
fn definitions_are_sound() {
    Tool::command().debug_assert();
}

#[test]
fn programs_keep_their_options() {
    for line in [
        "run -t user,logon -- ls -l --type x",
        "run -t user -t logon ls -l --type x",
    ] {
        match parse(line) {
            Ok(Command::Run(run)) => {
                assert_eq!(run.types, ["user", "logon"], "{line}");
                let (program, arguments) = run.program.split();
                assert_eq!(program, "ls");
                assert_eq!(arguments, ["-l", "--type", "x"]);
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    match parse("exec --agent 5 -a ring -- true -a 6") {
        Ok(Command::Exec(exec)) => {
            assert_eq!(exec.agents, ["5", "ring"]);
            assert_eq!(exec.program.argv, ["true", "-a", "6"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults() {
    match parse("link -a 5") {
        Ok(Command::Link(link)) => {
            assert_eq!(link.to, "@s");
            let accept = link.accept;
            assert_eq!((accept.wait, accept.owner), (None, None));
            assert!(!accept.allow_dead);
        }
        other => panic!("{other:?}"),
    }
    match parse("hook --wait 5") {
        Ok(Command::Hook(hook)) => {
            assert_eq!(hook.list, PathBuf::from("/etc/keyagent/containers"));
            assert_eq!(hook.accept.wait, Some(Duration::from_secs(5)));
        }
        other => panic!("{other:?}"),
    }
    match parse("top") {
        Ok(Command::Top(top)) => {
            assert_eq!(top.interval, Duration::from_secs(2));
            assert_eq!(top.count, None);
        }
        other => panic!("{other:?}"),
    }
    match parse("test user x") {
        Ok(Command::Test(test)) => {
            assert_eq!(test.callout, "");
            assert_eq!(test.timeout, None);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_refused() {
    for line in [
        "",
        "nonsense",
        "run",
        "run -- true",
        "run -t user",
        "run -t  -- true",
        "run -t user, -- true",
        "run -t keyagent -- true",
        "run -t a-name-of-a-type-that-is-too-long -- true",
        "exec -- true",
        "exec --agent 5",
        "exec -a 5 --wait 0 true",
        "link",
        "link -a 5 --wait 5 --allow-dead",
        "link -a 5 --owner root",
        "hook web",
        "hook --agent web",
        "ls x",
        "top --interval 0",
        "top --interval -1",
        "top --interval nan",
        "top --interval 3601",
        "top --count 0",
        "test user",
        "test user x y z",
        "test user x --timeout 0.05",
        "test user x --timeout inf",
        "completions",
        "completions sh",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
    let error = parse("run -t keyagent -- true").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ValueValidation);
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn times() {
    assert_eq!(seconds("0.1", 10), Ok(Duration::from_millis(100)));
    assert_eq!(seconds("10", 10), Ok(Duration::from_secs(10)));
    assert!(seconds("10.1", 10).unwrap_err().contains("0.1 to 10"));
}

/// The manual page, by the command whose options are described: none is all of them.
fn manual() -> Vec<(String, Vec<String>)> {
    let text = include_str!("../../../../Documentation/man/keyagent.1.rst");
    let mut sections = vec![(String::new(), Vec::new())];
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix("keyagent ")
            .filter(|name| !name.contains(' '))
        {
            sections.push((name.into(), Vec::new()));
        } else if line == "OPTIONS" {
            sections.push((String::new(), Vec::new()));
        } else if line.starts_with("-") {
            // "-t TYPE, --type=TYPE"
            let options = &mut sections.last_mut().expect("there is one").1;
            options.extend(line.split(", ").filter_map(|word| {
                let name = word.split(['=', ' ']).next()?.strip_prefix("--")?;
                (!name.is_empty() && !name.starts_with('-')).then(|| name.to_string())
            }));
        }
    }
    sections
}

#[test]
fn manual_page_has_the_options() {
    let mut tool = Tool::command();
    tool.build();
    let names = |command: &clap::Command| {
        let longs = command
            .get_arguments()
            .filter_map(|option| option.get_long());
        let mut list: Vec<_> = longs.map(String::from).collect();
        list.sort();
        list
    };
    let manual = manual();
    let described = |name: &str| {
        let sections = manual.iter().filter(|(section, _)| section == name);
        let mut list: Vec<_> = sections.flat_map(|(_, options)| options.clone()).collect();
        list.sort();
        list
    };
    assert_eq!(described(""), names(&tool));

    let commands = tool
        .get_subcommands()
        .filter(|command| command.get_name() != "help");
    for command in commands {
        let name = command.get_name();
        assert!(manual.iter().any(|(section, _)| section == name), "{name}");
        let mut known = names(command);
        known.retain(|option| option != "help");
        assert_eq!(described(name), known, "{name}");
    }
    for (section, _) in &manual {
        assert!(
            section.is_empty() || tool.find_subcommand(section).is_some(),
            "{section}"
        );
    }
}
