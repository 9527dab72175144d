// SPDX-License-Identifier: GPL-2.0-or-later

//! The command line of keyagentd.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum};

use crate::config::option::LONGEST_TIMEOUT;

/// Answers the kernel's requests for keys, by the rules of request-key.conf(5) and
/// keyagentd.conf(5), for whoever links its keys into a session keyring.
#[derive(Clone, Debug, Parser)]
#[command(name = "keyagentd", version, max_term_width = 100)]
pub struct Options {
    /// The types of the keys to answer for
    #[arg(
        short,
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        required_unless_present = "check"
    )]
    pub types: Vec<OsString>,

    /// Where to keep the agent's keys: a serial, @s and the like, or the name of a keyring in the
    /// user's keyring, which is made if it is missing
    #[arg(short, long, default_value = "@p")]
    pub keyring: OsString,

    /// Rules of keyagentd.conf(5), a file or a directory; instead of /etc/keyagentd.conf and
    /// /etc/keyagentd.d
    #[arg(short, long, value_name = "PATH")]
    pub config: Vec<PathBuf>,

    /// Do not use the rules of request-key(8)
    #[arg(long)]
    pub no_request_key_conf: bool,

    /// Who may link the agent's keys, beside those who possess them
    #[arg(long, value_name = "WHOM", default_value = "user")]
    pub share: Share,

    /// How many programs may run at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub max_handlers: u16,

    /// How long a program may take whose rule does not say
    #[arg(long, value_name = "SECONDS", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(LONGEST_TIMEOUT)))]
    pub timeout: u32,

    /// For how long a request stays failed when its program has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub negative: u32,

    /// Print a line "TYPE SERIAL" for each of the agent's keys, and close the standard output then
    #[arg(long)]
    pub print_keys: bool,

    /// Look at the rules, say what is odd, and exit
    #[arg(long)]
    pub check: bool,

    /// Say more: -v each request, -vv what is ignored, too
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Say less: -q no notices, -qq errors only
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,
}

/// To whom a key's permissions are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Share {
    /// Processes of the same user.
    User,
    /// And of the same group.
    Group,
    /// And all others.
    Other,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn types_are_separated_by_commas() {
        let options =
            Options::try_parse_from(["keyagentd", "-t", "user,logon", "--type=dns_resolver"])
                .unwrap();
        assert_eq!(options.types, ["user", "logon", "dns_resolver"]);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for line in [
            "",
            "--type=user --max-handlers=0",
            "--type=user --timeout=0",
            "--type=user --share=nobody",
            "--type=user -v -q",
        ] {
            let words = ["keyagentd"].into_iter().chain(line.split_whitespace());
            assert!(Options::try_parse_from(words).is_err(), "{line}");
        }
        assert!(Options::try_parse_from(["keyagentd", "--check"]).is_ok());
    }
}
