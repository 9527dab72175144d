// SPDX-License-Identifier: GPL-2.0-or-later

//! How many handlers run at the same time, and who has to wait.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Places for handlers.
///
/// One rule may use three quarters of them: if its handlers hang, those of other rules are not kept
/// waiting, but where there are less than four. Where there are eight or more, the last free place
/// is for a rule that has none, so that two rules cannot keep others waiting, either.
///
/// Who has to wait gets a place in the order of arrival, but for those whose rule has all that it
/// may use, and after those whose rule has none.
#[derive(Debug)]
pub(super) struct Slots<R, T> {
    limit: usize,
    limit_for_one: usize,
    most_waiting: usize,
    taken: HashMap<R, usize>,
    /// No one in here could have a place: see [`Slots::release`].
    waiting: VecDeque<(R, T)>,
    /// Whom [`Slots::make_room`] looks at next.
    look: usize,
}

/// At how many of those who wait [`Slots::make_room`] looks. Looking at all of them would take
/// longer than to answer, each time that there is no room.
const LOOKS: usize = 16;

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
            look: 0,
        }
    }

    fn has_none(&self, rule: &R) -> bool {
        !self.taken.contains_key(rule)
    }

    fn is_free(&self, rule: &R) -> bool {
        let kept = usize::from(self.limit >= 8 && !self.has_none(rule));
        self.taken.values().sum::<usize>() + kept < self.limit
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
        // After another one, who has none could have the last free place besides.
        let next = self
            .waiting
            .iter()
            .position(|(rule, _)| self.has_none(rule) && self.is_free(rule))
            .or_else(|| {
                let mut waiting = self.waiting.iter();
                waiting.position(|(rule, _)| self.is_free(rule))
            })?;
        let (rule, who) = self.waiting.remove(next)?;
        *self.taken.entry(rule.clone()).or_default() += 1;
        Some((rule, who))
    }

    /// Has one of those leave who wait in vain, if one is among the next that are looked at.
    pub(super) fn make_room(&mut self, in_vain: impl Fn(&T) -> bool) -> Option<T> {
        for _ in 0..LOOKS.min(self.waiting.len()) {
            // There may be fewer than the last time.
            self.look %= self.waiting.len();
            if in_vain(&self.waiting[self.look].1) {
                return self.waiting.remove(self.look).map(|(_, who)| who);
            }
            self.look += 1;
        }
        None
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
    fn two_rules_do_not_get_all() {
        let mut slots = Slots::new(8, 9);
        for n in 0..6 {
            assert_eq!(slots.admit(&"hangs", n), Admission::Now(n));
        }
        assert_eq!(slots.admit(&"hangs", 6), Admission::Later);
        assert_eq!(slots.admit(&"hangs, too", 7), Admission::Now(7));
        assert_eq!(slots.admit(&"hangs, too", 8), Admission::Later);
        assert_eq!(slots.admit(&"works", 9), Admission::Now(9));
        assert_eq!(slots.admit(&"works", 10), Admission::Later);
        assert_eq!(slots.admit(&"works, too", 11), Admission::Later);
        assert_eq!(slots.release(&"works"), Some(("works", 10)));
        assert_eq!(slots.release(&"works"), Some(("works, too", 11)));
        assert_eq!(slots.release(&"works, too"), None);
    }

    #[test]
    fn few_places_may_be_of_one_rule() {
        for places in 1..4 {
            let mut slots = Slots::new(places, 9);
            for n in 0..places {
                assert_eq!(slots.admit(&"a", n), Admission::Now(n));
            }
            assert_eq!(slots.admit(&"a", places), Admission::Later);
            assert_eq!(slots.release(&"a"), Some(("a", places)));
        }
    }

    #[test]
    fn not_too_many_wait() {
        let mut slots = Slots::new(1, 1);
        assert_eq!(slots.admit(&"a", 1), Admission::Now(1));
        assert_eq!(slots.admit(&"a", 2), Admission::Later);
        assert_eq!(slots.admit(&"a", 3), Admission::Never(3));
    }

    #[test]
    fn who_waits_in_vain_makes_room() {
        let mut slots = Slots::new(1, 100);
        slots.admit(&"a", 0);
        for n in 1..=100 {
            assert_eq!(slots.admit(&"a", n), Admission::Later);
        }
        assert_eq!(slots.make_room(|_| false), None);
        // Where it has been there is none, and the others are not looked at twice.
        let gone = |n: &i32| *n == 10 || *n == 90 || *n == 91;
        let left: Vec<_> = (0..7).map(|_| slots.make_room(gone)).collect();
        assert_eq!(left, [None, None, None, None, Some(90), Some(91), None]);
        assert_eq!(slots.admit(&"a", 101), Admission::Later);
        assert_eq!(slots.admit(&"a", 102), Admission::Later);
        assert_eq!(slots.admit(&"a", 103), Admission::Never(103));
        assert_eq!(slots.make_room(gone), Some(10));
        // The others keep their order.
        let order: Vec<_> = (0..99).filter_map(|_| slots.release(&"a")).collect();
        let waited = (1..=102).filter(|n| !gone(n)).map(|n| ("a", n));
        assert_eq!(order, waited.collect::<Vec<_>>());
        assert_eq!(slots.make_room(|_| true), None);
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

    /// However they come and end.
    #[test]
    fn no_one_waits_for_a_free_place() {
        let mut seed = 1_u32;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as usize % below
        };
        for places in 1..=16 {
            let (mut slots, mut running) = (Slots::new(places, usize::MAX), Vec::new());
            for n in 0..2000 {
                if running.is_empty() || random(2) == 0 {
                    let rule = random(5);
                    if slots.admit(&rule, n) != Admission::Later {
                        running.push(rule);
                    }
                } else {
                    let rule = running.swap_remove(random(running.len()));
                    running.extend(slots.release(&rule).map(|(rule, _)| rule));
                }
                assert!(running.len() <= places);
                assert!(!slots.waiting.iter().any(|(rule, _)| slots.is_free(rule)));
            }
        }
    }
}
