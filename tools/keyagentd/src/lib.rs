// SPDX-License-Identifier: GPL-2.0-or-later

//! What the agent daemon keyagentd is made of.
//!
//! A key agent answers the kernel's requests for keys in place of `/sbin/request-key`. To be of use
//! to whoever has request-key(8) set up it follows the same rules: [`Config`] reads those of
//! request-key.conf(5) and finds the one for a [`Request`], and its [`Command`] says which program
//! to run with which arguments.
//!
//! ```
//! # use keyagentd::{Config, Keys, Request};
//! # use std::{ffi::{OsStr, OsString}, io};
//! # struct NoKeys;
//! # impl Keys for NoKeys {
//! #     fn read(&self, _: &OsStr, _: &OsStr) -> io::Result<Vec<u8>> {
//! #         Err(io::ErrorKind::NotFound.into())
//! #     }
//! # }
//! let config = Config::parse(b"create user debug:* * /bin/keyctl negate %k 30 %S\n")?;
//! let request = Request {
//!     operation: "create".into(),
//!     key: 4711,
//!     key_type: "user".into(),
//!     description: "debug:x".into(),
//!     session_keyring: 42,
//!     ..Request::default()
//! };
//! let rule = config.find(&request).expect("the rule above");
//! let invocation = rule.command.expand(&request, &NoKeys)?;
//! assert_eq!(invocation.program, "/bin/keyctl");
//! assert_eq!(invocation.argv, ["keyctl", "negate", "4711", "30", "42"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod request;

pub use config::command::{Argument, Command, ExpandError, Invocation, Keys, Macro};
pub use config::pattern::Pattern;
pub use config::problem::{Found, Oddity, Place, Problem, Refused, LONGEST_LINE, MOST_ARGUMENTS};
pub use config::{Config, Rule, Sources};
pub use request::Request;
