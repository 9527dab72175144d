// SPDX-License-Identifier: GPL-2.0

//! Key agents: processes that answer the kernel's `request_key()` upcalls in their own context.
//!
//! Reference: `Documentation/security/keys/keyagent.rst`.

use kernel::{
    prelude::*,
    sync::Arc, //
};

#[deny(unsafe_code)]
mod admission;
#[deny(unsafe_code)]
mod agent;
#[deny(unsafe_code)]
mod answer;
#[deny(unsafe_code)]
mod case;
#[deny(unsafe_code)]
mod inflight;
#[deny(unsafe_code)]
mod outcome;
#[deny(unsafe_code)]
mod policy;
#[deny(unsafe_code)]
mod request;
mod sys;

module! {
    type: KeyAgent,
    name: "keyagent",
    authors: ["The keyagent developers"],
    description: "Processes that answer request_key() upcalls in their own context",
    license: "GPL",
}

/// The module.
///
/// The fields are dropped in this order: first the files, so that nobody looks at the requests any
/// more, then the hook, so that no more requests come, and at last the key type, which waits for
/// its keys.
struct KeyAgent {
    _files: sys::debugfs::Directory,
    _hook: sys::hook::Hook,
    _key_type: sys::key_type::Registration,
}

impl kernel::Module for KeyAgent {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let key_type = sys::key_type::Registration::new()?;
        let server = Arc::pin_init(request::Server::new(), GFP_KERNEL)?;

        Ok(Self {
            _hook: sys::hook::Hook::new(server.clone())?,
            _files: sys::debugfs::Directory::new(server),
            _key_type: key_type,
        })
    }
}
