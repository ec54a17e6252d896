//! TLS by files: whom to trust, and who this client is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::options::Error;

/// Files in PEM. Without `ca_file` the system's authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificates of the authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate, and those between it and its authority.
    pub cert_file: Option<PathBuf>,
    /// The private key of the client's certificate.
    pub key_file: Option<PathBuf>,
}

/// What the files hold.
struct Contents {
    authorities: Option<Vec<u8>>,
    /// Certificate and key.
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// For gRPC.
    ///
    /// # Errors
    /// [`Error::Tls`]: a file can't be read, or holds something else.
    pub(crate) fn for_grpc(&self) -> Result<ClientTlsConfig, Error> {
        let contents = self.read()?;
        let config = match contents.authorities {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        Ok(match contents.client {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        })
    }

    /// For HTTP.
    ///
    /// # Errors
    /// [`Error::Tls`]: a file can't be read, or holds something else.
    pub(crate) fn for_http(&self) -> Result<ClientConfig, Error> {
        let contents = self.read()?;
        // Named, because more than one provider may be compiled in.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|e| unusable(None, e))?;
        let config = match (&contents.authorities, &self.ca_file) {
            (Some(pem), Some(path)) => {
                let mut roots = rustls::RootCertStore::empty();
                for certificate in certificates(path, pem)? {
                    roots.add(certificate).map_err(|e| unusable(Some(path), e))?;
                }
                config.with_root_certificates(roots)
            }
            _ => config.with_native_roots().map_err(|e| unusable(None, e))?,
        };
        match (&contents.client, &self.cert_file, &self.key_file) {
            (Some((chain, key)), Some(cert_file), Some(key_file)) => config
                .with_client_auth_cert(certificates(cert_file, chain)?, private_key(key_file, key)?)
                .map_err(|e| unusable(Some(cert_file), e)),
            _ => Ok(config.with_no_client_auth()),
        }
    }

    fn read(&self) -> Result<Contents, Error> {
        let read = |path: &Path| std::fs::read(path).map_err(|e| unusable(Some(path), e));
        let authorities = match &self.ca_file {
            Some(path) => {
                let pem = read(path)?;
                certificates(path, &pem)?;
                Some(pem)
            }
            None => None,
        };
        let client = match (&self.cert_file, &self.key_file) {
            (Some(cert_file), Some(key_file)) => {
                let (chain, key) = (read(cert_file)?, read(key_file)?);
                certificates(cert_file, &chain)?;
                private_key(key_file, &key)?;
                Some((chain, key))
            }
            (None, None) => None,
            (Some(alone), None) => return Err(unusable(Some(alone), "it needs its private key beside it")),
            (None, Some(alone)) => return Err(unusable(Some(alone), "it needs its certificate beside it")),
        };
        Ok(Contents { authorities, client })
    }
}

fn unusable(path: Option<&Path>, why: impl std::fmt::Display) -> Error {
    let what = path.map_or_else(|| "the system's certificates".to_owned(), |path| path.display().to_string());
    Error::Tls { what, why: why.to_string() }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(unusable(Some(path), "there is no certificate in it")),
        Err(e) => Err(unusable(Some(path), e)),
    }
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| unusable(Some(path), "there is no private key in it"))
}
