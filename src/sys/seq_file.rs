// SPDX-License-Identifier: GPL-2.0

//! The file into which a key describes itself.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h).

use kernel::{
    bindings as kbindings,
    fmt,
    seq_file::SeqFile, //
};

/// Where a key type's describe operation writes: a line of /proc/keys.
pub(crate) struct Output<'a>(&'a SeqFile);

impl Output<'_> {
    /// Creates the output of one describe operation.
    ///
    /// # Safety
    ///
    /// `m` must be the valid `seq_file` of an open /proc/keys, for the duration of `'a`.
    pub(super) unsafe fn from_ptr(m: *mut kbindings::seq_file) -> Self {
        // SAFETY: The caller guarantees validity.
        Self(unsafe { SeqFile::from_raw(m) })
    }

    pub(super) fn as_ptr(&self) -> *mut kbindings::seq_file {
        // CAST: `SeqFile` is a transparent wrapper of `struct seq_file`.
        core::ptr::from_ref(self.0).cast_mut().cast()
    }

    /// Writes formatted text. Does not sleep.
    pub(crate) fn print(&self, args: fmt::Arguments<'_>) {
        self.0.call_printf(args);
    }
}
