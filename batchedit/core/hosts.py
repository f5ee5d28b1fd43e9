"""Is a URL's host this machine? Decides where http is allowed and where no proxy is used."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether ``host``, as a URL has it (brackets or none, any case), is this machine: ``127.0.0.0/8``, ``::1``,
    ``localhost``.
    """
    host = host.strip("[]").lower()
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
