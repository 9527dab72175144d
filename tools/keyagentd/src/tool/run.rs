// SPDX-License-Identifier: GPL-2.0-or-later

//! `keyagent run`.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::agents::need_module;
use super::exec::new_session;
use super::failure::Failure;
use super::supervise::{self, Supervisor};
use crate::cli::tool::Run;
use crate::sys::child;
use crate::sys::keyctl::{self, Serial};

/// The daemon's program.
const DAEMON: &str = "keyagentd";
/// Where it can be besides what was installed with keyagent and PATH, which is short for some
/// users.
const PLACES: [&str; 2] = ["/usr/sbin", "/usr/lib/keyagent"];
/// How much it may say when it is ready.
const LONGEST_READY: u64 = 64 * 1024;
/// How long a daemon that has closed its output may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// Runs a program with a daemon of its own. Returns the program's exit status.
pub(super) fn run(options: &Run) -> Result<u8, Failure> {
    need_module("run")?;
    let daemon = find_daemon()?;
    child::wait_for_children();
    new_session()?;
    // What the user has for all sessions is to be found in this one, too.
    keyctl::link(Serial::USER_KEYRING, Serial::SESSION_KEYRING).map_err(|error| {
        Failure::of(
            "user keyring",
            &error,
            "it could not be linked into the new session keyring: see keyctl show @u",
        )
    })?;

    let mut daemon = start(daemon_command(&daemon, options))?;
    wait_until_ready(&mut daemon)?;
    let (program, arguments) = options.program.split();
    let mut command = Command::new(program);
    command.args(arguments);
    Supervisor::new(&daemon)?.run(command)
}

/// The daemon, as it is started: it puts its agents' keys into the session keyring that it has.
fn daemon_command(path: &Path, options: &Run) -> Command {
    let mut command = Command::new(path);
    command
        .args(["--type", &options.types.join(",")])
        .args(["--keyring", "@s", "--print-keys"])
        .args((0..options.verbose).map(|_| "-v"))
        // It has the standard error of a program that is in the foreground.
        .args((options.verbose == 0).then_some("-q"))
        // What these are about is keyagent, not its daemon.
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    for path in &options.config {
        command.arg("--config").arg(path);
    }
    if options.no_request_key_conf {
        command.arg("--no-request-key-conf");
    }
    child::set_apart(&mut command);
    command
}

fn start(mut command: Command) -> Result<Child, Failure> {
    command.spawn().map_err(|error| {
        Failure::of(
            command.get_program().to_string_lossy(),
            &error,
            "it could not be started: is it a program for this machine?",
        )
    })
}

/// Waits until the daemon has said so by closing its standard output.
fn wait_until_ready(daemon: &mut Child) -> Result<(), Failure> {
    let said = match daemon.stdout.take() {
        Some(stdout) => read(stdout),
        None => String::new(),
    };
    if said.lines().any(is_key) {
        return Ok(());
    }
    let end = Instant::now() + ENDING;
    loop {
        match daemon.try_wait() {
            Ok(Some(status)) => {
                return Err(Failure::new(
                    DAEMON,
                    format!("{} before it was ready", supervise::ended(status)),
                    "it has said why",
                ));
            }
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(10)),
            _ => {
                // Nothing more can be done for either.
                let _ = daemon.kill();
                let _ = daemon.wait();
                return Err(Failure::new(
                    DAEMON,
                    "it did not say which keys its agents have",
                    "is it of the same version as keyagent?",
                ));
            }
        }
    }
}

fn read(stdout: ChildStdout) -> String {
    let mut text = Vec::new();
    // If that fails, it has not said enough.
    let _ = stdout.take(LONGEST_READY).read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Is this `TYPE SERIAL`?
fn is_key(line: &str) -> bool {
    line.rsplit_once(' ')
        .is_some_and(|(name, serial)| !name.is_empty() && serial.parse().is_ok_and(|n: i32| n > 0))
}

/// The daemon that belongs to this program, or one that is installed.
fn find_daemon() -> Result<PathBuf, Failure> {
    let own = env::current_exe().ok();
    let path = env::var_os("PATH").unwrap_or_default();
    candidates(own.as_deref(), &path)
        .into_iter()
        .find(|file| is_program(file))
        .ok_or_else(|| {
            Failure::new(
                DAEMON,
                format!(
                    "it is not beside keyagent, in ../sbin from there, in PATH, or in {}",
                    PLACES.join(" or ")
                ),
                "install it",
            )
        })
}

fn candidates(own: Option<&Path>, path: &OsStr) -> Vec<PathBuf> {
    let beside = own.and_then(Path::parent);
    // bin and sbin of the same prefix.
    let sbin = beside.and_then(Path::parent).map(|it| it.join("sbin"));
    beside
        .map(Path::to_path_buf)
        .into_iter()
        .chain(sbin)
        // An empty one means the current directory, from which nothing is to be run by accident.
        .chain(env::split_paths(path).filter(|directory| directory.is_absolute()))
        .chain(PLACES.map(PathBuf::from))
        .map(|directory| directory.join(DAEMON))
        .collect()
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn options(arguments: &[&str]) -> Run {
        let all = ["keyagent", "run"].iter().chain(arguments);
        match crate::cli::tool::Tool::parse_from(all).command {
            crate::cli::tool::Command::Run(options) => options,
            other => panic!("{other:?}"),
        }
    }

    fn arguments(command: &Command) -> Vec<String> {
        let arguments = command.get_args();
        arguments
            .map(|text| text.to_str().unwrap().into())
            .collect()
    }

    #[test]
    fn daemon_is_told_what_keyagent_was() {
        let options = options(&[
            "-t",
            "user,logon",
            "-t",
            "x",
            "-c",
            "/a b",
            "--config",
            "c",
            "-vv",
            "--no-request-key-conf",
            "--",
            "cmd",
            "-v",
        ]);
        let command = daemon_command(Path::new("/d/keyagentd"), &options);
        assert_eq!(
            arguments(&command).join("|"),
            "--type|user,logon,x|--keyring|@s|--print-keys|-v|-v|--config|/a b|--config|c|\
             --no-request-key-conf"
        );
        let plain = self::options(&["-t", "user", "cmd"]);
        assert_eq!(
            arguments(&daemon_command(Path::new("d"), &plain)).join(" "),
            "--type user --keyring @s --print-keys -q"
        );
    }

    #[test]
    fn its_own_daemon_comes_first() {
        let own = Path::new("/opt/bin/keyagent");
        let list = candidates(Some(own), OsStr::new("/bin::relative:/usr/bin"));
        let list: Vec<_> = list.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            list,
            [
                "/opt/bin/keyagentd",
                "/opt/sbin/keyagentd",
                "/bin/keyagentd",
                "/usr/bin/keyagentd",
                "/usr/sbin/keyagentd",
                "/usr/lib/keyagent/keyagentd"
            ]
        );
        assert_eq!(candidates(None, OsStr::new("")).len(), 2);
    }

    #[test]
    fn programs_can_be_executed() {
        assert!(is_program(&env::current_exe().unwrap()));
        assert!(!is_program(Path::new("/")));
        assert!(!is_program(Path::new("/proc/self/status")));
        assert!(!is_program(Path::new("/no/such/program")));
    }

    #[test]
    fn line_of_a_key() {
        assert!(is_key("user 4711"));
        assert!(is_key("odd type 4711"));
        for line in [
            "",
            "user",
            "4711",
            " 4711",
            "user -1",
            "user 0",
            "user 4711 ",
        ] {
            assert!(!is_key(line), "{line:?}");
        }
    }
}
