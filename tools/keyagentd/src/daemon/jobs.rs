// SPDX-License-Identifier: GPL-2.0-or-later

//! Handlers from their beginning to their end. Whatever happens to one, its request is settled and
//! its place given to the next.

use std::time::Instant;

use rustix::process::{waitpid, WaitOptions};

use super::authority::{Authority, RequesterKeys};
use super::handler::{Failure, Handler};
use super::job::{self, Job, RuleId, Task};
use super::slots::Admission;
use super::Daemon;
use crate::config::Action;
use crate::sys::child;
use crate::sys::keyctl::Serial;

impl Daemon {
    /// Starts a handler, now or later.
    pub(super) fn accept(&mut self, authority: Authority, task: Task) {
        let (key, slot) = (task.key(), task.slot.clone());
        match self.slots.admit(&slot, task) {
            Admission::Now(task) => {
                self.accepted.insert(key);
                if !self.start(authority, task) {
                    self.release(&slot);
                }
            }
            Admission::Later => {
                self.accepted.insert(key);
                let waiting = self.slots.waiting();
                log::debug!("key {key}: one of {waiting} that wait for a handler to end");
            }
            Admission::Never(task) => match authority.without(|| self.make_room()) {
                Ok((true, authority)) => self.accept(authority, task),
                Ok((false, authority)) => {
                    log::warn!("{}: rejected, too many requests wait", task.name);
                    self.reject(authority, 0, libc::EBUSY);
                }
                Err(error) => log::debug!("{}: it is over: {error}", task.name),
            },
        }
    }

    /// Has a request that is over leave the queue, whose requester has gone or whose time is up: as
    /// many as there is room for could have been made by one who waits for none. Is there one?
    fn make_room(&mut self) -> bool {
        let is_over = |task: &Task| Authority::assume(task.key()).is_err();
        let Some(task) = self.slots.make_room(is_over) else {
            return false;
        };
        self.leave(&task);
        true
    }

    /// Forgets a request that was over before its turn.
    fn leave(&mut self, task: &Task) {
        log::debug!("{}: over before its turn", task.name);
        self.accepted.remove(&task.key());
    }

    /// Gives a place to the next who can have it.
    fn release(&mut self, slot: &RuleId) {
        let mut next = self.slots.release(slot);
        while let Some((slot, task)) = next {
            match Authority::assume(task.key()) {
                Ok(authority) => {
                    if self.start(authority, task) {
                        return;
                    }
                }
                Err(_) => self.leave(&task),
            }
            next = self.slots.release(&slot);
        }
    }

    /// Starts a handler for a request that has a place. If that fails, the request is settled.
    fn start(&mut self, authority: Authority, mut task: Task) -> bool {
        if task.wants_keyrings() {
            authority.add_keyrings(&mut task.request);
        }
        let keys = RequesterKeys(Serial(task.request.session_keyring));
        let deadline = Instant::now() + task.timeout.unwrap_or(self.timeout);
        let started = task
            .command
            .expand(&task.request, &keys)
            .map_err(|error| error.to_string())
            .and_then(|invocation| {
                Handler::start(&invocation, task.request.callout_text(), deadline)
                    .map_err(|error| format!("the program cannot be started: {error}"))
            });
        match started {
            Ok(handler) => {
                log::debug!("{}: {}: process {}", task.name, task.by, handler.pid());
                let job = Job {
                    task,
                    handler,
                    late: false,
                };
                self.jobs.insert(job.handler.pid(), job);
                true
            }
            Err(why) => {
                log::warn!("{}: {}: negated: {why}", task.name, task.by);
                self.accepted.remove(&task.key());
                self.reject(authority, self.negative, libc::ENOKEY);
                false
            }
        }
    }

    /// Takes notice of handlers that have ended.
    pub(super) fn reap(&mut self) {
        let ended = |(pid, job): (&i32, &mut Job)| job.handler.has_ended().then_some(*pid);
        let ended: Vec<_> = self.jobs.iter_mut().filter_map(ended).collect();
        for pid in ended {
            self.finish_if_over(pid);
        }
        self.reap_others();
    }

