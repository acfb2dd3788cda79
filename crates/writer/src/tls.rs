//! How the destination's certificate is checked: by the system's store, or by one file of authorities. Always checked (X2).

use std::path::Path;
use std::sync::Arc;

use flow::{Error, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::codes::E2015_TRUST;

/// The TLS settings of one client. With `ca_file`, only its authorities are trusted.
///
/// # Errors
/// [`E2015_TRUST`] when there is nothing to check certificates with.
pub(crate) fn config(secure: bool, ca_file: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(&E2015_TRUST, "TLS cannot be set up").with_source(error))?;
    match ca_file {
        // Plain http to this machine needs no authorities, so none have to be installed for it.
        None if !secure => {
            Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        }
        None => builder
            .with_platform_verifier()
            .map(|builder| builder.with_no_client_auth())
            .map_err(|error| {
                Error::new(&E2015_TRUST, "this machine's certificate store cannot be used")
                    .with_source(error)
            }),
        Some(path) => Ok(builder.with_root_certificates(roots(path)?).with_no_client_auth()),
    }
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let wrong =
        |reason: &str| Error::new(&E2015_TRUST, format!("`ca_file` {}: {reason}", path.display()));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong("cannot be read").with_source(error))?;
    for certificate in certificates {
        let certificate =
            certificate.map_err(|error| wrong("is not a PEM file").with_source(error))?;
        roots
            .add(certificate)
            .map_err(|error| wrong("holds an unusable certificate").with_source(error))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_authority_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("ca.pem");
        std::fs::write(&empty, "no certificate here").expect("written");
        for path in [folder.path().join("missing.pem"), empty] {
            let error = config(true, Some(&path)).expect_err("nothing to check with");
            assert_eq!(error.code().id, "E2015");
            assert!(error.message().contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn plain_http_needs_no_certificate_store() {
        assert!(config(false, None).is_ok());
    }
}
