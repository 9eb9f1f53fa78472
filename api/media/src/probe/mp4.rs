//! Tracks and timing of fragmented MP4 (ISO/IEC 14496-12).

use std::io::Read;

use mp4_atom::{Atom, Codec, Header, Hvcc, Mdia, Moof, Moov, Mp4a, ReadAtom, ReadFrom, Traf, Trak, Trex, Visual};

use super::{
    AudioParameters, Container, Essence, MediaFile, ProbeError, Track, VideoCodec, VideoParameters, aac, h264, h265,
};

/// No real description of a movie or fragment is larger (the media itself is in other boxes).
const LARGEST_DESCRIPTION: usize = 64 << 20;
/// A file of one track at 60 samples a second reaches this after 46 hours.
const MOST_SAMPLES: usize = 10_000_000;
/// `sample_is_non_sync_sample` of the sample flags (ISO/IEC 14496-12, 8.8.3.1).
const NOT_A_KEY_FRAME: u32 = 0x0001_0000;
/// The object type of AAC in an elementary stream descriptor (ISO/IEC 14496-1, table 5).
const MPEG4_AUDIO: u8 = 0x40;

/// What an initialization segment says about the fragments that follow it.
#[derive(Debug, Clone)]
pub struct Initialization {
    tracks: Vec<InitializedTrack>,
}

#[derive(Debug, Clone)]
struct InitializedTrack {
    number: u32,
    timescale: u32,
    essence: Essence,
    /// What the edit list adds to every composition time, in ticks.
    shift: i64,
    defaults: Trex,
}

impl Initialization {
    /// Reads an initialization segment: the boxes up to and including `moov`.
    pub fn read(mut input: impl Read) -> Result<Self, ProbeError> {
        while let Some(header) = Option::<Header>::read_from(&mut input).map_err(broken)? {
            if header.kind == Moov::KIND {
                return Self::new(&read_description(&header, &mut input)?);
            }
            skip(&header, &mut input)?;
        }
        Err(ProbeError::NoInitialization)
    }

    fn new(movie: &Moov) -> Result<Self, ProbeError> {
        let extends = movie.mvex.as_ref().ok_or_else(|| {
            ProbeError::Unsupported(
                "an MP4 that is not fragmented; make fragments with: ffmpeg -i IN -c copy -f hls -hls_segment_type fmp4 OUT.m3u8"
                    .to_owned(),
            )
        })?;
        let mut tracks = Vec::new();
        for track in &movie.trak {
            let Some(essence) = essence(&track.mdia)? else {
                continue;
            };
            let number = track.tkhd.track_id;
            let timescale = track.mdia.mdhd.timescale;
            if timescale == 0 {
                return Err(ProbeError::Damaged(format!("track {number} has no time scale")));
            }
            let defaults = extends.trex.iter().find(|defaults| defaults.track_id == number);
            tracks.push(InitializedTrack {
                number,
                timescale,
                essence,
                shift: edit_shift(track, movie.mvhd.timescale)?,
                defaults: defaults.cloned().unwrap_or_default(),
            });
        }
        if tracks.is_empty() {
            return Err(ProbeError::Missing("its tracks: no picture or sound"));
        }
        Ok(Self { tracks })
    }
}

/// Reads a whole fragmented MP4 file or a media segment of one.
pub fn probe(mut input: impl Read, initialization: Option<&Initialization>) -> Result<MediaFile, ProbeError> {
    let mut own = None;
    let mut timings: Vec<Timing> = Vec::new();
    while let Some(header) = Option::<Header>::read_from(&mut input).map_err(broken)? {
        if header.kind == Moov::KIND {
            own = Some(Initialization::new(&read_description(&header, &mut input)?)?);
        } else if header.kind == Moof::KIND {
            let fragment: Moof = read_description(&header, &mut input)?;
            let initialization = own.as_ref().or(initialization).ok_or(ProbeError::NoInitialization)?;
            timings.resize_with(initialization.tracks.len(), Timing::default);
            for run in &fragment.traf {
                let tracks = initialization.tracks.iter().zip(&mut timings);
                if let Some((track, timing)) = tracks.into_iter().find(|(track, _)| track.number == run.tfhd.track_id) {
                    timing.add(track, run)?;
                }
            }
        } else {
            skip(&header, &mut input)?;
        }
    }
    let Some(initialization) = own.as_ref().or(initialization) else {
        return Err(ProbeError::NoInitialization);
    };
    let tracks: Vec<Track> = initialization
        .tracks
        .iter()
        .zip(timings)
        .filter(|(_, timing)| !timing.times.is_empty())
        .map(|(track, timing)| timing.finish(track))
        .collect();
    if tracks.is_empty() {
        return Err(ProbeError::Missing("when it is presented: no movie fragments"));
    }
    Ok(MediaFile { container: Container::FragmentedMp4, tracks })
}

