//! What the parsers read from real files equals what ffprobe reads; damaged files are errors.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;
use support::{encode, ffprobe, files};
use tapelog_media::probe::{Container, Essence, Initialization, MediaFile, ProbeError, nanoseconds, probe};

const X264: [&str; 6] = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25"];

fn assert_equals_ffprobe(media: &MediaFile, file: &Path) {
    let probed = ffprobe(file);
    assert_eq!(media.tracks.len(), probed.len());
    for (track, stream) in media.tracks.iter().zip(&probed) {
        assert_eq!(u32::from_str_radix(stream.number.trim_start_matches("0x"), 16).unwrap(), track.number);
        assert_eq!(track.start(), nanoseconds(stream.first, stream.timescale), "start of {stream:?}");
        let end = stream.end.expect("ffprobe knows every duration of these files");
        let end = nanoseconds(end, stream.timescale);
        let found = track.last() + track.tail(track.frame_rate()).unwrap();
        match &track.essence {
            Essence::Video { parameters, .. } => {
                let parameters = parameters.as_ref().unwrap();
                assert_eq!(stream.kind, "video");
                assert_eq!(track.last(), nanoseconds(stream.last, stream.timescale));
                // ffprobe rounds durations to ticks.
                assert!((found - end).abs() <= nanoseconds(1, stream.timescale), "end of {stream:?}");
                assert_eq!(Some(u64::from(parameters.width)), stream.width);
                assert_eq!(Some(u64::from(parameters.height)), stream.height);
                let rate = track.frame_rate().unwrap();
                assert_eq!(format!("{}/{}", rate.numerator(), rate.denominator()), stream.frame_rate);
                assert_eq!(track.key_frames, Some(u32::try_from(stream.key_frames).unwrap()));
            }
            Essence::Audio(parameters) => {
                assert_eq!(stream.kind, "audio");
                // The last frame of MP4 sound may be declared shorter than the frame that ffprobe parses.
                let last = nanoseconds(stream.last, stream.timescale);
                assert!(found > last && found <= end + 1, "end of {stream:?}");
                assert_eq!(Some(parameters.sample_rate.to_string()), stream.sample_rate);
                assert_eq!(Some(u64::from(parameters.channels)), stream.channels);
            }
        }
    }
}

fn probe_file(path: &Path, near: Option<i64>) -> Result<MediaFile, ProbeError> {
    probe(File::open(path).unwrap(), None, near)
}

#[test]
fn a_muxed_transport_stream_is_read_as_ffprobe_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    for (name, rate) in [("25.ts", "25"), ("2997.ts", "30000/1001"), ("50.ts", "50"), ("23976.ts", "24000/1001")] {
        let arguments = [&X264[..], &["-c:a", "aac", "-ac", "2", name]].concat();
        encode(directory.path(), rate, 3, &arguments);
        let file = directory.path().join(name);
        let media = probe_file(&file, None).unwrap();
        assert_eq!(media.container, Container::TransportStream);
        assert_equals_ffprobe(&media, &file);
    }
}

#[test]
fn single_picture_or_sound_transport_streams_are_read_as_ffprobe_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    encode(directory.path(), "25", 2, &[&X264[..], &["-an", "video.ts"]].concat());
    encode(directory.path(), "25", 2, &["-vn", "-c:a", "aac", "audio.ts"]);
    encode(
        directory.path(),
        "25",
        2,
        &["-an", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25", "hevc.ts"],
    );
    for name in ["video.ts", "audio.ts", "hevc.ts"] {
        let file = directory.path().join(name);
        assert_equals_ffprobe(&probe_file(&file, None).unwrap(), &file);
    }
}

