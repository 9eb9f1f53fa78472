//! A clip to try things with, made by ffmpeg.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// Why there is no clip.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// ffmpeg is not installed.
    #[error("ffmpeg is not on PATH: run ./setup.sh")]
    NoFfmpeg,
    /// ffmpeg could not be started, or the folder not be made.
    #[error("the clip cannot be made in {}", directory.display())]
    Io {
        /// The folder.
        directory: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// ffmpeg failed.
    #[error("ffmpeg cannot make the clip: {0}")]
    Ffmpeg(String),
}

/// Makes a clip in a folder and returns its HLS playlist: a moving test picture of 1920 by 1080 at 25
/// frames a second in H.264 with its time code burnt in, where this ffmpeg can, a tone in AAC, in
/// MPEG-TS segments of two seconds. A clip of this length that is already there is used again.
pub async fn make_test_clip(directory: &Path, seconds: u32) -> Result<PathBuf, ClipError> {
    let failed = |source| ClipError::Io { directory: directory.to_owned(), source };
    let name = format!("test-clip-{seconds}s");
    // ffmpeg writes the playlist of a finished clip last and renames it into place.
    let playlist = directory.join(format!("{name}.m3u8"));
    if playlist.exists() {
        return Ok(playlist);
    }
    tokio::fs::create_dir_all(directory).await.map_err(failed)?;
    const TIME_CODE: &str = ",drawtext=timecode='00\\:00\\:00\\:00':rate=25:fontsize=64:fontcolor=white:box=1:boxcolor=black:x=(w-tw)/2:y=h-2*th";
    let mut reason = String::new();
    // Not every ffmpeg has drawtext and a font to draw with.
    for time_code in [TIME_CODE, ""] {
        let picture = format!("testsrc2=size=1920x1080:rate=25:duration={seconds}{time_code}");
        let sound = format!("sine=frequency=1000:sample_rate=48000:duration={seconds}");
        let output = Command::new("ffmpeg")
            .current_dir(directory)
            .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
            .args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-sc_threshold", "0"])
            .args(["-c:a", "aac", "-b:a", "128k", "-ac", "2"])
            .args(["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-hls_flags", "temp_file"])
            .args(["-hls_segment_filename", &format!("{name}-%03d.ts"), &format!("{name}.m3u8")])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => ClipError::NoFfmpeg,
                _ => failed(source),
            })?;
        if output.status.success() {
            return Ok(playlist);
        }
        reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    }
    Err(ClipError::Ffmpeg(reason))
}
