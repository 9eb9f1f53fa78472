//! The audit of all changes, as it is told: documents, tables, and exports that a third party can check.

mod export;
mod table;

pub use export::{Checked, ExportHeader, Exporter, InvalidExport, Signer, check};
pub use table::{CommitDocument, write_csv};
