// SPDX-License-Identifier: GPL-2.0-or-later

//! What the agent daemon keyagentd is made of.

mod config;
mod request;

pub use config::command::{Argument, Command, ExpandError, Invocation, Keys, Macro};
pub use config::pattern::Pattern;
pub use config::problem::{Found, Oddity, Place, Problem, Refused, LONGEST_LINE, MOST_ARGUMENTS};
pub use request::Request;
