//! Whether the settings of who may use the store make sense, and what they name is there.

use anyhow::{Result, ensure};

use super::jwks::Source;
use crate::settings::{AuthMode, IssuerSettings, Settings};

/// Checks the settings before anything is started, and warns of what is dangerous.
///
/// # Errors
/// When they would open the store to others by mistake, or take no token at all.
pub fn ensure_sound(settings: &Settings) -> Result<()> {
    let (auth, listen) = (&settings.auth, settings.listen);
    ensure!(auth.access_token_seconds > 0, "auth.access_token_seconds is 0, so that no token would ever hold");
    ensure!(auth.refresh_token_seconds > 0, "auth.refresh_token_seconds is 0, so that no token would ever hold");
    for (index, issuer) in auth.issuers.iter().enumerate() {
        let again = auth.issuers[..index].iter().any(|other| other.issuer == issuer.issuer);
        ensure!(!again, "auth.issuers has {:?} twice", issuer.issuer);
        ensure!(
            !issuer.audiences.is_empty(),
            "auth.issuers {:?} has no audiences: tokens for any service would be taken",
            issuer.issuer
        );
        let keys_from = issuer.jwks_url.as_ref().map_or(issuer.issuer.as_str(), |url| url.as_str());
        if keys_from.starts_with("http:") {
            tracing::warn!(
                issuer = issuer.issuer,
                "the keys of this identity provider come without encryption: whoever is in between may forge tokens"
            );
        }
    }
    if auth.mode == AuthMode::None {
        ensure!(
            listen.ip().is_loopback(),
            "auth.mode is none, which is for development and lets everybody do everything: the server then listens on a \
             loopback address only, and {listen} is none"
        );
        tracing::warn!("auth.mode is none: everybody on this machine may do everything");
        return Ok(());
    }
    let is_encrypted = settings.tls.certificate.is_some()
        || settings.public_url.as_deref().is_some_and(|url| url.starts_with("https:"));
    if !is_encrypted && !listen.ip().is_loopback() {
        tracing::warn!(%listen, "credentials travel without encryption: set tls, or public_url with https where a proxy encrypts");
    }
    Ok(())
}

/// How many keys an identity provider has with which tokens can be checked.
///
/// # Errors
/// When it cannot be asked, or has none.
pub async fn count_keys(issuer: &IssuerSettings) -> Result<usize> {
    Source::new(issuer)?.count().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_open_to_all_is_so_on_this_machine_only() {
        let mut settings = Settings::default();
        for (listen, mode, sound) in [
            ("127.0.0.1:0", AuthMode::None, true),
            ("[::1]:0", AuthMode::None, true),
            ("0.0.0.0:0", AuthMode::None, false),
            ("192.0.2.1:0", AuthMode::None, false),
            ("0.0.0.0:0", AuthMode::Required, true),
        ] {
            settings.listen = listen.parse().unwrap();
            settings.auth.mode = mode;
            assert_eq!(ensure_sound(&settings).is_ok(), sound, "{listen} {mode:?}");
        }
    }

    #[test]
    fn an_issuer_stands_there_once_and_says_whom_its_tokens_are_for() {
        let issuer: IssuerSettings =
            serde_json::from_str(r#"{"issuer":"https://id.test","audiences":["tams"]}"#).unwrap();
        let mut settings = Settings::default();
        settings.auth.issuers = vec![issuer.clone()];
        assert!(ensure_sound(&settings).is_ok());
        settings.auth.issuers = vec![issuer.clone(), issuer.clone()];
        assert!(ensure_sound(&settings).is_err());
        settings.auth.issuers = vec![IssuerSettings { audiences: Vec::new(), ..issuer }];
        assert!(ensure_sound(&settings).is_err());
    }
}
