// SPDX-License-Identifier: GPL-2.0-or-later

//! `keyagent top`.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};

use super::agents::{need_module, Agents};
use super::failure::Failure;
use super::terminal::{self, Keys};
use super::{output, rates};
use crate::cli::tool::Top;
use crate::sys::signal::SignalFd;

/// What was seen, and when.
struct Look {
    agents: Agents,
    time: Instant,
}

impl Look {
    fn take() -> Self {
        Self {
            agents: Agents::look(),
            time: Instant::now(),
        }
    }
}

/// Why the wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Time,
    Redraw,
    End(u8),
}

/// Shows rates until it is enough.
pub(super) fn top(options: &Top) -> Result<u8, Failure> {
    need_module("top")?;
    let shown = terminal::is_shown();
    let mut waiter = Waiter::new(shown)?;
    let start = Instant::now();
    let mut lines = Vec::new();
    let mut before = Look::take();
    if shown {
        lines = picture_of(None, &before, start);
        output::write(b"\x1b[2J")?;
        draw(&lines)?;
    }

    let mut left = options.count;
    while left != Some(0) {
        match waiter.wait(before.time + options.interval)? {
            Event::Redraw if shown => draw(&lines)?,
            Event::Redraw => {}
            Event::End(status) => return Ok(status),
            Event::Time => {
                let now = Look::take();
                lines = picture_of(Some(&before), &now, start);
                if shown {
                    draw(&lines)?;
                } else if !output::write((lines.join("\n") + "\n\n").as_bytes())? {
                    return Ok(0);
                }
                before = now;
                left = left.map(|count| count - 1);
            }
        }
    }
    Ok(0)
}

fn picture_of(before: Option<&Look>, now: &Look, start: Instant) -> Vec<String> {
    let interval = before.map_or(Duration::ZERO, |before| now.time - before.time);
    let mut lines = vec![format!(
        "agents: {}, requests now: {}, time: {:.1} s",
        now.agents.list.len(),
        now.agents.requests(),
        (now.time - start).as_secs_f64(),
    )];
    lines.extend(rates::table(
        before.map(|before| &before.agents),
        &now.agents,
        interval,
    ));
    lines
}

fn draw(lines: &[String]) -> Result<(), Failure> {
    output::write(terminal::picture(lines, terminal::size()).as_bytes()).map(drop)
}

/// Waits for time, keys and signals.
struct Waiter {
    signals: SignalFd,
    keys: Option<Keys>,
}

impl Waiter {
    fn new(shown: bool) -> Result<Self, Failure> {
        let numbers = [
            libc::SIGINT,
            libc::SIGTERM,
            libc::SIGHUP,
            libc::SIGQUIT,
            libc::SIGWINCH,
            libc::SIGCONT,
        ];
        Ok(Self {
            signals: SignalFd::new(&numbers).map_err(|error| failed(&error))?,
            keys: if shown { Keys::new() } else { None },
        })
    }

    fn wait(&mut self, until: Instant) -> Result<Event, Failure> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // A time-out that was asked for fits.
            let left = Timespec::try_from(left).ok();
            let stdin = io::stdin();
            let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
            if self.keys.is_some() {
                polled.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
            }
            match poll(&mut polled, left.as_ref()) {
                Ok(0) => return Ok(Event::Time),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(failed(&error.into())),
            }
            let pressed = polled.get(1).is_some_and(|fd| !fd.revents().is_empty());
            if pressed && self.keys.as_ref().is_some_and(Keys::end) {
                return Ok(Event::End(0));
            }
            let numbers = self.signals.take().map_err(|error| failed(&error))?;
            let numbers: Vec<_> = numbers.iter().map(|info| info.number).collect();
            if numbers.contains(&libc::SIGCONT) {
                if let Some(keys) = &self.keys {
                    keys.again();
                }
            }
            if let Some(event) = meaning(&numbers) {
                return Ok(event);
            }
        }
    }
}

/// What is to be done about signals. One that means the end counts more than others.
fn meaning(numbers: &[i32]) -> Option<Event> {
    let is_end = |number: &&i32| ![libc::SIGWINCH, libc::SIGCONT].contains(*number);
    match numbers.iter().find(is_end) {
        Some(&libc::SIGINT) => Some(Event::End(0)),
        Some(number) => Some(Event::End(128 + *number as u8)),
        None if numbers.is_empty() => None,
        None => Some(Event::Redraw),
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::of("top", error, "try it again, or use keyagent ls")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signal_is_lost() {
        use libc::{SIGCONT, SIGINT, SIGTERM, SIGWINCH};

        assert_eq!(meaning(&[]), None);
        assert_eq!(meaning(&[SIGWINCH, SIGCONT]), Some(Event::Redraw));
        assert_eq!(meaning(&[SIGINT, SIGWINCH]), Some(Event::End(0)));
        assert_eq!(meaning(&[SIGWINCH, SIGTERM]), Some(Event::End(143)));
    }
}
