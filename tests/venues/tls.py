"""The brokers' real URLs on this machine: TLS by a throw-away authority behind an HTTP CONNECT proxy.

The environment that points an SDK here is for a child process, never for the test's own.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.venues.connection import CHUNK, read_head
from tests.venues.server import Server

UPSTOX = ("api.upstox.com",)
FYERS = ("socket.fyers.in", "api-t1.fyers.in", "public.fyers.in")
DHAN = ("api-feed.dhan.co", "api.dhan.co", "images.dhan.co")
BROKERS = (*UPSTOX, *FYERS, *DHAN)
"""Hosts of the three, each reached at port 443."""


class Authority:
    """Signs certificates that only who is given `ca_file` trusts. Its files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.ca_file = folder / "ca.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throw-away test authority")])
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, *hosts: str) -> ssl.SSLContext:
        """What a server of these hosts, and of 127.0.0.1, shows its clients."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0] if hosts else "127.0.0.1")])
        names = [x509.DNSName(host) for host in hosts] + [x509.IPAddress(ip_address("127.0.0.1"))]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder(name, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_key_usage(signs=False), critical=True)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{certificate.serial_number}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def client(self) -> ssl.SSLContext:
        """Trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )


class Tunnel(Server):
    """An HTTP CONNECT proxy that leads "host:port" to a local port, and nowhere else.

    `asked` lists what clients wanted, in order.
    """

    def __init__(self, routes: Mapping[str, int], ca_file: Path) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._routes = dict(routes)
        self._ca_file = ca_file

    def environment(self) -> dict[str, str]:
        """What a child process needs for its SDK to come here; over its own environment."""
        proxy, authority = f"http://127.0.0.1:{self.port}", str(self._ca_file)
        proxies = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"), proxy)
        authorities = dict.fromkeys(
            ("REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE"), authority
        )
        return {**proxies, **authorities, "no_proxy": "", "NO_PROXY": ""}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, _, rest = (await read_head(reader)).decode("latin-1").partition(" ")
        wanted = rest.split(" ")[0]
        self.asked.append(wanted)
        if method != "CONNECT" or wanted not in self._routes:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        inner = await asyncio.open_connection("127.0.0.1", self._routes[wanted], limit=CHUNK)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pass(reader, inner[1]), _pass(inner[0], writer))


def routes(hosts: Iterable[str], port: int) -> dict[str, int]:
    """All of these hosts at 443 lead to one local port."""
    return {f"{host}:443": port for host in hosts}


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
