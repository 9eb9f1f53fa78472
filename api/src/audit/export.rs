//! Exports of the log for third parties: records as they stand in it, with their place in the chain of hashes, signed.
//!
//! An export is a file of lines of JSON. The first says what it is; then comes a line for each record, its bytes as they
//! are in the log; the last holds an Ed25519 signature of the BLAKE3 hash of all lines before it. Whoever has the store's
//! public key can tell, without the store, that the records stood in its log at these places when the export was made:
//! each record's bytes have the hash that is told, records that follow one another are linked by it, and the head of the
//! log at that moment is part of what is signed.

use std::io::{BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use tapelog_events::{ChainHash, Incarnation, Instant, Record, Seq, codec};

use crate::auth::MasterKey;

/// The version of the form.
const FORMAT: u16 = 1;
/// How long a line may be that is checked, in bytes: more than the largest message of a NATS server, 64 MiB, in Base64.
const LINE_BYTES: u64 = 96 << 20;

/// Signs exports with a key that is derived from the store's.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// The signer of a store with this key.
    pub fn new(key: &MasterKey) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&key.derive("tapelog 2026 signed exports"));
        Self(pair.expect("a seed has 32 bytes"))
    }

    /// The public key that exports are checked with, in hexadecimal digits.
    pub fn public_key(&self) -> String {
        hex::encode(self.0.public_key())
    }
}

/// The first line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHeader {
    /// The version of the form.
    pub tapelog_export: u16,
    /// The log.
    pub incarnation: Incarnation,
    /// When the export was begun.
    pub created: Instant,
    /// What was asked for, as the query of the request.
    pub query: String,
    /// The last record of the log at that time.
    pub head_seq: Seq,
    /// Its hash.
    pub head_hash: String,
    /// With which key the export is signed.
    pub public_key: String,
}

/// The line of a record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    seq: Seq,
    hash: String,
    /// Base64.
    record: String,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureLine {
    records: u64,
    /// Hexadecimal digits.
    signature: String,
}

/// Makes an export, line by line.
pub struct Exporter {
    hasher: blake3::Hasher,
    records: u64,
}

impl Exporter {
    /// Begins an export of what a query asks for, of a log that ends with this record.
    pub fn begin(
        signer: &Signer,
        incarnation: Incarnation,
        head: (Seq, ChainHash),
        query: String,
        created: Instant,
    ) -> (Self, Vec<u8>) {
        let mut exporter = Self { hasher: blake3::Hasher::new(), records: 0 };
        let header = ExportHeader {
            tapelog_export: FORMAT,
            incarnation,
            created,
            query,
            head_seq: head.0,
            head_hash: head.1.to_string(),
            public_key: signer.public_key(),
        };
        let line = exporter.line(&header);
        (exporter, line)
    }

    /// The line of a record, by its bytes in the log.
    pub fn record(&mut self, seq: Seq, payload: &[u8]) -> Vec<u8> {
        self.records += 1;
        let (hash, record) = (ChainHash::of(payload).to_string(), STANDARD.encode(payload));
        self.line(&RecordLine { seq, hash, record })
    }

    /// The last line. An export without it is worth nothing.
    pub fn end(self, signer: &Signer) -> Vec<u8> {
        let signature = hex::encode(signer.0.sign(self.hasher.finalize().as_bytes()));
        text(&SignatureLine { records: self.records, signature })
    }

    fn line(&mut self, value: &impl Serialize) -> Vec<u8> {
        let line = text(value);
        self.hasher.update(&line);
        line
    }
}

fn text(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("numbers and texts are written to memory");
    line.push(b'\n');
    line
}

/// What a good export holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What it says of itself.
    pub header: ExportHeader,
    /// The first and the last of its records.
    pub span: Option<(Seq, Seq)>,
    /// How many records it has.
    pub records: u64,
    /// How many of them follow right after another of them, and hold its hash.
    pub linked: u64,
    /// How many commits they hold.
    pub commits: u64,
}