#[test]
fn fragmented_mp4_is_read_as_ffprobe_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    for (codec, rate) in [("libx264", "30000/1001"), ("libx265", "25")] {
        let folder = directory.path().join(codec);
        fs::create_dir(&folder).unwrap();
        encode(
            &folder,
            rate,
            4,
            &[
                "-c:v",
                codec,
                "-preset",
                "ultrafast",
                "-g",
                "50",
                "-bf",
                "2",
                "-c:a",
                "aac",
                "-f",
                "hls",
                "-hls_time",
                "2",
                "-hls_playlist_type",
                "vod",
                "-hls_segment_type",
                "fmp4",
                "clip.m3u8",
            ],
        );
        let init = fs::read(folder.join("init.mp4")).unwrap();
        let initialization = Initialization::read(Cursor::new(&init)).unwrap();
        let segments = files(&folder, "m4s");
        assert!(segments.len() >= 2);
        for segment in segments {
            let media = probe(File::open(&segment).unwrap(), Some(&initialization), None).unwrap();
            assert_eq!(media.container, Container::FragmentedMp4);
            let whole = folder.join("whole.mp4");
            fs::write(&whole, [init.clone(), fs::read(&segment).unwrap()].concat()).unwrap();
            assert_equals_ffprobe(&media, &whole);
            assert_eq!(probe_file(&whole, None).unwrap(), media);
            assert!(matches!(probe_file(&segment, None), Err(ProbeError::NoInitialization)));
        }
    }
}

#[test]
fn the_clock_goes_on_where_its_33_bits_start_again() {
    let directory = tempfile::tempdir().unwrap();
    // The clock wraps at 95443.717 s.
    let arguments =
        [&X264[..], &["-an", "-output_ts_offset", "95440", "-f", "segment", "-segment_time", "1", "clip%02d.ts"]]
            .concat();
    encode(directory.path(), "25", 6, &arguments);
    let mut end = None;
    let mut times = Vec::new();
    for file in files(directory.path(), "ts") {
        let media = probe_file(&file, end).unwrap();
        times.extend_from_slice(&media.reference().presentation_times);
        end = times.last().copied();
    }
    assert_eq!(times.len(), 150);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 3600));
    assert!(times[0] < 1 << 33 && times[149] > 1 << 33);
}

#[test]
fn what_is_not_media_is_an_error_that_says_so() {
    let directory = tempfile::tempdir().unwrap();
    encode(directory.path(), "25", 1, &[&X264[..], &["-c:a", "aac", "whole.mp4"]].concat());
    encode(directory.path(), "25", 1, &["-c:v", "mpeg2video", "-an", "mpeg2.ts"]);
    encode(directory.path(), "25", 1, &[&X264[..], &["-an", "clip.ts"]].concat());
    let clip = fs::read(directory.path().join("clip.ts")).unwrap();

    let plain = probe_file(&directory.path().join("whole.mp4"), None);
    assert!(matches!(plain, Err(ProbeError::Unsupported(text)) if text.contains("not fragmented")));
    let mpeg2 = probe_file(&directory.path().join("mpeg2.ts"), None);
    assert!(matches!(mpeg2, Err(ProbeError::Unsupported(text)) if text.contains("stream type")));
    for garbage in [&b""[..], b"GGGG", b"<html>not found</html>", &[0; 4096], &[0x47; 188 * 9]] {
        assert!(probe(garbage, None, None).is_err());
    }
    let cut = probe(&clip[..clip.len() - 100], None, None);
    assert!(matches!(cut, Err(ProbeError::Truncated(_))));
    let mut shifted = clip.clone();
    shifted.remove(188 * 4 + 10);
    assert!(matches!(probe(shifted.as_slice(), None, None), Err(ProbeError::Damaged(_) | ProbeError::Truncated(_))));
}

#[test]
fn damaged_files_never_panic() {
    let directory = tempfile::tempdir().unwrap();
    encode(directory.path(), "25", 1, &[&X264[..], &["-c:a", "aac", "-b:v", "60k", "clip.ts"]].concat());
    let fragmented = ["-c:a", "aac", "-b:v", "60k", "-movflags", "frag_keyframe+empty_moov", "clip.mp4"];
    encode(directory.path(), "25", 1, &[&X264[..], &fragmented].concat());
    let clips = ["clip.ts", "clip.mp4"].map(|name| fs::read(directory.path().join(name)).unwrap());

    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..40);
    proptest!(ProptestConfig::with_cases(400), |(which in 0..2_usize, changes in changes, length in any::<prop::sample::Index>(), cut in any::<bool>())| {
        let mut bytes = clips[which].clone();
        for (at, value, early) in changes {
            // Half of the changes go to the tables at the start, which decide most.
            let range = if early { bytes.len().min(1500) } else { bytes.len() };
            bytes[at.index(range)] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        // Any outcome but a panic.
        drop(probe(bytes.as_slice(), None, None));
    });
}
