//! Joins objects to one stream of bytes.

use bytes::{Bytes, BytesMut};
use mp4_atom::{DecodeMaybe, Header};

/// Boxes that begin the media part of an MP4 object; all before them describes it.
const MEDIA_BOXES: [[u8; 4]; 6] = [*b"styp", *b"sidx", *b"emsg", *b"prft", *b"moof", *b"mdat"];
/// No description of a movie is longer.
const LONGEST_INITIALIZATION: usize = 64 << 20;

/// Joins objects of one container type.
#[derive(Debug)]
pub enum Joiner {
    /// Packets follow packets.
    TransportStream,
    /// The initialization segment once, then fragments.
    Mp4(Mp4Joiner),
}

impl Joiner {
    /// The joiner for a container type; `None` if objects of it cannot simply be joined.
    pub fn for_container(container: &str) -> Option<Self> {
        match container {
            "video/mp2t" => Some(Self::TransportStream),
            "video/mp4" | "audio/mp4" | "application/mp4" | "video/iso.segment" | "audio/iso.segment" => {
                Some(Self::Mp4(Mp4Joiner::default()))
            }
            _ => None,
        }
    }

    /// Takes the initialization segment that belongs to the object that follows.
    pub fn initialization(&mut self, bytes: Bytes) -> Result<Vec<Bytes>, &'static str> {
        match self {
            Self::TransportStream => Ok(vec![bytes]),
            Self::Mp4(joiner) => Ok(joiner.initialize(bytes).into_iter().collect()),
        }
    }

    /// Takes the next bytes of an object and returns what to write.
    pub fn push(&mut self, bytes: Bytes) -> Result<Vec<Bytes>, &'static str> {
        match self {
            Self::TransportStream => Ok(vec![bytes]),
            Self::Mp4(joiner) => joiner.push(bytes),
        }
    }

    /// The object is complete; returns what is left to write.
    pub fn end_object(&mut self) -> Option<Bytes> {
        match self {
            Self::TransportStream => None,
            Self::Mp4(joiner) => joiner.end_object(),
        }
    }

    /// What is worth knowing about the result.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Mp4(joiner) if joiner.changes > 0 => Some(format!(
                "the initialization segment changes {} time(s); not every player follows that",
                joiner.changes
            )),
            Self::TransportStream | Self::Mp4(_) => None,
        }
    }
}

/// Drops the initialization segment of every object that begins with the one written last.
#[derive(Debug, Default)]
pub struct Mp4Joiner {
    /// The beginning of the present object while it may be its initialization segment.
    head: BytesMut,
    /// Whether the present object is past that.
    in_media: bool,
    written: Option<Bytes>,
    changes: u32,
}

impl Mp4Joiner {
    fn initialize(&mut self, bytes: Bytes) -> Option<Bytes> {
        if bytes.is_empty() || self.written.as_ref() == Some(&bytes) {
            return None;
        }
        self.changes += u32::from(self.written.is_some());
        self.written = Some(bytes.clone());
        Some(bytes)
    }

    fn push(&mut self, bytes: Bytes) -> Result<Vec<Bytes>, &'static str> {
        if self.in_media {
            return Ok(vec![bytes]);
        }
        self.head.extend_from_slice(&bytes);
        let Some(media) = media_start(&self.head)? else {
            return Ok(Vec::new());
        };
        self.in_media = true;
        let mut head = std::mem::take(&mut self.head).freeze();
        let media = head.split_off(media);
        Ok(self.initialize(head).into_iter().chain([media]).collect())
    }

    fn end_object(&mut self) -> Option<Bytes> {
        self.in_media = false;
        let head = std::mem::take(&mut self.head).freeze();
        self.initialize(head)
    }
}

/// Where the first media box begins; `None` if more bytes are needed to tell.
fn media_start(head: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut position = 0;
    while let Some(rest) = head.get(position..) {
        let mut after = rest;
        let header = Header::decode_maybe(&mut after).map_err(|_| "it does not consist of MP4 boxes")?;
        let Some(header) = header else {
            break;
        };
        let kind: &[u8] = header.kind.as_ref();
        if MEDIA_BOXES.iter().any(|known| kind == known) {
            return Ok(Some(position));
        }
        let size = header.size.ok_or("a box without end in front of its media")?;
        position = (position + rest.len() - after.len()).saturating_add(size);
        if position > LONGEST_INITIALIZATION {
            return Err("its description is too long to be one");
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mp4_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).unwrap();
        [&size.to_be_bytes(), kind.as_slice(), content].concat()
    }

    fn join(objects: &[Vec<u8>], chunk: usize) -> (Vec<u8>, Option<String>) {
        let mut joiner = Joiner::for_container("video/mp4").unwrap();
        let mut joined = Vec::new();
        for object in objects {
            for bytes in object.chunks(chunk) {
                for bytes in joiner.push(Bytes::copy_from_slice(bytes)).unwrap() {
                    joined.extend_from_slice(&bytes);
                }
            }
            joined.extend(joiner.end_object().into_iter().flatten());
        }
        (joined, joiner.note())
    }

    #[test]
    fn the_same_initialization_segment_is_written_once_and_another_again() {
        let init =
            |content: &[u8]| [mp4_box(b"ftyp", b"iso6"), mp4_box(b"free", b""), mp4_box(b"moov", content)].concat();
        let media =
            |content: &[u8]| [mp4_box(b"styp", b"msdh"), mp4_box(b"moof", content), mp4_box(b"mdat", content)].concat();
        let (one, two) = (init(b"one"), init(b"two"));
        let same = [[one.clone(), media(b"a")].concat(), [one.clone(), media(b"b")].concat(), media(b"c")];
        let changed = [same[0].clone(), [two.clone(), media(b"d")].concat()];
        for chunk in [1, 7, 30, 1000] {
            let (joined, note) = join(&same, chunk);
            assert_eq!(joined, [one.clone(), media(b"a"), media(b"b"), media(b"c")].concat());
            assert_eq!(note, None);
            let (joined, note) = join(&changed, chunk);
            assert_eq!(joined, [one.clone(), media(b"a"), two.clone(), media(b"d")].concat());
            assert!(note.is_some());
        }
    }

    #[test]
    fn an_object_that_is_no_mp4_is_refused() {
        let mut joiner = Joiner::for_container("video/mp4").unwrap();
        assert!(joiner.push(Bytes::from_static(b"<html><body>gone</body></html>")).is_err());
    }
}
