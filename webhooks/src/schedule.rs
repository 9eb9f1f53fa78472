//! When to try again.

use std::time::Duration;

use tapelog_events::Instant;

use crate::AttemptResult;

/// The longest that a receiver can ask to be left alone.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// By how much of itself the wait for an event that was refused varies.
const REFUSED_JITTER: f64 = 0.2;

/// When to try again, and when not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// How long to wait at most after the first, second, ... attempt in a row that found the receiver unreachable; the
    /// last holds for all after it. Each wait is a random part of it, so that those who wait for the same receiver do not
    /// come all at once.
    pub unreachable: Vec<Duration>,
    /// How long to wait after the first, second, ... attempt in a row that the receiver refused. After one more, the
    /// event becomes a dead letter.
    pub refused: Vec<Duration>,
    /// How long a receiver may be unreachable without interruption until it is given up.
    pub give_up_after: Duration,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect();
        Self {
            unreachable: seconds(&[5, 30, 120, 600, 1800, 3600]),
            refused: seconds(&[5, 30, 120, 600, 1050]),
            give_up_after: Duration::from_secs(72 * 3600),
        }
    }
}

/// Says when to try again.
#[derive(Debug, Clone)]
pub struct Schedule {
    settings: ScheduleSettings,
}

impl Schedule {
    /// One with these settings.
    pub fn new(settings: ScheduleSettings) -> Self {
        Self { settings }
    }

    /// How long to wait after an attempt that came to `result`, the `attempts`th in a row of its kind, counted from 1.
    /// `random` is from 0 up to 1. Zero where there is nothing to wait for.
    pub fn after(&self, attempts: u32, result: &AttemptResult, random: f64) -> Duration {
        match result {
            AttemptResult::Unreachable { retry_after, .. } => {
                let wait = wait(&self.settings.unreachable, attempts).mul_f64(random);
                wait.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
            }
            AttemptResult::Refused { .. } => {
                wait(&self.settings.refused, attempts).mul_f64(1.0 + REFUSED_JITTER * (2.0 * random - 1.0))
            }
            AttemptResult::Delivered { .. } | AttemptResult::Gone => Duration::ZERO,
        }
    }

    /// How often an event is tried that the receiver refuses, until it becomes a dead letter.
    pub fn refused_attempts(&self) -> u32 {
        u32::try_from(self.settings.refused.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Whether a receiver is given up that has been unreachable without interruption since then.
    pub fn gives_up(&self, failing_since: Instant, now: Instant) -> bool {
        now >= failing_since.saturating_add(self.settings.give_up_after)
    }
}

/// The wait after this attempt, or the last there is.
fn wait(waits: &[Duration], attempts: u32) -> Duration {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    waits.get(index).or(waits.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    fn unreachable(retry_after: Option<u64>) -> AttemptResult {
        let retry_after = retry_after.map(Duration::from_secs);
        AttemptResult::Unreachable { reason: Reason::Status, status: Some(503), retry_after }
    }

    #[test]
    fn an_unreachable_receiver_is_asked_less_and_less_often_up_to_once_an_hour() {
        let schedule = Schedule::new(ScheduleSettings::default());
        let longest = |attempts| schedule.after(attempts, &unreachable(None), 1.0).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 7, u32::MAX].map(longest), [5, 30, 120, 600, 1800, 3600, 3600, 3600]);
        assert_eq!(schedule.after(4, &unreachable(None), 0.5), Duration::from_secs(300));
        assert_eq!(schedule.after(4, &unreachable(None), 0.0), Duration::ZERO);
    }

    #[test]
    fn a_receiver_is_left_alone_as_long_as_it_asks_for_but_not_more_than_an_hour() {
        let schedule = Schedule::new(ScheduleSettings::default());
        let wait = |retry_after, random| schedule.after(3, &unreachable(Some(retry_after)), random).as_secs();
        assert_eq!((wait(60, 0.0), wait(60, 1.0), wait(86_400, 0.0)), (60, 120, 3600));
    }

    #[test]
    fn a_refused_event_is_tried_six_times_in_about_half_an_hour() {
        let schedule = Schedule::new(ScheduleSettings::default());
        let refused = AttemptResult::Refused { status: 400 };
        for random in [0.0, 0.5, 1.0] {
            let waits = (1..schedule.refused_attempts()).map(|attempts| schedule.after(attempts, &refused, random));
            let minutes = waits.sum::<Duration>().as_secs() / 60;
            assert!((24..=36).contains(&minutes), "{minutes}");
        }
        assert_eq!(schedule.refused_attempts(), 6);
    }

    #[test]
    fn a_receiver_is_given_up_after_three_days_without_interruption() {
        let schedule = Schedule::new(ScheduleSettings::default());
        let since = Instant::from_micros(1_700_000_000_000_000);
        let after = |hours: u64| since.saturating_add(Duration::from_secs(hours * 3600));
        assert!(schedule.gives_up(since, after(72)) && !schedule.gives_up(since, after(71)));
    }
}