/// Sample times of one track, gathered over the fragments of a file.
#[derive(Default)]
struct Timing {
    times: Vec<i64>,
    /// Decoding time at which the next fragment begins if it does not say.
    next: i64,
    last: Option<(i64, u32)>,
    key_frames: u32,
}

impl Timing {
    fn add(&mut self, track: &InitializedTrack, fragment: &Traf) -> Result<(), ProbeError> {
        let impossible = || ProbeError::Damaged("impossible sample times".to_owned());
        if let Some(start) = &fragment.tfdt {
            self.next = i64::try_from(start.base_media_decode_time).map_err(|_| impossible())?;
        }
        let defaults = &track.defaults;
        let duration = fragment.tfhd.default_sample_duration.unwrap_or(defaults.default_sample_duration);
        let flags = fragment.tfhd.default_sample_flags.unwrap_or(defaults.default_sample_flags);
        for run in &fragment.trun {
            if self.times.len().saturating_add(run.samples.len()) > MOST_SAMPLES {
                return Err(ProbeError::Unsupported(format!("more than {MOST_SAMPLES} samples in one file")));
            }
            for sample in &run.samples {
                let duration = sample.duration.unwrap_or(duration);
                let time = self
                    .next
                    .checked_add(sample.cts.unwrap_or(0))
                    .and_then(|time| time.checked_add(track.shift))
                    .ok_or_else(impossible)?;
                self.times.push(time);
                if self.last.is_none_or(|(last, _)| time >= last) {
                    self.last = Some((time, duration));
                }
                self.next = self.next.checked_add(i64::from(duration)).ok_or_else(impossible)?;
                self.key_frames += u32::from(sample.flags.unwrap_or(flags) & NOT_A_KEY_FRAME == 0);
            }
        }
        Ok(())
    }

    fn finish(mut self, track: &InitializedTrack) -> Track {
        self.times.sort_unstable();
        Track {
            number: track.number,
            essence: track.essence.clone(),
            timescale: track.timescale,
            presentation_times: self.times,
            last_duration: self.last.map(|(_, duration)| super::nanoseconds(i64::from(duration), track.timescale)),
            key_frames: matches!(track.essence, Essence::Video { .. }).then_some(self.key_frames),
        }
    }
}

/// Reads the body of a `moov` or `moof`.
fn read_description<T: ReadAtom>(header: &Header, input: &mut impl Read) -> Result<T, ProbeError> {
    match header.size {
        Some(size) if size <= LARGEST_DESCRIPTION => T::read_atom(header, input).map_err(broken),
        _ => Err(ProbeError::Damaged(format!("{} box of impossible size", header.kind))),
    }
}

fn skip(header: &Header, input: &mut impl Read) -> Result<(), ProbeError> {
    let Some(size) = header.size else {
        std::io::copy(input, &mut std::io::sink())?;
        return Ok(());
    };
    let skipped = std::io::copy(&mut input.take(size as u64), &mut std::io::sink())?;
    if skipped == size as u64 { Ok(()) } else { Err(ProbeError::Truncated("the last MP4 box is not whole")) }
}

fn broken(error: mp4_atom::Error) -> ProbeError {
    match error {
        mp4_atom::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            ProbeError::Truncated("the last MP4 box is not whole")
        }
        mp4_atom::Error::Io(error) => ProbeError::Io(error),
        error => ProbeError::Damaged(format!("MP4: {error}")),
    }
}

