// SPDX-License-Identifier: GPL-2.0-or-later

//! Writes lines to a file that may be a pipe, a socket or a terminal, without waiting until
//! somebody reads them. The file is shared with other processes, so it cannot be made one that
//! never blocks.

use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{fstat, FileType};
use rustix::io::{pwritev2, ReadWriteFlags};

use crate::sys::interrupt::Interrupter;

/// A pipe with room for anything has room for so much.
const ATOM: usize = 4096;

/// How long a terminal may take.
const AT_ONCE: Duration = Duration::from_millis(1);

/// The file. What it has no room for is lost, and counted.
#[derive(Debug)]
pub(super) struct Lines<F> {
    file: F,
    /// What the line begins with that says how many were lost.
    prefix: &'static str,
    lost: u64,
    /// Was only the beginning of a line written?
    cut: bool,
}

impl<F: AsFd> Lines<F> {
    pub(super) fn new(file: F, prefix: &'static str) -> Self {
        Self {
            file,
            prefix,
            lost: 0,
            cut: false,
        }
    }

    /// Writes as much as there is room for. Returns whether that was all.
    fn put(&mut self, line: &[u8]) -> bool {
        let mut rest = line;
        while !rest.is_empty() {
            let part = &rest[..rest.len().min(ATOM)];
            match self.put_some(part) {
                Ok(count) => {
                    rest = &rest[count..];
                    // That was all the room.
                    if count < part.len() {
                        break;
                    }
                }
                // Nobody to read it.
                Err(_) => break,
            }
        }
        self.cut |= !rest.is_empty() && rest.len() < line.len();
        rest.is_empty()
    }

    fn put_some(&self, text: &[u8]) -> io::Result<usize> {
        let nowait = ReadWriteFlags::NOWAIT;
        match pwritev2(&self.file, &[IoSlice::new(text)], u64::MAX, nowait) {
            // A file that does not know how not to wait.
            Err(rustix::io::Errno::OPNOTSUPP) if self.has_room() => self.put_at_once(text),
            // A terminal says so, too. What does know has no room.
            Err(rustix::io::Errno::AGAIN) if !self.knows() && self.has_room() => {
                self.put_at_once(text)
            }
            result => Ok(result?),
        }
    }

    /// A terminal that has room for anything waits until it has room for all.
    fn put_at_once(&self, text: &[u8]) -> io::Result<usize> {
        let waits = self.kind() != Some(FileType::RegularFile);
        let _interrupter = waits.then(|| Interrupter::new(AT_ONCE)).transpose()?;
        Ok(rustix::io::write(&self.file, text)?)
    }

    fn knows(&self) -> bool {
        matches!(self.kind(), Some(FileType::Fifo | FileType::Socket))
    }

    fn kind(&self) -> Option<FileType> {
        let status = fstat(&self.file).ok()?;
        Some(FileType::from_raw_mode(status.st_mode))
    }

    /// A pipe that was opened by its name, also by that in /proc, does not know how not to wait. It
    /// has room for [`ATOM`] if it has any.
    fn has_room(&self) -> bool {
        let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

impl<F: AsFd> Write for Lines<F> {
    /// Takes whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lost > 0 {
            let end = if self.cut { "\n" } else { "" };
            let note = format!("{end}{}{} lines were lost here\n", self.prefix, self.lost);
            if self.put(note.as_bytes()) {
                self.lost = 0;
                self.cut = false;
            }
        }
        if self.lost > 0 || !self.put(line) {
            self.lost += 1;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::pty::{openpt, ptsname, unlockpt, OpenptFlags};

    use super::*;

    #[test]
    fn a_full_pipe_loses_lines() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut lines = Lines::new(writer, "note: ");
        let line = [&[b'x'; 999][..], b"\n"].concat();
        // More than any pipe has room for by default.
        for _ in 0..100 {
            lines.write_all(&line).unwrap();
        }
        assert!(lines.lost > 0);
        let lost = lines.lost;
        let mut buffer = vec![0; 65536];
        let mut reader = File::from(reader);
        let count = reader.read(&mut buffer).unwrap();
        assert!(count > 50_000);
        lines.write_all(b"again\n").unwrap();
        let count = reader.read(&mut buffer).unwrap();
        let text = String::from_utf8(buffer[..count].to_vec()).unwrap();
        assert!(text.ends_with(&format!("note: {lost} lines were lost here\nagain\n")));
        assert_eq!(lines.lost, 0);
    }

    /// As with `2>/dev/stderr`, or a FIFO.
    #[test]
    fn a_pipe_that_was_opened_by_its_name() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let name = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let writer = File::options().write(true).open(name).unwrap();
        let mut lines = Lines::new(writer, "note: ");
        lines.write_all(b"first\n").unwrap();
        assert_eq!(lines.lost, 0);
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..100 {
            lines.write_all(&line).unwrap();
        }
        assert!(lines.lost > 0);
        let mut buffer = vec![0; 65536];
        let count = File::from(reader).read(&mut buffer).unwrap();
        assert!(count > 50_000 && buffer.starts_with(b"first\n"));
    }

    #[test]
    fn a_file_takes_all() {
        let mut file = tempfile();
        let mut lines = Lines::new(file.try_clone().unwrap(), "");
        let line = [&[b'x'; 9999][..], b"\n"].concat();
        lines.write_all(&line).unwrap();
        lines.write_all(b"second\n").unwrap();
        let mut text = Vec::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut text).unwrap();
        assert_eq!(text, [&line[..], b"second\n"].concat());
        assert_eq!(lines.lost, 0);
    }

    /// Nobody reads from the other side of it, and it is not the terminal of this process.
    #[test]
    fn a_full_terminal_loses_lines() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let user = openpt(flags).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let terminal = File::options()
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open(OsStr::from_bytes(name.as_bytes()))
            .unwrap();
        let mut lines = Lines::new(terminal, "note: ");
        lines.write_all(b"first\n").unwrap();
        assert_eq!(lines.lost, 0);
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..1000 {
            lines.write_all(&line).unwrap();
        }
        assert!(lines.lost > 0);
        let mut buffer = vec![0; 65536];
        let count = File::from(user).read(&mut buffer).unwrap();
        assert!(buffer[..count].starts_with(b"first\r\nxxx"));
    }

    #[test]
    fn nobody_reads() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        // The Rust runtime ignores SIGPIPE, as the daemon does.
        Lines::new(writer, "").write_all(b"x\n").unwrap();
    }

    fn tempfile() -> File {
        let fd = rustix::fs::memfd_create("lines", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        File::from(fd)
    }
}
