// SPDX-License-Identifier: GPL-2.0

//! The directory `keyagent` of debugfs.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h).
//!
//! The kernel crate's abstraction cannot be used: its file operations name no owner, so a module
//! can be removed while one of its files is open, and the close then reads freed memory.

use super::bindings;
use crate::request::Server;
use kernel::{
    bindings as kbindings,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    seq_file::SeqFile,
    sync::Arc, //
};

/// What a file shows.
pub(crate) trait Show {
    /// Writes all of it. May sleep.
    fn show(&self, out: &SeqFile);
}

/// The directory, which is there as long as this object.
///
/// # Invariants
///
/// `dentry` is what `debugfs_create_dir` returned, which may be an error, and is removed by no one
/// else. The private data of its files are `server`.
pub(crate) struct Directory {
    dentry: *mut kbindings::dentry,
    _server: Arc<Server>,
}

// SAFETY: Directories belong to no thread.
unsafe impl Send for Directory {}

// SAFETY: The pointer is only used with exclusive access.
unsafe impl Sync for Directory {}

impl Directory {
    /// Makes the directory and its files, which root can read. Nothing depends on debugfs: if the
    /// directory cannot be made, there is none.
    pub(crate) fn new(server: Arc<Server>) -> Self {
        // SAFETY: The name ends with a NUL and is copied.
        let dentry = unsafe {
            kbindings::debugfs_create_dir(c"keyagent".as_char_ptr(), core::ptr::null_mut())
        };
        let add = |name: &CStr, show| {
            // SAFETY: The directory is valid or an error, which the function passes on. The
            // server is what `show` expects, and outlives the file by the type invariant.
            unsafe {
                bindings::keyagent_helper_debugfs_create_file(
                    name.as_char_ptr(),
                    dentry,
                    (&raw const *server).cast_mut().cast(),
                    Some(show),
                );
            }
        };

        add(c"outcomes", show_outcomes);
        add(c"requests", show_requests);

        // INVARIANT: As returned, and as just made.
        Self {
            dentry,
            _server: server,
        }
    }
}

impl Drop for Directory {
    /// Waits until nobody reads a file of it. May sleep.
    fn drop(&mut self) {
        // SAFETY: By the type invariant the directory is this object's, or an error, which the
        // function ignores.
        unsafe { kbindings::debugfs_remove(self.dentry) };
    }
}

/// # Safety
///
/// Called in the context of a reader of a file, who keeps it from being removed meanwhile; may
/// sleep. `m` is valid, and its private data are those that the file was made with.
unsafe extern "C" fn show_outcomes(m: *mut kbindings::seq_file, _: *mut c_void) -> c_int {
    // SAFETY: The private data are the server.
    let (server, out) = unsafe { (&*(*m).private.cast::<Server>(), SeqFile::from_raw(m)) };

    server.outcomes().show(out);
    0
}

/// # Safety
///
/// As for [`show_outcomes`].
unsafe extern "C" fn show_requests(m: *mut kbindings::seq_file, _: *mut c_void) -> c_int {
    // SAFETY: The private data are the server.
    let (server, out) = unsafe { (&*(*m).private.cast::<Server>(), SeqFile::from_raw(m)) };

    server.inflight().show(out);
    0
}
