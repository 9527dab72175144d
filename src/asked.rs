// SPDX-License-Identifier: GPL-2.0

//! The requests that one agent was asked to answer and that are not over.
//!
//! A request is in the agent's table from before the agent can see the authorisation key until the
//! requester has stopped waiting.
//!
//! Lock order: inside the lock of the table nothing is taken. It is taken with the agent's
//! `exec_update_lock` or the agent key's semaphore held.

use kernel::{
    alloc::flags::__GFP_NOWARN,
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// The requests.
#[pin_data]
pub(crate) struct AskedTable {
    #[pin]
    requests: SpinLock<Requests>,
}

/// The requests, in places that are used again: there are as many as there were requests at the
/// same time, and a request finds one without an allocation.
struct Requests {
    places: KVec<Place>,
    /// The first place that is free.
    free: Option<usize>,
    /// How many requests there are.
    count: usize,
}

enum Place {
    /// A request, and when it came.
    Taken(Instant<Monotonic>),
    /// None, and the next place that is free.
    Free(Option<usize>),
}

/// How busy an agent is.
pub(crate) struct Load {
    /// The requests in flight.
    pub(crate) count: usize,
    /// The age of the oldest, in milliseconds; 0 when there is none.
    pub(crate) oldest_ms: i64,
}

impl AskedTable {
    /// An empty table.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            requests <- new_spinlock!(Requests {
                places: KVec::new(),
                free: None,
                count: 0,
            }),
        })
    }

    /// Enters a request, which came at `since`.
    pub(crate) fn enter(self: &Arc<Self>, since: Instant<Monotonic>) -> Result<AskedEntry> {
        let mut requests = self.requests.lock();
        let place = requests.take(since)?;

        Ok(AskedEntry {
            table: self.clone(),
            place,
            count: requests.count,
        })
    }

    /// How busy the agent is.
    pub(crate) fn load(&self) -> Load {
        let requests = self.requests.lock();
        let mut load = Load {
            count: requests.count,
            oldest_ms: 0,
        };

        for place in requests.places.iter() {
            if let Place::Taken(since) = place {
                load.oldest_ms = load.oldest_ms.max(since.elapsed().as_millis());
            }
        }
        load
    }
}

impl Requests {
    /// Takes a place.
    fn take(&mut self, since: Instant<Monotonic>) -> Result<usize> {
        let place = match self.free {
            Some(place) => place,
            None => {
                self.places
                    .push(Place::Free(None), GFP_ATOMIC | __GFP_NOWARN)?;
                self.places.len() - 1
            }
        };

        if let Some(found) = self.places.get_mut(place) {
            if let Place::Free(next) = *found {
                self.free = next;
            }
            *found = Place::Taken(since);
        }
        self.count += 1;
        Ok(place)
    }

    /// Gives a place back that was taken.
    fn give_back(&mut self, place: usize) {
        if let Some(found) = self.places.get_mut(place) {
            *found = Place::Free(self.free);
            self.free = Some(place);
            self.count -= 1;
        }
    }
}

/// A request's place in its agent's table, which it leaves when this is dropped.
pub(crate) struct AskedEntry {
    table: Arc<AskedTable>,
    place: usize,
    count: usize,
}

impl AskedEntry {
    /// How many requests the agent had when this one was entered, with this one.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Drop for AskedEntry {
    fn drop(&mut self) {
        self.table.requests.lock().give_back(self.place);
    }
}

#[kernel::macros::kunit_tests(keyagent_asked)]
mod tests {
    use super::*;
    use kernel::time::Delta;

    #[test]
    fn places_are_used_again() -> Result {
        let table = Arc::pin_init(AskedTable::new(), GFP_KERNEL)?;
        let now = Instant::now();

        let first = table.enter(now)?;
        let second = table.enter(now)?;
        let third = table.enter(now)?;
        assert_eq!(third.count(), 3);
        assert!(first.place != second.place && second.place != third.place);

        let freed = (first.place, second.place);
        drop(first);
        drop(second);
        assert_eq!(table.load().count, 1);
        let fourth = table.enter(now)?;
        let fifth = table.enter(now)?;
        assert_eq!((fifth.place, fourth.place), freed);
        assert_eq!(fifth.count(), 3);
        let sixth = table.enter(now)?;
        assert!(sixth.place != third.place && sixth.place > fifth.place);
        Ok(())
    }

    #[test]
    fn only_requests_in_flight_are_old() -> Result {
        let table = Arc::pin_init(AskedTable::new(), GFP_KERNEL)?;
        let now = Instant::now();

        assert_eq!(table.load().oldest_ms, 0);
        let old = table.enter(now - Delta::from_millis(5000))?;
        let new = table.enter(now)?;
        assert!(table.load().oldest_ms >= 5000);
        drop(old);
        assert!(table.load().oldest_ms < 5000);
        drop(new);
        assert_eq!(table.load().count, 0);
        assert_eq!(table.load().oldest_ms, 0);
        Ok(())
    }
}
