//! Questions take turns: more at a time than there are processors would only take memory
//! and the writer's time.

use std::thread;

use parking_lot::{Condvar, Mutex};

pub(super) struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

/// Ends with the question.
pub(super) struct Turn<'a>(&'a Turns);

impl Default for Turns {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self { free: Mutex::new(processors.max(2)), freed: Condvar::new() }
    }
}

impl Turns {
    /// Waits for one.
    pub(super) fn take(&self) -> Turn<'_> {
        let mut free = self.free.lock();
        while *free == 0 {
            self.freed.wait(&mut free);
        }
        *free -= 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn no_more_have_a_turn_than_there_are() {
        let turns = Turns::default();
        let most = *turns.free.lock();
        let (now, highest) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 * most {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _turn = turns.take();
                        highest.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        now.fetch_sub(1, SeqCst);
                    }
                });
            }
        });
        assert!(highest.into_inner() <= most);
        assert_eq!(*turns.free.lock(), most);
    }
}
