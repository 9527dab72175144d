// SPDX-License-Identifier: GPL-2.0-or-later

use std::time::Duration;

use rustix::process::{test_kill_process, Pid};

use super::*;

/// A handler that has not been executed by the daemon, for there is no authority here.
// The handler waits for it, by its id.
#[allow(clippy::zombie_processes)]
fn handler(script: &str) -> Handler {
    use std::os::unix::process::CommandExt;
    let (stdin, to_stdin) = rustix::pipe::pipe().unwrap();
    let (from_stdout, stdout) = rustix::pipe::pipe().unwrap();
    rustix::fs::fcntl_setfl(&from_stdout, rustix::fs::OFlags::NONBLOCK).unwrap();
    let (failure, _) = rustix::pipe::pipe().unwrap();
    for fd in [&to_stdin, &from_stdout] {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC).unwrap();
    }
    let child = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .stdin(stdin)
        .stdout(stdout)
        .process_group(0)
        .spawn()
        .unwrap();
    Handler {
        child: Child::for_test(Pid::from_child(&child), failure),
        deadline: Instant::now(),
        pipes: Some(Pipes {
            stdin: Some(to_stdin),
            callout: Vec::new(),
            written: 0,
            stdout: Some(from_stdout),
            payload: Zeroizing::new(Vec::new()),
        }),
        ended: None,
    }
}

fn until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_is_left_behind_is_killed() {
    let mut handler = handler("sleep 100 & echo $!");
    until(|| handler.has_ended());
    assert!(!handler.is_over());
    let left = handler
        .pipes
        .as_ref()
        .unwrap()
        .payload
        .trim_ascii()
        .to_vec();
    let left = std::str::from_utf8(&left).unwrap().parse().unwrap();
    let left = Pid::from_raw(left).unwrap();
    test_kill_process(left).unwrap();
    // Nobody else can have its number.
    assert!(crate::sys::child::ended().is_some());
    test_kill_process(handler.child.pid).unwrap();

    handler.kill();
    assert!(handler.is_over());
    handler.reap();
    test_kill_process(handler.child.pid).unwrap_err();
    // Its new parent may be slow to wait for it.
    until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", left.as_raw_nonzero()));
        stat.map_or(true, |it| it.contains(") Z "))
    });
}

#[test]
fn statuses() {
    let mut handler = handler("exit 3");
    until(|| handler.has_ended());
    assert!(matches!(handler.result(), Err(Failure::Status(3))));

    let mut handler = self::handler("kill -9 $$");
    until(|| handler.has_ended());
    assert!(matches!(handler.result(), Err(Failure::Killed(9))));
}

#[test]
fn too_much_is_not_a_status() {
    let mut handler = handler("head -c 100000 /dev/zero 2>/dev/null || exit 1");
    until(|| {
        handler.transfer();
        handler.has_ended()
    });
    assert!(matches!(handler.result(), Err(Failure::TooMuch)));
}
