//! Which records may hold what is asked for: the postings of all conditions, intersected.

use tapelog_events::Seq;

use crate::Direction;
use crate::history::store::History;
use crate::history::thing::ThingName;
use crate::history::touched::Postings;

/// The records that touched each of some things, in one direction. Where no thing is given, all records.
pub(super) struct Candidates {
    /// By leaps: each is asked for the nearest record from the one that another found.
    postings: Vec<Postings>,
    direction: Direction,
    /// The nearest record that may be one; `None` at the end.
    next: Option<Seq>,
    first: Seq,
    last: Seq,
}

impl Candidates {
    /// Those from the record `first` to the record `last`.
    pub fn new(history: &History, things: &[ThingName], (first, last): (Seq, Seq), direction: Direction) -> Self {
        let posting = |name: &ThingName| history.touched().postings(*name, (first, last), direction);
        let next = match direction {
            Direction::Usual => first,
            Direction::Reversed => last,
        };
        let next = (first <= last).then_some(next);
        Self { postings: things.iter().map(posting).collect(), direction, next, first, last }
    }

    /// The next ones, this many unless the end comes first. Blocks.
    pub fn take(&mut self, count: usize) -> Result<Vec<Seq>, fjall::Error> {
        let mut found = Vec::with_capacity(count);
        while found.len() < count
            && let Some(seq) = self.meet()?
        {
            found.push(seq);
            self.next = self.following(seq);
        }
        Ok(found)
    }

    /// The nearest record that all postings have.
    fn meet(&mut self) -> Result<Option<Seq>, fjall::Error> {
        let Some(mut wanted) = self.next else { return Ok(None) };
        let mut agreed = 0;
        while agreed < self.postings.len() {
            agreed = 0;
            for posting in &mut self.postings {
                let Some(found) = posting.seek(wanted)? else {
                    self.next = None;
                    return Ok(None);
                };
                if found == wanted {
                    agreed += 1;
                } else {
                    wanted = found;
                }
            }
        }
        Ok(Some(wanted))
    }

    fn following(&self, seq: Seq) -> Option<Seq> {
        match self.direction {
            Direction::Usual => (seq < self.last).then(|| seq.next()),
            Direction::Reversed => (seq > self.first).then(|| Seq(seq.0 - 1)),
        }
    }
}
