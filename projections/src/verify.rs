//! Proof that tables are what the log says: two that should be equal are compared row by row.

use std::convert::Infallible;
use std::fmt;

use tapelog_events::{Seq, codec};
use tapelog_store::log::{Head, Log};

use crate::Tables;
use crate::rebuild::{FoldError, fold};
use crate::rows::{Contents, Row, TableVisitor, visit_tables};
use crate::tables::partition::Partition;

/// What a table comes to: equal tables have equal digests, however they came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDigest {
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// The hash of its rows in order.
    pub blake3: blake3::Hash,
}

/// The first row in which two tables differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The row, in words.
    pub row: String,
    /// The row on the left; `None` where it has none.
    pub left: Option<String>,
    /// The row on the right; `None` where it has none.
    pub right: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |row: &Option<String>| row.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(
            formatter,
            "table {}, {}: one has {}, the other has {}",
            self.table,
            self.row,
            side(&self.left),
            side(&self.right)
        )
    }
}

impl Tables {
    /// What each table comes to.
    pub fn digest(&self) -> Vec<TableDigest> {
        let mut digester = Digester { contents: Contents::of(self), digests: Vec::new() };
        let Ok(()) = visit_tables(&mut digester);
        digester.digests
    }
}

struct Digester<'a> {
    contents: Contents<'a>,
    digests: Vec<TableDigest>,
}

impl TableVisitor for Digester<'_> {
    type Error = Infallible;

    fn visit<R: Row>(&mut self) -> Result<(), Infallible> {
        let mut hasher = blake3::Hasher::new();
        let mut rows = 0;
        for row in R::DIVISION.parts().flat_map(|part| R::rows(&self.contents, part)) {
            hasher.update(&codec::encode_value(&row));
            rows += 1;
        }
        self.digests.push(TableDigest { table: R::TABLE, rows, blake3: hasher.finalize() });
        Ok(())
    }
}

/// The first difference between the contents of two tables, wherever in the log they stand; `None` when they are equal.
pub fn first_difference(left: &Tables, right: &Tables) -> Option<Difference> {
    let facts = |tables: &Tables| {
        let (name, description) = tables.service();
        format!("incarnation {:?}, name {name:?}, description {description:?}", tables.incarnation())
    };
    let (left_facts, right_facts) = (facts(left), facts(right));
    if left_facts != right_facts {
        let row = "what is said of the store".to_owned();
        return Some(Difference { table: "service", row, left: Some(left_facts), right: Some(right_facts) });
    }
    let mut comparer = Comparer { left: Contents::of(left), right: Contents::of(right) };
    visit_tables(&mut comparer).err()
}

struct Comparer<'a> {
    left: Contents<'a>,
    right: Contents<'a>,
}

impl TableVisitor for Comparer<'_> {
    /// What ends the comparison.
    type Error = Difference;

    fn visit<R: Row>(&mut self) -> Result<(), Difference> {
        let Self { left, right } = self;
        let difference = R::DIVISION.parts().find_map(|part| difference_in_part::<R>(left, right, part));
        difference.map_or(Ok(()), Err)
    }
}

fn difference_in_part<R: Row>(left: &Contents<'_>, right: &Contents<'_>, part: Partition) -> Option<Difference> {
    let (mut left, mut right) = (R::rows(left, part), R::rows(right, part));
    let (left, right) = loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (Some(left), Some(right)) if left == right => {}
            different => break different,
        }
    };
    // Rows ascend by key: of two different keys, the other side lacks the lesser.
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) if left.key() < right.key() => (Some(left), None),
        (Some(left), Some(right)) if left.key() > right.key() => (None, Some(right)),
        both => both,
    };
    let row = left.as_ref().or(right.as_ref()).map(Row::name)?;
    let text = |row: &R| serde_json::to_string(row).unwrap_or_else(|_| format!("{row:?}"));
    Some(Difference { table: R::TABLE, row, left: left.as_ref().map(text), right: right.as_ref().map(text) })
}

/// Tables that are to be compared with the log.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What they are, for people: `live tables`, `checkpoint`.
    pub name: &'static str,
    /// The tables, at whatever position.
    pub tables: Tables,
}

/// What was found of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub name: &'static str,
    /// The last record that was applied to it.
    pub seq: Seq,
    /// How it compares with the log up to there.
    pub verdict: Verdict,
}

/// How tables compare with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They are exactly what the log comes to.
    Equal,
    /// They are not; this is where they first differ, the fold of the log on the left.
    Different(Box<Difference>),
    /// They stand for a record that is not in the log.
    Ahead,
    /// They stand for another record than the log has there.
    OtherRecord,
}

/// What a verification found.
#[derive(Debug, Clone)]
pub struct VerifyReport {
    /// The last record of the log. Up to there the chain of hashes holds (L2), and every record can be applied.
    pub head: Head,
    /// What the log comes to there.
    pub digest: Vec<TableDigest>,
    /// One finding for each subject, by position.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Whether all is as it should be.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict == Verdict::Equal)
    }
}

/// Folds the log from its first record to its tip, checks the chain, and compares each subject with the fold where it
/// stands. `progress` is told the record that was applied last and the one to reach.
///
/// # Errors
/// When the log cannot be read or applied; the error says at which record.
pub async fn verify<L: Log>(
    log: &L,
    mut subjects: Vec<Subject>,
    mut progress: impl FnMut(Seq, Seq),
) -> Result<VerifyReport, FoldError> {
    let tip = log.tip().await?;
    subjects.sort_by_key(|subject| subject.tables.position());
    let mut folded = Tables::new();
    let mut findings = Vec::new();
    for subject in subjects {
        let seq = subject.tables.position();
        let name = subject.name;
        fold(log, &mut folded, seq.min(tip), |applied| progress(applied, tip)).await?;
        let verdict;
        (verdict, folded) = blocking(move || (compare(&folded, &subject.tables), folded)).await;
        findings.push(Finding { name, seq, verdict });
    }
    fold(log, &mut folded, tip, |applied| progress(applied, tip)).await?;
    let head = folded.head();
    let digest = blocking(move || folded.digest()).await;
    Ok(VerifyReport { head, digest, findings })
}

/// How tables compare with a fold of the log.
pub(crate) fn compare(folded: &Tables, subject: &Tables) -> Verdict {
    if subject.position() > folded.position() {
        return Verdict::Ahead;
    }
    if subject.head() != folded.head() {
        return Verdict::OtherRecord;
    }
    match first_difference(folded, subject) {
        None => Verdict::Equal,
        Some(difference) => Verdict::Different(Box::new(difference)),
    }
}

/// Copying, comparing and freeing millions of rows takes seconds.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("tables are copied and compared without panics, and nothing aborts it")
}
