"""One port, two protocols: adapters that carry the calls of ``api`` over gRPC and over REST."""
