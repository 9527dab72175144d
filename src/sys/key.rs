// SPDX-License-Identifier: GPL-2.0

//! Keys and keyrings.
//!
//! C header: [`include/linux/key.h`](srctree/include/linux/key.h).
//!
//! Reference: <https://docs.kernel.org/security/keys/core.html>

use super::{
    bindings,
    compat::enokey, //
};
use core::ptr::NonNull;
use kernel::{
    bindings as kbindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        atomic::{
            Acquire,
            Atomic, //
        }, //
    },
    types::Opaque, //
};

/// Wraps the kernel's `struct key`.
///
/// # Invariants
///
/// Instances of this type are always ref-counted: `__key_get` ensures that the allocation stays
/// valid at least until the matching `key_put`.
#[repr(transparent)]
pub(crate) struct Key(Opaque<kbindings::key>);

// SAFETY: `key_put` can be called from any context, and a key belongs to no thread.
unsafe impl Send for Key {}

// SAFETY: What is reached through a shared reference never changes after the key's construction,
// or is synchronised by the key service.
unsafe impl Sync for Key {}

// SAFETY: The type invariants guarantee that `Key` is always ref-counted.
unsafe impl AlwaysRefCounted for Key {
    fn inc_ref(&self) {
        // SAFETY: The existence of a shared reference means that the refcount is nonzero.
        unsafe { bindings::keyagent_helper_key_get(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The safety requirements guarantee that the refcount is nonzero.
        unsafe { kbindings::key_put(obj.cast().as_ptr()) };
    }
}

impl Key {
    /// Creates a reference to a [`Key`] from a valid pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a key with a nonzero refcount for the lifetime of the returned
    /// reference.
    pub(super) unsafe fn from_ptr<'a>(ptr: *const kbindings::key) -> &'a Self {
        // SAFETY: The safety requirements guarantee validity; `Key` is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the C pointer.
    pub(super) fn as_ptr(&self) -> *mut kbindings::key {
        self.0.get()
    }

    /// The serial number, by which user space names the key.
    pub(crate) fn serial(&self) -> i32 {
        // SAFETY: The key is valid, and its serial never changes.
        unsafe { (*self.as_ptr()).serial }
    }

    /// The C structure of the key's type.
    pub(super) fn key_type(&self) -> *const bindings::key_type {
        // SAFETY: The key is valid; the garbage collector may change its type: it is read once.
        unsafe {
            let index_key = &raw const (*self.as_ptr()).__bindgen_anon_3.index_key;
            (&raw const (*index_key).type_).read_volatile().cast()
        }
    }

    /// The name of the key's type.
    pub(crate) fn type_name(&self) -> &CStr {
        // SAFETY: Who asks runs a request for a key of the type, or is called by the type: it
        // stays registered meanwhile, and its name is a constant string.
        unsafe { CStr::from_char_ptr((*self.key_type()).name) }
    }

    /// The key's description.
    pub(crate) fn description(&self) -> &CStr {
        // SAFETY: The key is valid; its description was set when it was allocated, ends with a
        // NUL and lives as long as the key.
        unsafe {
            let index_key = &raw const (*self.as_ptr()).__bindgen_anon_3.index_key;
            CStr::from_char_ptr((*index_key).description)
        }
    }

    /// Whether user space still owes the key's construction.
    pub(crate) fn is_under_construction(&self) -> bool {
        self.flag_acquire(kbindings::KEY_FLAG_USER_CONSTRUCT)
    }

    /// Whether the key was invalidated.
    pub(crate) fn is_invalidated(&self) -> bool {
        self.flag_acquire(kbindings::KEY_FLAG_INVALIDATED)
    }

    /// Ends the waits for the construction of an invalidated key.
    pub(super) fn end_waits(&self) {
        // SAFETY: The key is valid.
        unsafe { bindings::keyagent_helper_end_waits(self.as_ptr()) };
    }

    /// How many references there are on the key, at this moment.
    pub(super) fn usage(&self) -> u32 {
        // SAFETY: The key is valid.
        unsafe { bindings::keyagent_helper_key_usage(self.as_ptr()) }
    }

    /// Keeps user space from revoking, invalidating or timing out the key.
    pub(super) fn keep(&self) {
        // SAFETY: The key is valid.
        unsafe { bindings::keyagent_helper_key_keep(self.as_ptr()) };
    }

    /// Reads one bit of the key's flags, ordered before all that follows, like
    /// `test_bit_acquire()`.
    fn flag_acquire(&self, bit: u32) -> bool {
        // SAFETY: The key is valid, and its flags are only touched by atomic operations.
        let flags: &Atomic<usize> =
            unsafe { Atomic::from_ptr((&raw mut (*self.as_ptr()).flags).cast()) };
        flags.load(Acquire) & (1 << bit) != 0
    }

    /// Whether the key was instantiated positively.
    pub(crate) fn is_positive(&self) -> bool {
        // `KEY_IS_POSITIVE`.
        self.state() == 1
    }

    /// Whether the key was rejected.
    pub(crate) fn is_negative(&self) -> bool {
        // Minus the error.
        self.state() < 0
    }

    fn state(&self) -> i16 {
        // SAFETY: The key is valid. The C side reads the state with acquire semantics, which the
        // pairing in `mark_key_instantiated()` needs before the payload is looked at.
        let state: &Atomic<i16> =
            unsafe { Atomic::from_ptr((&raw mut (*self.as_ptr()).state).cast()) };
        state.load(Acquire)
    }

    /// Fails with the reason when the key is revoked, expired or invalidated.
    pub(crate) fn validate(&self) -> Result {
        // SAFETY: The key is valid.
        to_result(unsafe { kbindings::key_validate(self.as_ptr()) })
    }

    /// Revokes the key. May sleep.
    pub(crate) fn revoke(&self) {
        // SAFETY: The key is valid.
        unsafe { kbindings::key_revoke(self.as_ptr()) };
    }

    /// Invalidates the key: no search finds it from now on, and the garbage collector takes it.
    pub(crate) fn invalidate(&self) {
        // SAFETY: The key is valid.
        unsafe { kbindings::key_invalidate(self.as_ptr()) };
    }
}

/// A key of type `keyring`.
///
/// # Invariants
///
/// The key is a keyring.
#[derive(Clone)]
pub(crate) struct Keyring(ARef<Key>);

impl Keyring {
    /// Takes a reference of its own on a keyring, or returns [`None`] for a null pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be null or point to a key of type `keyring` with a nonzero refcount.
    pub(super) unsafe fn from_ptr(ptr: *const kbindings::key) -> Option<Self> {
        if ptr.is_null() {
            return None;
        }
        // SAFETY: The caller guarantees that the key is valid.
        let key = unsafe { Key::from_ptr(ptr) };

        // INVARIANT: The caller guarantees that it is a keyring.
        Some(Self(key.into()))
    }

    /// Searches the keyring, which the caller possesses, and those linked into it for the nearest
    /// valid key, with the subjective credentials of the current task. May sleep.
    pub(super) fn search(
        &self,
        key_type: *mut bindings::key_type,
        description: &CStr,
    ) -> Result<ARef<Key>> {
        // SAFETY: The keyring is valid, `key_type` is a registered type (callers in `sys` pass
        // statics of registered types) and `description` ends with a NUL.
        let found = from_err_ptr(unsafe {
            kbindings::keyring_search(
                bindings::keyagent_helper_make_key_ref(self.0.as_ptr(), true),
                key_type.cast(),
                description.as_char_ptr(),
                true,
            )
        })?;

        // SAFETY: `found` is the reference that the search returned.
        let key = unsafe { bindings::keyagent_helper_key_ref_to_ptr(found) };
        let key = NonNull::new(key.cast()).ok_or_else(enokey)?;

        // SAFETY: The search took a reference for its caller, which passes to the `ARef`.
        Ok(unsafe { ARef::from_raw(key) })
    }

    /// Links a key into the keyring, at the cost of the keyring owner's quota. May sleep.
    pub(super) fn link(&self, key: &Key) -> Result {
        // SAFETY: Both keys are valid and the first is a keyring.
        to_result(unsafe { kbindings::key_link(self.0.as_ptr(), key.as_ptr()) })
    }

    /// Unlinks a key from the keyring; one that is not there is no error. May sleep.
    ///
    /// The key service looks for the type and the description: a key that took the place of this
    /// one is unlinked as well. An authorisation key has its serial in its description.
    pub(super) fn unlink(&self, key: &Key) {
        // SAFETY: Both keys are valid and the first is a keyring. The only failures are that the
        // link is gone already, or that there is no memory. Then the garbage collector drops it
        // when the key is invalidated, and the link's reference tells whoever counts on the key's
        // being nobody's.
        unsafe { kbindings::key_unlink(self.0.as_ptr(), key.as_ptr()) };
    }
}
