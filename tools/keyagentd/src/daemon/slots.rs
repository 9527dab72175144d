// SPDX-License-Identifier: GPL-2.0-or-later

//! How many handlers run at the same time, and who has to wait.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Places for handlers.
///
/// One rule may use three quarters of them: a rule whose handlers hang cannot keep those of other
/// rules waiting. Who has to wait gets a place in the order of arrival, but for those whose rule
/// has all that it may use.
#[derive(Debug)]
pub(super) struct Slots<R, T> {
    limit: usize,
    limit_for_one: usize,
    most_waiting: usize,
    taken: HashMap<R, usize>,
    /// No one in here could have a place: see [`Slots::release`].
    waiting: VecDeque<(R, T)>,
}

/// What becomes of somebody who wants a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<T> {
    /// It has one.
    Now(T),
    /// It has to wait.
    Later,
    /// Too many are waiting.
    Never(T),
}

impl<R: Clone + Eq + Hash, T> Slots<R, T> {
    /// So many places, and so many who may wait.
    pub(super) fn new(limit: usize, most_waiting: usize) -> Self {
        Self {
            limit,
            limit_for_one: (limit - limit / 4).max(1),
            most_waiting,
            taken: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    fn is_free(&self, rule: &R) -> bool {
        self.taken.values().sum::<usize>() < self.limit
            && self.taken.get(rule).copied().unwrap_or(0) < self.limit_for_one
    }

    /// Asks for a place.
    pub(super) fn admit(&mut self, rule: &R, who: T) -> Admission<T> {
        if self.is_free(rule) {
            *self.taken.entry(rule.clone()).or_default() += 1;
            Admission::Now(who)
        } else if self.waiting.len() < self.most_waiting {
            self.waiting.push_back((rule.clone(), who));
            Admission::Later
        } else {
            Admission::Never(who)
        }
    }

    /// Gives a place back. Whoever is returned has it now, and maybe there is no one.
    pub(super) fn release(&mut self, rule: &R) -> Option<(R, T)> {
        if let Some(taken) = self.taken.get_mut(rule) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(rule);
            }
        }
        let next = self
            .waiting
            .iter()
            .position(|(rule, _)| self.is_free(rule))?;
        let (rule, who) = self.waiting.remove(next)?;
        *self.taken.entry(rule.clone()).or_default() += 1;
        Some((rule, who))
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_in_order() {
        let mut slots = Slots::new(1, 9);
        assert_eq!(slots.admit(&"a", 1), Admission::Now(1));
        assert_eq!(slots.admit(&"a", 2), Admission::Later);
        assert_eq!(slots.admit(&"b", 3), Admission::Later);
        assert_eq!(slots.release(&"a"), Some(("a", 2)));
        assert_eq!(slots.release(&"a"), Some(("b", 3)));
        assert_eq!(slots.waiting(), 0);
        assert_eq!(slots.release(&"b"), None);
        assert_eq!(slots.admit(&"a", 4), Admission::Now(4));
    }

    #[test]
    fn one_rule_does_not_get_all() {
        let mut slots = Slots::new(4, 9);
        for n in 0..3 {
            assert_eq!(slots.admit(&"hangs", n), Admission::Now(n));
        }
        assert_eq!(slots.admit(&"hangs", 3), Admission::Later);
        assert_eq!(slots.admit(&"works", 4), Admission::Now(4));
        assert_eq!(slots.admit(&"works", 5), Admission::Later);
        // The one that has waited for longer may not.
        assert_eq!(slots.release(&"works"), Some(("works", 5)));
        assert_eq!(slots.release(&"hangs"), Some(("hangs", 3)));
        assert_eq!(slots.release(&"works"), None);
    }

    #[test]
    fn not_too_many_wait() {
        let mut slots = Slots::new(1, 1);
        assert_eq!(slots.admit(&"a", 1), Admission::Now(1));
        assert_eq!(slots.admit(&"a", 2), Admission::Later);
        assert_eq!(slots.admit(&"a", 3), Admission::Never(3));
    }

    #[test]
    fn every_place_comes_back() {
        let mut slots = Slots::new(8, 1000);
        let (mut running, mut ended) = (VecDeque::new(), 0);
        for n in 0..1000_usize {
            let rule = n % 3;
            if let Admission::Now(_) = slots.admit(&rule, n) {
                running.push_back(rule);
            }
        }
        while let Some(rule) = running.pop_front() {
            ended += 1;
            if let Some((rule, _)) = slots.release(&rule) {
                running.push_back(rule);
            }
            assert!(running.len() <= 8);
        }
        assert_eq!((ended, slots.waiting()), (1000, 0));
        assert!(slots.taken.is_empty());
    }
}
