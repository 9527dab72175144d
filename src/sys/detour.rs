// SPDX-License-Identifier: GPL-2.0

//! The detour of `/sbin/request-key` upcalls to an actor of this module.
//!
//! C header: [`include/linux/kprobes.h`](srctree/include/linux/kprobes.h).
//!
//! Reference: <https://docs.kernel.org/trace/kprobes.html>
//!
//! The key service calls `call_sbin_request_key()` for every key type without an actor of its own.
//! A kprobe at the entry of that function sets the instruction pointer to [`act`], which runs in
//! its place, in the requester's context, and may call the original.
//!
//! Each detoured call holds a reference on the module, taken by the pre-handler and dropped by the
//! last act of [`act`]. What is left of it then is a few instructions, which
//! `synchronize_rcu_tasks()` waits for.

use super::{
    authkey::{
        AuthKey,
        AuthKeyId, //
    },
    bindings, //
};
use core::{
    ptr::null_mut,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    }, //
};
use kernel::{
    bindings as kbindings,
    container_of,
    error::to_result,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    prelude::*,
    types::Opaque, //
};
use pin_init::{
    pin_data,
    pinned_drop, //
};

/// The function that is taken over.
const SYMBOL: &CStr = c"call_sbin_request_key";

/// The same for messages.
const NAME: &str = "call_sbin_request_key";

// A probe that is a breakpoint, the kernel turns into a jump when it can: such a one cannot set the
// instruction pointer, and is never the only one at its place.
#[cfg(not(CONFIG_KPROBES_ON_FTRACE))]
compile_error!("keyagent needs CONFIG_FUNCTION_TRACER, and probes that use it");

/// Who runs in the place of the original.
pub(crate) trait Actor: Send + Sync + 'static {
    /// Whether the call for this authorisation key is to go to the original.
    ///
    /// Called at the entry of the original function with preemption off, possibly in a context
    /// like that of an NMI: it must neither sleep nor wait for anything that the interrupted
    /// context may hold.
    fn is_bypassed(&self, authkey: AuthKeyId) -> bool;

    /// Serves one request in the requester's context, holding no locks of its own; may sleep.
    ///
    /// Returns zero or a negative errno, like a `request_key_actor_t`.
    fn act(&self, authkey: AuthKey, original: Original) -> c_int;
}

/// The function that was taken over, for one call of it.
pub(crate) struct Original {
    entry: usize,
    aux: *mut c_void,
}

impl Original {
    /// Calls the original, which settles the key. The caller sees to it that
    /// [`Actor::is_bypassed`] says so, or the call comes back to the actor.
    pub(crate) fn call(self, authkey: AuthKey) -> c_int {
        // SAFETY: It is the entry of the function that the kernel was about to call as an actor,
        // and the argument that it was to get.
        unsafe { authkey.leave_to(self.entry, self.aux) }
    }
}

/// A detour that is in force as long as it lives.
///
/// # Invariants
///
/// `kprobe` is registered.
#[pin_data(PinnedDrop)]
pub(crate) struct Detour<A: Actor> {
    #[pin]
    kprobe: Opaque<bindings::kprobe>,
    #[pin]
    actor: A,
    module: &'static ThisModule,
}

// SAFETY: A probe belongs to no thread, and can be unregistered from any.
unsafe impl<A: Actor> Send for Detour<A> {}

// SAFETY: The probe is only written by the C side and while it is registered, the actor is `Sync`.
unsafe impl<A: Actor> Sync for Detour<A> {}

/// The one detour that is in force, for [`act`], which has nothing else to find it by.
static IN_FORCE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

