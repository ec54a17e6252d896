//! A small HTTP/1 server for scrapers and probes: `GET /metrics`, `/livez`, `/readyz`.
//!
//! It lives on a thread of its own and holds out against clients that send nothing, or nonsense: a connection has a time for
//! its request head, a time for all of it, and one request; heads have a bound; and where all places are taken the oldest
//! connection makes room, so that a scrape is answered however many others are idle.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::prometheus::Format;

/// What the pages show. Each is called on the server's thread and should answer within milliseconds.
pub trait Pages: Send + Sync + 'static {
    /// Body of `/metrics`.
    fn metrics(&self, format: Format) -> String;

    /// `/livez`: an error, one line, says that nothing but a restart helps.
    fn live(&self) -> Result<(), String>;

    /// `/readyz`: an error, one line, says what is missing for observing.
    fn ready(&self) -> Result<(), String>;
}

/// Bounds of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at a time.
    pub connections: usize,
    /// Most bytes of a request's head, at least 8192 (hyper's least).
    pub head_bytes: usize,
    /// Time for a request's head.
    pub head_time: Duration,
    /// Time for all of a connection.
    pub connection_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head_bytes: 16 << 10,
            head_time: Duration::from_secs(5),
            connection_time: Duration::from_secs(30),
        }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, not this host's, or not allowed.
    #[error("cannot listen on {address}: {source}; set agent.listen to another address, or to null for none")]
    Listen {
        /// As asked for.
        address: SocketAddr,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// No thread, or no epoll for it.
    #[error(
        "cannot start the thread that serves /metrics: {0}; look at limits of threads and files (ulimit -a)"
    )]
    Thread(std::io::Error),
}

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    displaced: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `address` (port 0: any) and answers from a thread of its own.
    pub fn start(address: SocketAddr, limits: Limits, pages: Arc<dyn Pages>) -> Result<Self, ServeError> {
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let displaced = Arc::new(AtomicU64::new(0));
        let accepting = Accepting { limits, pages, displaced: Arc::clone(&displaced) };
        let thread = std::thread::Builder::new()
            .name("tracenet-http".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        // Both are the end: a word from the owner, and the owner's silence.
                        _ = stopped => {}
                        () = accepting.run(listener) => {}
                    }
                });
            })
            .map_err(ServeError::Thread)?;
        Ok(Self { address, displaced, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were closed to make room for newer ones.
    pub fn displaced(&self) -> u64 {
        self.displaced.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the thread that serves /metrics had died");
        }
    }
}

struct Accepting {
    limits: Limits,
    pages: Arc<dyn Pages>,
    displaced: Arc<AtomicU64>,
}

impl Accepting {
    async fn run(self, listener: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(e) => return warn!("/metrics is not served: {e}"),
        };
        let mut connections: VecDeque<tokio::task::JoinHandle<()>> = VecDeque::new();
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(e) => {
                    // Out of descriptors, mostly: waiting is better than asking again at once.
                    debug!("accept: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            connections.retain(|connection| !connection.is_finished());
            if connections.len() >= self.limits.connections
                && let Some(oldest) = connections.pop_front()
            {
                oldest.abort();
                self.displaced.fetch_add(1, Ordering::Relaxed);
            }
            connections.push_back(tokio::spawn(connection(stream, self.limits, Arc::clone(&self.pages))));
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, limits: Limits, pages: Arc<dyn Pages>) {
    let service = service_fn(move |request| {
        let response = answer(&request, &*pages);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head_bytes.max(8192))
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limits.connection_time, served).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => debug!("a client of /metrics: {e}"),
        Err(_) => debug!("a client of /metrics took too long"),
    }
}

fn answer(request: &Request<Incoming>, pages: &dyn Pages) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n", &[(ALLOW, "GET, HEAD")]);
    }
    match request.uri().path() {
        "/metrics" => metrics(request.headers(), pages),
        "/livez" => health(pages.live()),
        "/readyz" => health(pages.ready()),
        _ => plain(StatusCode::NOT_FOUND, "here are /metrics, /livez and /readyz\n", &[]),
    }
}

fn metrics(headers: &HeaderMap, pages: &dyn Pages) -> Response<Full<Bytes>> {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let format = Format::accepted(header(ACCEPT));
    let body = pages.metrics(format).into_bytes();
    let content_type = (CONTENT_TYPE, format.content_type());
    if header(ACCEPT_ENCODING).is_some_and(accepts_gzip)
        && let Some(small) = gzip(&body)
    {
        return response(StatusCode::OK, small, &[content_type, (CONTENT_ENCODING, "gzip")]);
    }
    response(StatusCode::OK, body, &[content_type])
}

/// Whether `Accept-Encoding` names gzip and doesn't exclude it (RFC 9110, section 12.5.3).
fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
            && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32)))
    })
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn health(state: Result<(), String>) -> Response<Full<Bytes>> {
    match state {
        Ok(()) => plain(StatusCode::OK, "ok\n", &[]),
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n"), &[]),
    }
}

fn plain(status: StatusCode, text: &str, headers: &[(HeaderName, &'static str)]) -> Response<Full<Bytes>> {
    let mut response = response(status, text.as_bytes().to_vec(), headers);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn response(
    status: StatusCode,
    body: Vec<u8>,
    headers: &[(HeaderName, &'static str)],
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
