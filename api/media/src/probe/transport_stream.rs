//! Tracks and timing of an MPEG-2 transport stream (ISO/IEC 13818-1).

use std::io::Read;

use h264_reader::annexb::AnnexBReader;
use h264_reader::nal::{Nal, RefNal};
use h264_reader::push::{AccumulatedNalHandler, NalAccumulator, NalInterest};
use mpeg2ts_reader::StreamType;
use mpeg2ts_reader::demultiplex::{
    Demultiplex, DemuxContext, FilterChangeset, FilterRequest, NullPacketFilter, PatPacketFilter, PmtPacketFilter,
};
use mpeg2ts_reader::packet::{Packet, Pid};
use mpeg2ts_reader::packet_filter_switch;
use mpeg2ts_reader::pes::{ElementaryStreamConsumer, PesContents, PesHeader, PesPacketFilter, PtsDts};
use mpeg2ts_reader::psi::pat::PAT_PID;

use super::aac::AdtsScanner;
use super::{Container, Essence, MediaFile, ProbeError, READ_SIZE, Track, VideoCodec, h264, h265};

/// Ticks in a second.
pub const CLOCK: u32 = 90_000;

/// The clock has 33 bits.
const CLOCK_PERIOD: i64 = 1 << 33;

/// Reads a whole transport stream file.
pub fn probe(mut input: impl Read, near: Option<i64>) -> Result<MediaFile, ProbeError> {
    let mut context =
        Context { changes: FilterChangeset::default(), streams: Vec::new(), program: None, unsupported: None, near };
    let mut demultiplex = Demultiplex::new(&mut context);
    let mut buffer = vec![0; READ_SIZE];
    let mut offset = 0;
    loop {
        let length = read_full(&mut input, &mut buffer)?;
        let packets = buffer[..length].chunks(Packet::SIZE);
        for (index, packet) in packets.enumerate() {
            if packet.len() < Packet::SIZE {
                return Err(ProbeError::Truncated("the last transport packet is not whole"));
            }
            if packet[0] != Packet::SYNC_BYTE {
                let at = offset + index * Packet::SIZE;
                return Err(ProbeError::Damaged(format!("no transport packet at byte {at}")));
            }
        }
        demultiplex.push(&mut context, &buffer[..length]);
        offset += length;
        if length < buffer.len() {
            return context.finish();
        }
    }
}

/// Fills the buffer, less only at the end of the input.
fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> Result<usize, std::io::Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..])? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

packet_filter_switch! {
    Filter<Context> {
        Elementary: PesPacketFilter<Context, StreamIndex>,
        ProgramAssociation: PatPacketFilter<Context>,
        ProgramMap: PmtPacketFilter<Context>,
        Ignored: NullPacketFilter<Context>,
    }
}

pub struct Context {
    changes: FilterChangeset<Filter>,
    streams: Vec<Stream>,
    /// The packet id of the program map that the streams come from.
    program: Option<Pid>,
    /// The first thing found that cannot be read.
    unsupported: Option<String>,
    /// The tick that the next time stamp is expected close to.
    near: Option<i64>,
}

struct Stream {
    pid: u16,
    scanner: Scanner,
    times: Vec<i64>,
    /// Sound: samples that began since the last time stamp.
    samples: u32,
}

enum Scanner {
    Video(AnnexBReader<NalAccumulator<NalUnits>>),
    Audio(AdtsScanner),
}

impl DemuxContext for Context {
    type F = Filter;

    fn filter_changeset(&mut self) -> &mut FilterChangeset<Filter> {
        &mut self.changes
    }

    fn construct(&mut self, request: FilterRequest<'_, '_>) -> Filter {
        let ignored = || Filter::Ignored(NullPacketFilter::default());
        match request {
            FilterRequest::ByPid(PAT_PID) => Filter::ProgramAssociation(PatPacketFilter::default()),
            FilterRequest::Pmt { pid, program_number } => Filter::ProgramMap(PmtPacketFilter::new(pid, program_number)),
            FilterRequest::ByStream { program_pid, stream_type, stream_info, .. } => {
                if *self.program.get_or_insert(program_pid) != program_pid {
                    self.unsupported.get_or_insert_with(|| "several programs in one transport stream".to_owned());
                }
                self.stream(stream_type, stream_info.elementary_pid())
                    .map_or_else(ignored, |index| Filter::Elementary(PesPacketFilter::new(index)))
            }
            FilterRequest::ByPid(_) | FilterRequest::Nit { .. } => ignored(),
        }
    }
}

