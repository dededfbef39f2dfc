"""The RTMP chunk stream (RTMP 1.0, 5.3): bytes in, whole messages out.

A chunk is taken when all of it is there, so a cut anywhere changes nothing; what is missing is
kept with the number of bytes it waits for. Set Chunk Size and Abort act here, because they
change how the very next chunk reads.
"""

from __future__ import annotations

import struct
from typing import Final

from workers.ingest.rtmp.buffer import ReceiveBuffer
from workers.ingest.rtmp.errors import RemoteProtocolError
from workers.ingest.rtmp.messages import EXTENDED, MAX_MESSAGE_SIZE, Message, MessageType, u32

DEFAULT_CHUNK_SIZE: Final = 128
MIN_CHUNK_SIZE: Final = 128
"""The protocol's own default; a chunk size of 1 would cost a header parse a byte."""
MAX_CHUNK_SIZE: Final = 0xFFFFFF
"""A message is at most this long (5.4.1), so a greater chunk size means the same."""
MAX_CHUNK_STREAMS: Final = 64
"""Encoders use 3 to 8; each one costs memory."""
MAX_UNFINISHED: Final = 2 * MAX_MESSAGE_SIZE
"""Bytes held in messages that have begun and not ended, all chunk streams together."""
_HEADER_SIZES: Final = (11, 7, 3, 0)
_WHOLE_HEADER: Final = 12
"""Bytes of a basic header of one byte and a message header of type 0."""
_FIELDS: Final = struct.Struct("!BHBHB")
"""Timestamp or delta, length (24 bits each), type: how message headers of type 0 and 1 begin (5.3.1.2)."""
_MEDIA: Final = frozenset({int(MessageType.AUDIO), int(MessageType.VIDEO)})
_COMMANDS: Final = frozenset({MessageType.COMMAND_AMF0, MessageType.COMMAND_AMF3})


class _ChunkStream:
    """What the next chunk of one chunk stream may leave out."""

    __slots__ = (
        "delta",
        "extended",
        "extended_absent",
        "length",
        "partial",
        "remaining",
        "stream_id",
        "timestamp",
        "type",
    )

    def __init__(self) -> None:
        self.timestamp = 0
        self.delta = 0
        self.length = 0
        self.type = 0
        self.stream_id = 0
        self.extended: bytes | None = None
        """The last header's extended timestamp as sent, None when it had none."""
        self.extended_absent = False
        """This peer leaves it out of type 3 chunks."""
        self.partial: bytearray | None = None
        self.remaining = 0


def _repeated(extended: bytes, seen: memoryview) -> bool | None:
    """Whether a type 3 chunk begins with the extended timestamp again; None while too few bytes tell.

    5.3.1.3 wants it repeated; older ffmpeg and librtmp leave it out. Payload that equals it by
    chance comes once in 2**32 chunks.
    """
    if seen == extended:
        return True
    return None if len(seen) < 4 and extended.startswith(bytes(seen)) else False


