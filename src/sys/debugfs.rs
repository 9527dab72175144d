// SPDX-License-Identifier: GPL-2.0

//! A directory of debugfs with files of text.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h).
//!
//! The kernel crate has an abstraction for this. Its file operations name no owner, so that a
//! module can be removed while somebody has a file open, whose close then reads them where the
//! module was.

use super::bindings;
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
pub(crate) trait Show: Send + Sync + 'static {
    /// Writes all of it. May sleep.
    fn show(&self, out: &SeqFile);
}

/// A directory that is there as long as this object, with files that show parts of `T`.
///
/// # Invariants
///
/// `dentry` is what `debugfs_create_dir` returned, which may be an error, and is removed by no one
/// else. All data of its files are in `data`.
pub(crate) struct Directory<T: Send + Sync + 'static> {
    dentry: *mut kbindings::dentry,
    data: Arc<T>,
}

// SAFETY: Directories belong to no thread.
unsafe impl<T: Send + Sync + 'static> Send for Directory<T> {}

// SAFETY: The pointer is only used with exclusive access.
unsafe impl<T: Send + Sync + 'static> Sync for Directory<T> {}

impl<T: Send + Sync + 'static> Directory<T> {
    /// Makes a directory at the root of debugfs. Nothing depends on debugfs: if it cannot be made,
    /// there is none.
    pub(crate) fn new(name: &CStr, data: Arc<T>) -> Self {
        // SAFETY: The name ends with a NUL and is copied.
        let dentry =
            unsafe { kbindings::debugfs_create_dir(name.as_char_ptr(), core::ptr::null_mut()) };

        // INVARIANT: As returned; there are no files yet.
        Self { dentry, data }
    }

    /// Adds a file that root can read.
    pub(crate) fn with_file<F: Show>(self, name: &CStr, part: impl FnOnce(&T) -> &F) -> Self {
        let part: *const F = part(&self.data);

        // SAFETY: The directory is valid or an error, which the function passes on. `part` is in
        // `data`, which outlives the file by the type invariant, and is what `show` expects.
        unsafe {
            bindings::keyagent_helper_debugfs_create_file(
                name.as_char_ptr(),
                self.dentry,
                part.cast_mut().cast(),
                Some(show::<F>),
            );
        }
        self
    }
}

impl<T: Send + Sync + 'static> Drop for Directory<T> {
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
unsafe extern "C" fn show<F: Show>(m: *mut kbindings::seq_file, _: *mut c_void) -> c_int {
    // SAFETY: As above.
    let (part, out) = unsafe { (&*(*m).private.cast::<F>(), SeqFile::from_raw(m)) };

    part.show(out);
    0
}
