"""The rig: real sockets, real processes, strict parsers, and backends that follow a script."""
