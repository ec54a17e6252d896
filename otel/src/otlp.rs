//! One attempt to export one request: over gRPC, over HTTP, or into a file. When to try again is the exporter's
//! business; what an answer means is this module's (OTLP specification 1.9, "Failures").

use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{Client as HyperClient, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::file::JsonFile;
use crate::options::{Compression, Destination, Error, Protocol, SignalOptions};
use crate::tls::Tls;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken, but for `rejected` spans or points, for the reason in `message`.
    Delivered { rejected: u64, message: String },
    /// Not taken, but may be later; not before `after`, where the collector said so.
    Retry { after: Option<Duration>, why: String },
    /// Too large for the collector: parts of it may be taken.
    TooLarge { why: String },
    /// Refused for good.
    Failed { why: String },
}

impl Outcome {
    fn delivered(partial: Option<(i64, String)>) -> Self {
        let (rejected, message) = partial.unwrap_or_default();
        Self::Delivered { rejected: u64::try_from(rejected).unwrap_or(0), message }
    }
}

/// Name and version to the collector.
const USER_AGENT: &str = concat!("tracenet/", env!("CARGO_PKG_VERSION"));
/// No answer to an export is longer.
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// A way to a collector, or to a file.
#[derive(Debug)]
pub(crate) struct Client {
    way: Way,
    timeout: Duration,
    compression: Compression,
}

#[derive(Debug)]
enum Way {
    Grpc { channel: Channel, metadata: MetadataMap },
    Http { client: Box<Http>, uri: http::Uri, headers: http::HeaderMap },
    File(JsonFile),
}

