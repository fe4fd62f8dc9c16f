"""The version that this gateway tells, on HTTP and in its documents."""

VERSION = "0.1.0"