impl Context {
    /// The stream of a packet id, made if it is new. `None` for what is neither picture nor sound
    /// (subtitles, timed metadata): it stays in the objects as it is but has no flow of its own.
    fn stream(&mut self, stream_type: StreamType, pid: Pid) -> Option<StreamIndex> {
        let pid = u16::from(pid);
        if let Some(index) = self.streams.iter().position(|stream| stream.pid == pid) {
            return Some(StreamIndex(index));
        }
        let video = |codec| Scanner::Video(AnnexBReader::accumulate(NalUnits::new(codec)));
        let scanner = match stream_type {
            StreamType::H264 => video(VideoCodec::H264),
            StreamType::H265 => video(VideoCodec::H265),
            StreamType::ADTS => Scanner::Audio(AdtsScanner::default()),
            StreamType::ISO_11172_VIDEO
            | StreamType::H262
            | StreamType::ISO_14496_2_VISUAL
            | StreamType::ISO_11172_AUDIO
            | StreamType::ISO_138183_AUDIO
            | StreamType::LATM
            | StreamType::ATSC_DOLBY_DIGITAL_AUDIO => {
                self.unsupported.get_or_insert_with(|| {
                    format!("stream type {stream_type:?} of packet id {pid}: only H.264, H.265 and AAC (ADTS)")
                });
                return None;
            }
            _ => return None,
        };
        self.streams.push(Stream { pid, scanner, times: Vec::new(), samples: 0 });
        Some(StreamIndex(self.streams.len() - 1))
    }

    /// The 33-bit time on the line without wraps: of all times that read alike, the one closest to
    /// where the stream already is.
    fn unwrap_clock(&mut self, time: u64) -> i64 {
        let time = i64::try_from(time).unwrap_or_default();
        let near = self.near.unwrap_or(time);
        let turns = (near - time + CLOCK_PERIOD / 2).div_euclid(CLOCK_PERIOD);
        let unwrapped = time + turns * CLOCK_PERIOD;
        self.near = Some(unwrapped);
        unwrapped
    }

    fn finish(self) -> Result<MediaFile, ProbeError> {
        if let Some(unsupported) = self.unsupported {
            return Err(ProbeError::Unsupported(unsupported));
        }
        if self.streams.is_empty() {
            return Err(ProbeError::Missing("its streams: no program map with picture or sound"));
        }
        let tracks: Vec<Track> = self
            .streams
            .into_iter()
            .filter(|stream| !stream.times.is_empty())
            .map(Stream::finish)
            .collect::<Result<_, _>>()?;
        if tracks.is_empty() {
            return Err(ProbeError::Missing("when it is presented: no time stamps"));
        }
        Ok(MediaFile { container: Container::TransportStream, tracks })
    }
}

impl Stream {
    fn push(&mut self, payload: &[u8]) {
        match &mut self.scanner {
            Scanner::Video(reader) => reader.push(payload),
            Scanner::Audio(scanner) => self.samples += scanner.push(payload),
        }
    }

    fn finish(mut self) -> Result<Track, ProbeError> {
        let (essence, last_duration, key_frames) = match self.scanner {
            Scanner::Video(mut reader) => {
                // Ends the NAL unit that the file ends with.
                reader.reset();
                let units = reader.nal_handler_ref();
                let essence = Essence::Video { codec: units.codec, parameters: units.parameters()? };
                (essence, None, Some(units.key_frames()))
            }
            Scanner::Audio(scanner) => {
                let parameters = scanner.parameters()?;
                let duration = super::nanoseconds(i64::from(self.samples), parameters.sample_rate);
                (Essence::Audio(parameters), Some(duration), None)
            }
        };
        self.times.sort_unstable();
        Ok(Track {
            number: u32::from(self.pid),
            essence,
            timescale: CLOCK,
            presentation_times: self.times,
            last_duration,
            key_frames,
        })
    }
}

/// Hands the packets of one elementary stream to its place in the [`Context`].
pub struct StreamIndex(usize);

impl ElementaryStreamConsumer<Context> for StreamIndex {
    fn start_stream(&mut self, _: &mut Context) {}

