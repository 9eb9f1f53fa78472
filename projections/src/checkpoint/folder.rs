//! The folder that checkpoints lie in: the one place that touches files.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// An operation on a file failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", path.display())]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// What identifies the contents of a stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Its name in the folder, which depends on its contents.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// The hash of its contents, in hexadecimal.
    pub blake3: String,
}

/// Ends the names of files that are being written.
const UNFINISHED: &str = ".unfinished";

/// A folder of files that are written once.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder and makes it where it is missing.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        fs::create_dir_all(path).map_err(|source| FileError { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn at<T>(&self, name: &str, operation: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, FileError> {
        let path = self.path.join(name);
        operation(&path).map_err(|source| FileError { path, source })
    }

    /// Begins a file.
    pub fn begin(&self, stem: &str) -> Result<NewFile<'_>, FileError> {
        let name = format!("{stem}{UNFINISHED}");
        let file = self.at(&name, |path| File::create(path))?;
        let writer = HashingWriter { file: BufWriter::new(file), hasher: blake3::Hasher::new(), bytes: 0 };
        Ok(NewFile { folder: self, stem: stem.to_owned(), name, writer })
    }

    /// Reads a file whose contents must be those that were stored; `None` where they are not.
    pub fn read(&self, stored: &Stored) -> Result<Option<Vec<u8>>, FileError> {
        let contents = self.at(&stored.file, |path| fs::read(path))?;
        let is_intact = contents.len() as u64 == stored.bytes && hex_hash(blake3::hash(&contents)) == stored.blake3;
        Ok(is_intact.then_some(contents))
    }

    /// Reads a file as it is.
    pub fn read_any(&self, name: &str) -> Result<Vec<u8>, FileError> {
        self.at(name, |path| fs::read(path))
    }

    /// Makes the names of finished files durable.
    pub fn sync(&self) -> Result<(), FileError> {
        self.at("", |path| File::open(path)?.sync_all())
    }

    /// Writes a file so that it is there whole or not at all, also after a power cut.
    pub fn put(&self, name: &str, contents: &[u8]) -> Result<(), FileError> {
        let unfinished = format!("{name}{UNFINISHED}");
        self.at(&unfinished, |path| {
            let mut file = File::create(path)?;
            file.write_all(contents)?;
            file.sync_all()?;
            fs::rename(path, self.path.join(name))
        })?;
        self.sync()
    }

    /// The names of all files.
    pub fn names(&self) -> Result<Vec<String>, FileError> {
        self.at("", |path| {
            let mut names = Vec::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    names.extend(entry.file_name().into_string());
                }
            }
            Ok(names)
        })
    }

    pub fn remove(&self, name: &str) -> Result<(), FileError> {
        self.at(name, |path| fs::remove_file(path))
    }
}

fn hex_hash(hash: blake3::Hash) -> String {
    hash.to_hex().to_string()
}

/// A file that is being written.
pub(crate) struct NewFile<'a> {
    folder: &'a Folder,
    stem: String,
    name: String,
    pub writer: HashingWriter,
}

impl NewFile<'_> {
    /// Makes the contents durable, under a name that depends on them.
    pub fn finish(self, extension: &str) -> Result<Stored, FileError> {
        let HashingWriter { file, hasher, bytes } = self.writer;
        let blake3 = hex_hash(hasher.finalize());
        let name = format!("{}-{}.{extension}", self.stem, &blake3[..16]);
        self.folder.at(&self.name, |path| {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(path, self.folder.path.join(&name))
        })?;
        Ok(Stored { file: name, bytes, blake3 })
    }
}

/// Counts and hashes what passes.
pub(crate) struct HashingWriter {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for HashingWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
