//! Where an export goes.

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::{ExportError, ExportTarget};

/// Files are written in pieces of this size.
const BUFFER: usize = 1 << 20;

/// An open output. A file gets its name when it is finished; dropped before, it vanishes.
pub struct Output {
    path: PathBuf,
    file: BufWriter<File>,
    /// The file's name until it is finished; standard output has none.
    unfinished: Option<TempPath>,
    bytes: u64,
}

impl Output {
    /// Opens the output.
    pub fn create(target: &ExportTarget) -> Result<Self, ExportError> {
        let (path, opened) = match target {
            ExportTarget::Stdout => {
                let stdout = std::io::stdout().as_fd().try_clone_to_owned();
                (Path::new("-"), stdout.map(|stdout| (std::fs::File::from(stdout), None)))
            }
            ExportTarget::File(path) => (path.as_path(), temporary(path).map(|(file, name)| (file, Some(name)))),
        };
        let path = path.to_owned();
        let (file, unfinished) = opened.map_err(|source| ExportError::Output { path: path.clone(), source })?;
        let file = BufWriter::with_capacity(BUFFER, File::from_std(file));
        Ok(Self { path, file, unfinished, bytes: 0 })
    }

    /// Appends bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.bytes += bytes.len() as u64;
        let written = self.file.write_all(bytes).await;
        written.map_err(|source| ExportError::Output { path: self.path.clone(), source })
    }

    /// Makes the output durable and visible, and returns how many bytes it has.
    pub async fn finish(mut self) -> Result<u64, ExportError> {
        let finished = async {
            self.file.flush().await?;
            if let Some(unfinished) = self.unfinished {
                self.file.into_inner().sync_all().await?;
                unfinished.persist(&self.path)?;
            }
            Ok(self.bytes)
        };
        finished.await.map_err(|source| ExportError::Output { path: self.path.clone(), source })
    }
}

/// A file beside the output, so that giving it its name cannot fail for want of space.
fn temporary(output: &Path) -> Result<(std::fs::File, TempPath), std::io::Error> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let file = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".part")
        // As any file that is not temporary, less what the umask takes away.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    Ok(file.into_parts())
}
