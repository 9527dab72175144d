// SPDX-License-Identifier: GPL-2.0-or-later

//! The program keyagent: runs programs with key agents, and looks at agents.

mod agents;
mod containers;
mod counters;
mod errors;
mod exec;
mod failure;
mod hook;
mod ids;
mod json;
mod link;
mod ls;
mod output;
mod proc_keys;
mod rates;
mod run;
mod session;
mod supervise;
mod table;
mod terminal;
mod test;
mod top;
mod verdict;
mod vet;

use clap::CommandFactory;

use crate::cli::tool::{Command, Tool};

/// Does what the command line says. Returns the program's exit status, after saying on standard
/// error why it is not 0, unless it is that of a program that was run.
#[must_use]
pub fn main(tool: &Tool) -> u8 {
    let result = match &tool.command {
        Command::Run(options) => run::run(options),
        Command::Exec(options) => exec::exec(options),
        Command::Link(options) => link::link(options),
        Command::Hook(options) => hook::hook(options),
        Command::Ls(options) => ls::ls(options),
        Command::Top(options) => top::top(options),
        Command::Test(options) => test::test(options),
        Command::Completions(options) => {
            let mut script = Vec::new();
            clap_complete::generate(options.shell, &mut Tool::command(), "keyagent", &mut script);
            output::print(&script)
        }
    };
    result.unwrap_or_else(|failure| {
        failure.report();
        failure.status
    })
}
