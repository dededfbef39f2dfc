"""Who is let in to a stream while the database takes its time."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bus_schemas.errors import ErrorCode, Refused
from gateway.db.streams import StreamRow
from gateway.live.admission import Admission
from runtime.metrics import Metrics
from runtime.tasks import Tasks

ROW = StreamRow(
    id="s1", room="r1", owner="ann", title="", key_hash="", created_at=0, private=False, restricted=False
)


class Database:
    """Answers each look-up when the test says so; with `row`, an error, or nothing."""

    def __init__(self) -> None:
        self.asked = 0
        self._questions: asyncio.Queue[asyncio.Future[StreamRow | None]] = asyncio.Queue()

    async def by_id(self, _pool: object, _stream: str) -> StreamRow | None:
        self.asked += 1
        question: asyncio.Future[StreamRow | None] = asyncio.get_running_loop().create_future()
        self._questions.put_nowait(question)
        return await question

    async def question(self) -> asyncio.Future[StreamRow | None]:
        """The next look-up, once it has begun."""
        return await self._questions.get()


def make_admission(database: Database, **times: float) -> Admission:
    """One that remembers rows for no time at all."""
    settings = SimpleNamespace(live=SimpleNamespace(referrers=()))
    services = SimpleNamespace(
        ctx=SimpleNamespace(settings=settings, tasks=Tasks(Metrics())), streams=database, pool=None
    )
    return Admission(cast("Any", services), cast("Any", None), **{"known_s": 0.0, **times})


async def admitted(admission: Admission) -> StreamRow:
    """The row, for somebody who asks."""
    return (await admission.admit("s1", None))[0]


async def known(database: Database, **times: float) -> Admission:
    """An admission that has seen the stream once."""
    admission = make_admission(database, **times)
    asking = asyncio.ensure_future(admitted(admission))
    (await database.question()).set_result(ROW)
    assert await asking is ROW
    return admission


async def test_many_who_ask_at_once_are_one_question() -> None:
    """A row that ran out under a thousand players is looked up once."""
    database = Database()
    admission = await known(database)

    asking = [asyncio.ensure_future(admitted(admission)) for _ in range(20)]
    (await database.question()).set_result(ROW)

    assert await asyncio.gather(*asking) == [ROW] * 20
    assert database.asked == 2


async def test_who_watches_goes_on_while_the_database_hangs() -> None:
    """After a moment by what was known; a stream that nobody knew is unavailable after a while."""
    database = Database()
    admission = await known(database, patience_s=0.01, first_s=0.01)

    assert [await admitted(admission) for _ in range(3)] == [ROW] * 3
    with pytest.raises(TimeoutError):
        await admission.admit("s2", None)

    assert database.asked == 3


async def test_who_watches_goes_on_while_the_database_fails() -> None:
    """What was known counts; what was not is unavailable."""
    database = Database()
    admission = await known(database)

    asking = asyncio.ensure_future(admitted(admission))
    (await database.question()).set_exception(ConnectionError("away"))
    assert await asking is ROW
    unknown = asyncio.ensure_future(admission.admit("s2", None))
    (await database.question()).set_exception(ConnectionError("away"))

    with pytest.raises(ConnectionError):
        await unknown


async def test_a_stream_that_was_deleted_is_none() -> None:
    """The database says so, and what was known goes."""
    database = Database()
    admission = await known(database)

    asking = asyncio.ensure_future(admitted(admission))
    (await database.question()).set_result(None)

    with pytest.raises(Refused) as refused:
        await asking
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_what_changed_is_asked_anew_even_while_it_is_being_asked() -> None:
    """The answer to a question from before the change is nobody's after it, and is not remembered."""
    database = Database()
    admission = await known(database, known_s=60.0)
    admission.forget(stream="s1")
    before = asyncio.ensure_future(admitted(admission))
    old = await database.question()

    admission.forget(room="r1")
    after = asyncio.ensure_future(admitted(admission))
    new = await database.question()
    new.set_result(None)
    old.set_result(ROW)

    assert await before is ROW
    for asking in (after, asyncio.ensure_future(admitted(admission))):
        if asking is not after:
            (await database.question()).set_result(None)
        with pytest.raises(Refused):
            await asking
