//! Picture parameters from an H.264 sequence parameter set (ITU-T H.264, 7.3.2.1 and annex E).

use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, SeqParameterSet};
use h264_reader::rbsp::{BitReader, ByteReader};

use super::{FrameRate, ProbeError, VideoParameters};

/// NAL unit types.
pub const SEQUENCE_PARAMETER_SET: u8 = 7;
/// A coded slice of a picture at which decoding can start.
pub const INSTANTANEOUS_REFRESH: u8 = 5;

/// The type of a NAL unit from its first byte.
pub fn nal_unit_type(first_byte: u8) -> u8 {
    first_byte & 0b1_1111
}

/// Reads a sequence parameter set: a whole NAL unit with its header byte.
pub fn parameters(nal_unit: &[u8]) -> Result<VideoParameters, ProbeError> {
    let damaged = |error| ProbeError::Damaged(format!("H.264 sequence parameter set: {error:?}"));
    let set =
        SeqParameterSet::from_bits(BitReader::new(ByteReader::skipping_h264_header(nal_unit))).map_err(damaged)?;
    let (width, height) = set.pixel_dimensions().map_err(damaged)?;
    if width == 0 || height == 0 {
        return Err(ProbeError::Damaged("H.264 sequence parameter set: nothing is left after cropping".to_owned()));
    }
    let vui = set.vui_parameters.as_ref();
    // Two ticks make a frame, since a tick is a field (H.264, E.2.1).
    let declared_rate = vui
        .and_then(|vui| vui.timing_info.as_ref())
        .and_then(|timing| FrameRate::new(timing.time_scale, timing.num_units_in_tick.checked_mul(2)?));
    Ok(VideoParameters {
        width,
        height,
        bit_depth: 8 + set.chroma_info.bit_depth_luma_minus8,
        progressive: matches!(set.frame_mbs_flags, FrameMbsFlags::Frames),
        pixel_aspect_ratio: vui.and_then(|vui| vui.aspect_ratio_info.as_ref()?.get()),
        chroma_subsampling: match set.chroma_info.chroma_format {
            ChromaFormat::YUV420 => Some((2, 2)),
            ChromaFormat::YUV422 => Some((2, 1)),
            ChromaFormat::YUV444 => Some((1, 1)),
            ChromaFormat::Monochrome | ChromaFormat::Invalid(_) => None,
        },
        colour: vui.and_then(|vui| {
            let colour = vui.video_signal_type.as_ref()?.colour_description.as_ref()?;
            Some((colour.colour_primaries, colour.transfer_characteristics))
        }),
        declared_rate,
        avc: match nal_unit {
            [_, profile, constraints, level, ..] => Some([*profile, *constraints, *level]),
            _ => None,
        },
    })
}