/// An export that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidExport {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[from] std::io::Error),
    /// A line is not what it should be there.
    #[error("line {line} is not {expected}")]
    Line {
        /// Counted from one.
        line: u64,
        /// What it should be.
        expected: &'static str,
    },
    /// The form is another.
    #[error("the export has format {0}, and this version of tapelog checks format {FORMAT} alone")]
    Format(u16),
    /// It ends without signature: it broke off, or was cut.
    #[error("the export has no signature at its end: it broke off, or something was cut off")]
    Unsigned,
    /// Something follows the signature.
    #[error("line {0} follows the signature, which says nothing of it")]
    Unexpected(u64),
    /// The signature is not of this key, or a line was altered, added or removed.
    #[error(
        "the signature is not that of key {0} over these lines: the export was altered, or signed by another store"
    )]
    Signature(String),
    /// The bytes of a record do not have the hash that is told.
    #[error("record {0} does not have the hash that is told")]
    Hash(Seq),
    /// The bytes of a record are none.
    #[error("record {0} cannot be read")]
    Record(Seq),
    /// Records are not in order, or beyond the head.
    #[error("record {0} is out of order, or after the head of the log")]
    Order(Seq),
    /// A record does not hold the hash of the one before it.
    #[error("record {0} does not follow from the one before it")]
    Chain(Seq),
    /// The key is no key.
    #[error("the key is not one of 64 hexadecimal digits")]
    Key,
}

/// Checks an export, offline: with the store's public key in hexadecimal digits, or, where none is given, with the one that
/// it names itself, which whoever checks has to compare with the one that the store has made known.
///
/// # Errors
/// Why it cannot be trusted.
pub fn check(export: impl BufRead, key: Option<&str>) -> Result<Checked, InvalidExport> {
    let mut lines = Lines { export, number: 0 };
    let mut line = lines.next()?.ok_or(InvalidExport::Unsigned)?;
    let header: ExportHeader = serde_json::from_slice(&line)
        .map_err(|_| InvalidExport::Line { line: 1, expected: "the head of an export" })?;
    if header.tapelog_export != FORMAT {
        return Err(InvalidExport::Format(header.tapelog_export));
    }
    let mut hasher = blake3::Hasher::new();
    let mut checked = Checked { header, span: None, records: 0, linked: 0, commits: 0 };
    let mut last: Option<(Seq, ChainHash)> = None;
    loop {
        hasher.update(&line);
        line = lines.next()?.ok_or(InvalidExport::Unsigned)?;
        if let Ok(signature) = serde_json::from_slice::<SignatureLine>(&line) {
            verify(&checked.header, &hasher, &signature, key)?;
            if signature.records != checked.records {
                return Err(InvalidExport::Unsigned);
            }
            return match lines.next()? {
                None => Ok(checked),
                Some(_) => Err(InvalidExport::Unexpected(lines.number)),
            };
        }
        let RecordLine { seq, hash, record } = serde_json::from_slice(&line)
            .map_err(|_| InvalidExport::Line { line: lines.number, expected: "a record or the signature" })?;
        let payload = STANDARD.decode(record).map_err(|_| InvalidExport::Record(seq))?;
        let found = ChainHash::of(&payload);
        if hash != found.to_string() {
            return Err(InvalidExport::Hash(seq));
        }
        let Record { prev_hash, commits, .. } = codec::decode(&payload).map_err(|_| InvalidExport::Record(seq))?;
        if last.is_some_and(|(last, _)| last >= seq) || seq > checked.header.head_seq {
            return Err(InvalidExport::Order(seq));
        }
        if let Some((_, hash)) = last.filter(|(last, _)| last.next() == seq) {
            if prev_hash != hash {
                return Err(InvalidExport::Chain(seq));
            }
            checked.linked += 1;
        }
        if seq == checked.header.head_seq && checked.header.head_hash != hash {
            return Err(InvalidExport::Chain(seq));
        }
        checked.records += 1;
        checked.commits += commits.len() as u64;
        checked.span = Some((checked.span.map_or(seq, |(first, _)| first), seq));
        last = Some((seq, found));
    }
}

