"""The image server itself: downloads are tested against what it claims to do."""

from __future__ import annotations

import http.client
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

if TYPE_CHECKING:
    from tests.http_images import ImageServer

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def url(image_server: ImageServer) -> str:
    (image_server.directory / "image").write_bytes(CONTENT)
    return image_server.url("image")


def fetch(url: str, start: int | None = None) -> tuple[int, bytes]:
    request = Request(url, headers={} if start is None else {"Range": f"bytes={start}-"})
    with urlopen(request) as answer:
        return answer.status, answer.read()


def test_a_file_comes_whole_or_from_where_it_was_asked(image_server: ImageServer, url: str) -> None:
    assert fetch(url) == (HTTPStatus.OK, CONTENT)
    assert fetch(url, 1000) == (HTTPStatus.PARTIAL_CONTENT, CONTENT[1000:])
    assert [request.start for request in image_server.behaviour.requests] == [None, 1000]


def test_a_server_may_ignore_ranges(image_server: ImageServer, url: str) -> None:
    image_server.behaviour.ranges = False
    assert fetch(url, 1000) == (HTTPStatus.OK, CONTENT)


def test_an_answer_may_be_cut(image_server: ImageServer, url: str) -> None:
    image_server.behaviour.cut_after = [70_000]
    with pytest.raises(http.client.IncompleteRead) as cut:
        fetch(url)
    assert cut.value.partial == CONTENT[:70_000]


def test_a_length_may_be_kept_back(image_server: ImageServer, url: str) -> None:
    image_server.behaviour.length = False
    with urlopen(url) as answer:
        assert "Content-Length" not in answer.headers
        assert answer.read() == CONTENT


@pytest.mark.parametrize(
    ("name", "status", "start"),
    [("none", None, None), ("image", HTTPStatus.SERVICE_UNAVAILABLE, None), ("image", None, 256_000)],
)
def test_a_request_may_be_refused(
    image_server: ImageServer, url: str, name: str, status: HTTPStatus | None, start: int | None
) -> None:
    image_server.behaviour.status = status
    with pytest.raises(HTTPError) as refused:
        fetch(image_server.url(name), start)
    with refused.value as error:
        assert error.code == (status or (HTTPStatus.NOT_FOUND if start is None else 416))
