// SPDX-License-Identifier: GPL-2.0-or-later

//! The command line of keyagent.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::builder::TypedValueParser as _;
use clap::{Args, Parser, Subcommand, ValueHint};

/// Runs programs with key agents, and looks at agents
///
/// A key agent is a process that answers the kernel's requests for keys of one type, for all whose
/// session keyring has a link to the agent's key.
#[derive(Debug, Parser)]
#[command(name = "keyagent", version, max_term_width = 100)]
pub struct Tool {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program with a keyagentd of its own, in a new session keyring
    Run(Run),
    /// Run a program with agents that exist, in a new session keyring
    Exec(Exec),
    /// Link agents into the session keyring of the caller
    Link(Link),
    /// Link the agent that a container's annotation names: for the hooks of OCI runtimes
    Hook(Hook),
    /// List the agents that can be seen from here
    Ls(Ls),
    /// Show what the agents do, again and again
    Top(Top),
    /// Request a key; say who answered and how long it took
    Test(Test),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// `keyagent run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Key types to answer for
    #[arg(short = 't', long = "type", value_name = "TYPE", required = true)]
    #[arg(value_delimiter = ',', value_parser = key_type)]
    pub types: Vec<String>,

    /// Rules for keyagentd: a file, or a directory of *.conf files
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub config: Vec<PathBuf>,

    /// Do not read the rules of request-key.conf(5)
    #[arg(long)]
    pub no_request_key_conf: bool,

    /// Have keyagentd say what it is asked, and not only what is wrong; twice for still more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// The program, and its arguments
    #[command(flatten)]
    pub program: Program,
}

/// `keyagent exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// Agents to link, or keyrings that hold some: serials, or names of keyrings in the user
    /// keyring
    #[arg(short, long = "agent", value_name = "ID", required = true)]
    pub agents: Vec<OsString>,

    /// What to accept.
    #[command(flatten)]
    pub accept: Accept,

    /// The program, and its arguments
    #[command(flatten)]
    pub program: Program,
}

/// Which agents are linked: by default live ones, and keyrings of the caller's own.
#[derive(Clone, Debug, Default, Args)]
pub struct Accept {
    /// Wait for a live agent for up to so many seconds, from 0.1 to 3600
    #[arg(long, value_name = "SECONDS", conflicts_with = "allow_dead")]
    #[arg(value_parser = |text: &str| seconds(text, 3600))]
    pub wait: Option<Duration>,

    /// Link without a live agent, too: /sbin/request-key answers until there is one
    #[arg(long)]
    pub allow_dead: bool,

    /// Accept keyrings of this user, too, who can put other agents into them
    #[arg(long, value_name = "UID")]
    pub owner: Option<u32>,
}

/// A program to run.
#[derive(Debug, Args)]
pub struct Program {
    /// The program to run, and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub argv: Vec<OsString>,
}

impl Program {
    /// Its name or path, and its arguments.
    #[must_use]
    pub fn split(&self) -> (&OsStr, &[OsString]) {
        // There is at least one: it is required.
        self.argv
            .split_first()
            .map_or((OsStr::new(""), &[]), |(program, arguments)| {
                (program.as_os_str(), arguments)
            })
    }
}

/// `keyagent link`.
#[derive(Debug, Args)]
pub struct Link {
    /// Agents to link, or keyrings that hold some: serials, or names of keyrings in the user
    /// keyring
    #[arg(short, long = "agent", value_name = "ID", required = true)]
    pub agents: Vec<OsString>,

    /// Link them into this keyring: a serial, @s, @u, @us, or the name of a keyring in the user
    /// keyring
    #[arg(long, value_name = "KEYRING", default_value = "@s")]
    pub to: OsString,

    /// What to accept.
    #[command(flatten)]
    pub accept: Accept,
}

/// `keyagent hook`.
#[derive(Debug, Args)]
pub struct Hook {
    /// The list of the agents that containers may have
    #[arg(long, value_name = "FILE", default_value = "/etc/keyagent/containers")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub list: PathBuf,

    /// What to accept.
    #[command(flatten)]
    pub accept: Accept,
}

/// `keyagent ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// Write JSON, in a form that stays as it is
    #[arg(long)]
    pub json: bool,
}

/// `keyagent top`.
#[derive(Debug, Args)]
pub struct Top {
    /// Seconds between two looks, from 0.1 to 3600
    #[arg(short, long, value_name = "SECONDS", default_value = "2")]
    #[arg(value_parser = |text: &str| seconds(text, 3600))]
    pub interval: Duration,

    /// End after so many intervals [default: when interrupted]
    #[arg(short = 'n', long, value_name = "NUMBER")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
}

/// `keyagent test`.
#[derive(Debug, Args)]
pub struct Test {
    /// The type of the key
    #[arg(value_name = "TYPE", value_parser = NonEmptyStringValueParser::new().map(OsString::from))]
    pub key_type: OsString,

    /// Its description
    #[arg(value_name = "DESC")]
    pub description: OsString,

    /// The callout info
    #[arg(value_name = "CALLOUT", default_value = "", hide_default_value = true)]
    pub callout: OsString,

    /// Give the request up after so many seconds, from 0.1 to 86400 [default: never]
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = |text: &str| seconds(text, 86400))]
    pub timeout: Option<Duration>,
}

/// `keyagent completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// The name of a key type that an agent can answer for.
fn key_type(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("an empty name; give a key type, or several with commas between them"),
        "keyagent" => Err("there is no agent for agents' keys; give another key type"),
        _ if text.len() > 31 => Err("no name of a key type has more than 31 bytes; shorten it"),
        _ => Ok(text.into()),
    }
}

/// A time that is no shorter than a tenth of a second.
fn seconds(text: &str, most: u32) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|number| (0.1..=f64::from(most)).contains(number))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("give a number of seconds from 0.1 to {most}"))
}

#[cfg(test)]
#[path = "tool_tests.rs"]
mod tests;
