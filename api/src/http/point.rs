//! Points of the log as clients name them: by time, or by position.

use tapelog_events::{EventPosition, Incarnation, Instant, Position, Seq};
use tapelog_projections::history::{Moment, ReadError};

use super::call::Call;
use super::problem::Problem;

/// A point of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A time, in RFC 3339.
    Time(Instant),
    /// A record: `<incarnation>.<sequence>`, as in the header `TAMS-Position`.
    Record(Seq),
    /// A record with some of its commits: `<incarnation>.<sequence>.<commits>`.
    Commits(Moment),
    /// An event: `<incarnation>.<sequence>.<commit>.<event>`, as in the ids of notifications.
    Event(EventPosition),
}

impl Point {
    /// Reads a point of this life of the log.
    ///
    /// # Errors
    /// [`Problem::Invalid`], naming the field, where the text is none; [`Problem::PositionOfOtherLife`] where it is one of
    /// another log.
    pub fn parse(field: &str, text: &str, incarnation: Incarnation) -> Result<Self, Problem> {
        if let Ok(time) = text.parse() {
            return Ok(Self::Time(time));
        }
        let invalid = || {
            Problem::invalid(format!(
                "{field}: {text:?} is neither a time in RFC 3339 nor a position as in the header TAMS-Position"
            ))
        };
        let (life, numbers) = text.split_once('.').ok_or_else(invalid)?;
        let life: Incarnation = life.parse().map_err(|_| invalid())?;
        let numbers: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>().ok_or_else(invalid)?;
        let small = |number: u64| u32::try_from(number).map_err(|_| invalid());
        let (seq, point) = match *numbers {
            [seq] => (seq, Self::Record(Seq(seq))),
            [seq, commits] => (seq, Self::Commits(Moment { seq: Seq(seq), commits: small(commits)? })),
            [seq, commit, event] => {
                (seq, Self::Event(EventPosition { seq: Seq(seq), commit: small(commit)?, event: small(event)? }))
            }
            _ => return Err(invalid()),
        };
        if life != incarnation {
            let wanted = Position { incarnation: life, seq: Seq(seq) };
            return Err(Problem::PositionOfOtherLife { wanted, present: Position { incarnation, seq: Seq::ZERO } });
        }
        Ok(point)
    }

    /// The moment at which all up to and with this point had happened, in the log as far as the tables have read it.
    ///
    /// # Errors
    /// [`Problem::NotReady`] where the log cannot be asked.
    pub async fn moment(self, call: &Call<'_>) -> Result<Moment, Problem> {
        match self {
            Self::Time(time) => {
                let tip = call.app.parts.tables.position();
                call.app.parts.past.moment_at(tip, time).await.map_err(unreadable)
            }
            Self::Record(seq) => Ok(Moment::after(seq)),
            Self::Commits(moment) => Ok(moment),
            Self::Event(EventPosition { seq, commit, event: _ }) => {
                Ok(Moment { seq, commits: commit.saturating_add(1) })
            }
        }
    }

    /// The moment right before anything at this point had happened.
    ///
    /// # Errors
    /// As [`Self::moment`].
    pub async fn moment_before(self, call: &Call<'_>) -> Result<Moment, Problem> {
        match self {
            Self::Time(time) => {
                let before = Instant::from_micros(time.as_micros().saturating_sub(1));
                Self::Time(before).moment(call).await
            }
            Self::Record(seq) => Ok(Moment { seq, commits: 0 }),
            Self::Commits(moment) => Ok(Moment { commits: moment.commits.saturating_sub(1), ..moment }),
            Self::Event(EventPosition { seq, commit, event: _ }) => Ok(Moment { seq, commits: commit }),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The log could not be read where a moment was looked for.
fn unreadable(error: ReadError) -> Problem {
    match error {
        ReadError::Unreachable(_) => Problem::NotReady("the log cannot be reached".to_owned()),
        ReadError::Missing(_) | ReadError::Undecodable { .. } => {
            tracing::error!(error = &error as &dyn std::error::Error, "the log cannot be read");
            Problem::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_point_is_a_time_or_a_position_of_this_log() {
        let incarnation = Incarnation::from_uuid(Uuid::new_v4());
        let parse = |text: &str| Point::parse("from", text, incarnation);
        assert!(matches!(parse("2026-11-21T10:00:00Z"), Ok(Point::Time(_))));
        assert!(matches!(parse(&format!("{incarnation}.5")), Ok(Point::Record(Seq(5)))));
        assert!(matches!(parse(&format!("{incarnation}.5.2")), Ok(Point::Commits(Moment { seq: Seq(5), commits: 2 }))));
        let event = EventPosition { seq: Seq(5), commit: 2, event: 1 };
        assert!(matches!(parse(&format!("{incarnation}.5.2.1")), Ok(Point::Event(at)) if at == event));
        for wrong in [
            "",
            "5",
            "yesterday",
            &format!("{incarnation}"),
            &format!("{incarnation}.-1"),
            &format!("{incarnation}.1.2.3.4"),
        ] {
            assert!(matches!(parse(wrong), Err(Problem::Invalid(text)) if text.contains("from")), "{wrong}");
        }
        let other = Incarnation::from_uuid(Uuid::new_v4());
        assert!(matches!(parse(&format!("{other}.5")), Err(Problem::PositionOfOtherLife { .. })));
    }
}
