//! AAC in its ADTS form, as carried in MPEG-TS (ISO/IEC 13818-7, 6.2).

use super::{AudioParameters, ProbeError};

const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Samples of each channel in one raw data block.
pub const SAMPLES_IN_BLOCK: u32 = 1024;

/// The sample rate of a sampling frequency index.
pub fn sample_rate(index: u8) -> Option<u32> {
    SAMPLE_RATES.get(usize::from(index)).copied()
}

/// The number of channels of a channel configuration; `None` for 0, where the stream describes them
/// in another place.
pub fn channels(configuration: u8) -> Option<u8> {
    match configuration {
        1..=6 => Some(configuration),
        7 => Some(8),
        _ => None,
    }
}

const HEADER_SIZE: usize = 7;

/// Walks over a stream of ADTS frames that arrives in pieces, counting samples.
#[derive(Debug, Default)]
pub struct AdtsScanner {
    header: Vec<u8>,
    /// Bytes of the present frame that are still to come.
    remaining: usize,
    first: Option<[u8; HEADER_SIZE]>,
}

impl AdtsScanner {
    /// Takes the next piece and returns how many samples begin in it, counting a frame where its
    /// header ends.
    pub fn push(&mut self, mut bytes: &[u8]) -> u32 {
        let mut samples = 0;
        loop {
            let skipped = self.remaining.min(bytes.len());
            bytes = &bytes[skipped..];
            self.remaining -= skipped;
            let Some((byte, rest)) = bytes.split_first() else {
                return samples;
            };
            bytes = rest;
            self.header.push(*byte);
            let Ok(header) = <[u8; HEADER_SIZE]>::try_from(self.header.as_slice()) else {
                continue;
            };
            let length =
                usize::from(header[3] & 0b11) << 11 | usize::from(header[4]) << 3 | usize::from(header[5] >> 5);
            let in_sync = header[0] == 0xff && header[1] & 0b1111_0110 == 0b1111_0000;
            if in_sync && length >= HEADER_SIZE {
                self.first.get_or_insert(header);
                self.remaining = length - HEADER_SIZE;
                self.header.clear();
                samples += (u32::from(header[6] & 0b11) + 1) * SAMPLES_IN_BLOCK;
            } else {
                self.header.remove(0);
            }
        }
    }

    /// What the first frame says.
    pub fn parameters(&self) -> Result<AudioParameters, ProbeError> {
        let header = self.first.ok_or(ProbeError::Missing("the sample rate of its AAC sound: no ADTS frame"))?;
        let sample_rate = sample_rate(header[2] >> 2 & 0b1111)
            .ok_or_else(|| ProbeError::Damaged("reserved AAC sample rate".to_owned()))?;
        let channels = channels((header[2] & 1) << 2 | header[3] >> 6).ok_or_else(|| {
            ProbeError::Unsupported("AAC whose channels are listed in a program config element".to_owned())
        })?;
        Ok(AudioParameters { sample_rate, channels, object_type: (header[2] >> 6) + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_however_the_bytes_are_cut() {
        // AAC-LC, 48 kHz, stereo, frames of 20 bytes.
        let mut frame = vec![0xff, 0xf1, 0x4c, 0x80, 0x02, 0x9f, 0xfc];
        frame.resize(20, 0xff);
        let stream = frame.repeat(5);
        for size in [1, 3, 7, 19, 20, 21, 100] {
            let mut scanner = AdtsScanner::default();
            let samples: u32 = stream.chunks(size).map(|piece| scanner.push(piece)).sum();
            assert_eq!(samples, 5 * 1024);
            let parameters = scanner.parameters().unwrap();
            assert_eq!((parameters.sample_rate, parameters.channels, parameters.object_type), (48_000, 2, 2));
        }
    }
}
