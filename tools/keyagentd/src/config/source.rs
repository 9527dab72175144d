// SPDX-License-Identifier: GPL-2.0-or-later

//! Which files a configuration is read from.

use std::ffi::OsStr;
use std::fs::{self, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read, Result as IoResult};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::problem::{Found, Oddity};

/// Where a configuration is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Files of keyagentd.conf(5), or directories whose files `*.conf` are such. They are read
    /// first, one after the other, so that of equally good rules theirs are taken.
    pub own: Vec<PathBuf>,
    /// Do all of these have to be there?
    pub own_required: bool,
    /// A directory whose files `*.conf` are of request-key.conf(5), and such a file, which is read
    /// after them. Neither needs to be there. With `None` no such file is read.
    pub request_key: Option<(PathBuf, PathBuf)>,
}

impl Default for Sources {
    /// The files of keyagentd(8) and those of request-key(8). None has to be there.
    fn default() -> Self {
        Self {
            own: vec!["/etc/keyagentd.conf".into(), "/etc/keyagentd.d".into()],
            own_required: false,
            request_key: Some(("/etc/request-key.d".into(), "/etc/request-key.conf".into())),
        }
    }
}

/// What a path leads to, or `None` if there is nothing. A link that leads nowhere is an error.
pub(super) fn kind(path: &Path) -> IoResult<Option<FileType>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => Err(error),
            Err(_) => Ok(None),
        },
        Err(error) => Err(error),
    }
}

/// Reads a file that was read before, without waiting. A pipe has nothing more to say, and standard
/// input is not what it was: only a regular file can be read again, or the null device where `null`
/// says that it is meant.
pub(super) fn read_again(path: &Path, null: bool) -> IoResult<Vec<u8>> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let about = file.metadata()?;
    let is_null = about.file_type().is_char_device() && about.rdev() == libc::makedev(1, 3);
    let readable = about.is_file() || (is_null && null);
    if !readable {
        let why = "it is no regular file, and cannot be read again";
        return Err(io::Error::other(why));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// The files of a directory of request-key.conf(5) that are to be read, in the order in which the
/// file system has them: request-key(8) does not sort them. A link is no file to it.
pub(super) fn request_key_files(
    directory: &Path,
    oddities: &mut Vec<Found<Oddity>>,
) -> IoResult<Vec<PathBuf>> {
    let mut files = Vec::new();

    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !is_conf(&entry.file_name()) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            Ok(_) => oddities.push(not_regular(entry.path())),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// The entries of an own directory that may be files to be read, in the order of their names.
pub(super) fn own_entries(directory: &Path) -> IoResult<Vec<PathBuf>> {
    let mut entries = Vec::new();

    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if is_conf(&entry.file_name()) {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

pub(super) fn not_regular(path: PathBuf) -> Found<Oddity> {
    Found {
        file: path.into(),
        place: None,
        what: Oddity::NotRegular,
    }
}

fn is_conf(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".conf") && !name.starts_with(b".")
}
