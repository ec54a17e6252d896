//! What a segment's payload begins with, where that tells something of turns. No secret is in it: neither a query nor a
//! byte of what is encrypted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What begins with the first byte of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opening {
    /// A request in plain HTTP/1 (RFC 9112, section 3).
    Http(Arc<Request>),
    /// Records of TLS (RFC 8446, section 5.1; RFC 5246, section 6.2.1).
    Tls(TlsRecords),
}

/// What is asked for, without the query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request {
    /// A method of RFC 9110 or RFC 5789.
    pub method: Arc<str>,
    /// The path, cut off after some length, printable ASCII; of CONNECT the authority.
    pub path: Arc<str>,
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Records that follow one another from the first byte of a segment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsRecords {
    /// Those whose header was captured. The last one may reach beyond the segment.
    pub records: Vec<TlsRecord>,
    /// The cipher suite of a ServerHello, which stands in the first record then.
    pub cipher: Option<u16>,
}

/// The plain header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsRecord {
    /// ContentType: see [`content`].
    pub content: u8,
    /// Bytes, the header included.
    pub size: u32,
}

/// Types of records (RFC 8446, section 5.1).
#[expect(missing_docs, reason = "RFC 8446 names")]
pub mod content {
    pub const CHANGE_CIPHER_SPEC: u8 = 20;
    pub const HANDSHAKE: u8 = 22;
    pub const APPLICATION_DATA: u8 = 23;
}
