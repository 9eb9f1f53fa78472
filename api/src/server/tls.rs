//! Encryption of connections.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::settings::TlsSettings;

/// What takes encrypted connections, where the settings ask for it.
///
/// # Errors
/// When one file is named without the other, or they cannot be read, or do not belong together.
pub fn acceptor(settings: &TlsSettings) -> Result<Option<TlsAcceptor>> {
    let (certificate, key) = match (&settings.certificate, &settings.key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => bail!("tls.certificate is set, but tls.key is not"),
        (None, Some(_)) => bail!("tls.key is set, but tls.certificate is not"),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates(certificate)?, private_key(key)?)
        .context("tls.certificate and tls.key do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unusable = || format!("tls.certificate {} cannot be used", path.display());
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).with_context(unusable)?.collect::<Result<_, _>>().with_context(unusable)?;
    anyhow::ensure!(!certificates.is_empty(), "tls.certificate {} has no certificate in PEM form", path.display());
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| format!("tls.key {} cannot be used", path.display()))
}
