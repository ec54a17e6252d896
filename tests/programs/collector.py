"""An OTLP collector for tests: receives over gRPC and HTTP, decodes with the official opentelemetry-proto, and
appends one JSON object per span and per metric to a file before it answers.

usage: collector.py FILE GRPC_PORT HTTP_PORT     (0 chooses a port; the ports in use are printed)
"""

import gzip
import http.server
import json
import sys
import threading
from concurrent import futures

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

lock = threading.Lock()
books = open(sys.argv[1], "a", buffering=1)


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


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        traces(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request, context):
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


server = grpc.server(futures.ThreadPoolExecutor(4))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
grpc_port = server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
server.start()
web = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), Http)
threading.Thread(target=web.serve_forever, daemon=True).start()
print(json.dumps({"grpc": grpc_port, "http": web.server_port}), flush=True)
sys.stdin.read()
