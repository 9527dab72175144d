// SPDX-License-Identifier: GPL-2.0-or-later

//! The manual pages have the options that the programs have, and the example of a
//! configuration says what the program understands.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

const KEYAGENTD: &str = env!("CARGO_BIN_EXE_keyagentd");
const KEYAGENT: &str = env!("CARGO_BIN_EXE_keyagent");

fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn page(name: &str) -> String {
    let path = tree("../../Documentation/man").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a program that succeeds prints.
fn output<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The options that a line begins with: `-k, --keyring <KEYRING>  Where to...`, or
/// `-k KEYRING, --keyring=KEYRING`.
fn options(line: &str) -> impl Iterator<Item = String> + '_ {
    let line = line.split("  ").next().unwrap_or_default();
    let of_name = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    line.split(", ")
        .map(move |word| word.chars().take_while(of_name).collect::<String>())
        .filter(|name| name.starts_with('-') && name.contains(|c: char| c != '-'))
}

/// Those of `--help`. What they mean is indented by more.
fn of_help(help: &str) -> BTreeSet<String> {
    let unindented = |line: &str| line.len() - line.trim_start().len() <= 6;
    let lines = help.lines().filter(|line| unindented(line));
    lines.map(str::trim_start).flat_map(options).collect()
}

/// Those that a page describes, each in a line of its own.
fn of_page(page: &str) -> BTreeSet<String> {
    page.lines().flat_map(options).collect()
}

#[test]
fn keyagentd_has_the_options_of_its_page() {
    let described = of_page(&page("keyagentd.8.rst"));
    assert_eq!(described, of_help(&output(KEYAGENTD, ["--help"])));
}

#[test]
fn keyagent_has_the_commands_and_options_of_its_page() {
    let page = page("keyagent.1.rst");
    let help = output(KEYAGENT, ["--help"]);
    let mut has = of_help(&help);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: BTreeSet<_> = list
        .map_while(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    for command in &commands {
        has.extend(of_help(&output(KEYAGENT, [command, "--help"])));
    }
    assert_eq!(of_page(&page), has);

    let headings = page
        .lines()
        .filter_map(|line| line.strip_prefix("keyagent "));
    assert_eq!(headings.collect::<BTreeSet<_>>(), commands);
}

/// The example, and the example with its rules as rules.
#[test]
fn the_example_can_be_used() {
    let example = std::fs::read_to_string(tree("keyagentd.conf")).unwrap();
    let rules: Vec<_> = example
        .lines()
        .filter_map(|line| line.strip_prefix("#create"))
        .collect();
    assert!(rules.len() >= 3, "{rules:?}");

    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example.conf");
    let with_rules = example.replace("\n#create", "\ncreate");
    for (text, expected) in [(&example, 0), (&with_rules, rules.len())] {
        std::fs::write(&path, text).unwrap();
        let check = ["--check", "--no-request-key-conf", "--config"].map(OsStr::new);
        let said = output(KEYAGENTD, check.into_iter().chain([path.as_os_str()]));
        assert_eq!(said, format!("{expected} rules\n"));
    }
}

/// A file, or all files below a directory, but for Rust code and what was built.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        let skipped = path.extension().is_some_and(|extension| extension == "rs");
        return if skipped { vec![] } else { vec![path.into()] };
    }
    let entries = std::fs::read_dir(path).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| !path.ends_with("target") && !path.ends_with("vendor"))
        .flat_map(|path| files(&path))
        .collect()
}

/// In the mount namespace of a container, programs, loader, rules and handlers are the container's,
/// and a daemon that root of the host starts there runs them.
#[test]
fn no_page_has_root_enter_a_mount_namespace() {
    let allowed = ["nsenter", "--target", "PID", "--net", "keyagentd"];
    let mut recipes = 0;
    for path in ["README.md", "Documentation", "debian", "samples", "tools"]
        .iter()
        .flat_map(|path| files(&tree("../..").join(path)))
    {
        // What is no text has no recipe.
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for line in text.lines().filter(|line| line.contains("nsenter -")) {
            let words: Vec<_> = line.split_whitespace().collect();
            assert_eq!(
                words.get(..5),
                Some(&allowed[..]),
                "{}: {line}",
                path.display()
            );
            recipes += 1;
        }
    }
    assert_eq!(recipes, 1, "the recipe of keyagentd.rst");
}
