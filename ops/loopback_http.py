"""A GET to one of our own processes on loopback."""

import asyncio

_MOST = 16 * 1024 * 1024


async def get(host: str, port: int, path: str, deadline: float) -> tuple[int, bytes]:
    """Status and body; raises OSError or TimeoutError without a whole answer within `deadline` seconds."""
    async with asyncio.timeout(deadline):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode("ascii"))
            answer = bytearray()
            while chunk := await reader.read(65536):
                answer += chunk
                if len(answer) > _MOST:
                    raise OSError("the answer is too long")
        finally:
            writer.close()
    head, separator, body = bytes(answer).partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not separator or len(words) < 2 or not words[1].isdigit():
        raise OSError("no HTTP answer")
    return int(words[1]), body
