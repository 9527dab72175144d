// SPDX-License-Identifier: GPL-2.0

//! Key types.
//!
//! C header: [`include/linux/key-type.h`](srctree/include/linux/key-type.h).

use crate::errno::enokey;

use super::{
    authkey::AuthKey,
    bindings,
    key::{
        Key,
        Keyring, //
    },
    seq_file::Output, //
};
use core::{
    marker::PhantomData,
    ptr::null_mut,
    sync::atomic::{
        AtomicBool,
        AtomicPtr,
        Ordering, //
    }, //
};
use kernel::{
    bindings as kbindings,
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_char,
        c_int,
        c_long,
        c_void, //
    },
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

/// What a key type of this module decides.
pub(crate) trait KeyType: Sized + 'static {
    /// The name of the type, by which user space asks for it.
    const NAME: &'static CStr;

    /// What an instantiated key holds. It does not change.
    type Payload: Send + Sync;

    /// Checks the description of a new key. May sleep.
    fn vet_description(description: &CStr) -> Result;

    /// Makes the payload of a new key from what the caller of add_key(2) gave. Runs in the
    /// caller's context with no lock of the key held, and may sleep.
    fn preparse(data: &[u8]) -> Result<Arc<Self::Payload>>;

    /// What KEYCTL_READ returns. Runs in the caller's context with the key's semaphore held for
    /// reading, and may sleep.
    fn read(payload: &Self::Payload) -> Result<CString>;

    /// Writes what /proc/keys shows of a key. Runs under RCU and must not sleep.
    fn describe(description: &CStr, payload: Option<&Self::Payload>, out: &Output<'_>);

    /// The error for those who request a key of this type: it is only ever added.
    const REQUEST_ERROR: Error;
}

/// The `struct key_type` of `T`: lockdep wants it in static memory.
pub(crate) struct StaticKeyType<T: KeyType> {
    inner: Opaque<bindings::key_type>,
    registered: AtomicBool,
    _type: PhantomData<fn() -> T>,
}

// SAFETY: The C side synchronises access to the fields that change, and `T` is not stored.
unsafe impl<T: KeyType> Sync for StaticKeyType<T> {}

impl<T: KeyType> StaticKeyType<T> {
    /// A type that is not yet registered.
    pub(crate) const fn new() -> Self {
        // SAFETY: All zeroes is a valid value: no name, no operations, no lock class.
        let mut inner: bindings::key_type = unsafe { core::mem::zeroed() };

        inner.name = T::NAME.to_bytes_with_nul().as_ptr();
        inner.def_datalen = size_of::<T::Payload>();
        inner.vet_description = Some(Self::vet_description);
        inner.preparse = Some(Self::preparse);
        inner.free_preparse = Some(Self::free_preparse);
        inner.instantiate = Some(bindings::generic_key_instantiate);
        inner.destroy = Some(Self::destroy);
        inner.describe = Some(Self::describe);
        inner.read = Some(Self::read);
        inner.request_key = Some(Self::request_key);

        Self {
            inner: Opaque::new(inner),
            registered: AtomicBool::new(false),
            _type: PhantomData,
        }
    }

    /// Makes the type known to the key service until the registration is dropped.
    pub(crate) fn register(&'static self) -> Result<Registration<T>> {
        if self.registered.swap(true, Ordering::Relaxed) {
            return Err(EEXIST);
        }

        // SAFETY: The type is a static, complete, and not registered yet.
        to_result(unsafe { bindings::register_key_type(self.inner.get()) })
            .inspect_err(|_| self.registered.store(false, Ordering::Relaxed))?;

        // INVARIANT: Just registered.
        Ok(Registration(self))
    }

    /// The nearest valid key of this type and `description` in `keyring`, which the caller
    /// possesses, and in those linked into it. Searches with the subjective credentials of the
    /// current task. May sleep.
    pub(crate) fn search(
        &'static self,
        keyring: &Keyring,
        description: &CStr,
    ) -> Result<ARef<Key>> {
        keyring.search(self.inner.get(), description)
    }

    /// The payload of a key of this type, unless the key is not instantiated.
    pub(crate) fn payload(&'static self, key: &Key) -> Option<Arc<T::Payload>> {
        if !core::ptr::eq(key.key_type().cast(), self.inner.get()) || !key.is_positive() {
            return None;
        }
        // SAFETY: It is a positive key of this type: the pointer is that of the `Arc` that
        // `preparse` returned, and only `destroy` gives that up, when there is no reference on the
        // key, or when the type is unregistered, which by the order of tear-down happens after the
        // last request.
        unsafe {
            let payload = Self::slot(key.as_ptr()).load(Ordering::Acquire);
            (!payload.is_null()).then(|| Arc::from(ArcBorrow::from_raw(payload)))
        }
    }

    /// The pointer to the payload in the key.
    ///
    /// # Safety
    ///
    /// `key` must point to a valid key of this type for `'a`.
    unsafe fn slot<'a>(key: *mut kbindings::key) -> &'a AtomicPtr<T::Payload> {
        // SAFETY: The key is valid, and generic_key_instantiate() and the functions here, which
        // use whole pointers, are the only ones to write the word.
        unsafe {
            let payload = &raw mut (*key).__bindgen_anon_4.payload;
            AtomicPtr::from_ptr((&raw mut (*payload).rcu_data0).cast())
        }
    }

