//! Small collectors that live in the test: one for gRPC, one for HTTP. They can be killed and started again on the
//! same port, refuse, and answer oddly.
#![allow(dead_code, missing_docs, reason = "each test uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::transport::ServerTlsConfig;
use tonic::{Request, Response, Status};

use super::certificates::Authority;

/// What arrived.
#[derive(Debug, Default)]
pub struct Arrived {
    pub traces: Vec<ExportTraceServiceRequest>,
    pub metrics: Vec<ExportMetricsServiceRequest>,
    pub headers: Vec<String>,
}

impl Arrived {
    /// Start times, by which tests tell their spans apart, sorted.
    pub fn numbers(&self) -> Vec<u64> {
        let spans = self.traces.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
        let mut numbers: Vec<u64> = spans.flat_map(|s| &s.spans).map(|s| s.start_time_unix_nano).collect();
        numbers.sort_unstable();
        numbers
    }
}

#[derive(Debug, Clone, Default)]
pub struct Store(Arc<(Mutex<Arrived>, Condvar)>);

impl Store {
    pub fn change(&self, with: impl FnOnce(&mut Arrived)) {
        with(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    pub fn look<R>(&self, with: impl FnOnce(&Arrived) -> R) -> R {
        with(&self.0.0.lock().unwrap())
    }

    /// Waits until something is so.
    pub fn wait(&self, until: impl Fn(&Arrived) -> bool) {
        let guard = self.0.0.lock().unwrap();
        let (_guard, late) =
            self.0.1.wait_timeout_while(guard, Duration::from_secs(20), |a| !until(a)).unwrap();
        assert!(!late.timed_out(), "nothing arrived");
    }
}

/// A gRPC collector.
pub struct Grpc {
    pub store: Store,
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

struct Service {
    store: Store,
    /// Spans refused of each request.
    reject: i64,
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let headers: Vec<String> = request
            .metadata()
            .iter()
            .filter_map(|pair| match pair {
                tonic::metadata::KeyAndValueRef::Ascii(k, v) => Some(format!("{k}: {}", v.to_str().ok()?)),
                tonic::metadata::KeyAndValueRef::Binary(..) => None,
            })
            .collect();
        self.store.change(|a| {
            a.headers.extend(headers);
            a.traces.push(request.into_inner());
        });
        let partial =
            ExportTracePartialSuccess { rejected_spans: self.reject, error_message: "too old".into() };
        Ok(Response::new(ExportTraceServiceResponse {
            partial_success: (self.reject > 0).then_some(partial),
        }))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.store.change(|a| a.metrics.push(request.into_inner()));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl Grpc {
    pub fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), Store::default(), 0, None)
    }

    pub fn rejecting(reject: i64) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), Store::default(), reject, None)
    }

    /// Behind TLS.
    pub fn secure(authority: &Authority) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), Store::default(), 0, Some(authority.grpc()))
    }

    fn at(address: SocketAddr, store: Store, reject: i64, tls: Option<ServerTlsConfig>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let service = || Service { store: store.clone(), reject };
        let mut server = tonic::transport::Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).unwrap();
        }
        let (gzip, zstd) = (CompressionEncoding::Gzip, CompressionEncoding::Zstd);
        let traces = TraceServiceServer::new(service()).accept_compressed(gzip).accept_compressed(zstd);
        let metrics = MetricsServiceServer::new(service()).accept_compressed(gzip).accept_compressed(zstd);
        let server = server
            .add_service(traces)
            .add_service(metrics)
            .serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(server);
        Self { store, address, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As SIGKILL: listener and connections are gone at once.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    pub fn restart(&mut self) {
        let again = Self::at(self.address, self.store.clone(), 0, None);
        self.runtime = { again }.runtime.take();
    }
}

/// How the HTTP collector answers a request with so many spans (0: metrics); the number counts requests.
pub type Answer = fn(request: usize, spans: usize) -> &'static str;

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// An HTTP collector, one thread per connection.
pub struct Http {
    pub store: Store,
    pub address: SocketAddr,
}

impl Http {
    pub fn start(answer: Answer) -> Self {
        Self::with(answer, None)
    }

    /// Behind TLS.
    pub fn secure(answer: Answer, authority: &Authority) -> Self {
        Self::with(answer, Some(authority.server()))
    }

    fn with(answer: Answer, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let store = Store::default();
        let (of_thread, requests) = (store.clone(), Arc::new(Mutex::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (store, requests, tls) = (of_thread.clone(), Arc::clone(&requests), tls.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    match tls {
                        None => while serve(&mut stream, &store, &requests, answer).is_some() {},
                        Some(tls) => {
                            let connection = rustls::ServerConnection::new(tls).unwrap();
                            let mut stream = rustls::StreamOwned::new(connection, stream);
                            while serve(&mut stream, &store, &requests, answer).is_some() {}
                        }
                    }
                });
            }
        });
        Self { store, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One request; `None` at the end of the connection. What is answered with another status than 200 is not stored.
fn serve(
    stream: &mut (impl Read + Write),
    store: &Store,
    requests: &Mutex<usize>,
    answer: Answer,
) -> Option<()> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16_384];
    let (head, body) = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
            let length: usize = length.parse().unwrap();
            if bytes.len() >= at + 4 + length {
                break (head, bytes[at + 4..at + 4 + length].to_vec());
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    };
    let body = if head.contains("content-encoding: gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        plain
    } else if head.contains("content-encoding: zstd") {
        zstd::stream::decode_all(&body[..]).unwrap()
    } else {
        body
    };
    let traces =
        head.starts_with("post /v1/traces ").then(|| ExportTraceServiceRequest::decode(&body[..]).unwrap());
    let metrics = head
        .starts_with("post /v1/metrics ")
        .then(|| ExportMetricsServiceRequest::decode(&body[..]).unwrap());
    assert!(traces.is_some() || metrics.is_some(), "{head}");
    let scopes = traces.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
    let spans = scopes.map(|s| s.spans.len()).sum();
    let number = {
        let mut requests = requests.lock().unwrap();
        *requests += 1;
        *requests - 1
    };
    let answer = answer(number, spans);
    if answer.is_empty() {
        // Dies with the request half done.
        return None;
    }
    if answer.starts_with("HTTP/1.1 200") {
        store.change(|a| {
            a.headers.extend(head.lines().map(str::to_owned));
            a.traces.extend(traces);
            a.metrics.extend(metrics);
        });
    }
    stream.write_all(answer.as_bytes()).ok()
}
