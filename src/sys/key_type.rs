// SPDX-License-Identifier: GPL-2.0

//! The key type `keyagent`, as the key service sees it.
//!
//! C header: [`include/linux/key-type.h`](srctree/include/linux/key-type.h).
//!
//! [`crate::agent`] decides what a key of the type is. The payload of a key is a pointer to an
//! [`Agent`], and is freed a grace period after the key service gave it up: a reader of /proc/keys
//! may still describe the key.

use super::{
    authkey::AuthKey,
    bindings,
    compat::{
        enokey,
        rcu_barrier, //
    },
    key::{
        Key,
        Keyring, //
    },
    seq_file::Output, //
};
use crate::agent::{
    self,
    Agent, //
};
use core::{
    ops::Deref,
    ptr::null_mut, //
};
use kernel::{
    bindings as kbindings,
    container_of,
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
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

/// An agent in memory that RCU frees.
#[pin_data]
struct Payload {
    #[pin]
    rcu: Opaque<kbindings::callback_head>,
    #[pin]
    agent: Agent,
}

/// A reference on an agent.
#[derive(Clone)]
pub(crate) struct AgentRef(Arc<Payload>);

impl Deref for AgentRef {
    type Target = Agent;

    fn deref(&self) -> &Agent {
        &self.0.agent
    }
}

/// A `struct key_type`. Lockdep wants it in static memory.
struct StaticKeyType(Opaque<bindings::key_type>);

// SAFETY: The C side synchronises access to the fields that change.
unsafe impl Sync for StaticKeyType {}

static KEY_TYPE: StaticKeyType = {
    // SAFETY: All zeroes is a valid value: no name, no operations, no lock class.
    let mut inner: bindings::key_type = unsafe { core::mem::zeroed() };

    inner.name = agent::TYPE_NAME.to_bytes_with_nul().as_ptr();
    inner.def_datalen = size_of::<Payload>();
    inner.vet_description = Some(vet_description);
    inner.preparse = Some(preparse);
    inner.free_preparse = Some(free_preparse);
    inner.instantiate = Some(instantiate);
    inner.destroy = Some(destroy);
    inner.describe = Some(describe);
    inner.read = Some(read);
    inner.request_key = Some(request_key);
    inner.lookup_restriction = Some(lookup_restriction);

    StaticKeyType(Opaque::new(inner))
};

/// The type's registration with the key service.
///
/// # Invariants
///
/// The type is registered.
pub(crate) struct Registration(());

impl Registration {
    /// Makes the type known to the key service as long as the returned object lives. Called once,
    /// when the module is loaded. May sleep.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The type is a static, complete, and not registered yet: a second registration
        // of the same name fails.
        to_result(unsafe { bindings::register_key_type(KEY_TYPE.0.get()) })?;

        // INVARIANT: Just registered.
        Ok(Self(()))
    }
}

impl Drop for Registration {
    /// Waits until the garbage collector has given up the payload of every key of the type, and
    /// until RCU has freed them. May sleep.
    fn drop(&mut self) {
        // SAFETY: The type is registered by the type invariant.
        unsafe { bindings::unregister_key_type(KEY_TYPE.0.get()) };

        // For the callbacks that `destroy` queued.
        rcu_barrier();
    }
}

/// The nearest valid agent key with that description in `keyring`, which the caller possesses, and
/// in those linked into it. Searches with the subjective credentials of the current task. May
/// sleep.
pub(crate) fn search(keyring: &Keyring, description: &CStr) -> Result<ARef<Key>> {
    keyring.search(KEY_TYPE.0.get(), description)
}

/// The agent that `key` stands for; [`None`] when the key is of another type or not instantiated.
pub(crate) fn agent(key: &Key) -> Option<AgentRef> {
    if !core::ptr::eq(key.key_type().cast(), KEY_TYPE.0.get()) || !key.is_positive() {
        return None;
    }
    // SAFETY: It is a positive key of this type: the pointer is that of the `Arc` that `preparse`
    // made, and only `destroy` gives that up, when there is no reference on the key, or when the
    // type is unregistered, which by the order of tear-down happens after the last request.
    unsafe {
        let payload = slot(key.as_ptr()).load(Acquire);
        (!payload.is_null()).then(|| AgentRef(Arc::from(ArcBorrow::from_raw(payload))))
    }
}

/// The pointer to the payload in the key.
///
/// # Safety
///
/// `key` must point to a valid key of this type for `'a`.
unsafe fn slot<'a>(key: *mut kbindings::key) -> &'a Atomic<*mut Payload> {
    // SAFETY: The key is valid. Only generic_key_instantiate() and the functions here write the
    // word, as a whole.
    unsafe {
        let payload = &raw mut (*key).__bindgen_anon_4.payload;
        Atomic::from_ptr((&raw mut (*payload).rcu_data0).cast())
    }
}

/// # Safety
///
/// Called by the key service in the context of the caller of add_key(2), with no lock held that a
/// key type could take; may sleep. `description` ends with a NUL.
unsafe extern "C" fn vet_description(description: *const c_char) -> c_int {
    // SAFETY: The caller passes a string.
    let description = unsafe { CStr::from_char_ptr(description) };
    from_result(|| agent::vet_description(description.to_bytes()).map(|()| 0))
}

