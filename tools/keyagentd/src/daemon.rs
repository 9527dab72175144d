// SPDX-License-Identifier: GPL-2.0-or-later

//! The agent daemon: one thread, which is the key agent, and the handlers that it starts.
//!
//! Nothing in here waits but [`Daemon::run`], in poll(2): until there is a signal, a handler has
//! something to say, or its time is over; and the file of an `@file`, if its file system does.

mod agent;
mod answer;
mod authority;
mod handler;
mod job;
mod jobs;
mod lines;
mod logging;
mod process;
mod slots;

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};

use self::agent::AgentKey;
use self::answer::Answered;
use self::authority::Authority;
use self::job::{Job, RuleId, Task};
use self::slots::Slots;
use crate::cli::daemon::Options;
use crate::config::answer::Answer;
use crate::config::source::Sources;
use crate::config::{Action, Config, Rule};
use crate::sys::keyctl::Serial;
use crate::sys::signal::{self, Info, SignalFd, SI_KEYAGENT};

pub use process::main;

/// How many requests may wait for a handler to end. Each is a process that waits.
const MOST_WAITING: usize = 4096;

/// No request lasts longer: the module's timeout_ms is at most 60 s.
const LONGEST_REQUEST: Duration = Duration::from_secs(61);

/// How often to say that signals were ignored.
const IGNORED_INTERVAL: Duration = Duration::from_secs(10);

/// A running daemon.
#[derive(Debug)]
struct Daemon {
    sources: Sources,
    config: Config,
    /// For a handler whose rule does not say.
    timeout: Duration,
    /// In seconds.
    negative: u32,
    signals: SignalFd,
    keys: Vec<AgentKey>,
    /// The target keys of the requests that wait in `slots` or are in `jobs`.
    accepted: HashSet<Serial>,
    slots: Slots<RuleId, Task>,
    /// By the handler's process.
    jobs: HashMap<i32, Job>,
    ignored: Ignored,
    /// By when to end, after having been told to.
    ending: Option<Instant>,
}

/// Signals that were no requests.
#[derive(Debug)]
struct Ignored {
    count: u64,
    said: Instant,
}

