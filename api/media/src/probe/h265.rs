//! Picture parameters from an H.265 sequence parameter set (ITU-T H.265, 7.3.2.2).

use std::num::NonZeroUsize;

use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, ByteReader};

use super::{ProbeError, VideoParameters};

/// NAL unit type of a sequence parameter set.
pub const SEQUENCE_PARAMETER_SET: u8 = 33;
/// NAL unit types of pictures at which decoding can start (IRAP).
pub const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=21;

const HEADER_SIZE: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");

/// The type of a NAL unit from its first byte.
pub fn nal_unit_type(first_byte: u8) -> u8 {
    first_byte >> 1 & 0b11_1111
}

/// Reads a sequence parameter set: a whole NAL unit with its two header bytes. Its video usability
/// information comes after much else and is not read.
pub fn parameters(nal_unit: &[u8]) -> Result<VideoParameters, ProbeError> {
    let mut bits = BitReader::new(ByteReader::skipping_bytes(nal_unit, HEADER_SIZE));
    read(&mut bits)
        .map_err(|error| ProbeError::Damaged(format!("H.265 sequence parameter set: {error:?}")))?
        .ok_or_else(|| ProbeError::Damaged("H.265 sequence parameter set: impossible picture size".to_owned()))
}

fn read(bits: &mut impl BitRead) -> Result<Option<VideoParameters>, BitReaderError> {
    bits.skip(4, "sps_video_parameter_set_id")?;
    let sub_layers: u8 = bits.read::<3, u8>("sps_max_sub_layers_minus1")?;
    bits.skip(1, "sps_temporal_id_nesting_flag")?;
    skip_profile_tier_level(bits, sub_layers)?;
    bits.read_ue("sps_seq_parameter_set_id")?;
    let chroma_format = bits.read_ue("chroma_format_idc")?;
    if chroma_format == 3 {
        bits.skip(1, "separate_colour_plane_flag")?;
    }
    let chroma_subsampling = match chroma_format {
        1 => Some((2, 2)),
        2 => Some((2, 1)),
        3 => Some((1, 1)),
        _ => None,
    };
    let mut width = bits.read_ue("pic_width_in_luma_samples")?;
    let mut height = bits.read_ue("pic_height_in_luma_samples")?;
    if bits.read_bit("conformance_window_flag")? {
        let (horizontal, vertical) = chroma_subsampling.unwrap_or((1, 1));
        let mut crop = |unit: u8| -> Result<u32, BitReaderError> {
            let first = bits.read_ue("conf_win_offset")?;
            let second = bits.read_ue("conf_win_offset")?;
            Ok(first.saturating_add(second).saturating_mul(u32::from(unit)))
        };
        width = width.saturating_sub(crop(horizontal)?);
        height = height.saturating_sub(crop(vertical)?);
    }
    let bit_depth = bits.read_ue("bit_depth_luma_minus8")?.saturating_add(8);
    let plausible = (1..=65_535).contains(&width) && (1..=65_535).contains(&height) && bit_depth <= 16;
    Ok(plausible.then(|| VideoParameters {
        width,
        height,
        bit_depth: u8::try_from(bit_depth).unwrap_or(8),
        // H.265 codes interlaced pictures as separate fields and says so only in side messages.
        progressive: true,
        pixel_aspect_ratio: None,
        chroma_subsampling,
        colour: None,
        declared_rate: None,
        avc: None,
    }))
}

/// ITU-T H.265, 7.3.3.
fn skip_profile_tier_level(bits: &mut impl BitRead, sub_layers: u8) -> Result<(), BitReaderError> {
    const PROFILE: u32 = 88;
    const LEVEL: u32 = 8;
    bits.skip(PROFILE + LEVEL, "general_profile_tier_level")?;
    let mut present = Vec::with_capacity(usize::from(sub_layers));
    for _ in 0..sub_layers {
        let profile = bits.read_bit("sub_layer_profile_present_flag")?;
        let level = bits.read_bit("sub_layer_level_present_flag")?;
        present.push((profile, level));
    }
    if sub_layers > 0 {
        for _ in sub_layers..8 {
            bits.skip(2, "reserved_zero_2bits")?;
        }
    }
    for (profile, level) in present {
        bits.skip(if profile { PROFILE } else { 0 }, "sub_layer_profile")?;
        bits.skip(if level { LEVEL } else { 0 }, "sub_layer_level")?;
    }
    Ok(())
}