    fn begin_packet(&mut self, context: &mut Context, header: PesHeader<'_>) {
        let PesContents::Parsed(Some(contents)) = header.contents() else {
            return;
        };
        let time = match contents.pts_dts() {
            Ok(PtsDts::PtsOnly(Ok(time)) | PtsDts::Both { pts: Ok(time), .. }) => {
                Some(context.unwrap_clock(time.value()))
            }
            _ => None,
        };
        let stream = &mut context.streams[self.0];
        if let Some(time) = time {
            stream.times.push(time);
            stream.samples = 0;
            if let Scanner::Video(reader) = &mut stream.scanner {
                reader.nal_handler_mut().begin_access_unit();
            }
        }
        stream.push(contents.payload());
    }

    fn continue_packet(&mut self, context: &mut Context, data: &[u8]) {
        context.streams[self.0].push(data);
    }

    fn end_packet(&mut self, _: &mut Context) {}

    fn continuity_error(&mut self, context: &mut Context) {
        let pid = context.streams[self.0].pid;
        tracing::warn!(pid, "transport packets are missing");
    }
}

/// Looks at NAL units as they pass: keeps the first sequence parameter set, counts key pictures.
struct NalUnits {
    codec: VideoCodec,
    sequence_parameter_set: Option<Vec<u8>>,
    key_frames: u32,
    key_frame: bool,
}

impl NalUnits {
    fn new(codec: VideoCodec) -> Self {
        Self { codec, sequence_parameter_set: None, key_frames: 0, key_frame: false }
    }

    fn begin_access_unit(&mut self) {
        self.key_frames = self.key_frames();
        self.key_frame = false;
    }

    fn key_frames(&self) -> u32 {
        self.key_frames + u32::from(self.key_frame)
    }

    fn parameters(&self) -> Result<Option<super::VideoParameters>, ProbeError> {
        let parse = match self.codec {
            VideoCodec::H264 => h264::parameters,
            VideoCodec::H265 => h265::parameters,
        };
        self.sequence_parameter_set.as_deref().map(parse).transpose()
    }
}

/// No sequence parameter set is longer; a NAL unit that is, is garbage and need not be kept.
const LONGEST_PARAMETER_SET: usize = 64 * 1024;

impl AccumulatedNalHandler for NalUnits {
    fn nal(&mut self, nal: RefNal<'_>) -> NalInterest {
        let mut first_byte = [0];
        if nal.reader().read_exact(&mut first_byte).is_err() {
            return NalInterest::Buffer;
        }
        let (is_parameter_set, is_key) = match self.codec {
            VideoCodec::H264 => {
                let unit = h264::nal_unit_type(first_byte[0]);
                (unit == h264::SEQUENCE_PARAMETER_SET, unit == h264::INSTANTANEOUS_REFRESH)
            }
            VideoCodec::H265 => {
                let unit = h265::nal_unit_type(first_byte[0]);
                (unit == h265::SEQUENCE_PARAMETER_SET, h265::RANDOM_ACCESS.contains(&unit))
            }
        };
        self.key_frame |= is_key;
        if !is_parameter_set || self.sequence_parameter_set.is_some() {
            return NalInterest::Ignore;
        }
        let mut bytes = Vec::new();
        let limited = nal.reader().take(LONGEST_PARAMETER_SET as u64 + 1).read_to_end(&mut bytes);
        if bytes.len() > LONGEST_PARAMETER_SET {
            return NalInterest::Ignore;
        }
        // A NAL unit that is not complete ends its reader with an error; it will come again.
        if nal.is_complete() && limited.is_ok() {
            self.sequence_parameter_set = Some(bytes);
        }
        NalInterest::Buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_clock_goes_on_and_a_small_step_back_stays_small() {
        let mut context = Context {
            changes: FilterChangeset::default(),
            streams: Vec::new(),
            program: None,
            unsupported: None,
            near: Some(CLOCK_PERIOD - 10),
        };
        assert_eq!(context.unwrap_clock(5), CLOCK_PERIOD + 5);
        assert_eq!(context.unwrap_clock((1 << 33) - 3), CLOCK_PERIOD - 3);
        context.near = None;
        assert_eq!(context.unwrap_clock(7), 7);
        assert_eq!(context.unwrap_clock((1 << 33) - 1), -1);
    }
}
