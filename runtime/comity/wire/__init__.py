"""Bytes on links: records, and the codec that alone knows protobuf; it decides nothing."""
