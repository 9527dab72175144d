// SPDX-License-Identifier: GPL-2.0-or-later

//! Which files are read, and in which order.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use keyagentd::{Config, Oddity, Problem, Request, Sources};

/// An empty directory for a test.
fn directory(test: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// These, with the files of request-key(8) in this directory.
fn sources(directory: &Path, own: &[&str]) -> Sources {
    Sources {
        own: own.iter().map(|name| directory.join(name)).collect(),
        own_required: true,
        request_key: Some((directory.join("rk.d"), directory.join("rk.conf"))),
    }
}

/// The files of the rules, in their order.
fn names(config: &Config) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    config.rules().iter().map(|rule| name(&rule.file)).collect()
}

/// A rule that keyagentd.conf(5) has and request-key.conf(5) has not.
const OWN: &str = "create user * * @decline";
const ANY: &str = "create user * * /bin/x\n";

#[test]
fn defaults() {
    let sources = Sources::default();
    assert_eq!(
        sources.own,
        [
            Path::new("/etc/keyagentd.conf"),
            Path::new("/etc/keyagentd.d")
        ]
    );
    assert!(!sources.own_required);
    assert_eq!(
        sources.request_key,
        Some(("/etc/request-key.d".into(), "/etc/request-key.conf".into()))
    );
}

#[test]
fn what_is_not_there() {
    let directory = directory("absent");
    let mut sources = sources(&directory, &["a.conf", "b"]);
    let refused = Config::load(&sources).unwrap_err();
    assert_eq!(refused.0.len(), 2);
    for (problem, path) in refused.0.iter().zip(&sources.own) {
        assert!(matches!(problem.what, Problem::NotThere));
        assert_eq!(*problem.file, **path);
        assert_eq!(problem.place, None);
    }
    sources.own_required = false;
    assert_eq!(Config::load(&sources).unwrap().rules(), []);

    // A link that leads nowhere is a mistake all the same.
    symlink("nowhere", directory.join("a.conf")).unwrap();
    fs::create_dir(directory.join("b")).unwrap();
    symlink("nowhere", directory.join("b/c.conf")).unwrap();
    symlink("d.conf", directory.join("b/d.conf")).unwrap();
    let refused = Config::load(&sources).unwrap_err();
    let files: Vec<_> = refused
        .0
        .iter()
        .map(|found| found.file.to_path_buf())
        .collect();
    assert_eq!(
        files,
        ["a.conf", "b/c.conf", "b/d.conf"].map(|name| directory.join(name))
    );
    for problem in &refused.0 {
        assert!(matches!(problem.what, Problem::Unreadable(_)), "{problem}");
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn own_directory() {
    let directory = directory("own");
    fs::create_dir_all(directory.join("d/dir.conf")).unwrap();
    for name in [
        "b.conf",
        "B.conf",
        "10.conf",
        "9.conf",
        ".a.conf",
        "a.conf~",
        "a",
        "\u{e4}.conf",
    ] {
        fs::write(directory.join("d").join(name), OWN).unwrap();
    }
    // As Kubernetes has it.
    symlink("a", directory.join("d/aa.conf")).unwrap();
    symlink("/dev/null", directory.join("d/null.conf")).unwrap();

    let config = Config::load(&sources(&directory, &["d"])).unwrap();
    assert_eq!(
        names(&config),
        [
            "10.conf",
            "9.conf",
            "B.conf",
            "aa.conf",
            "b.conf",
            "\u{e4}.conf"
        ]
    );
    let odd: Vec<_> = config
        .oddities()
        .iter()
        .map(|odd| (&*odd.file, &odd.what))
        .collect();
    assert_eq!(
        odd,
        [
            (&*directory.join("d/dir.conf"), &Oddity::NotRegular),
            (&*directory.join("d/null.conf"), &Oddity::NotRegular)
        ]
    );
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn order() {
    let directory = directory("order");
    for name in ["d", "rk.d"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    for name in ["any-name", "d/own.conf"] {
        fs::write(directory.join(name), OWN).unwrap();
    }
    for name in ["rk.d/drop-in.conf", "rk.conf"] {
        fs::write(directory.join(name), ANY).unwrap();
    }
    let mut sources = sources(&directory, &["d", "any-name"]);
    let config = Config::load(&sources).unwrap();
    assert_eq!(
        names(&config),
        ["own.conf", "any-name", "drop-in.conf", "rk.conf"]
    );

    let request = Request {
        operation: "create".into(),
        key_type: "user".into(),
        description: "ab".into(),
        ..Request::default()
    };
    let found = |sources: &Sources| {
        let config = Config::load(sources).unwrap();
        let file = config.find(&request).map(|rule| rule.file.to_path_buf());
        file.map(|path| path.strip_prefix(&directory).unwrap().to_path_buf())
    };
    // The first of equals, but not of unequals.
    assert_eq!(found(&sources).unwrap(), Path::new("d/own.conf"));
    fs::write(directory.join("rk.conf"), "create user a* * /bin/x\n").unwrap();
    assert_eq!(found(&sources).unwrap(), Path::new("rk.conf"));

    sources.request_key = None;
    sources.own.remove(0);
    assert_eq!(found(&sources).unwrap(), Path::new("any-name"));
    sources.own.clear();
    assert_eq!(found(&sources), None);
    fs::remove_dir_all(&directory).unwrap();
}

/// Each file is read in its own dialect, and what is wrong in any of them is said.
#[test]
fn dialects() {
    let directory = directory("dialects");
    fs::create_dir(directory.join("rk.d")).unwrap();
    for name in ["own", "rk.d/a.conf", "rk.conf"] {
        // Wrong in request-key.conf(5) also for want of its newline.
        fs::write(directory.join(name), OWN).unwrap();
    }
    let refused = Config::load(&sources(&directory, &["own"])).unwrap_err();
    let files: Vec<_> = refused
        .0
        .iter()
        .map(|found| found.file.to_path_buf())
        .collect();
    assert_eq!(
        files,
        ["rk.d/a.conf", "rk.conf"].map(|name| directory.join(name))
    );

    fs::write(directory.join("own"), "create user * * @\n\ncreate\n").unwrap();
    let refused = Config::load(&sources(&directory, &["own"]))
        .unwrap_err()
        .to_string();
    let own = directory.join("own");
    let mut lines = refused.lines();
    for place in ["1:17", "3:7"] {
        let start = format!("{}:{place}: ", own.display());
        assert!(lines.next().unwrap().starts_with(&start), "{refused}");
    }
    assert_eq!(lines.count(), 2);
    fs::remove_dir_all(&directory).unwrap();
}

/// Without waiting, and without taking what is left for what was there.
#[test]
fn again() {
    let directory = directory("again");
    fs::write(directory.join("own"), OWN).unwrap();
    symlink("/dev/null", directory.join("null")).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(directory.join("fifo"))
        .status();
    assert!(fifo.unwrap().success());

    let reload = |own: &str| Config::reload(&sources(&directory, &[own]));
    assert_eq!(names(&reload("own").unwrap()), ["own"]);
    for name in ["null", "fifo", "/dev/zero"] {
        let refused = reload(name).unwrap_err().to_string();
        assert!(refused.contains("no regular file"), "{refused}");
    }
    // Those mean it.
    assert_eq!(names(&reload("/dev/null").unwrap()), [""; 0]);
    symlink("/dev/null", directory.join("rk.conf")).unwrap();
    assert_eq!(names(&reload("own").unwrap()), ["own"]);
    fs::remove_dir_all(&directory).unwrap();
}
