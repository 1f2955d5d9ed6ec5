//! Looking at the machine again and again, without being a load to it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use warren_namespaces::{MountScope, ProcRoot, Scope, Snapshot};

use crate::failure::Failure;

const INTERVAL: Duration = Duration::from_secs(1);
/// A look may take one part in so many of the time,
const SHARE: u32 = 50;
/// but this is not to be waited longer for.
const LONGEST: Duration = Duration::from_secs(10);

/// The looks of one run.
#[derive(Debug)]
pub struct Looks {
    proc: ProcRoot,
    asked: Option<Duration>,
    left: Option<u64>,
    next: Instant,
    every: Duration,
}

impl Looks {
    /// Looks in the interval asked for, `count` at most.
    pub fn new(asked: Option<Duration>, count: Option<u64>) -> Result<Self, Failure> {
        Ok(Self {
            proc: ProcRoot::open().map_err(Failure::new)?,
            asked,
            left: count,
            next: Instant::now(),
            every: asked.unwrap_or(INTERVAL),
        })
    }

    /// The machine now.
    pub fn look(&mut self) -> Result<Snapshot, Failure> {
        let begin = Instant::now();
        let cost = processor_time();
        let snapshot = Snapshot::take_with(&self.proc, scope()).map_err(Failure::new)?;
        self.every = every(self.asked, processor_time().saturating_sub(cost));
        self.next = begin + self.every;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(snapshot)
    }

    /// Whether that was the last.
    pub fn is_over(&self) -> bool {
        self.left == Some(0)
    }

    /// How long it is until the next.
    pub fn rest(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// The time between two looks.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// The procfs that is looked at.
    pub fn proc(&self) -> &ProcRoot {
        &self.proc
    }
}

/// What is looked at again and again: not sockets, mounts of other mount namespaces
/// and ids, which cost most and change least.
fn scope() -> Scope {
    let mut scope = Scope::ALL;
    scope.sockets = false;
    scope.mounts = MountScope::Own;
    scope.ids = false;
    scope
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn every(asked: Option<Duration>, cost: Duration) -> Duration {
    asked.unwrap_or_else(|| (cost * SHARE).clamp(INTERVAL, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expensive_look_is_taken_more_seldom_unless_told() {
        let ms = Duration::from_millis;
        assert_eq!(every(None, ms(3)), INTERVAL);
        assert_eq!(every(None, ms(100)), ms(5000));
        assert_eq!(every(None, ms(1000)), LONGEST);
        assert_eq!(every(Some(ms(200)), ms(100)), ms(200));
    }
}
