// SPDX-License-Identifier: GPL-2.0

//! Key agents: processes that answer the kernel's `request_key()` upcalls in their own context.
//!
//! Reference: `Documentation/security/keys/keyagent.rst`.

use kernel::{
    prelude::*,
    sync::Arc,
    time::Delta, //
};

#[deny(unsafe_code)]
mod agent;
#[deny(unsafe_code)]
mod answer;
#[deny(unsafe_code)]
mod asked;
#[deny(unsafe_code)]
mod errno;
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
    params: {
        timeout_ms: u32 {
            default: 10_000,
            description: "How long a requester waits for an agent's answer, in milliseconds (100 to 60000)",
        },
        negative_ttl: u32 {
            default: 1,
            description: "How long a key stays negative when no answer came, in seconds (0 to 60)",
        },
    },
}

/// The module.
///
/// The order of the fields is that of the tear-down: first nobody looks at the requests any more,
/// then no more come, then those that were served leave nothing behind, and at last the key type
/// goes, which waits for its keys.
#[pin_data]
struct KeyAgent {
    _files: sys::debugfs::Directory<request::Server>,
    #[pin]
    _detour: sys::detour::Detour<Arc<request::Server>>,
    server: Arc<request::Server>,
    _key_type: sys::key_type::Registration<agent::AgentKey>,
}

impl kernel::InPlaceModule for KeyAgent {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // Initialised in this order, which is not that of the fields.
            _key_type: agent::KEY_TYPE.register()?,
            server: Arc::pin_init(request::Server::new(limits()?), GFP_KERNEL)?,
            _detour <- sys::detour::Detour::new(Ok(server.clone()), module),
            _files: sys::debugfs::Directory::new(c"keyagent", server.clone())
                .with_file(c"outcomes", request::Server::outcomes)
                .with_file(c"requests", request::Server::inflight),
        })
    }
}

/// The time limits in the module's parameters.
fn limits() -> Result<answer::Limits> {
    let timeout_ms = *module_parameters::timeout_ms.value();
    let negative_ttl = *module_parameters::negative_ttl.value();

    if !(100..=60_000).contains(&timeout_ms) {
        pr_err!("timeout_ms={timeout_ms} is out of range: it has to be 100 to 60000\n");
        return Err(EINVAL);
    }
    if negative_ttl > 60 {
        pr_err!("negative_ttl={negative_ttl} is out of range: it has to be 0 to 60\n");
        return Err(EINVAL);
    }
    Ok(answer::Limits {
        timeout: Delta::from_millis(i64::from(timeout_ms)),
        negative_ttl,
    })
}
