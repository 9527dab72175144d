// SPDX-License-Identifier: GPL-2.0

//! Confining an authority to the construction of its target key.
//!
//! Whoever assumes an authority can search the keyrings of the credentials in its record, and write
//! to the destination keyring there. For a request that the kernel makes for itself the latter is
//! the cache in which it looks for answers, and those for other net namespaces are in it too. A
//! confined record has other credentials and another keyring, which open nothing. The target key is
//! linked where it belongs before any actor is called.
//!
//! C header: [`include/keys/request_key_auth-type.h`](srctree/include/keys/request_key_auth-type.h).

use super::{
    bindings,
    key::Key, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings as kbindings,
    cred::Credential,
    error::from_err_ptr,
    prelude::*,
    sync::aref::ARef, //
};

/// The credentials and the keyring for a record; after [`Self::swap`] those that it had.
///
/// # Invariants
///
/// Both pointers are null or valid, and this object owns a reference on what they point to.
pub(super) struct Confinement {
    cred: *const kbindings::cred,
    keyring: *mut kbindings::key,
}

impl Confinement {
    /// Credentials and a keyring that open nothing. May sleep.
    pub(super) fn new() -> Result<Self> {
        // SAFETY: The context may sleep.
        let keyring = from_err_ptr(unsafe { bindings::keyagent_helper_alloc_empty_keyring() })?;

        // INVARIANT: Whoever makes a keyring or credentials has a reference on them; there are no
        // credentials yet.
        let mut this = Self {
            cred: ptr::null(),
            keyring,
        };

        // SAFETY: The keyring is valid, and the context may sleep.
        this.cred = unsafe { bindings::keyagent_helper_prepare_cred_with(keyring) };
        if this.cred.is_null() {
            return Err(ENOMEM);
        }
        Ok(this)
    }

    /// Exchanges the credentials and the keyring for those in the record.
    ///
    /// # Safety
    ///
    /// `record` must be valid, and nobody else may use it now.
    pub(super) unsafe fn swap(&mut self, record: *mut bindings::request_key_auth) {
        // INVARIANT: A record owns references on both too.
        // SAFETY: The caller promises that the record is valid and that nobody else uses it.
        unsafe {
            ptr::swap(&raw mut self.cred, &raw mut (*record).cred);
            ptr::swap(&raw mut self.keyring, &raw mut (*record).dest_keyring);
        }
    }
}

impl Drop for Confinement {
    fn drop(&mut self) {
        // CAST: `Credential` and `Key` are transparent wrappers of the C structures.
        let cred: Option<NonNull<Credential>> = NonNull::new(self.cred.cast_mut().cast());
        let keyring: Option<NonNull<Key>> = NonNull::new(self.keyring.cast());

        // SAFETY: By the type invariant the references are this object's, which ends here.
        unsafe {
            drop(cred.map(|cred| ARef::from_raw(cred)));
            drop(keyring.map(|keyring| ARef::from_raw(keyring)));
        }
    }
}
