"""An OTLP collector for tests: receives over gRPC and HTTP, decodes with the official opentelemetry-proto, and
appends one JSON object per span and per metric to a file before it answers.

usage: collector.py FILE GRPC_PORT HTTP_PORT [FOLDER]     (0 chooses a port; the ports in use are printed)

With a FOLDER of cert.pem and key.pem, HTTP is behind TLS. Lines on standard input say how it treats what comes from then on,
and are answered by a line: `well`, as at the beginning; `slow SECONDS` before each answer; `refuse`, for good; `silent`, no
answer until the next line; and over HTTP `cut`, the connection ends when the request is there, and `garble`, new ones end
within the handshake, too.
"""

import gzip
import http.server
import json
import socket
import ssl
import sys
import threading
from concurrent import futures

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

lock = threading.Lock()
books = open(sys.argv[1], "a", buffering=1)


class Manner:
    """How requests are treated."""

    def __init__(self, name, seconds=0):
        self.name, self.seconds = name, float(seconds)
        self.over = threading.Event()

    def delay(self):
        if self.name == "slow":
            self.over.wait(self.seconds)
        elif self.name == "silent":
            self.over.wait()


manner = Manner("well")


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(v) for v in any_value.array_value.values]
    if kind == "kvlist_value":
        return attributes(any_value.kvlist_value.values)
    if kind == "bytes_value":
        return any_value.bytes_value.hex()
    return getattr(any_value, kind) if kind else None


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def put(rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with lock:
        books.write(text)
        books.flush()


def traces(request):
    rows = []
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                rows.append({
                    "signal": "span",
                    "resource": attributes(resource.resource.attributes),
                    "scope": scope.scope.name,
                    "name": span.name,
                    "kind": trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    "trace_id": span.trace_id.hex(),
                    "span_id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "events": [{"name": e.name, "time": e.time_unix_nano, "attributes": attributes(e.attributes)}
                               for e in span.events],
                    "dropped_events": span.dropped_events_count,
                    "status": trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
                })
    put(rows)


def points(data):
    rows = []
    for point in data.data_points:
        row = {"attributes": attributes(point.attributes),
               "start": point.start_time_unix_nano, "time": point.time_unix_nano}
        if hasattr(point, "count"):
            row |= {"count": point.count, "sum": point.sum}
        else:
            row["value"] = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
        rows.append(row)
    return rows


def metrics(request):
    rows = []
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                rows.append({
                    "signal": "metric",
                    "resource": attributes(resource.resource.attributes),
                    "name": metric.name, "unit": metric.unit, "type": kind,
                    "temporality": getattr(data, "aggregation_temporality", 0),
                    "monotonic": getattr(data, "is_monotonic", False),
                    "points": points(data),
                })
    put(rows)


def admit(context):
    now = manner
    now.delay()
    if now.name not in ("well", "slow"):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, now.name)


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        admit(context)
        traces(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        admit(context)
        metrics(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    paths = {
        "/v1/traces": (trace_service_pb2.ExportTraceServiceRequest, traces,
                       trace_service_pb2.ExportTraceServiceResponse),
        "/v1/metrics": (metrics_service_pb2.ExportMetricsServiceRequest, metrics,
                        metrics_service_pb2.ExportMetricsServiceResponse),
    }

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def do_POST(self):
        body = self.body()
        if self.path not in self.paths:
            self.send_error(404)
            return
        now = manner
        now.delay()
        if now.name == "refuse":
            self.send_response(400)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if now.name not in ("well", "slow"):
            self.close_connection = True
            # Without TLS's farewell.
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        request, handle, response = self.paths[self.path]
        handle(request.FromString(body))
        answer = response().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Web(http.server.ThreadingHTTPServer):
    """Behind TLS, where there is a folder with a certificate."""

    context = None

    def get_request(self):
        connection, address = super().get_request()
        if self.context:
            connection.settimeout(10)
            if manner.name == "garble":
                connection.recv(512)
                # The head of a handshake record, and no more.
                connection.sendall(bytes([22, 3, 3, 0, 80, 2]))
                connection.close()
                raise OSError("garbled")
            connection = self.context.wrap_socket(connection, server_side=True)
        return connection, address

    def handle_error(self, *_):
        """A client that goes away is none of ours."""


server = grpc.server(futures.ThreadPoolExecutor(4))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
grpc_port = server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
server.start()
web = Web(("127.0.0.1", int(sys.argv[3])), Http)
if len(sys.argv) > 4:
    web.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    web.context.load_cert_chain(f"{sys.argv[4]}/cert.pem", f"{sys.argv[4]}/key.pem")
threading.Thread(target=web.serve_forever, daemon=True).start()
print(json.dumps({"grpc": grpc_port, "http": web.server_port}), flush=True)
for line in sys.stdin:
    before, manner = manner, Manner(*line.split())
    before.over.set()
    print(json.dumps({"manner": manner.name}), flush=True)