class ChunkReader:
    """Joins chunks into messages; where told so, a feed ends behind each command, which may change what comes next."""

    def __init__(self, *, stops_at_commands: bool = False) -> None:
        self._stops_at = _COMMANDS if stops_at_commands else frozenset()
        self._buffer = ReceiveBuffer()
        self._streams: dict[int, _ChunkStream] = {}
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._unfinished = 0
        self.max_message = MAX_MESSAGE_SIZE
        """Bytes of one message, as far as this peer is trusted now."""
        self.stopped = False
        """The last feed ended behind a command, what follows it unread: `feed(b"")` goes on."""
        self.fault: RemoteProtocolError | None = None
        """What broke the chunk stream, behind the messages given; there is no going on after it."""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order, up to a `fault`, or to where it `stopped`."""
        self.stopped = False
        source = self._buffer.feed(data)
        messages: list[Message] = []
        if source is None:
            return messages
        at, end = 0, len(source)
        want = 1
        with memoryview(source) as view:
            while at < end:
                if end - at >= _WHOLE_HEADER and (size := self._take_whole(source, view, at, end, messages)):
                    at += size
                    continue
                try:
                    used = self._take_chunk(source, view, at, end, messages)
                except RemoteProtocolError as fault:
                    self.fault = fault
                    return messages
                if used <= 0:
                    want = -used
                    break
                at += used
                if self.stopped:
                    break
        self._buffer.keep(source, at, want)
        return messages

    def _take_whole(
        self, source: bytes | bytearray, view: memoryview, start: int, end: int, messages: list[Message]
    ) -> int:
        """Take what most of a publish is made of: a media message that is one chunk, and here. Its size, else 0.

        What it takes reads the same by `_take_chunk`, at three times the price.
        """
        first = source[start]
        state = self._streams.get(first & 0x3F)
        if first >= 0x80 or state is None or state.partial is not None:
            return 0
        high, field, long, length, kind = _FIELDS.unpack_from(source, start + 1)
        field |= high << 16
        length |= long << 16
        begin: int = start + (8 if first & 0x40 else _WHOLE_HEADER)
        stop: int = begin + length
        if (
            stop > end
            or kind not in _MEDIA
            or field == EXTENDED
            or length > self._chunk_size
            or length > self.max_message
        ):
            return 0
        if first & 0x40:
            state.timestamp = state.timestamp + field & 0xFFFFFFFF
        else:
            state.timestamp = field
            state.stream_id = int.from_bytes(view[begin - 4 : begin], "little")
        state.delta, state.length, state.type, state.extended = field, length, kind, None
        messages.append(Message(kind, state.stream_id, state.timestamp, bytes(view[begin:stop])))
        return stop - start

    # One pass over one header, at every chunk: a call for each field would cost more than reading it.
    def _take_chunk(  # noqa: C901
        self, source: bytes | bytearray, view: memoryview, start: int, end: int, messages: list[Message]
    ) -> int:
        """Take the chunk at `start`: its size, or minus the bytes it needs when not all are there."""
        # 5.3.1.1: the basic header, 1 to 3 bytes.
        first = source[start]
        fmt = first >> 6
        chunk_stream = first & 0x3F
        at = start + 1
        if chunk_stream < 2:
            at += chunk_stream + 1
            if at > end:
                return start - at
            chunk_stream = 64 + source[start + 1] + (source[start + 2] << 8 if chunk_stream else 0)
        # 5.3.1.2: the message header, 11, 7, 3 or 0 bytes.
        header = at
        at += _HEADER_SIZES[fmt]
        if at > end:
            return start - at
        state = self._streams.get(chunk_stream)
        if state is None:
            state = self._open(chunk_stream, fmt)
        extended: bytes | None
        if fmt < 3:
            if state.partial is not None:
                raise RemoteProtocolError("a new message begins before the last of its chunk stream ended")
            field = int.from_bytes(view[header : header + 3], "big")
            length = int.from_bytes(view[header + 3 : header + 6], "big") if fmt < 2 else state.length
            if length > self.max_message:
                raise RemoteProtocolError(f"a message of {length} bytes, at most {self.max_message}")
            extended = None
            if field == EXTENDED:
                at += 4
                if at > end:
                    return start - at
                extended = bytes(view[at - 4 : at])
                field = int.from_bytes(extended, "big")
            remaining = length
        else:
            length = state.length
            remaining = state.remaining if state.partial is not None else length
            extended, field = state.extended, state.delta
            if extended is not None and not state.extended_absent:
                repeated = _repeated(extended, view[at : at + 4])
                if repeated is None:
                    return start - at - 4
                state.extended_absent = not repeated
                at += 4 * repeated
        size = min(self._chunk_size, remaining)
        if at + size > end:
            return start - at - size
        if state.partial is None:
            if fmt < 2:
                state.length = length
                state.type = source[header + 6]
                if fmt == 0:
                    state.stream_id = int.from_bytes(view[header + 7 : header + 11], "little")
            state.extended = extended
            # After a type 0, a type 3 repeats its timestamp field as a delta (5.3.1.2.4).
            state.delta = field
            state.timestamp = field if fmt == 0 else (state.timestamp + field) & 0xFFFFFFFF
        self._take_payload(state, view[at : at + size], remaining - size, messages)
        return at + size - start

    def _open(self, chunk_stream: int, fmt: int) -> _ChunkStream:
        # A fresh chunk stream may begin with type 1: librtmp's pings do.
        if fmt > 1:
            raise RemoteProtocolError(f"chunk stream {chunk_stream} begins with a type {fmt} chunk")
        if len(self._streams) >= MAX_CHUNK_STREAMS:
            raise RemoteProtocolError(f"more than {MAX_CHUNK_STREAMS} chunk streams")
        state = self._streams[chunk_stream] = _ChunkStream()
        return state

    def _take_payload(
        self, state: _ChunkStream, chunk: memoryview, left: int, messages: list[Message]
    ) -> None:
        if state.partial is None:
            if not left:
                self._complete(Message(state.type, state.stream_id, state.timestamp, bytes(chunk)), messages)
                return
            state.partial = bytearray(chunk)
        else:
            state.partial += chunk
        self._unfinished += len(chunk)
        state.remaining = left
        if self._unfinished > MAX_UNFINISHED:
            raise RemoteProtocolError(f"more than {MAX_UNFINISHED} bytes in unfinished messages")
        if not left:
            payload = bytes(state.partial)
            self._drop_partial(state)
            self._complete(Message(state.type, state.stream_id, state.timestamp, payload), messages)

    def _drop_partial(self, state: _ChunkStream) -> None:
        if state.partial is not None:
            self._unfinished -= len(state.partial)
            state.partial = None

    def _complete(self, message: Message, messages: list[Message]) -> None:
        if message.type == MessageType.SET_CHUNK_SIZE:
            size = u32(message.payload, "Set Chunk Size")
            if not MIN_CHUNK_SIZE <= size <= 0x7FFFFFFF:
                raise RemoteProtocolError(f"chunk size {size}, at least {MIN_CHUNK_SIZE}")
            self._chunk_size = min(size, MAX_CHUNK_SIZE)
        elif message.type == MessageType.ABORT:
            aborted = self._streams.get(u32(message.payload, "Abort Message"))
            if aborted is not None:
                self._drop_partial(aborted)
        else:
            messages.append(message)
            self.stopped = message.type in self._stops_at