impl<A: Actor> Detour<A> {
    /// Puts the detour in force. There can only be one at a time.
    pub(crate) fn new(
        actor: impl PinInit<A, Error>,
        module: &'static ThisModule,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            kprobe: Opaque::uninit(),
            actor <- actor,
            module,
            _: {
                // SAFETY: All fields but the probe are initialised; nobody else has it yet.
                let this = unsafe { this.as_ref() };
                this.register()?;
            },
        })
    }

    fn register(&self) -> Result {
        let this: *mut c_void = core::ptr::from_ref(self).cast_mut().cast();
        IN_FORCE
            .compare_exchange(null_mut(), this, Ordering::Release, Ordering::Relaxed)
            .map_err(|_| EBUSY)?;

        self.arm().inspect_err(|error| {
            IN_FORCE.store(null_mut(), Ordering::Relaxed);
            pr_err!("cannot take over {}(): error {}\n", NAME, error.to_errno());
        })
    }

    /// Registers the probe, in steps: the key service of a traced or live-patched kernel has to be
    /// left as it is.
    fn arm(&self) -> Result {
        let kprobe = self.kprobe.get();

        // SAFETY: The memory is this object's, and nobody else has it. All zeroes is a valid value
        // of the structure; the handler and the symbol's name live as long as the module.
        to_result(unsafe {
            core::ptr::write_bytes(kprobe, 0, 1);
            (*kprobe).symbol_name = SYMBOL.as_char_ptr();
            (*kprobe).pre_handler = Some(Self::pre_handler);
            (*kprobe).flags = bindings::KPROBE_FLAG_DISABLED;
            bindings::register_kprobe(kprobe)
        })
        .inspect_err(|_| {
            pr_err!(
                "the kernel needs CONFIG_KPROBES and {}() not inlined\n",
                NAME
            );
        })?;

        // A probe that was there first was armed as one that changes nothing, and disarming it
        // after it was joined by one that does goes wrong in the kernel.
        // SAFETY: The probe is registered, which initialised its list of companions.
        if !unsafe { is_alone(kprobe) } {
            pr_err!("another probe is at {}(): remove it first\n", NAME);
            // SAFETY: The probe is registered.
            unsafe { bindings::unregister_kprobe(kprobe) };
            return Err(EBUSY);
        }

        // SAFETY: The probe is registered, but not armed: nobody calls its handlers yet.
        to_result(unsafe {
            (*kprobe).post_handler = Some(Self::post_handler);
            bindings::enable_kprobe(kprobe)
        })
        .inspect_err(|_| {
            pr_err!("is there a live patch of {}()?\n", NAME);
            // SAFETY: The probe is registered.
            unsafe { bindings::unregister_kprobe(kprobe) };
        })?;

        // While all probes are switched off, enabling one says yes and leaves it disabled for
        // good: it would stay so when they are switched on again.
        // SAFETY: The probe is registered, and nobody else enables or disables it.
        if unsafe { (*kprobe).flags } & bindings::KPROBE_FLAG_DISABLED != 0 {
            pr_err!("all probes are off: write 1 to kprobes/enabled in debugfs first\n");
            // SAFETY: The probe is registered.
            unsafe { bindings::unregister_kprobe(kprobe) };
            return Err(EBUSY);
        }
        Ok(())
    }

    /// # Safety
    ///
    /// Called at the entry of the probed function with preemption off, and, where the probe is a
    /// breakpoint, with interrupts off in a context like an NMI's; must not sleep. Both pointers
    /// are valid, and the probe is that of a [`Detour`].
    unsafe extern "C" fn pre_handler(
        kprobe: *mut bindings::kprobe,
        regs: *mut kbindings::pt_regs,
    ) -> c_int {
        // SAFETY: As above; the probe is unregistered before the object goes.
        let (this, authkey) = unsafe {
            let kprobe: *mut Opaque<bindings::kprobe> = kprobe.cast();
            let authkey = bindings::keyagent_helper_regs_arg0(regs);
            (
                &*container_of!(kprobe, Self, kprobe),
                AuthKeyId::from_raw(core::ptr::without_provenance(authkey)),
            )
        };

        if this.actor.is_bypassed(authkey) {
            return 0;
        }

        // SAFETY: The module is this one, whose reference cannot be had while it is being removed.
        if !unsafe { kbindings::try_module_get(this.module.as_ptr()) } {
            return 0;
        }

        let target: unsafe extern "C" fn(*mut kbindings::key, *mut c_void) -> c_int = act::<A>;

        // SAFETY: `target` has the signature of the probed function, none of which has run yet.
        unsafe { bindings::keyagent_helper_regs_redirect(regs, target as usize) };
        1
    }

    /// Does nothing. With it the probe claims to change the instruction pointer, so that a live
    /// patch of the same function is refused instead of one of the two being lost.
    ///
    /// # Safety
    ///
    /// Called like the pre-handler when that returned zero.
    unsafe extern "C" fn post_handler(
        _kprobe: *mut bindings::kprobe,
        _regs: *mut kbindings::pt_regs,
        _flags: c_ulong,
    ) {
    }
}

#[pinned_drop]
impl<A: Actor> PinnedDrop for Detour<A> {
    /// Ends the detour, and waits until no task is in the code of the actor. May sleep.
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The probe is registered by the type invariant. No call can be redirected after
        // it is gone, and no redirected call holds the module any more, or it would not be
        // removed: what is left of one is a few instructions without voluntary sleep.
        unsafe {
            bindings::unregister_kprobe(self.kprobe.get());
            kbindings::synchronize_rcu_tasks();
        }
        IN_FORCE.store(null_mut(), Ordering::Relaxed);
    }
}

/// Whether there is no other probe at the same place.
///
/// # Safety
///
/// `kprobe` must be registered.
unsafe fn is_alone(kprobe: *const bindings::kprobe) -> bool {
    // SAFETY: The probe is valid, and its list head was initialised when it was registered.
    unsafe { core::ptr::eq((*kprobe).list.next, &raw const (*kprobe).list) }
}

/// Runs in the place of the probed function.
///
/// # Safety
///
/// Entered in the place of a `request_key_actor_t` function, with its arguments: in the context of
/// a requester, with none of the key service's locks held but key_types_sem for reading; may
/// sleep. The pre-handler has taken a reference on the module.
unsafe extern "C" fn act<A: Actor>(authkey: *mut kbindings::key, aux: *mut c_void) -> c_int {
    // SAFETY: A call is only redirected here while a detour with this actor is in force, and the
    // reference on the module keeps it so.
    let detour = unsafe { &*IN_FORCE.load(Ordering::Acquire).cast::<Detour<A>>() };

    // SAFETY: The probe is registered, and the key is this actor's.
    let (authkey, entry) = unsafe {
        (
            AuthKey::from_actor(authkey),
            bindings::keyagent_helper_kprobe_entry(detour.kprobe.get()),
        )
    };

    let ret = detour.actor.act(authkey, Original { entry, aux });

    // SAFETY: The reference was taken by the pre-handler. Nothing of the module is used after it.
    unsafe { kbindings::module_put(detour.module.as_ptr()) };
    ret
}
