// SPDX-License-Identifier: GPL-2.0-or-later

//! The terminal, for a picture that is drawn again and again.

use std::io::{self, IsTerminal};

use rustix::process::getpgrp;
use rustix::termios::{
    tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, LocalModes, OptionalActions, Termios,
};

/// Standard input, with its keys to be had one by one. It becomes again what it was in the end.
#[derive(Debug)]
pub(super) struct Keys {
    old: Termios,
}

impl Keys {
    /// `None` if standard input is no terminal, or this program is not in its foreground.
    pub(super) fn new() -> Option<Self> {
        let stdin = io::stdin();
        if tcgetpgrp(&stdin) != Ok(getpgrp()) {
            return None;
        }
        let keys = Self {
            old: tcgetattr(&stdin).ok()?,
        };
        keys.again();
        Some(keys)
    }

    /// Sets the terminal once more: the shell has changed it while this program was stopped.
    pub(super) fn again(&self) {
        let mut new = self.old.clone();
        new.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        // If that fails, keys come after a newline.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &new);
    }

    /// Whether one of those that were pressed means the end.
    pub(super) fn end(&self) -> bool {
        let mut keys = [0; 64];
        match rustix::io::read(io::stdin(), &mut keys) {
            Ok(0) => true,
            Ok(count) => keys[..count].iter().any(|key| b"qQ\x04".contains(key)),
            Err(_) => false,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.old);
    }
}

/// Whether standard output is a terminal.
pub(super) fn is_shown() -> bool {
    io::stdout().is_terminal()
}

/// Lines and columns of the terminal; what a terminal has if it does not say.
pub(super) fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => (24, 80),
    }
}

/// What draws these lines over those that are there, as far as there is room.
pub(super) fn picture(lines: &[String], (rows, columns): (usize, usize)) -> String {
    let room = rows.saturating_sub(1).max(1);
    let mut text = String::from("\x1b[H");
    let mut add = |line: &str| {
        text.extend(line.chars().take(columns));
        text += "\x1b[K\n";
    };
    if lines.len() <= room {
        lines.iter().for_each(|line| add(line));
    } else {
        let shown = room - 1;
        lines[..shown].iter().for_each(|line| add(line));
        add(&format!("... and {} more", lines.len() - shown));
    }
    text + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("line {number}")).collect()
    }

    #[test]
    fn fits_on_the_screen() {
        let text = picture(&lines(3), (4, 6));
        assert_eq!(
            text,
            "\x1b[Hline 1\x1b[K\nline 2\x1b[K\nline 3\x1b[K\n\x1b[J"
        );
        let text = picture(&lines(4), (4, 4));
        assert_eq!(text, "\x1b[Hline\x1b[K\nline\x1b[K\n... \x1b[K\n\x1b[J");
        assert!(picture(&lines(9), (4, 80)).contains("... and 7 more"));
        // However small it is.
        assert_eq!(picture(&lines(9), (1, 80)).matches('\n').count(), 1);
        assert_eq!(picture(&lines(9), (0, 0)).matches('\n').count(), 1);
    }
}
