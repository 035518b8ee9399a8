"""JSON files that carry a checksum of their own content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

CHECKSUM = "sha256"


def checked_json(values: dict[str, Any]) -> bytes:
    """Values with their checksum, as the bytes of a JSON file.

    Args:
        values: Plain values by name; "version" is among them.
    """
    return json.dumps({**values, CHECKSUM: _checksum(values)}, indent=1).encode()


def read_checked_json(path: Path, since: int) -> dict[str, Any]:
    """Read what `checked_json` gave.

    Args:
        path: The file.
        since: The first version of such files that has a checksum; older ones are taken as they
            are.

    Returns:
        The values, without the checksum.

    Raises:
        ValueError: The file is damaged.
        OSError: It cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "plan.json"
        >>> _ = path.write_bytes(checked_json({"version": 2, "epochs": 4}))
        >>> read_checked_json(path, since=2)
        {'version': 2, 'epochs': 4}
        >>> _ = path.write_text(path.read_text().replace("4", "5", 1))
        >>> read_checked_json(path, since=2)
        Traceback (most recent call last):
        ValueError: its checksum does not agree
    """
    values = json.loads(path.read_bytes())
    if not isinstance(values, dict):
        raise ValueError("it holds no object")
    told = values.pop(CHECKSUM, None)
    version = values.get("version")
    is_older = told is None and not (isinstance(version, int) and version >= since)
    if not is_older and told != _checksum(values):
        raise ValueError("its checksum does not agree")
    return values


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
