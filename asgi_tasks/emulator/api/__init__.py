"""Google's calls: which there are, what each does, and protobuf <-> the broker's own types."""
