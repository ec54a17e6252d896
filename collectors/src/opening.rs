//! The first bytes of a segment: a request of HTTP/1, or records of TLS. Never panics, keeps no secret.

use std::sync::Arc;

use tracenet_core::opening::{Opening, Request, TlsRecord, TlsRecords};

/// RFC 9110, section 9.3, and RFC 5789: protocols of other kinds begin with words in capitals, too.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Characters of a path that are kept.
const MAX_PATH: usize = 96;

/// Records of a segment that are told: a handshake's end stands among the first.
const MAX_RECORDS: usize = 6;

/// A record's type, version and length.
const RECORD_HEADER: usize = 5;

/// Longest TLSCiphertext without its header (RFC 5246, section 6.2.3; RFC 8446 allows less).
const MAX_RECORD: u16 = (1 << 14) + 2_048;

/// HandshakeType server_hello.
const SERVER_HELLO: u8 = 2;

/// Of a ServerHello in its record: handshake header, version, random; then a length and the session id.
const SESSION_ID: usize = RECORD_HEADER + 4 + 2 + 32;

/// What begins with the first byte of `payload`, which may be cut.
pub fn opening(payload: &[u8]) -> Option<Opening> {
    match payload.first()? {
        20..=23 => tls(payload).map(Opening::Tls),
        b'A'..=b'Z' => http(payload).map(|request| Opening::Http(Arc::new(request))),
        _ => None,
    }
}

fn http(payload: &[u8]) -> Option<Request> {
    let end = payload.iter().position(|b| *b == b'\n');
    let line = payload.get(..end.unwrap_or(payload.len()))?;
    let mut words = line.splitn(3, |b| *b == b' ');
    let word = words.next()?;
    let method = METHODS.into_iter().find(|m| m.as_bytes() == word)?;
    let target = words.next().filter(|t| !t.is_empty())?;
    match words.next() {
        Some(version) => {
            let known = version.len().min(HTTP_1.len());
            (version.get(..known) == HTTP_1.get(..known)).then_some(())?;
        }
        // A line without a version is some other protocol's; one that was cut may have it.
        None if end.is_some() => return None,
        None => {}
    }
    Some(Request { method: method.into(), path: path(method, target)?.into() })
}

const HTTP_1: &[u8] = b"HTTP/1.";

/// A target (RFC 9112, section 3.2) without what may be secret: query, parameters, user and password.
fn path(method: &str, target: &[u8]) -> Option<String> {
    let target = match target {
        [b'/', ..] | [b'*'] => target,
        _ if method == "CONNECT" => target,
        _ => {
            let rest = target.strip_prefix(b"http://").or_else(|| target.strip_prefix(b"https://"))?;
            let at = rest.iter().position(|b| *b == b'/');
            at.and_then(|at| rest.get(at..)).unwrap_or(b"/")
        }
    };
    let end = target.iter().position(|b| matches!(b, b'?' | b';' | b'#')).unwrap_or(target.len());
    let mut path = String::new();
    for byte in target.get(..end)? {
        if path.len() >= MAX_PATH {
            path.push_str("...");
            break;
        }
        match byte {
            b'!'..=b'~' => path.push(char::from(*byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(path)
}

fn tls(payload: &[u8]) -> Option<TlsRecords> {
    let mut records = Vec::new();
    let mut rest = payload;
    while let Some(&[content, 3, minor, high, low]) = rest.first_chunk::<RECORD_HEADER>()
        && records.len() < MAX_RECORDS
    {
        let len = u16::from_be_bytes([high, low]);
        if !(20..=23).contains(&content) || minor > 4 || len == 0 || len > MAX_RECORD {
            break;
        }
        let size = RECORD_HEADER + usize::from(len);
        records.push(TlsRecord { content, size: size as u32 });
        rest = rest.get(size..).unwrap_or_default();
    }
    let hello = payload.first() == Some(&22) && payload.get(RECORD_HEADER) == Some(&SERVER_HELLO);
    let cipher = hello.then(|| cipher_of(payload)).flatten();
    (!records.is_empty()).then_some(TlsRecords { records, cipher })
}

fn cipher_of(hello: &[u8]) -> Option<u16> {
    let at = SESSION_ID + 1 + usize::from(*hello.get(SESSION_ID)?);
    Some(u16::from_be_bytes([*hello.get(at)?, *hello.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: &[u8]) -> Option<String> {
        match opening(bytes)? {
            Opening::Http(request) => Some(request.to_string()),
            Opening::Tls(_) => None,
        }
    }

    #[test]
    fn a_request_is_named_without_what_may_be_secret() {
        let of = |line: &str| request(line.as_bytes());
        assert_eq!(
            of("POST /book/step1?token=s3cret HTTP/1.1\r\nHost: a\r\n").as_deref(),
            Some("POST /book/step1")
        );
        assert_eq!(of("GET /a;jsessionid=7 HTTP/1.0\r\n").as_deref(), Some("GET /a"));
        assert_eq!(of("GET http://me:pw@host:8080/x?q HTTP/1.1\r\n").as_deref(), Some("GET /x"));
        assert_eq!(of("GET http://me:pw@host HTTP/1.1\r\n").as_deref(), Some("GET /"));
        assert_eq!(of("OPTIONS * HTTP/1.1\r\n").as_deref(), Some("OPTIONS *"));
        assert_eq!(of("CONNECT db.test:443 HTTP/1.1\r\n").as_deref(), Some("CONNECT db.test:443"));
        assert_eq!(request(b"GET /\x1b[2J\xff HTTP/1.1\r\n").as_deref(), Some("GET /%1B[2J%FF"));
    }

    #[test]
    fn a_line_that_was_cut_is_a_request_still_and_a_long_path_is_cut() {
        assert_eq!(request(b"PUT /files/a").as_deref(), Some("PUT /files/a"));
        assert_eq!(request(b"PUT /files/a HTT").as_deref(), Some("PUT /files/a"));
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(500));
        let named = request(long.as_bytes()).expect("a request");
        assert!(named.ends_with("x...") && named.len() < 110, "{named}");
    }

    #[test]
    fn other_protocols_in_capitals_are_no_requests() {
        for line in [
            "GET /key\r\n",
            "EHLO me\r\n",
            "GET key HTTP/1.1\r\n",
            "GET /a SIP/2.0\r\n",
            "GET ",
            "SELECT /a HTTP/1.1",
        ] {
            assert_eq!(request(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn records_are_followed_by_their_lengths() {
        // A ServerHello of 90 bytes, ChangeCipherSpec, and the beginning of what is encrypted.
        let mut bytes = vec![22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3];
        bytes.extend([7; 32]);
        bytes.push(32);
        bytes.extend([8; 32]);
        bytes.extend([0x13, 0x02, 0]);
        bytes.resize(95, 0);
        bytes.extend([20, 3, 3, 0, 1, 1, 23, 3, 3, 8, 0, 99]);
        let Some(Opening::Tls(tls)) = opening(&bytes) else { panic!("records") };
        let told: Vec<_> = tls.records.iter().map(|r| (r.content, r.size)).collect();
        assert_eq!(told, [(22, 95), (20, 6), (23, 2_053)]);
        assert_eq!(tls.cipher, Some(0x1302));
        for n in 0..bytes.len() {
            opening(&bytes[..n]);
        }
        assert_eq!(opening(&[22, 3, 1, 0, 0, 1]), None, "no record is empty");
        assert_eq!(opening(&[23, 3, 9, 0, 9, 1]), None);
    }
}
