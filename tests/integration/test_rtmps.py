"""RTMP over TLS: a certificate made here, publishers and players through it."""

import asyncio
import datetime
import ipaddress
import shutil
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bus_schemas.tags import TagFlags
from tests.embedded import fresh_name
from tests.integration.ingest_worker import HANDSHAKE_S, RawPublisher, running, until
from tests.unit.ingest.rtmp_client import inter_frame, key_frame
from workers.ingest.tls import Certificate

pytestmark = pytest.mark.connected

FFMPEG = shutil.which("ffmpeg")


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "certificate.pem", directory / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate_file, key_file


async def test_a_publisher_comes_through_tls_and_plain_beside_it(nats_url: str, tmp_path: Path) -> None:
    """The certificate verifies; the same worker takes both; plain bytes at the TLS port get nowhere."""
    certificate, key = make_certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=str(certificate))
    settings = {"rtmps_port": 0, "tls_certificate": str(certificate), "tls_key": str(key)}
    async with running(nats_url, "n1", ingest=settings) as worker:
        port = int(worker.addresses["rtmps"].rpartition(":")[2])
        for name, publisher in (
            ("tls", RawPublisher(*await asyncio.open_connection("127.0.0.1", port, ssl=trusted))),
            ("plain", await RawPublisher.to(worker.port)),
        ):
            stream = fresh_name(name)
            await worker.add_key(stream, stream)
            await publisher.publish(stream)
            publisher.send_headers()
            publisher.send_frame(key_frame(300_000), 0)
            publisher.send_frame(inter_frame(), 40)
            await until(lambda stream=stream: len(worker.of(stream)) == 2)
            await publisher.close()
        wrong = await RawPublisher.to(port)
        wrong.writer.write(b"\x03" + bytes(2_000))

        assert await wrong.read_to_end() < HANDSHAKE_S
        await wrong.close()


@pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg on this machine")
async def test_ffmpeg_publishes_over_rtmps(nats_url: str, tmp_path: Path) -> None:
    """`rtmps://…`, to its end."""
    assert FFMPEG is not None
    certificate, key = make_certificate(tmp_path)
    settings = {"rtmps_port": 0, "tls_certificate": str(certificate), "tls_key": str(key)}
    async with running(nats_url, "n1", ingest=settings) as worker:
        stream = fresh_name("s")
        await worker.add_key(stream, stream)
        process = await asyncio.create_subprocess_exec(
            FFMPEG, "-hide_banner", "-loglevel", "warning", "-nostdin",
            "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25", "-t", "1",
            "-c:v", "libx264", "-preset", "ultrafast", "-f", "flv",
            f"rtmps://{worker.addresses['rtmps']}/live/{stream}", stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(20):
            _, said = await process.communicate()

        assert process.returncode == 0, said
        await until(lambda: any(header.flags & TagFlags.END for header, _ in worker.of(stream)))
        assert sum(1 for _, tags in worker.of(stream) for tag in tags if tag.type == 9) > 25


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    """Files that changed are read again for new connections; unusable ones are left alone."""
    certificate, key = make_certificate(tmp_path)
    loaded = Certificate(str(certificate), str(key))

    assert not loaded.reload_if_changed()
    certificate.write_text("nothing")
    assert not loaded.reload_if_changed()
    make_certificate(tmp_path)
    assert loaded.reload_if_changed()