/// # Safety
///
/// Called by the key service in the context of the caller of add_key(2), with `key_types_sem` held
/// for reading; may sleep. `prep` is exclusively the callee's, and its data are null or as long as
/// it says.
unsafe extern "C" fn preparse(prep: *mut bindings::key_preparsed_payload) -> c_int {
    // SAFETY: The caller keeps both valid and unchanged during the call.
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
        let agent = agent::preparse(data)?;
        let payload = Arc::pin_init(
            try_pin_init!(Payload {
                rcu: Opaque::uninit(),
                agent <- agent,
            }),
            GFP_KERNEL,
        )?;
        prep.payload.rcu_data0 = Arc::into_raw(payload).cast_mut().cast();
        Ok(0)
    })
}

/// # Safety
///
/// Called by the key service in the context of the caller of KEYCTL_RESTRICT_KEYRING, with
/// `key_types_sem` held for reading; may sleep. `params` is null or ends with a NUL.
unsafe extern "C" fn lookup_restriction(params: *const c_char) -> *mut kbindings::key_restriction {
    // SAFETY: The caller passes such a string. The type is registered.
    unsafe { bindings::keyagent_helper_agents_only(params, KEY_TYPE.0.get()) }
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
            drop(Arc::from_raw(payload.cast::<Payload>().cast_const()));
        }
    }
}

/// # Safety
///
/// Called by the key service with `key_construction_mutex` held, for a new key and the `prep` that
/// `preparse` filled in.
unsafe extern "C" fn instantiate(
    key: *mut kbindings::key,
    prep: *mut bindings::key_preparsed_payload,
) -> c_int {
    // SAFETY: The payload is the one that `preparse` made.
    let is_shared = unsafe {
        (*(*prep).payload.rcu_data0.cast::<Payload>())
            .agent
            .is_shared()
    };

    // SAFETY: The key service passes both on as it gave them.
    let ret = unsafe { bindings::generic_key_instantiate(key, prep) };
    if ret == 0 && is_shared {
        // SAFETY: The key is valid.
        unsafe { Key::from_ptr(key) }.keep();
    }
    ret
}

/// # Safety
///
/// Called by the key service's garbage collector in a work item: when nobody can reach the key any
/// more, or, with the key's type changed and its semaphore held, because this type is being
/// unregistered.
unsafe extern "C" fn destroy(key: *mut kbindings::key) {
    // SAFETY: The key is valid, and the garbage collector destroys it once.
    let payload = unsafe { slot(key).xchg(null_mut(), Full) };
    if payload.is_null() {
        return;
    }

    // SAFETY: `preparse` made the payload, and the exchange above took it out of the key. The
    // callback runs once, and before the module goes: see [`Registration`].
    unsafe { bindings::keyagent_helper_call_rcu((*payload).rcu.get(), Some(free)) };
}

/// # Safety
///
/// Called by RCU, once, for the head in a payload that a key had; must not sleep.
unsafe extern "C" fn free(rcu: *mut kbindings::callback_head) {
    // SAFETY: The head is in a payload, whose reference `destroy` took from the key.
    unsafe {
        let rcu: *mut Opaque<kbindings::callback_head> = rcu.cast();
        drop(Arc::from_raw(container_of!(rcu, Payload, rcu).cast_const()));
    }
}

/// # Safety
///
/// Called for a reader of /proc/keys under RCU and `key_serial_lock`; must not sleep. Both pointers
/// are valid. There may be no reference on the key any more, so none can be taken.
unsafe extern "C" fn describe(key: *const kbindings::key, m: *mut kbindings::seq_file) {
    // SAFETY: Both are valid during the call.
    let (key, slot, out) = unsafe {
        (
            Key::from_ptr(key),
            slot(key.cast_mut()),
            Output::from_ptr(m),
        )
    };

    let payload = if key.is_positive() {
        // SAFETY: Made by `preparse`; only freed a grace period after it was taken away.
        unsafe { slot.load(Acquire).as_ref() }
    } else {
        None
    };
    agent::describe(
        key.description(),
        payload.map(|payload| &payload.agent),
        &out,
    );
}

/// # Safety
///
/// Called by the key service in the context of the caller of KEYCTL_READ, with the key's semaphore
/// held for reading, and the key not dead; may sleep. `buffer` is null or has room for `size`
/// bytes.
unsafe extern "C" fn read(key: *const kbindings::key, buffer: *mut c_char, size: usize) -> c_long {
    // SAFETY: The payload of a key in use is only taken away with the semaphore held for writing.
    let payload = unsafe { slot(key.cast_mut()).load(Acquire).as_ref() };

    let text = match payload
        .ok_or_else(enokey)
        .and_then(|payload| agent::read(&payload.agent))
    {
        Ok(text) => text,
        // CAST: `c_long` is at least as wide.
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
    // A line of the module is much shorter than the greatest number.
    c_long::try_from(bytes.len()).unwrap_or(c_long::MAX)
}

/// # Safety
///
/// Called by request_key() in the requester's context, which owns both keys during the call; may
/// sleep.
unsafe extern "C" fn request_key(authkey: *mut kbindings::key, _aux: *mut c_void) -> c_int {
    // SAFETY: The actor is given the authorisation key to settle it.
    unsafe { AuthKey::from_actor(authkey) }.reject(EPERM, 0)
}
