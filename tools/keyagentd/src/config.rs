// SPDX-License-Identifier: GPL-2.0-or-later

//! Rules of request-key.conf(5), as request-key(8) of keyutils 1.6.3 reads and ranks them.

pub(crate) mod command;
mod line;
pub(crate) mod pattern;
pub(crate) mod problem;
