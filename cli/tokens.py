"""`detector token`: a new bearer token, and what the gateways' setting becomes with it."""

from __future__ import annotations

import sys

from pydantic import ValidationError

from contract.errors import SettingsInvalid
from contract.settings import PREFIX, Settings
from worker_api import tokens


def run(name: str, settings: Settings) -> int:
    """Print a new token and the line for the setting, which keeps those that are set; return the exit status.

    Raises:
        SettingsInvalid: no token can be called so.
    """
    token = tokens.new()
    entries = (*settings.tokens, tokens.entry(name, token))
    try:
        Settings(tokens=entries)
    except ValidationError:
        raise SettingsInvalid("NAME: expected 1 to 64 letters, digits and any of . _ -") from None
    sys.stdout.write(
        f"The token, for {name}. It is shown this once; keep it like a password:\n\n"
        f"  {token}\n\n"
        "For every gateway (drop an entry to end its token), then restart them:\n\n"
        f"  {PREFIX}TOKENS={','.join(entries)}\n"
    )
    return 0
