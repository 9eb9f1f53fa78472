//! Reads what a media file holds and when it is presented, from the media itself.
//!
//! A file is read once, front to back, in small pieces, so its size does not matter. Timing is kept
//! in the ticks of the container (90 kHz for MPEG-TS, the track's time scale for MP4) and becomes
//! nanoseconds in one place, [`nanoseconds`], so that equal ticks are equal nanoseconds everywhere.

mod aac;
mod frame_rate;
mod h264;
mod h265;
mod mp4;
mod transport_stream;

use std::io::{BufRead, BufReader, Read};

pub use frame_rate::FrameRate;
pub use mp4::Initialization;
pub use transport_stream::CLOCK as TRANSPORT_STREAM_CLOCK;

/// How many bytes are read at a time: a whole number of 188-byte transport packets, near 100 KiB.
const READ_SIZE: usize = 188 * 512;

/// The wrapping of the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// MPEG-2 transport stream, 188-byte packets.
    TransportStream,
    /// Fragmented MP4 (ISO base media file format with movie fragments).
    FragmentedMp4,
}

/// What one media file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaFile {
    /// How it is wrapped.
    pub container: Container,
    /// Its picture and sound tracks in the order the container declares them. Never empty, and each
    /// has at least one presentation time.
    pub tracks: Vec<Track>,
}

impl MediaFile {
    /// The track that the timing of the file is taken from: the first picture track, or the first
    /// sound track where there is no picture.
    pub fn reference(&self) -> &Track {
        self.tracks
            .iter()
            .find(|track| matches!(track.essence, Essence::Video { .. }))
            .or_else(|| self.tracks.first())
            .expect("a probed file has a track")
    }
}

/// One picture or sound track of a media file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The packet id in MPEG-TS, the track id in MP4.
    pub number: u32,
    /// What it is.
    pub essence: Essence,
    /// Ticks in a second.
    pub timescale: u32,
    /// When its samples are presented, in ticks, ascending. In MPEG-TS one entry is one PES packet.
    pub presentation_times: Vec<i64>,
    /// How long the sample presented last stays, in nanoseconds, where the container tells.
    pub last_duration: Option<i128>,
    /// Picture tracks: how many samples a decoder can start at.
    pub key_frames: Option<u32>,
}

impl Track {
    /// When the first sample is presented, in nanoseconds on the media's own timeline.
    pub fn start(&self) -> i128 {
        let first = self.presentation_times.first().copied().unwrap_or_default();
        nanoseconds(first, self.timescale)
    }

    /// When the last sample begins to be presented, in nanoseconds on the media's own timeline.
    pub fn last(&self) -> i128 {
        let last = self.presentation_times.last().copied().unwrap_or_default();
        nanoseconds(last, self.timescale)
    }

    /// The frame rate of a picture track, when it has a constant one.
    pub fn frame_rate(&self) -> Option<FrameRate> {
        let declared = match &self.essence {
            Essence::Video { parameters, .. } => parameters.as_ref()?.declared_rate,
            Essence::Audio(_) => return None,
        };
        FrameRate::derive(&self.presentation_times, self.timescale, declared)
    }

    /// How long the last sample stays, in nanoseconds: as the container says, else one period of the
    /// frame rate, else the most common distance of two samples.
    pub fn tail(&self, frame_rate: Option<FrameRate>) -> Option<i128> {
        self.last_duration.filter(|duration| *duration > 0).or_else(|| frame_rate.map(FrameRate::period)).or_else(
            || {
                let mut steps: Vec<i64> = self.presentation_times.windows(2).map(|pair| pair[1] - pair[0]).collect();
                steps.sort_unstable();
                let median = *steps.get(steps.len() / 2)?;
                (median > 0).then(|| nanoseconds(median, self.timescale))
            },
        )
    }
}

/// What a track is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Essence {
    /// Picture.
    Video {
        /// Its coding.
        codec: VideoCodec,
        /// What the sequence parameter set says. Absent in a transport stream file that does not
        /// repeat it.
        parameters: Option<VideoParameters>,
    },
    /// Sound: always AAC.
    Audio(AudioParameters),
}

/// The codings of picture that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264, AVC.
    H264,
    /// H.265, HEVC.
    H265,
}

/// Picture parameters, as far as the stream states them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoParameters {
    /// Width shown, in pixels, after cropping.
    pub width: u32,
    /// Height shown, in pixels, after cropping.
    pub height: u32,
    /// Bits of a luma sample.
    pub bit_depth: u8,
    /// Whether every picture is a whole frame.
    pub progressive: bool,
    /// Shape of one pixel, width to height.
    pub pixel_aspect_ratio: Option<(u16, u16)>,
    /// Horizontal and vertical chroma subsampling; absent for monochrome.
    pub chroma_subsampling: Option<(u8, u8)>,
    /// Code points of ITU-T H.273: colour primaries and transfer characteristics.
    pub colour: Option<(u8, u8)>,
    /// Frame rate that the stream declares; not always the true one.
    pub declared_rate: Option<FrameRate>,
    /// H.264: the profile, constraint flags and level bytes.
    pub avc: Option<[u8; 3]>,
}

/// AAC parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioParameters {
    /// Samples in a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// MPEG-4 audio object type; 2 is AAC-LC.
    pub object_type: u8,
}

/// Why a media file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The first bytes are neither a transport packet nor an MP4 box.
    #[error("this is neither MPEG-TS nor MP4")]
    Unrecognized,
    /// The file ends inside a packet, box or picture.
    #[error("the file is cut short: {0}")]
    Truncated(&'static str),
    /// The structure contradicts itself.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// A coding or feature that is not supported.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Something that must be known is not in the file.
    #[error("the file does not tell {0}")]
    Missing(&'static str),
    /// An MP4 fragment came without the initialization segment that describes it.
    #[error("this MP4 fragment needs its initialization segment (a file with a moov box) in front of it")]
    NoInitialization,
    /// Reading failed.
    #[error("the file cannot be read")]
    Io(#[from] std::io::Error),
}

/// Nanoseconds of a number of ticks, rounded to the nearest.
pub fn nanoseconds(ticks: i64, timescale: u32) -> i128 {
    let timescale = i128::from(timescale.max(1));
    (i128::from(ticks) * 2_000_000_000 + timescale).div_euclid(2 * timescale)
}

/// The wrapping of a file, from its first bytes.
pub fn container(head: &[u8]) -> Result<Container, ProbeError> {
    const FIRST_BOXES: [&[u8]; 9] = [b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"free", b"skip"];
    match head {
        [0x47, ..] if head.get(188).is_none_or(|next| *next == 0x47) => Ok(Container::TransportStream),
        [_, _, _, _, kind @ ..] if FIRST_BOXES.iter().any(|name| kind.starts_with(name)) => {
            Ok(Container::FragmentedMp4)
        }
        _ => Err(ProbeError::Unrecognized),
    }
}

/// Reads a media file from its first byte to its last.
///
/// `initialization` describes the tracks of an MP4 fragment that has no `moov` of its own.
/// `near` helps with the 33-bit clock of MPEG-TS, which starts again every 26.5 hours: times come
/// out as close as possible to this number of ticks, or at the clock's own reading without it.
pub fn probe(
    input: impl Read,
    initialization: Option<&Initialization>,
    near: Option<i64>,
) -> Result<MediaFile, ProbeError> {
    let mut input = BufReader::with_capacity(READ_SIZE, input);
    match container(input.fill_buf()?)? {
        Container::TransportStream => transport_stream::probe(input, near),
        Container::FragmentedMp4 => mp4::probe(input, initialization),
    }
}
