"""Fetching: a clip by its address, from public machines alone, whatever the name resolves to and wherever it leads."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from emofuse.serve.problems import RefusedError
from emofuse.serve.receive import Part

REDIRECTS = 3
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_UNROUTED = (ipaddress.ip_network("3fff::/20"),)
"""For documentation (RFC 9637), which Python's tables may not know yet."""
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


def is_public(address: Address) -> bool:
    """Whether an address is of the open internet: not this machine, this network, or one that stands for such."""
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    tunnel = getattr(address, "teredo", None)
    inside = getattr(address, "is_site_local", False) or any(address in network for network in _UNROUTED)
    outside = address.is_global and not inside and not address.is_multicast and not address.is_reserved
    return outside and tunnel is None and (inner is None or is_public(inner))


async def fetch(
    url: str, folder: Path, most: int, seconds: float, *, allowed: Callable[[Address], bool] = is_public
) -> Part:
    """The file that an address leads to, of at most `most` bytes, in `folder`.

    The name is resolved once for each address on the way, every result is checked, and that very one is connected to,
    so that a name which changes between looking and asking leads nowhere else; redirects are followed by the same
    rules. No proxy of the environment is used. Raises RefusedError.
    """
    try:
        async with asyncio.timeout(seconds), httpx.AsyncClient(trust_env=False, follow_redirects=False) as client:
            for _ in range(REDIRECTS + 1):
                found = await _step(client, url, folder, most, allowed)
                if isinstance(found, Part):
                    return found
                url = found
    except TimeoutError:
        raise RefusedError(422, "unreachable", f"the address did not answer within {seconds:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise RefusedError(422, "unreachable", f"the address cannot be read ({type(error).__name__})") from None
    raise RefusedError(422, "unreachable", f"the address leads on more than {REDIRECTS} times")


async def _step(
    client: httpx.AsyncClient, url: str, folder: Path, most: int, allowed: Callable[[Address], bool]
) -> Part | str:
    """The file, or the address that this one leads to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise RefusedError(422, "invalid", "an address begins with http:// or https://, and names no user")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = await _resolved(parts.hostname, port, allowed)
    pinned = httpx.URL(url).copy_with(host=str(address), port=port)
    name = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
    host = (f"[{name}]" if ":" in name else name) + (f":{parts.port}" if parts.port else "")
    headers = {"Host": host, "Accept-Encoding": "identity", "User-Agent": "emofuse"}
    names = {"sni_hostname": name}
    async with client.stream("GET", pinned, headers=headers, extensions=names) as reply:
        if reply.is_redirect:
            return urljoin(url, reply.headers.get("location", ""))
        if not reply.is_success:
            raise RefusedError(422, "unreachable", f"the address answers {reply.status_code}")
        if reply.headers.get("content-encoding", "identity").lower() != "identity":
            raise RefusedError(422, "unreadable", "the address answers with compressed content; give the file itself")
        return await _saved(reply, _place(folder, parts.path), most)


async def _resolved(host: str, port: int, allowed: Callable[[Address], bool]) -> Address:
    """The address to connect to; one that is not allowed among several refuses them all."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    except (OSError, UnicodeError, ValueError):
        raise RefusedError(422, "unreachable", "the name of the address is not known") from None
    if not addresses or not all(allowed(address) for address in addresses):
        raise RefusedError(422, "invalid", "the address is of a private network; upload the file")
    return addresses[0]


def _place(folder: Path, path: str) -> Part:
    name = unquote(path).rpartition("/")[2]
    suffix = Path(name).suffix.lower()
    shown = "".join(c for c in name if c.isprintable())[:120] or "download"
    return Part(folder / f"fetched{suffix if _SUFFIX.fullmatch(suffix) else ''}", shown)


async def _saved(reply: httpx.Response, part: Part, most: int) -> Part:
    size = 0
    with part.path.open("xb") as file:
        async for chunk in reply.aiter_raw():
            size += len(chunk)
            if size > most:
                raise RefusedError(413, "too_large", f"the address leads to more than {most:,} bytes")
            file.write(chunk)
    return part
