"""The other side of the protocol: a CMS for the demo, for scripts, and for people (`detector cms`)."""

from cli.cms.line import Line, Message, listen

__all__ = ["Line", "Message", "listen"]
