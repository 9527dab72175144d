// SPDX-License-Identifier: GPL-2.0-or-later

//! The agent daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    keyagentd::daemon::main()
}
