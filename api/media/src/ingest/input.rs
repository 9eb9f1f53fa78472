//! What there is to ingest: playlists, folders and lists of files become renditions made of pieces.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use mp4_atom::{Atom, Header, Moof, Moov, ReadFrom};
use url::Url;

use super::{IngestError, playlist};
use crate::client::Downloader;
use crate::probe::{self, Container};

/// The key of a rendition without others.
pub const ONLY: &str = "main";
/// Endings of the files that a folder is searched for.
const MEDIA_ENDINGS: [&str; 10] = ["ts", "mts", "m2t", "m4s", "m4v", "m4a", "m4f", "mp4", "cmfv", "cmfa"];

/// Everything that one call ingests.
#[derive(Debug)]
pub struct Input {
    /// What tells this input from any other: its absolute path or its URL.
    pub identity: String,
    /// A short name for people.
    pub label: String,
    /// Variants of a master playlist first, in its order; never empty.
    pub renditions: Vec<Rendition>,
    /// What is left out, for people.
    pub notes: Vec<String>,
}

/// One sequence of media segments with one set of technical parameters.
#[derive(Debug)]
pub struct Rendition {
    /// Unique and stable within its input.
    pub key: String,
    /// What it is beside the others.
    pub kind: RenditionKind,
    /// Its media in order of presentation; never empty.
    pub pieces: Vec<Piece>,
}

impl Rendition {
    /// What people call it among the renditions of its input; `None` if it is the only one.
    pub fn title(&self) -> Option<&str> {
        match &self.kind {
            RenditionKind::Audio { name, .. } | RenditionKind::Video { name } => Some(name),
            RenditionKind::Main { .. } if self.key == ONLY => None,
            RenditionKind::Main { .. } => Path::new(&self.key).file_stem()?.to_str(),
        }
    }
}

/// The part that a rendition plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenditionKind {
    /// The content itself, possibly in one of several qualities; with the group of its separate
    /// sound, if it names one.
    Main {
        /// The `AUDIO` group of the variant.
        audio_group: Option<String>,
    },
    /// Sound beside the main content.
    Audio {
        /// The group that variants name.
        group: String,
        /// What people call it.
        name: String,
        /// Its language, if given.
        language: Option<String>,
    },
    /// Another view of the content.
    Video {
        /// What people call it.
        name: String,
    },
}

/// One media segment before it is read.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Where its bytes are.
    pub place: Place,
    /// Where the MP4 initialization segment for it is.
    pub initialization: Option<Place>,
    /// Whether the clock breaks off in front of it.
    pub discontinuity: bool,
    /// How long the playlist says it is, in seconds; rounded, and used only if all else fails.
    pub declared_seconds: Option<f32>,
}

/// A file or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub location: Location,
    /// First byte and number of bytes, if not all of it.
    pub range: Option<(u64, u64)>,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    File(PathBuf),
    /// Somewhere else.
    Url(Url),
}

impl std::fmt::Display for Location {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Url(url) => {
                let mut shown = url.clone();
                shown.set_query(None);
                write!(formatter, "{shown}")
            }
        }
    }
}

impl Location {
    /// A location as written on a command line.
    fn parse(text: &str) -> Self {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Self::Url(url),
            _ => Self::File(PathBuf::from(text)),
        }
    }

    /// The location that a playlist at this location means by a URI.
    pub fn resolve(&self, uri: &str) -> Result<Self, IngestError> {
        let bad = || IngestError::Playlist {
            location: self.to_string(),
            reason: format!("it names {uri:?}, which is neither a file nor an http URL"),
        };
        if let absolute @ Self::Url(_) = Self::parse(uri) {
            return Ok(absolute);
        }
        match self {
            Self::Url(base) => {
                let url = base.join(uri).map_err(|_| bad())?;
                // A playlist from elsewhere must not make this machine read its own files.
                if matches!(url.scheme(), "http" | "https") { Ok(Self::Url(url)) } else { Err(bad()) }
            }
            Self::File(playlist) => {
                let folder = playlist.parent().unwrap_or(Path::new(""));
                let literal = folder.join(uri);
                if literal.exists() {
                    return Ok(Self::File(literal));
                }
                let decoded = percent_encoding::percent_decode_str(uri).decode_utf8().map_err(|_| bad())?;
                Ok(Self::File(folder.join(decoded.as_ref())))
            }
        }
    }

    fn is_playlist(&self) -> bool {
        let path = match self {
            Self::File(path) => path.as_path(),
            Self::Url(url) => Path::new(url.path()),
        };
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        ending.is_some_and(|ending| ending == "m3u8" || ending == "m3u")
    }

    /// The name of the file without its ending.
    pub fn stem(&self) -> String {
        let path = match self {
            Self::File(path) => path.as_path(),
            Self::Url(url) => Path::new(url.path()),
        };
        path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The absolute path, or the URL without its query, which changes when it is signed.
    pub fn identity(&self) -> Result<String, IngestError> {
        match self {
            Self::File(path) => {
                let absolute =
                    std::fs::canonicalize(path).map_err(|source| IngestError::File { path: path.clone(), source })?;
                Ok(absolute.to_string_lossy().into_owned())
            }
            Self::Url(_) => Ok(self.to_string()),
        }
    }
}

