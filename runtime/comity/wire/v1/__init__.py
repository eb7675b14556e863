"""Generated from protos/comity/wire/v1/wire.proto by `make protos`; never edited."""