#[derive(Debug)]
enum Http {
    Plain(HyperClient<HttpConnector, Full<Bytes>>),
    Tls(HyperClient<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Client {
    /// Prepares the way to `destination`; connects only when something is sent. To be called inside the runtime that will
    /// send. `file` is that of a [`Destination::File`].
    pub(crate) fn new(
        destination: &Destination,
        options: &SignalOptions,
        file: Option<&JsonFile>,
    ) -> Result<Self, Error> {
        let way = match (destination, file) {
            (Destination::Collector { uri, protocol: Protocol::Grpc }, _) => Way::Grpc {
                channel: channel(uri, options.timeout, &options.tls)?,
                metadata: metadata(uri, &options.headers)?,
            },
            (Destination::Collector { uri, protocol: Protocol::HttpProtobuf }, _) => Way::Http {
                client: Box::new(http_client(uri, &options.tls)?),
                uri: uri.clone(),
                headers: headers(uri, &options.headers, options.compression)?,
            },
            (Destination::File(_), Some(file)) => Way::File(file.clone()),
            (Destination::File(path), None) => Way::File(JsonFile::create(path)?),
        };
        Ok(Self { way, timeout: options.timeout, compression: options.compression })
    }

    pub(crate) async fn traces(&mut self, request: ExportTraceServiceRequest) -> Outcome {
        match &mut self.way {
            Way::Grpc { channel, metadata } => {
                let mut client = TraceServiceClient::new(channel.clone());
                if let Some(encoding) = encoding(self.compression) {
                    client = client.send_compressed(encoding);
                }
                let request = with_metadata(request, metadata);
                let answer = tokio::time::timeout(self.timeout, client.export(request)).await;
                grpc_outcome(self.timeout, answer, |r| {
                    r.partial_success.map(|p| (p.rejected_spans, p.error_message))
                })
            }
            Way::Http { client, uri, headers } => {
                let answer = post(client, uri, headers, self.compression, &request);
                let answer = tokio::time::timeout(self.timeout, answer).await;
                http_outcome(self.timeout, answer, |body| {
                    let answer = ExportTraceServiceResponse::decode(body).ok()?;
                    answer.partial_success.map(|p| (p.rejected_spans, p.error_message))
                })
            }
            Way::File(file) => file.write(&request),
        }
    }

    pub(crate) async fn metrics(&mut self, request: ExportMetricsServiceRequest) -> Outcome {
        match &mut self.way {
            Way::Grpc { channel, metadata } => {
                let mut client = MetricsServiceClient::new(channel.clone());
                if let Some(encoding) = encoding(self.compression) {
                    client = client.send_compressed(encoding);
                }
                let request = with_metadata(request, metadata);
                let answer = tokio::time::timeout(self.timeout, client.export(request)).await;
                grpc_outcome(self.timeout, answer, |r| {
                    r.partial_success.map(|p| (p.rejected_data_points, p.error_message))
                })
            }
            Way::Http { client, uri, headers } => {
                let answer = post(client, uri, headers, self.compression, &request);
                let answer = tokio::time::timeout(self.timeout, answer).await;
                http_outcome(self.timeout, answer, |body| {
                    let answer = ExportMetricsServiceResponse::decode(body).ok()?;
                    answer.partial_success.map(|p| (p.rejected_data_points, p.error_message))
                })
            }
            Way::File(file) => file.write(&request),
        }
    }
}

fn cannot(uri: &http::Uri, why: &dyn std::error::Error) -> Error {
    Error::Connect { uri: uri.to_string(), why: whole_story(why) }
}

/// The error with its causes: transport errors say nothing without them.
fn whole_story(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

fn encoding(compression: Compression) -> Option<CompressionEncoding> {
    match compression {
        Compression::None => None,
        Compression::Gzip => Some(CompressionEncoding::Gzip),
        Compression::Zstd => Some(CompressionEncoding::Zstd),
    }
}

fn channel(uri: &http::Uri, timeout: Duration, tls: &Tls) -> Result<Channel, Error> {
    let mut endpoint = Channel::builder(uri.clone())
        .user_agent(USER_AGENT)
        .map_err(|e| cannot(uri, &e))?
        .connect_timeout(timeout)
        // A collector that is gone without a word is noticed, instead of when TCP gives up.
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    if uri.scheme() == Some(&http::uri::Scheme::HTTPS) {
        endpoint = endpoint.tls_config(tls.for_grpc()?).map_err(|e| cannot(uri, &e))?;
    }
    Ok(endpoint.connect_lazy())
}

fn metadata(uri: &http::Uri, headers: &[(String, String)]) -> Result<MetadataMap, Error> {
    let mut map = MetadataMap::new();
    for (name, value) in headers {
        let bad = |what: &str| Error::Connect {
            uri: uri.to_string(),
            why: format!("header {name} has a {what} that gRPC does not allow"),
        };
        let key: AsciiMetadataKey = name.parse().map_err(|_| bad("name"))?;
        let value: AsciiMetadataValue = value.parse().map_err(|_| bad("value"))?;
        map.append(key, value);
    }
    Ok(map)
}

fn with_metadata<T>(message: T, metadata: &MetadataMap) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    *request.metadata_mut() = metadata.clone();
    request
}

fn http_client(uri: &http::Uri, tls: &Tls) -> Result<Http, Error> {
    let builder = HyperClient::builder(TokioExecutor::new());
    if uri.scheme() == Some(&http::uri::Scheme::HTTPS) {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls.for_http()?)
            .https_only()
            .enable_http1()
            .build();
        Ok(Http::Tls(builder.build(connector)))
    } else {
        Ok(Http::Plain(builder.build(HttpConnector::new())))
    }
}

fn headers(
    uri: &http::Uri,
    own: &[(String, String)],
    compression: Compression,
) -> Result<http::HeaderMap, Error> {
    let mut map = http::HeaderMap::new();
    for (name, value) in own {
        let bad = |what: &str| Error::Connect {
            uri: uri.to_string(),
            why: format!("header {name} has a {what} that HTTP does not allow"),
        };
        let key = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("name"))?;
        let value = http::HeaderValue::from_str(value).map_err(|_| bad("value"))?;
        map.append(key, value);
    }
    map.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/x-protobuf"));
    map.entry(http::header::USER_AGENT).or_insert(http::HeaderValue::from_static(USER_AGENT));
    if let Some(coding) = compression.coding() {
        map.insert(http::header::CONTENT_ENCODING, http::HeaderValue::from_static(coding));
    }
    Ok(map)
}