/// What the edit list adds to composition times (ISO/IEC 14496-12, 8.6.6): empty edits delay the
/// track, and the media time that presentation begins at is taken off.
fn edit_shift(track: &Trak, movie_timescale: u32) -> Result<i64, ProbeError> {
    let mut delay: i128 = 0;
    let edits = track.edts.iter().filter_map(|edits| edits.elst.as_ref()).flat_map(|list| &list.entries);
    let mut begin = 0;
    for edit in edits {
        if let Some(time) = edit.media_time {
            begin = i128::from(time);
            break;
        }
        delay += i128::from(edit.segment_duration);
    }
    let delay = delay * i128::from(track.mdia.mdhd.timescale) / i128::from(movie_timescale.max(1));
    i64::try_from(delay - begin).map_err(|_| ProbeError::Damaged("impossible edit list".to_owned()))
}

/// What a track holds; `None` for what is neither picture nor sound.
fn essence(media: &Mdia) -> Result<Option<Essence>, ProbeError> {
    let handler: &[u8] = media.hdlr.handler.as_ref();
    if handler != b"vide" && handler != b"soun" {
        return Ok(None);
    }
    let codec = media.minf.stbl.stsd.codecs.first().ok_or(ProbeError::Missing("the coding of its tracks"))?;
    let essence = match codec {
        Codec::Avc1(entry) => h264_essence(&entry.avcc.sequence_parameter_sets)?,
        Codec::Avc3(entry) => h264_essence(&entry.avcc.sequence_parameter_sets)?,
        Codec::Hvc1(entry) => h265_essence(&entry.hvcc, &entry.visual)?,
        Codec::Hev1(entry) => h265_essence(&entry.hvcc, &entry.visual)?,
        Codec::Mp4a(entry) => Essence::Audio(aac_parameters(entry)?),
        Codec::Unknown(kind, _) => {
            return Err(ProbeError::Unsupported(format!(
                "sample entry {kind}: only H.264, H.265 and AAC, unencrypted"
            )));
        }
        _ => {
            return Err(ProbeError::Unsupported("a track that is not H.264, H.265 or AAC".to_owned()));
        }
    };
    Ok(Some(essence))
}

fn h264_essence(parameter_sets: &[Vec<u8>]) -> Result<Essence, ProbeError> {
    let parameters = parameter_sets.first().map(|set| h264::parameters(set)).transpose()?;
    Ok(Essence::Video { codec: VideoCodec::H264, parameters })
}

fn h265_essence(configuration: &Hvcc, visual: &Visual) -> Result<Essence, ProbeError> {
    let parameter_set = configuration
        .arrays
        .iter()
        .find(|array| array.nal_unit_type == h265::SEQUENCE_PARAMETER_SET)
        .and_then(|array| array.nalus.first());
    let parameters = match parameter_set {
        Some(parameter_set) => h265::parameters(parameter_set)?,
        // `hev1` may carry its parameter sets with the pictures; the sample entry has the size.
        None => VideoParameters {
            width: u32::from(visual.width),
            height: u32::from(visual.height),
            bit_depth: configuration.bit_depth_luma_minus8.saturating_add(8),
            progressive: true,
            pixel_aspect_ratio: None,
            chroma_subsampling: None,
            colour: None,
            declared_rate: None,
            avc: None,
        },
    };
    Ok(Essence::Video { codec: VideoCodec::H265, parameters: Some(parameters) })
}

fn aac_parameters(entry: &Mp4a) -> Result<AudioParameters, ProbeError> {
    let decoder = &entry.esds.es_desc.dec_config;
    if decoder.object_type_indication != MPEG4_AUDIO {
        return Err(ProbeError::Unsupported(format!(
            "sound of object type {:#04x}: only AAC",
            decoder.object_type_indication
        )));
    }
    let specific = decoder.dec_specific.as_ref();
    let sample_rate = specific
        .and_then(|specific| aac::sample_rate(specific.freq_index))
        .unwrap_or_else(|| u32::from(entry.audio.sample_rate.integer()));
    let channels = specific
        .and_then(|specific| aac::channels(specific.chan_conf))
        .or_else(|| u8::try_from(entry.audio.channel_count).ok())
        .filter(|channels| *channels > 0);
    Ok(AudioParameters {
        sample_rate: Some(sample_rate).filter(|rate| *rate > 0).ok_or(ProbeError::Missing("the sample rate"))?,
        channels: channels.ok_or(ProbeError::Missing("the number of channels"))?,
        object_type: specific.map_or(2, |specific| specific.profile),
    })
}
