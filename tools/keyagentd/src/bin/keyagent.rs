// SPDX-License-Identifier: GPL-2.0-or-later

//! The command-line tool for agents.

use std::process::ExitCode;

use clap::Parser;
use keyagentd::{cli, tool};

fn main() -> ExitCode {
    tool::main(&cli::tool::Tool::parse()).into()
}
