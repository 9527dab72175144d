// SPDX-License-Identifier: GPL-2.0-or-later

//! The command lines of the programs.

pub mod daemon;
pub mod tool;
