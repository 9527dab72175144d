// SPDX-License-Identifier: GPL-2.0-or-later

//! What the agent daemon keyagentd is made of.
//!
//! A key agent answers the kernel's requests for keys in place of `/sbin/request-key`. To be of use
//! to whoever has request-key(8) set up it follows the same rules, and some of its own: [`Config`]
//! reads those of request-key.conf(5) and of keyagentd.conf(5) and finds the one for a [`Request`],
//! and its [`Action`] says which program to run with which arguments, or what to answer without
//! one.
//!
//! ```
//! # use keyagentd::{Keys, Request};
//! # use std::{ffi::{OsStr, OsString}, io};
//! # struct NoKeys;
//! # impl Keys for NoKeys {
//! #     fn read(&self, _: &OsStr, _: &OsStr) -> io::Result<Vec<u8>> {
//! #         Err(io::ErrorKind::NotFound.into())
//! #     }
//! # }
//! use keyagentd::{Action, Answer, Config, Dialect};
//!
//! let config = Config::parse(
//!     Dialect::Own,
//!     b"create user debug:*    * timeout=5  /bin/keyctl negate %k 30 %S\n\
//!       create user greeting:* * expires=60 @constant hello,\\sworld\n",
//! )?;
//! let request = |description: &str| Request {
//!     operation: "create".into(),
//!     key: 4711,
//!     key_type: "user".into(),
//!     description: description.into(),
//!     session_keyring: 42,
//!     ..Request::default()
//! };
//!
//! let rule = config.find(&request("greeting:x")).expect("the second rule");
//! assert_eq!(rule.options.expires, Some(60));
//! assert_eq!(rule.action, Action::Answer(Answer::Constant(b"hello, world".to_vec())));
//!
//! let rule = config.find(&request("debug:x")).expect("the first rule");
//! let Action::Run(command) = &rule.action else {
//!     panic!("{rule:?}");
//! };
//! let invocation = command.expand(&request("debug:x"), &NoKeys)?;
//! assert_eq!(invocation.program, "/bin/keyctl");
//! assert_eq!(invocation.argv, ["keyctl", "negate", "4711", "30", "42"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cli;
mod config;
pub mod daemon;
mod request;
pub mod sys;
pub mod tool;

pub use config::answer::{Answer, LONGEST_PAYLOAD};
pub use config::command::{Argument, Command, ExpandError, Invocation, Keys, Macro};
pub use config::line::Dialect;
pub use config::option::{Options, LONGEST_TIMEOUT};
pub use config::pattern::Pattern;
pub use config::problem::{Found, Oddity, Place, Problem, Refused, LONGEST_LINE, MOST_ARGUMENTS};
pub use config::source::Sources;
pub use config::{Action, Config, Rule};
pub use request::Request;