impl Daemon {
    /// Becomes the key agent.
    fn new(options: &Options, sources: Sources, config: Config) -> Result<Self, String> {
        let number = signal::first_realtime();
        let standard = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD];
        // Before there is a key: the signal would kill.
        let signals = SignalFd::new(&[&standard[..], &[number]].concat())
            .map_err(|error| format!("signals cannot be read: {error}"))?;
        answer::possess_user_keys()
            .map_err(|error| format!("the user's keyring cannot be used: {error}"))?;
        let keys = agent::register(&options.types, number, &options.keyring, options.share)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            sources,
            config,
            timeout: Duration::from_secs(options.timeout.into()),
            negative: options.negative,
            signals,
            keys,
            accepted: HashSet::new(),
            slots: Slots::new(options.max_handlers.into(), MOST_WAITING),
            jobs: HashMap::new(),
            ignored: Ignored {
                count: 0,
                said: Instant::now(),
            },
            ending: None,
        })
    }

    /// Answers requests until told to end.
    fn run(&mut self) -> io::Result<()> {
        loop {
            let done = self.ending.is_some() && self.is_idle();
            let timeout = match self.next_deadline() {
                _ if done => Some(Duration::ZERO),
                deadline => deadline.map(|it| it.saturating_duration_since(Instant::now())),
            };
            let (signals, pipes) = self.wait(timeout)?;
            if done && !signals {
                return Ok(());
            }
            if signals {
                for info in self.signals.take()? {
                    self.signal(info);
                    // Those after it are of no interest any more: they may be requests.
                    if self.has_to_end() {
                        break;
                    }
                }
            }
            if self.has_to_end() {
                self.abandon();
                return Ok(());
            }
            for pid in pipes {
                if let Some(job) = self.jobs.get_mut(&pid) {
                    job.handler.transfer();
                }
                self.finish_if_over(pid);
            }
            self.end_late_ones();
        }
    }

    /// Waits until there are signals, or handlers with something to read or room to write.
    fn wait(&self, timeout: Option<Duration>) -> io::Result<(bool, Vec<i32>)> {
        let mut owners = Vec::new();
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        for (pid, job) in &self.jobs {
            for (fd, writes) in job.handler.waits_for() {
                let flags = if writes {
                    PollFlags::OUT
                } else {
                    PollFlags::IN
                };
                fds.push(PollFd::from_borrowed_fd(fd.as_fd(), flags));
                owners.push(*pid);
            }
        }
        let timeout = timeout.map(|it| Timespec {
            tv_sec: it.as_secs() as i64,
            tv_nsec: it.subsec_nanos().into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let pipes = owners.into_iter().zip(&fds[1..]);
        let pipes = pipes.filter(|(_, fd)| ready(fd)).map(|(pid, _)| pid);
        Ok((ready(&fds[0]), pipes.collect()))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self.jobs.values().filter_map(Job::deadline);
        deadlines.chain(self.ending).min()
    }

    fn has_to_end(&self) -> bool {
        self.ending.is_some_and(|end| end <= Instant::now())
    }

    /// Is every request settled? A handler that was killed may take long to end, on a file system
    /// that hangs.
    fn is_idle(&self) -> bool {
        self.accepted.len() == self.jobs.len() && self.jobs.values().all(|job| job.late)
    }

    fn signal(&mut self, info: Info) {
        match info.number {
            libc::SIGTERM | libc::SIGINT => self.end(),
            libc::SIGHUP => self.reload(),
            libc::SIGCHLD => self.reap(),
            _ if info.code == SI_KEYAGENT && info.value > 0 => self.request(&info),
            _ => self.ignore(&info, "it is not the kernel's"),
        }
    }

    fn ignore(&mut self, info: &Info, why: &str) {
        log::trace!("ignored a signal from process {}: {why}", info.pid);
        self.ignored.count += 1;
        // One now and then is for a request that was over before its turn.
        if self.ignored.said.elapsed() >= IGNORED_INTERVAL {
            if self.ignored.count >= 100 {
                let count = self.ignored.count;
                log::warn!(
                    "ignored {count} signals without a request, lastly from {}",
                    info.pid
                );
            }
            self.ignored.count = 0;
            self.ignored.said = Instant::now();
        }
    }

    /// Ends when all that was accepted is done, or as late as nothing of it can be; told so again,
    /// at once.
    fn end(&mut self) {
        let now = Instant::now();
        if self.ending.is_some() {
            self.ending = Some(now);
            return;
        }
        self.ending = Some(now + LONGEST_REQUEST);
        agent::withdraw(&self.keys);
        log::info!("ending, when {} requests are answered", self.accepted.len());
        process::notify(&[sd_notify::NotifyState::Stopping]);
    }

    /// Leaves what is not done.
    fn abandon(&mut self) {
        log::warn!(
            "ending at once: {} requests are not answered",
            self.accepted.len()
        );
        for job in self.jobs.values_mut() {
            job.handler.kill();
        }
    }

    /// Reads the rules again. If there is anything wrong with them the old ones stay.
    fn reload(&mut self) {
        if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
            process::notify(&[sd_notify::NotifyState::Reloading, now]);
        }
        match Config::reload(&self.sources) {
            Ok(config) => {
                process::log_rules(&config);
                self.config = config;
            }
            Err(refused) => {
                for problem in &refused.0 {
                    log::error!("{problem}");
                }
                log::error!("the rules are refused, those from before stay");
            }
        }
        process::notify(&[sd_notify::NotifyState::Ready]);
    }

    /// Takes a request, if there is one: anybody can forge the signal, but not the authority.
    fn request(&mut self, info: &Info) {
        let key = Serial(info.value);
        if self.accepted.contains(&key) {
            return self.ignore(info, "the request was accepted already");
        }
        let Ok(authority) = Authority::assume(key) else {
            return self.ignore(info, "there is no request");
        };
        let request = match authority.request() {
            Ok(request) => request,
            Err(error) => {
                log::warn!("key {key}: cannot be looked at: {error}");
                // What can be done otherwise is to let the requester wait.
                self.reject(authority, self.negative, libc::ENOKEY);
                return;
            }
        };
        let what = job::Name::new(&request, info.pid);
        let Some(rule) = self.config.find(&request) else {
            log::debug!("{what}: no rule, given back");
            if let Err((error, authority)) = authority.decline() {
                log::warn!("{what}: cannot be given back, negated: {error}");
                self.reject(authority, self.negative, libc::ENOKEY);
            }
            return;
        };
        match &rule.action {
            Action::Answer(answer) => self.answer(authority, answer, rule, &what),
            Action::Run(command) => {
                let task = Task::new(rule, command, request, what);
                self.accept(authority, task);
            }
        }
    }

    /// Answers without a program.
    fn answer(&self, authority: Authority, answer: &Answer, rule: &Rule, what: &job::Name) {
        let by = job::place(rule);
        match answer::give(answer, rule.options.expires, self.negative, authority) {
            Ok(Answered::Instantiated) => log::debug!("{what}: {by}: answered"),
            Ok(Answered::Declined) => log::debug!("{what}: {by}: given back"),
            Ok(Answered::Rejected(error, seconds)) => {
                let error = io::Error::from_raw_os_error(error);
                log::debug!("{what}: {by}: rejected for {seconds} s: {error}");
            }
            Err((error, None)) => log::debug!("{what}: {by}: it is over: {error}"),
            Err((error, Some(authority))) => {
                log::warn!("{what}: {by}: no answer, negated: {error}");
                self.reject(authority, self.negative, libc::ENOKEY);
            }
        }
    }

    /// Has a request fail.
    fn reject(&self, authority: Authority, seconds: u32, error: i32) {
        // It fails if the request is over, and then nothing is left to do.
        let _ = authority.reject(seconds, error);
    }
}
