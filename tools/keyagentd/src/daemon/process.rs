// SPDX-License-Identifier: GPL-2.0-or-later

//! The daemon as a process: from its command line to its exit status.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{
    getrlimit, set_dumpable_behavior, setrlimit, umask, DumpableBehavior, Resource, Rlimit,
};
use sd_notify::NotifyState;

use super::{logging, Daemon};
use crate::cli::daemon::Options;
use crate::config::source::Sources;
use crate::config::Config;
use crate::sys::{keyctl, signal, spawn};

/// It cannot start, or not go on.
const FAILED: u8 = 1;
/// The rules are bad: EX_CONFIG of sysexits.h.
const BAD_RULES: u8 = 78;

/// The program keyagentd.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    logging::start(i16::from(options.verbose) - i16::from(options.quiet));
    let (sources, config) = match rules(&options) {
        Ok(rules) => rules,
        Err(status) => return status,
    };
    if options.check {
        // Nobody may be left to read it.
        let _ = writeln!(io::stdout(), "{} rules", config.rules().len());
        return ExitCode::SUCCESS;
    }
    match serve(&options, sources, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log::error!("{why}");
            ExitCode::from(FAILED)
        }
    }
}

/// Reads the rules.
fn rules(options: &Options) -> Result<(Sources, Config), ExitCode> {
    let mut sources = Sources::default();
    if !options.config.is_empty() {
        // The daemon goes to the root directory, and reads them there again.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        sources.own = options.config.iter().map(absolute).collect();
        sources.own_required = true;
    }
    if options.no_request_key_conf {
        sources.request_key = None;
    }
    match Config::load(&sources) {
        Ok(config) => {
            log_rules(&config);
            Ok((sources, config))
        }
        Err(refused) => {
            for problem in &refused.0 {
                log::error!("{problem}");
            }
            Err(ExitCode::from(BAD_RULES))
        }
    }
}

/// Says what is to be said about rules that are in use from now on.
pub(super) fn log_rules(config: &Config) {
    for oddity in config.oddities() {
        log::warn!("{oddity}");
    }
    if config.rules().is_empty() {
        log::warn!("there are no rules: every request is given back");
    } else {
        log::debug!("{} rules", config.rules().len());
    }
}

/// Tells the supervisor, if there is one.
pub(super) fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("the supervisor cannot be told: {error}");
    }
}

fn serve(options: &Options, sources: Sources, config: Config) -> Result<(), String> {
    harden().map_err(|error| format!("cannot set up the process: {error}"))?;
    make_room_for_files(options.max_handlers);
    let mut daemon = Daemon::new(options, sources, config)?;

    let types: Vec<_> = daemon.keys.iter().map(|key| &key.key_type).collect();
    log::info!("answering requests for keys of types {types:?}");
    if options.print_keys {
        let mut out = io::stdout().lock();
        for key in &daemon.keys {
            // Nobody may be left to read it.
            let _ = out
                .write_all(key.key_type.as_bytes())
                .and_then(|()| writeln!(out, " {}", key.serial));
        }
        let _ = out.flush();
    }
    null_stdio().map_err(|error| format!("/dev/null cannot be used: {error}"))?;
    notify(&[
        NotifyState::Ready,
        NotifyState::Status(&format!("answering for {types:?}")),
    ]);
    daemon
        .run()
        .map_err(|error| format!("cannot wait: {error}"))?;
    log::info!("ended");
    Ok(())
}

/// Takes what handlers are not to get from whoever has started the daemon, and keeps payloads from
/// core files and debuggers.
///
/// Credentials stay as they are: an agent may answer only those than whom it has no fewer
/// capabilities, and the handlers need them. For the same reason there is no no_new_privs.
fn harden() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    forbid_core_files()?;
    // An authority that whoever has started it had assumed is none of its business.
    keyctl::drop_authority();
    signal::reset_dispositions();
    spawn::keep_files_from_children()?;
    std::env::set_current_dir("/")?;
    umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// Handlers are dumpable. With a limit of 0 there is no file of one, but the program that
/// core_pattern names gets all of it through a pipe. With 1 it does not, and that is too little for
/// a file.
fn forbid_core_files() -> io::Result<()> {
    let one_byte = Rlimit {
        current: Some(1),
        maximum: Some(1),
    };
    match setrlimit(Resource::Core, one_byte) {
        // It is 0, and has to stay so.
        Err(Errno::PERM) => Ok(()),
        result => Ok(result?),
    }
}

/// Each handler may take three files, beside some for the daemon itself.
fn make_room_for_files(handlers: u16) {
    let needed = 3 * u64::from(handlers) + 32;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let current = maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = Rlimit {
        current: Some(current),
        maximum,
    };
    if setrlimit(Resource::Nofile, raised).is_err() || current < needed {
        log::warn!("{handlers} handlers can need {needed} open files, {current} are allowed");
    }
}

/// Handlers get the daemon's standard input and output. Whoever reads the output sees its end.
fn null_stdio() -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}
