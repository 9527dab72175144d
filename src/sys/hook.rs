// SPDX-License-Identifier: GPL-2.0

//! The hook on `/sbin/request-key` upcalls.
//!
//! The hook itself is in `hook.c`, which says how it works.

use super::{
    authkey::AuthKey,
    bindings,
    cred::Requester, //
};
use crate::request::Server;
use kernel::{
    bindings as kbindings,
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::Arc, //
};

/// Has a server answer all upcalls as long as this object lives.
///
/// # Invariants
///
/// The hook is in force and has a pointer to `server`.
pub(crate) struct Hook {
    _server: Arc<Server>,
}

impl Hook {
    /// Puts the hook in force and tests it; only one can be in force. May sleep.
    ///
    /// Errors: `EBUSY` when ftrace is off or a live patch has the function, `EOPNOTSUPP` when
    /// requests do not come to the hook, `EDQUOT` and `ENOMEM` when it cannot be tested.
    pub(crate) fn new(server: Arc<Server>) -> Result<Self> {
        let pointer: *const Server = &raw const *server;

        // SAFETY: `act` expects the server, which outlives the hook: dropping this object removes
        // the hook first.
        to_result(unsafe { bindings::keyagent_hook_upcalls(Some(act), pointer.cast()) })?;

        // INVARIANT: As just done.
        Ok(Self { _server: server })
    }
}

impl Drop for Hook {
    /// Removes the hook and waits until no task is in code that the hook called. May sleep.
    fn drop(&mut self) {
        // SAFETY: The hook is in force by the type invariant. No call that it redirected holds the
        // module any more, or the module would not be removed.
        unsafe { bindings::keyagent_unhook_upcalls() };
    }
}

/// Serves a request.
///
/// # Safety
///
/// Called by the hook in the place of an upcall, with the server of [`Hook::new`] and the argument
/// of the upcall: in the requester's context, with none of the key service's locks held but
/// `key_types_sem` for reading, and a reference on the module; may sleep.
unsafe extern "C" fn act(server: *const c_void, authkey: *mut kbindings::key) -> c_int {
    // SAFETY: The hook is in force, so the server lives. The key is this actor's.
    let (server, authkey) = unsafe { (&*server.cast::<Server>(), AuthKey::from_actor(authkey)) };

    server.serve(authkey, &Requester::current())
}
