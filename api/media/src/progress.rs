//! Progress bars on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts segments. Nothing is drawn where standard error is not a terminal.
pub fn segments(total: u64, doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} segments, {eta} left")
        .expect("the template is constant and right");
    ProgressBar::new(total).with_style(style).with_message(doing)
}