    /// Lets go of processes that are no handlers: those of whoever became this program, and orphans
    /// if this is the first process of a container.
    fn reap_others(&mut self) {
        while let Some(pid) = child::ended() {
            let number = pid.as_raw_nonzero().get();
            if let Some(job) = self.jobs.get_mut(&number) {
                // A handler that has ended just now. While others whom it has started have its
                // pipe, nobody else is to get its number, and what is behind it is not seen.
                job.handler.has_ended();
                self.finish_if_over(number);
                if self.jobs.contains_key(&number) {
                    return;
                }
            } else if waitpid(Some(pid), WaitOptions::NOHANG).is_err() {
                return;
            }
        }
    }

    /// Ends those whose time is over. The requester is not kept waiting until they have gone.
    pub(super) fn end_late_ones(&mut self) {
        let now = Instant::now();
        let late = |job: &&mut Job| job.deadline().is_some_and(|deadline| deadline <= now);
        let mut killed = Vec::new();

        for job in self.jobs.values_mut().filter(late) {
            let task = &job.task;
            job.late = true;
            let authority = Authority::assume(task.key());
            // It has answered and goes on, or it was too late for the requester or the module.
            let over = if authority.is_err() {
                "; its request is over"
            } else {
                ""
            };
            log::warn!(
                "{}: {}: the program takes too long, killed{over}",
                task.name,
                task.by
            );
            if let Ok(authority) = authority {
                let _ = authority.reject(self.negative, libc::ETIMEDOUT);
            }
            job.handler.kill();
            killed.push(job.handler.pid());
        }
        for pid in killed {
            self.finish_if_over(pid);
        }
    }

    /// Settles the request of a handler that has ended, and passes its place on.
    pub(super) fn finish_if_over(&mut self, pid: i32) {
        if !self.jobs.get(&pid).is_some_and(|job| job.handler.is_over()) {
            return;
        }
        let Some(Job {
            task,
            handler,
            late,
        }) = self.jobs.remove(&pid)
        else {
            return;
        };
        handler.reap();
        let (key, slot) = (task.key(), task.slot.clone());
        if !late && self.settle(task, handler) {
            // Another handler has taken the place.
            return;
        }
        self.accepted.remove(&key);
        self.release(&slot);
    }

    /// Settles the request, if the handler has not. Returns whether there is another handler to
    /// do so.
    fn settle(&mut self, task: Task, handler: Handler) -> bool {
        let result = handler.result();
        // The usual case: the handler has answered, and nobody has the authority any more.
        let Ok(authority) = Authority::assume(task.key()) else {
            match result {
                Ok(_) => log::debug!("{}: {}: done", task.name, task.by),
                Err(why) => log::debug!("{}: {}: {why}, though it is over", task.name, task.by),
            }
            return false;
        };
        let (why, authority) = match result {
            Ok(Some(payload)) => match authority.instantiate(&payload, task.expires) {
                Ok(()) => {
                    log::debug!("{}: {}: answered", task.name, task.by);
                    return false;
                }
                Err((error, authority)) => (Failure::Refused(error), authority),
            },
            Ok(None) => (Failure::Unfinished, authority),
            Err(why @ (Failure::NotStarted(_) | Failure::Status(_) | Failure::Killed(_)))
                if task.command.pipe && !task.again =>
            {
                return self.start_negation(authority, task, &why);
            }
            Err(why) => (why, authority),
        };
        log::warn!("{}: {}: negated: {why}", task.name, task.by);
        self.reject(authority, self.negative, libc::ENOKEY);
        false
    }

    /// Has a program behind a bar, which has failed, followed by what the rules have for that.
    ///
    /// The rule that is best for it is taken. request-key(8) of keyutils 1.6.3 takes one only if it
    /// is better than the rule that has failed, as this was for the request, and otherwise runs the
    /// program once more, without its arguments.
    fn start_negation(&mut self, authority: Authority, task: Task, why: &Failure) -> bool {
        let request = task.request.negate();
        let found = self.config.find(&request);
        if let Some(rule) = found {
            let next = job::place(rule);
            log::warn!("{}: {}: {why}, {next} is next", task.name, task.by);
        }
        match found.map(|rule| (rule, &rule.action)) {
            Some((rule, Action::Run(command))) => {
                let next = Task {
                    again: true,
                    slot: task.slot,
                    ..Task::new(rule, command, request, task.name)
                };
                self.start(authority, next)
            }
            Some((rule, Action::Answer(answer))) => {
                self.answer(authority, answer, rule, &task.name);
                false
            }
            None => {
                log::warn!("{}: {}: negated: {why}", task.name, task.by);
                self.reject(authority, self.negative, libc::ENOKEY);
                false
            }
        }
    }
}
