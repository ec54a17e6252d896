//! The endpoint against clients that ask well, badly, and not at all.
#![allow(missing_docs, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracenet_otel::prometheus::Format;
use tracenet_otel::serve::{Limits, Pages, Server};

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Agent {
    blind: AtomicBool,
}

impl Pages for Agent {
    fn metrics(&self, format: Format) -> String {
        format!("# {format:?}\n{}", "x".repeat(100_000))
    }

    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        if self.blind.load(Ordering::Relaxed) { Err("no probe is attached".into()) } else { Ok(()) }
    }
}

fn start(limits: Limits) -> Server {
    Server::start("127.0.0.1:0".parse().unwrap(), limits, Arc::new(Agent::default())).unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Status, head and body of an answer to these bytes.
fn ask(address: SocketAddr, request: &[u8]) -> (u16, String, Vec<u8>) {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    answer(&mut stream)
}

fn answer(stream: &mut TcpStream) -> (u16, String, Vec<u8>) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), all[end + 4..].to_vec())
}

fn get(address: SocketAddr, path: &str) -> (u16, String, Vec<u8>) {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
}

#[test]
fn pages_are_served_and_nothing_else() {
    let agent = Arc::new(Agent::default());
    let server = Server::start("127.0.0.1:0".parse().unwrap(), Limits::default(), agent.clone()).unwrap();
    let address = server.address();
    for (path, status, body) in [
        ("/livez", 200, "ok\n"),
        ("/readyz?verbose", 200, "ok\n"),
        ("/", 404, "here are /metrics, /livez and /readyz\n"),
    ] {
        let (got, head, text) = get(address, path);
        assert_eq!((got, text.as_slice()), (status, body.as_bytes()), "{path}");
        assert!(head.contains("cache-control: no-store") && head.contains("connection: close"), "{head}");
    }
    agent.blind.store(true, Ordering::Relaxed);
    assert_eq!(get(address, "/readyz").0, 503);
    assert_eq!(get(address, "/readyz").2, b"no probe is attached\n");
    assert_eq!(get(address, "/livez").0, 200);

    let (status, head, body) = get(address, "/metrics");
    assert_eq!((status, body.len()), (200, 100_007));
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let accept = b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: application/openmetrics-text\r\n\r\n";
    assert!(ask(address, accept).1.contains("content-type: application/openmetrics-text; version=1.0.0"));
    let zipped = b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: deflate, gzip\r\n\r\n";
    let (_, head, body) = ask(address, zipped);
    assert!(head.contains("content-encoding: gzip") && body.len() < 1000);
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut plain).unwrap();
    assert_eq!(plain.len(), 100_007);
    let unzipped = b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0, br\r\n\r\n";
    assert!(!ask(address, unzipped).1.contains("content-encoding"));

    let (status, head, body) = ask(address, b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((status, body.len()), (200, 0));
    assert!(head.contains("content-length: 100007"), "{head}");
    let (status, head, _) = ask(address, b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(status == 405 && head.contains("allow: get, head"), "{head}");
}

#[test]
fn a_scrape_is_answered_among_two_hundred_idle_connections() {
    // Time alone would not let go of them.
    let long = Duration::from_secs(600);
    let server = start(Limits { head_time: long, connection_time: long, ..Limits::default() });
    let address = server.address();
    // Half of them say nothing, half never finish.
    let idle: Vec<TcpStream> = (0..200)
        .map(|n| {
            let mut stream = connect(address);
            if n % 2 == 0 {
                // Refused where it was the oldest already.
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: ");
            }
            stream
        })
        .collect();
    let (status, _, body) = get(address, "/metrics");
    assert_eq!((status, body.len()), (200, 100_007));
    assert!(server.displaced() >= 200 - 64, "{}", server.displaced());
    drop(idle);
}

#[test]
fn a_client_that_dawdles_is_let_go() {
    let server = start(Limits { head_time: Duration::from_millis(200), ..Limits::default() });
    let mut slow = connect(server.address());
    slow.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let mut rest = Vec::new();
    // The end comes from the server; whether it says why first is its affair.
    slow.read_to_end(&mut rest).unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));

    // A connection's time ends, whatever it waits for.
    let server = start(Limits { connection_time: Duration::from_millis(200), ..Limits::default() });
    let mut endless = connect(server.address());
    endless.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    let mut rest = Vec::new();
    let _ = endless.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn garbage_and_giants_are_refused_and_the_next_is_served() {
    let server = start(Limits::default());
    let address = server.address();
    let mut noise: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    noise.extend(b"\r\n\r\n");
    let giant = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; 1 << 20], b"\r\n\r\n"].concat();
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5000)).into_bytes();
    let tls = vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    for bytes in [noise, giant, many, tls, http2, b"\r\n\r\n\r\n".to_vec(), b"GET\r\n\r\n".to_vec()] {
        let mut stream = connect(address);
        // The server may have enough before all is written.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got);
        assert!(!got.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&got));
        assert_eq!(get(address, "/livez").0, 200);
    }
}

#[test]
fn the_address_is_free_again_after_the_end_and_a_taken_one_is_an_error_of_one_line() {
    let server = start(Limits::default());
    let address = server.address();
    let error = Server::start(address, Limits::default(), Arc::new(Agent::default())).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("agent.listen") && !text.contains('\n'),
        "{text}"
    );
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    drop(Server::start(address, Limits::default(), Arc::new(Agent::default())).unwrap());
}