/// The lines of a file that may be anything.
struct Lines<R> {
    export: R,
    /// That of the line that was read last, counted from one.
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next line with its end; `None` after the last.
    fn next(&mut self) -> Result<Option<Vec<u8>>, InvalidExport> {
        let mut line = Vec::new();
        self.number += 1;
        let read = self.export.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)?;
        if read as u64 == LINE_BYTES {
            return Err(InvalidExport::Line { line: self.number, expected: "short enough to be one of an export" });
        }
        Ok((read > 0).then_some(line))
    }
}

fn verify(
    header: &ExportHeader,
    hasher: &blake3::Hasher,
    line: &SignatureLine,
    key: Option<&str>,
) -> Result<(), InvalidExport> {
    let told = key.unwrap_or(&header.public_key);
    let key = hex::decode(told).ok().filter(|key| key.len() == 32).ok_or(InvalidExport::Key)?;
    let signature = hex::decode(&line.signature).unwrap_or_default();
    let verified = UnparsedPublicKey::new(&ED25519, key).verify(hasher.finalize().as_bytes(), &signature);
    verified.map_err(|_| InvalidExport::Signature(told.to_owned()))
}

#[cfg(test)]
mod tests {
    use tapelog_events::{Commit, CommitId, Event, LogStarted};
    use uuid::Uuid;

    use super::*;

    fn record(prev_hash: ChainHash, actor: &str) -> Vec<u8> {
        let incarnation = Incarnation::from_uuid(Uuid::new_v4());
        let commit = Commit {
            id: CommitId::from_uuid(Uuid::now_v7()),
            at: Instant::from_micros(3),
            actor: actor.to_owned(),
            request_id: None,
            idempotency: None,
            events: vec![Event::LogStarted(LogStarted { incarnation })],
        };
        codec::encode(&Record { format: codec::FORMAT, prev_hash, commits: vec![commit] })
    }

    fn export(signer: &Signer) -> Vec<Vec<u8>> {
        let first = record(ChainHash::ZERO, "ann");
        let second = record(ChainHash::of(&first), "bob");
        let head = (Seq(9), ChainHash::of(b"head"));
        let incarnation = Incarnation::from_uuid(Uuid::new_v4());
        let (mut exporter, header) = Exporter::begin(signer, incarnation, head, String::new(), Instant::from_micros(5));
        let records = [exporter.record(Seq(4), &first), exporter.record(Seq(5), &second)];
        let end = exporter.end(signer);
        [vec![header], records.to_vec(), vec![end]].concat()
    }

    #[test]
    fn an_export_is_good_only_as_it_was_signed() {
        let signer = Signer::new(&MasterKey::random());
        let lines = export(&signer);
        let key = signer.public_key();
        let checked = check(&*lines.concat(), Some(&key)).unwrap();
        assert_eq!((checked.records, checked.linked, checked.commits), (2, 1, 2));
        assert_eq!(checked.span, Some((Seq(4), Seq(5))));

        let without = |index: usize| {
            let mut lines = lines.clone();
            lines.remove(index);
            check(&*lines.concat(), Some(&key))
        };
        assert!((0..lines.len()).all(|index| without(index).is_err()), "a line less");
        for index in 0..lines.len() {
            for at in [3, lines[index].len() / 2, lines[index].len() - 4] {
                let mut altered = lines.clone();
                altered[index][at] ^= 1;
                assert!(check(&*altered.concat(), Some(&key)).is_err(), "line {index}, byte {at}");
            }
        }
        let other = Signer::new(&MasterKey::random()).public_key();
        assert!(matches!(check(&*lines.concat(), Some(&other)), Err(InvalidExport::Signature(_))));

        let followed = |by: &[u8]| check(&*[&lines.concat(), by].concat(), Some(&key));
        assert!(matches!(followed(&lines[2]), Err(InvalidExport::Unexpected(5))), "a record that is not signed");
        assert!(matches!(followed(&export(&signer).concat()), Err(InvalidExport::Unexpected(5))), "another export");
    }

    #[test]
    fn a_file_without_lines_is_not_read_to_its_end() {
        let endless = std::io::BufReader::new(std::io::repeat(b' '));
        assert!(matches!(check(endless, None), Err(InvalidExport::Line { line: 1, .. })));
    }
}
