//! OTLP over gRPC, over HTTP and into a file.
