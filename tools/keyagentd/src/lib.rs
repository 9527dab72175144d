// SPDX-License-Identifier: GPL-2.0-or-later

//! What the agent daemon keyagentd is made of.

mod config;
mod request;

pub use config::pattern::Pattern;
pub use request::Request;