/// An HTTP answer as far as it matters here.
struct Answer {
    status: http::StatusCode,
    retry_after: Option<Duration>,
    body: Bytes,
}

async fn post(
    client: &Http,
    uri: &http::Uri,
    headers: &http::HeaderMap,
    compression: Compression,
    message: &impl Message,
) -> Result<Answer, String> {
    let body = packed(compression, message.encode_to_vec()).map_err(|e| e.to_string())?;
    let mut request = http::Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers.clone();
    let answer = match client {
        Http::Plain(client) => client.request(request),
        Http::Tls(client) => client.request(request),
    };
    let (head, body) = answer.await.map_err(|e| whole_story(&e))?.into_parts();
    let retry_after = head
        .headers
        .get(http::header::RETRY_AFTER)
        .and_then(|v| v.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = Limited::new(body, MOST_ANSWER_BYTES).collect().await.map_err(|e| e.to_string())?.to_bytes();
    Ok(Answer { status: head.status, retry_after, body })
}

fn packed(compression: Compression, body: Vec<u8>) -> std::io::Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(body),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &body)?;
            encoder.finish()
        }
        Compression::Zstd => zstd::bulk::compress(&body, zstd::DEFAULT_COMPRESSION_LEVEL),
    }
}

type TimedOut = tokio::time::error::Elapsed;

fn late(timeout: Duration) -> Outcome {
    Outcome::Retry { after: None, why: format!("no answer within {} ms", timeout.as_millis()) }
}

fn http_outcome(
    timeout: Duration,
    answer: Result<Result<Answer, String>, TimedOut>,
    partial: impl FnOnce(&[u8]) -> Option<(i64, String)>,
) -> Outcome {
    let answer = match answer {
        Err(_) => return late(timeout),
        Ok(Err(why)) => return Outcome::Retry { after: None, why },
        Ok(Ok(answer)) => answer,
    };
    if answer.status.is_success() {
        return Outcome::delivered(partial(&answer.body));
    }
    let mut why = format!("HTTP {}", answer.status.as_u16());
    // "The response body for all HTTP 4xx and HTTP 5xx responses MUST be a Protobuf-encoded Status message."
    if let Ok(status) = RpcStatus::decode(&answer.body[..])
        && !status.message.is_empty()
    {
        why.push_str(": ");
        why.extend(status.message.chars().filter(|c| !c.is_control()).take(200));
    }
    match answer.status.as_u16() {
        429 | 502 | 503 | 504 => Outcome::Retry { after: answer.retry_after, why },
        413 => Outcome::TooLarge { why },
        _ => Outcome::Failed { why },
    }
}

fn grpc_outcome<R>(
    timeout: Duration,
    answer: Result<Result<tonic::Response<R>, Status>, TimedOut>,
    partial: impl FnOnce(R) -> Option<(i64, String)>,
) -> Outcome {
    let status = match answer {
        Err(_) => return late(timeout),
        Ok(Ok(response)) => return Outcome::delivered(partial(response.into_inner())),
        Ok(Err(status)) => status,
    };
    let message: String = status.message().chars().filter(|c| !c.is_control()).take(200).collect();
    let mut why = format!("gRPC {:?}: {message}", status.code());
    // A status made here, out of a transport error: there was no answer.
    if let Some(cause) = std::error::Error::source(&status) {
        let cause = whole_story(cause);
        if !why.contains(&cause) {
            why.push_str(": ");
            why.push_str(&cause);
        }
        return Outcome::Retry { after: None, why };
    }
    let delay = retry_delay(status.details());
    match status.code() {
        Code::ResourceExhausted if delay.is_some() => Outcome::Retry { after: delay, why },
        // The same code says "slow down" (with RetryInfo) and "message too large" (grpc-go, grpc-java).
        Code::ResourceExhausted | Code::OutOfRange
            if message.contains("larger than") || message.contains("too large") =>
        {
            Outcome::TooLarge { why }
        }
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Outcome::Retry { after: delay, why },
        _ => Outcome::Failed { why },
    }
}

