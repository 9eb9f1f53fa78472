//! Real media, made and measured by ffmpeg.

use std::path::{Path, PathBuf};

use crate::program::ffmpeg;

/// What HLS segments are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// MPEG-2 transport stream.
    TransportStream,
    /// Fragmented MP4 with an initialisation segment.
    FragmentedMp4,
}

/// Makes an HLS recording of a test picture and a test tone in pieces of two seconds, and gives its playlist.
pub fn recording(folder: &Path, seconds: u32, size: &str, packaging: Packaging) -> PathBuf {
    let folder = folder.join(format!("recording-{seconds}"));
    std::fs::create_dir(&folder).expect("a fresh folder");
    let picture = format!("testsrc2=size={size}:rate=25:duration={seconds}");
    let sound = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let mut arguments = vec!["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
    // Key frames exactly where pieces are cut.
    arguments.extend([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-g",
        "50",
        "-sc_threshold",
        "0",
    ]);
    arguments.extend(["-c:a", "aac", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"]);
    match packaging {
        Packaging::TransportStream => arguments.extend(["-hls_segment_filename", "piece%03d.ts"]),
        Packaging::FragmentedMp4 => {
            arguments.extend(["-hls_segment_type", "fmp4", "-hls_segment_filename", "piece%03d.m4s"]);
        }
    }
    arguments.push("playlist.m3u8");
    ffmpeg("ffmpeg", &folder, &arguments);
    folder.join("playlist.m3u8")
}

/// Every frame of one kind of stream, decoded: a line of time, size and hash each.
pub fn frames(file: &Path, stream: &str) -> Vec<String> {
    let path = file.to_str().expect("a path of text");
    let folder = file.parent().expect("a file lies in a folder");
    let output = ffmpeg("ffmpeg", folder, &["-i", path, "-map", stream, "-f", "framemd5", "-"]);
    let text = String::from_utf8(output).expect("framemd5 is text");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The hashes of frames, without their times.
pub fn hashes(frames: &[String]) -> Vec<&str> {
    frames.iter().map(|line| line.rsplit(',').next().unwrap_or_default().trim()).collect()
}