/// Finds out what the arguments of an ingest mean: one playlist, one folder, or a list of files.
pub async fn resolve(arguments: &[String], downloader: &Downloader) -> Result<Input, IngestError> {
    let locations: Vec<Location> = arguments.iter().map(|argument| Location::parse(argument)).collect();
    let first = locations.first().ok_or(IngestError::NoInput)?;
    if first.is_playlist() {
        if locations.len() > 1 {
            return Err(IngestError::MixedInput);
        }
        return playlist::read(first, downloader).await;
    }
    if locations.iter().any(Location::is_playlist) {
        return Err(IngestError::MixedInput);
    }
    tokio::task::spawn_blocking(move || from_files(locations)).await.map_err(|_| IngestError::Interrupted)?
}

fn from_files(locations: Vec<Location>) -> Result<Input, IngestError> {
    let identity = locations[0].identity()?;
    let label = locations[0].stem();
    let locations = match locations.as_slice() {
        [Location::File(folder)] if folder.is_dir() => media_files(folder)?,
        _ => locations,
    };
    let main =
        Rendition { key: ONLY.to_owned(), kind: RenditionKind::Main { audio_group: None }, pieces: pieces(locations)? };
    Ok(Input { identity, label, renditions: vec![main], notes: Vec::new() })
}

/// The media files of a folder, `9.ts` before `10.ts`.
fn media_files(folder: &Path) -> Result<Vec<Location>, IngestError> {
    let failed = |source| IngestError::File { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        if path.is_file() && ending.is_some_and(|ending| MEDIA_ENDINGS.iter().any(|known| ending == *known)) {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(IngestError::EmptyFolder(folder.to_owned()));
    }
    files.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(files.into_iter().map(Location::File).collect())
}

/// Compares texts with the numbers in them compared as numbers.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (a_digits, b_digits) = (digits(a), digits(b));
        if a_digits > 0 && b_digits > 0 {
            let (a_number, b_number) = (a[..a_digits].trim_start_matches('0'), b[..b_digits].trim_start_matches('0'));
            let order = a_number.len().cmp(&b_number.len()).then_with(|| a_number.cmp(b_number));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[a_digits..], &b[b_digits..]);
            continue;
        }
        let (mut a_rest, mut b_rest) = (a.chars(), b.chars());
        match (a_rest.next(), b_rest.next()) {
            (Some(a_next), Some(b_next)) if a_next == b_next => (a, b) = (a_rest.as_str(), b_rest.as_str()),
            (a_next, b_next) => return a_next.cmp(&b_next),
        }
    }
}

/// Makes pieces of files. Among MP4 files, one that only describes (`init.mp4`) is the
/// initialization segment of those that only hold fragments.
fn pieces(locations: Vec<Location>) -> Result<Vec<Piece>, IngestError> {
    let mut boxes = Vec::with_capacity(locations.len());
    for location in &locations {
        boxes.push(match location {
            Location::File(path) => {
                mp4_boxes(path).map_err(|source| IngestError::File { path: path.clone(), source })?
            }
            Location::Url(_) => Boxes::default(),
        });
    }
    let needed = boxes.iter().any(|boxes| boxes.fragments && !boxes.description);
    let mut initialization = None;
    let mut pieces = Vec::new();
    for (location, boxes) in locations.into_iter().zip(&boxes) {
        let place = Place { location, range: None };
        if needed && boxes.description && !boxes.fragments {
            if initialization.replace(place).is_some() {
                return Err(IngestError::SeveralInitializations);
            }
        } else {
            pieces.push(Piece { place, initialization: None, discontinuity: false, declared_seconds: None });
        }
    }
    for (piece, boxes) in pieces.iter_mut().zip(boxes.iter().filter(|boxes| boxes.fragments || !needed)) {
        if boxes.fragments && !boxes.description {
            piece.initialization.clone_from(&initialization);
        }
    }
    Ok(pieces)
}

#[derive(Default)]
struct Boxes {
    description: bool,
    fragments: bool,
}

/// Which of the deciding boxes an MP4 file has; none for any other file.
fn mp4_boxes(path: &Path) -> Result<Boxes, std::io::Error> {
    let mut file = File::open(path)?;
    let mut boxes = Boxes::default();
    let mut head = Vec::new();
    (&mut file).take(189).read_to_end(&mut head)?;
    if !matches!(probe::container(&head), Ok(Container::FragmentedMp4)) {
        return Ok(boxes);
    }
    file.rewind()?;
    // A file that is damaged further on is reported when it is read in full.
    while let Ok(Some(header)) = Option::<Header>::read_from(&mut file) {
        boxes.description |= header.kind == Moov::KIND;
        boxes.fragments |= header.kind == Moof::KIND;
        let Some(size) = header.size.and_then(|size| i64::try_from(size).ok()) else {
            break;
        };
        file.seek(SeekFrom::Current(size))?;
    }
    Ok(boxes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["s10.ts", "s9.ts", "a.ts", "s09b.ts", "s9", "s1-10.ts", "s1-9.ts"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["a.ts", "s1-9.ts", "s1-10.ts", "s9", "s9.ts", "s09b.ts", "s10.ts"]);
    }
}