/// `google.rpc.RetryInfo.retry_delay` in the details of a status.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&info.value[..]).ok()?.retry_delay?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?))
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<RpcAny>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct RpcAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<RpcDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct RpcDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn http(status: u16, retry_after: Option<u64>, body: &[u8]) -> Outcome {
        let answer = Answer {
            status: http::StatusCode::from_u16(status).unwrap(),
            retry_after: retry_after.map(Duration::from_secs),
            body: Bytes::copy_from_slice(body),
        };
        http_outcome(LIMIT, Ok(Ok(answer)), |_| None)
    }

    fn grpc(status: Status) -> Outcome {
        grpc_outcome(LIMIT, Ok(Err::<tonic::Response<()>, _>(status)), |()| None)
    }

    #[test]
    fn http_statuses_mean_what_the_specification_says() {
        assert_eq!(http(200, None, b""), Outcome::Delivered { rejected: 0, message: String::new() });
        for status in [429, 502, 503, 504] {
            assert!(matches!(http(status, None, b""), Outcome::Retry { after: None, .. }), "{status}");
        }
        assert!(matches!(http(503, Some(7), b""), Outcome::Retry { after: Some(d), .. } if d.as_secs() == 7));
        assert!(matches!(http(413, None, b""), Outcome::TooLarge { .. }));
        for status in [301, 400, 401, 404, 500, 501] {
            assert!(matches!(http(status, None, b""), Outcome::Failed { .. }), "{status}");
        }
        let body = RpcStatus { code: 3, message: "no\ntoken".into(), details: vec![] }.encode_to_vec();
        assert_eq!(http(401, None, &body), Outcome::Failed { why: "HTTP 401: notoken".into() });
        assert_eq!(http(400, None, b"<html>"), Outcome::Failed { why: "HTTP 400".into() });
    }

    #[test]
    fn grpc_statuses_mean_what_the_specification_says() {
        use Code::*;
        for code in [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss] {
            assert!(matches!(grpc(Status::new(code, "x")), Outcome::Retry { after: None, .. }), "{code:?}");
        }
        for code in [
            Unknown,
            InvalidArgument,
            NotFound,
            AlreadyExists,
            PermissionDenied,
            Unauthenticated,
            FailedPrecondition,
            Unimplemented,
            Internal,
            ResourceExhausted,
        ] {
            assert!(matches!(grpc(Status::new(code, "x")), Outcome::Failed { .. }), "{code:?}");
        }
        let large = "grpc: received message larger than max (5000000 vs. 4194304)";
        assert!(matches!(grpc(Status::new(ResourceExhausted, large)), Outcome::TooLarge { .. }));
        let info = RetryInfo { retry_delay: Some(RpcDuration { seconds: 2, nanos: 500_000_000 }) };
        let any = RpcAny {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        };
        let details = RpcStatus { code: 8, message: String::new(), details: vec![any] }.encode_to_vec();
        let status = Status::with_details(ResourceExhausted, "slow down", details.into());
        assert!(matches!(grpc(status), Outcome::Retry { after: Some(d), .. } if d.as_millis() == 2500));
    }

    #[test]
    fn hostile_details_are_no_delay() {
        let any = |value: Vec<u8>| {
            let any = RpcAny { type_url: "x/google.rpc.RetryInfo".into(), value };
            RpcStatus { code: 8, message: String::new(), details: vec![any] }.encode_to_vec()
        };
        let negative =
            RetryInfo { retry_delay: Some(RpcDuration { seconds: -1, nanos: -1 }) }.encode_to_vec();
        for details in [any(negative), any(vec![255; 9]), vec![255; 9], vec![]] {
            assert_eq!(retry_delay(&details), None);
        }
    }
}
