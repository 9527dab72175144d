// SPDX-License-Identifier: GPL-2.0-or-later

//! Where log lines go: to standard error, one each. If nobody reads them they are lost: the daemon
//! answers requests, and its reader may be waiting for one.

use std::io::{stderr, Write};
use std::os::unix::fs::MetadataExt;

use env_logger::Target;
use log::{Level, LevelFilter};

use super::lines::Lines;

/// Starts logging. `verbosity` is 0 for notices, more for more, less for less.
pub(super) fn start(verbosity: i16) {
    let journal = is_journal();
    let filter = match verbosity {
        ..=-2 => LevelFilter::Error,
        -1 => LevelFilter::Warn,
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let prefix = if journal {
        "<4>"
    } else {
        "keyagentd: warning: "
    };
    env_logger::Builder::new()
        .filter_level(filter)
        .target(Target::Pipe(Box::new(Lines::new(stderr(), prefix))))
        .format(move |out, record| {
            let (priority, name) = match record.level() {
                Level::Error => (3, "error: "),
                Level::Warn => (4, "warning: "),
                Level::Info => (6, ""),
                Level::Debug | Level::Trace => (7, ""),
            };
            if journal {
                writeln!(out, "<{priority}>{}", record.args())
            } else {
                writeln!(out, "keyagentd: {name}{}", record.args())
            }
        })
        .init();
}

/// Is standard error the journal? systemd says which file that is.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|it| stream == format!("{}:{}", it.dev(), it.ino()))
}
