//! Files that hold a secret: nobody else on this machine may read them, and a crash leaves none half written.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Reads the text of a file, without the space around it; absent where there is no file.
///
/// # Errors
/// When there is one and it cannot be read.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a line of text into a file that only its owner may read, in the place of whatever is there.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, line: &str) -> io::Result<()> {
    // Written beside its place and then moved, so that a crash leaves no half file for the next start.
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