    /// # Safety
    ///
    /// Called by the key service in the context of the caller of add_key(2), with no lock held
    /// that a key type could take; may sleep. `description` ends with a NUL.
    unsafe extern "C" fn vet_description(description: *const c_char) -> c_int {
        // SAFETY: As above.
        let description = unsafe { CStr::from_char_ptr(description) };
        from_result(|| T::vet_description(description).map(|()| 0))
    }

    /// # Safety
    ///
    /// Called by the key service in the context of the caller of add_key(2), with key_types_sem
    /// held for reading; may sleep. `prep` is exclusively the callee's, and its data are null or
    /// as long as it says.
    unsafe extern "C" fn preparse(prep: *mut bindings::key_preparsed_payload) -> c_int {
        // SAFETY: As above.
        let (prep, data) = unsafe {
            let prep = &mut *prep;
            let data: &[u8] = if prep.data.is_null() {
                &[]
            } else {
                core::slice::from_raw_parts(prep.data.cast(), prep.datalen)
            };
            (prep, data)
        };

        from_result(|| {
            let payload = T::preparse(data)?;
            prep.payload.rcu_data0 = Arc::into_raw(payload).cast_mut().cast();
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by the key service after `preparse`, with the same `prep` and in the same context,
    /// whether that failed or the key took the payload away.
    unsafe extern "C" fn free_preparse(prep: *mut bindings::key_preparsed_payload) {
        // SAFETY: The payload is null, or `preparse` made it and no key has taken it.
        unsafe {
            let payload = core::mem::replace(&mut (*prep).payload.rcu_data0, null_mut());
            if !payload.is_null() {
                drop(Arc::from_raw(payload.cast::<T::Payload>().cast_const()));
            }
        }
    }

    /// # Safety
    ///
    /// Called by the key service's garbage collector in a work item, which may sleep: when nobody
    /// can reach the key any more, or, with the key's type changed and its semaphore held, because
    /// this type is being unregistered.
    unsafe extern "C" fn destroy(key: *mut kbindings::key) {
        // SAFETY: The key is valid, and the garbage collector destroys it once.
        let (payload, key) = unsafe {
            (
                Self::slot(key).swap(null_mut(), Ordering::AcqRel),
                Key::from_ptr(key),
            )
        };
        if payload.is_null() {
            return;
        }

        // A key that is in use loses its type while the type is unregistered: a reader of
        // /proc/keys may be describing it as one of this type still.
        if key.type_name() != T::NAME {
            // SAFETY: The garbage collector's work may sleep.
            unsafe { kbindings::synchronize_rcu() };
        }

        // SAFETY: `preparse` made the payload, and the exchange above took it out of the key.
        drop(unsafe { Arc::from_raw(payload) });
    }

    /// # Safety
    ///
    /// Called for a reader of /proc/keys under RCU and key_serial_lock; must not sleep. Both
    /// pointers are valid.
    unsafe extern "C" fn describe(key: *const kbindings::key, m: *mut kbindings::seq_file) {
        // SAFETY: As above.
        let (key, slot, out) = unsafe {
            (
                Key::from_ptr(key),
                Self::slot(key.cast_mut()),
                Output::from_ptr(m),
            )
        };

        let payload = if key.is_positive() {
            // SAFETY: Made by `preparse`; only freed a grace period after it was taken away.
            unsafe { slot.load(Ordering::Acquire).as_ref() }
        } else {
            None
        };
        T::describe(key.description(), payload, &out);
    }

    /// # Safety
    ///
    /// Called by the key service in the context of the caller of KEYCTL_READ, with the key's
    /// semaphore held for reading, and the key not dead; may sleep. `buffer` is null or has room
    /// for `size` bytes.
    unsafe extern "C" fn read(
        key: *const kbindings::key,
        buffer: *mut c_char,
        size: usize,
    ) -> c_long {
        // SAFETY: As above: who takes the payload of a key in use holds the semaphore for writing.
        let payload = unsafe { Self::slot(key.cast_mut()).load(Ordering::Acquire).as_ref() };

        let text = match payload.ok_or_else(enokey).and_then(T::read) {
            Ok(text) => text,
            Err(error) => return error.to_errno() as c_long,
        };
        let bytes = text.to_bytes();
        if !buffer.is_null() {
            // SAFETY: The buffer has room for as much; both are the caller's alone.
            unsafe {
                core::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    buffer.cast(),
                    bytes.len().min(size), //
                );
            }
        }
        bytes.len() as c_long
    }

    /// # Safety
    ///
    /// Called by request_key() in the requester's context, which owns both keys during the call;
    /// may sleep.
    unsafe extern "C" fn request_key(authkey: *mut kbindings::key, _aux: *mut c_void) -> c_int {
        // SAFETY: The actor is given the authorisation key to settle it.
        unsafe { AuthKey::from_actor(authkey) }.reject(T::REQUEST_ERROR, 0)
    }
}

/// A key type's registration with the key service.
///
/// # Invariants
///
/// The type is registered.
pub(crate) struct Registration<T: KeyType>(&'static StaticKeyType<T>);

impl<T: KeyType> Drop for Registration<T> {
    /// Waits until the garbage collector has taken the payload of every key of the type. May
    /// sleep.
    fn drop(&mut self) {
        // SAFETY: The type is registered by the type invariant.
        unsafe { bindings::unregister_key_type(self.0.inner.get()) };
        self.0.registered.store(false, Ordering::Relaxed);
    }
}
