"""Downloads from servers that misbehave."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import random
import ssl
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.http_images import Behaviour, serving, tunnelling
from vmctl.errors import StorageError, TransferInterrupted
from vmctl.storage.sources import HttpSource, Progress, fetch, problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = random.Random(1).randbytes(1_500_000)
OTHER = random.Random(2).randbytes(1_500_000)


def void(_: object) -> None:
    """For callbacks whose answer nobody wants."""


def sums(content: bytes, *names: str) -> dict[str, str]:
    return {name: hashlib.new(name, content).hexdigest() for name in names or ("sha256",)}


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "layer.part"


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour(CONTENT)


@pytest.fixture
def url(behaviour: Behaviour) -> Iterator[str]:
    with serving(behaviour) as where:
        yield where


def ranges(behaviour: Behaviour) -> list[str | None]:
    return [request.get("range") for request in behaviour.requests]


def test_a_file_arrives_whole_and_progress_is_told(part: Path, behaviour: Behaviour, url: str) -> None:
    seen: list[Progress] = []
    ticks = itertools.count(step=0.25)
    fetched = fetch(
        HttpSource(url, sums(CONTENT, "md5", "sha1", "sha256", "sha512")),
        part,
        progress=seen.append,
        clock=lambda: next(ticks),
    )
    assert part.read_bytes() == CONTENT
    assert fetched.size_bytes == len(CONTENT)
    assert fetched.average_bytes_per_s > 0
    assert seen[-1].received_bytes == seen[-1].total_bytes == len(CONTENT)
    assert [one.received_bytes for one in seen] == sorted(one.received_bytes for one in seen)
    assert all(one.stage == "download" and one.current_bytes_per_s > 0 for one in seen)
    assert len(behaviour.requests) == 1
    assert behaviour.requests[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize("cut", [0, 1, 4095, 65536, 700_001, len(CONTENT) - 1])
def test_a_cut_download_goes_on_where_it_stopped(part: Path, behaviour: Behaviour, url: str, cut: int) -> None:
    behaviour.cut_after = [cut]
    fetch(HttpSource(url, sums(CONTENT)), part)
    assert part.read_bytes() == CONTENT
    assert ranges(behaviour) == [None, f"bytes={cut}-" if cut else None]
    assert behaviour.sent == len(CONTENT)


def test_a_server_that_cuts_all_the_time_is_outlasted_as_long_as_something_arrives(
    part: Path, behaviour: Behaviour, url: str
) -> None:
    behaviour.cut_after = [50_000] * 29
    fetch(HttpSource(url), part)
    assert part.read_bytes() == CONTENT
    assert behaviour.sent == len(CONTENT)


def test_no_progress_at_all_ends_as_an_interruption_that_can_be_resumed(
    part: Path, behaviour: Behaviour, url: str
) -> None:
    behaviour.cut_after = [600_000, *[0] * 40]
    with pytest.raises(TransferInterrupted, match="broke off after 600000 of 1500000 bytes"):
        fetch(HttpSource(url), part)
    assert part.stat().st_size == 600_000
    assert len(behaviour.requests) <= 9
    behaviour.cut_after = []
    behaviour.sent = 0
    fetch(HttpSource(url), part)
    assert part.read_bytes() == CONTENT
    assert behaviour.sent == 900_000


def test_a_server_without_ranges_starts_over(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.ranges = False
    behaviour.cut_after = [900_000]
    fetch(HttpSource(url, sums(CONTENT)), part)
    assert part.read_bytes() == CONTENT
    assert behaviour.sent == len(CONTENT) + 900_000


@pytest.mark.parametrize("honours_if_range", [True, False])
def test_a_file_that_changed_meanwhile_is_not_glued_together(
    part: Path, behaviour: Behaviour, url: str, honours_if_range: bool
) -> None:
    behaviour.honours_if_range = honours_if_range
    behaviour.cut_after = [500_000]

    def change(_: int) -> None:
        if len(behaviour.requests) == 1 and behaviour.sent > 400_000:
            behaviour.content, behaviour.etag = OTHER, '"two"'

    behaviour.before_chunk = change
    fetch(HttpSource(url), part)
    assert part.read_bytes() == OTHER


def test_dates_serve_where_there_is_no_strong_etag(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.etag, behaviour.last_modified = 'W/"weak"', "Sat, 21 Nov 2026 00:00:00 GMT"
    behaviour.cut_after = [500_000]
    fetch(HttpSource(url), part)
    assert part.read_bytes() == CONTENT
    assert behaviour.requests[1]["if-range"] == behaviour.last_modified
    assert behaviour.sent == len(CONTENT)


def test_without_validator_and_checksum_nothing_is_glued(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.etag = ""
    behaviour.cut_after = [500_000]
    fetch(HttpSource(url), part)
    assert part.read_bytes() == CONTENT
    assert ranges(behaviour) == [None, None]


def test_a_checksum_replaces_the_validator_and_wrong_glue_is_noticed(
    part: Path, behaviour: Behaviour, url: str
) -> None:
    behaviour.etag = ""
    behaviour.cut_after = [500_000]

    def change(_: int) -> None:
        if len(behaviour.requests) == 1 and behaviour.sent > 400_000:
            behaviour.content = OTHER

    behaviour.before_chunk = change
    fetch(HttpSource(url, sums(OTHER)), part)
    assert part.read_bytes() == OTHER
    assert ranges(behaviour) == [None, "bytes=500000-", None]


def test_what_identified_an_earlier_file_is_not_used_for_another(part: Path, behaviour: Behaviour, url: str) -> None:
    """The first mirror names its file by an ETag; the second, with another file, by nothing; then the first again."""
    behaviour.cut_after = [300_000, 400_000]

    def switch(_: int) -> None:
        if len(behaviour.requests) == 1 and behaviour.sent > 200_000:
            behaviour.content, behaviour.etag, behaviour.ranges = OTHER, "", False
        elif len(behaviour.requests) == 2 and behaviour.sent > 600_000:
            behaviour.content, behaviour.etag, behaviour.ranges = CONTENT, '"one"', True

    behaviour.before_chunk = switch
    fetch(HttpSource(url), part)
    assert part.read_bytes() == CONTENT
    assert len(behaviour.requests) == 3


def test_a_shrunken_file_starts_over_after_416(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.cut_after = [500_000]

    def change(_: int) -> None:
        if behaviour.sent > 400_000:
            behaviour.content = OTHER[:300_000]

    behaviour.before_chunk = change
    fetch(HttpSource(url), part)
    assert part.read_bytes() == OTHER[:300_000]


def test_a_length_that_promises_too_much_is_an_interruption(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.claimed_length = len(CONTENT) + 10
    with pytest.raises(TransferInterrupted, match=f"after {len(CONTENT)} of {len(CONTENT) + 10} bytes"):
        fetch(HttpSource(url), part)


@pytest.mark.parametrize("cut", [[], [400_000]])
def test_chunked_answers_have_no_length(part: Path, cut: list[int]) -> None:
    behaviour = Behaviour(CONTENT, chunked=True, cut_after=cut)
    with serving(behaviour) as url:
        fetch(HttpSource(url, sums(CONTENT)), part)
    assert part.read_bytes() == CONTENT


def test_an_answer_without_length_is_taken_until_its_end(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.length = False
    assert fetch(HttpSource(url), part).size_bytes == len(CONTENT)


def test_a_complete_download_is_not_asked_for_again(part: Path, behaviour: Behaviour, url: str) -> None:
    fetch(HttpSource(url), part)
    fetch(HttpSource(url, sums(CONTENT)), part)
    assert len(behaviour.requests) == 1


def test_another_url_starts_over(part: Path, behaviour: Behaviour, url: str) -> None:
    fetch(HttpSource(url), part)
    behaviour.content = OTHER
    fetch(HttpSource(url + "2"), part)
    assert part.read_bytes() == OTHER


def test_after_a_power_cut_only_what_was_durable_is_trusted(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.cut_after = [600_000, *[0] * 20]
    with pytest.raises(TransferInterrupted):
        fetch(HttpSource(url), part)
    record = part.with_name("layer.part.json")
    told = json.loads(record.read_text())
    assert told["synced"] == 600_000
    record.write_text(json.dumps({**told, "boot": "another", "synced": 200_000}))
    part.write_bytes(CONTENT[:200_000] + bytes(400_000))  # what a file system may show then
    behaviour.cut_after = []
    fetch(HttpSource(url), part)
    assert part.read_bytes() == CONTENT
    assert ranges(behaviour)[-1] == "bytes=200000-"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"source": 1}', '{"unknown": 1}'])
def test_a_damaged_record_counts_as_none(part: Path, behaviour: Behaviour, url: str, damage: str) -> None:
    part.write_bytes(OTHER[:1000])
    part.with_name("layer.part.json").write_text(damage)
    fetch(HttpSource(url), part)
    assert part.read_bytes() == CONTENT


def test_a_wrong_checksum_says_both_and_leaves_nothing(part: Path, behaviour: Behaviour, url: str) -> None:
    wrong = {**sums(CONTENT, "md5"), "sha256": "0" * 64}
    with pytest.raises(StorageError, match=f"sha256 of {url} is {sums(CONTENT)['sha256']}, expected 0000") as caught:
        fetch(HttpSource(url, wrong), part)
    assert not isinstance(caught.value, TransferInterrupted)
    assert list(part.parent.iterdir()) == []
    assert len(behaviour.requests) == 1


def test_checksums_may_be_in_capitals(part: Path, url: str) -> None:
    fetch(HttpSource(url, {"sha1": sums(CONTENT, "sha1")["sha1"].upper()}), part)


@pytest.mark.parametrize("path", ["a b", "a\x7fb", "ä"])
def test_urls_that_http_cannot_carry_are_refused(part: Path, behaviour: Behaviour, url: str, path: str) -> None:
    with pytest.raises(StorageError) as caught:
        fetch(HttpSource(f"{url}/{path}"), part)
    assert not isinstance(caught.value, TransferInterrupted)
    assert behaviour.requests == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_busy_servers_are_asked_again(part: Path, behaviour: Behaviour, url: str, status: int) -> None:
    behaviour.statuses = [status, status]
    fetch(HttpSource(url), part)
    assert len(behaviour.requests) == 3


def test_a_server_that_stays_busy_is_an_interruption(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.statuses = [503] * 20
    with pytest.raises(TransferInterrupted, match="answered 503"):
        fetch(HttpSource(url), part)
    assert len(behaviour.requests) == 4


@pytest.mark.parametrize(
    ("status", "remedy"), [(404, "check the URL"), (403, "rights"), (401, "user:password"), (410, "newer")]
)
def test_a_refusal_is_final_and_says_what_to_do(
    part: Path, behaviour: Behaviour, url: str, status: int, remedy: str
) -> None:
    behaviour.statuses = [status] * 5
    with pytest.raises(StorageError, match=f"answered {status}") as caught:
        fetch(HttpSource(url), part)
    assert not isinstance(caught.value, TransferInterrupted)
    assert remedy in caught.value.remedy
    assert len(behaviour.requests) == 1


def test_nobody_listening_is_an_interruption(part: Path, behaviour: Behaviour) -> None:
    with serving(behaviour) as url:
        pass
    with pytest.raises(TransferInterrupted, match="Connection refused"):
        fetch(HttpSource(url), part)


def test_a_name_that_does_not_exist_is_said_so(part: Path) -> None:
    with pytest.raises(TransferInterrupted, match=r"nowhere\.invalid cannot be resolved"):
        fetch(HttpSource("http://nowhere.invalid/image"), part)


def test_cancelling_leaves_what_arrived(part: Path, behaviour: Behaviour, url: str) -> None:
    with pytest.raises(TransferInterrupted, match="stopped"):
        fetch(HttpSource(url), part, cancelled=lambda: part.exists() and part.stat().st_size >= 500_000)
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    assert len(behaviour.requests) == 1
    fetch(HttpSource(url, sums(CONTENT)), part)
    assert ranges(behaviour) == [None, f"bytes={kept}-"]


def test_cancelling_does_not_wait_for_a_server_that_sends_nothing(part: Path, behaviour: Behaviour, url: str) -> None:
    silent, leave = threading.Event(), threading.Event()

    def fall_silent(sent: int) -> None:
        if sent >= 700_000:
            silent.set()
            leave.wait(60)

    behaviour.before_chunk = fall_silent
    with pytest.raises(TransferInterrupted, match="stopped"):
        fetch(HttpSource(url), part, cancelled=lambda: silent.is_set() and part.stat().st_size >= 700_000)
    leave.set()
    assert 0 < part.stat().st_size < len(CONTENT)


def test_cutting_an_answer_of_unknown_length_is_not_its_end(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.length = False
    silent, leave = threading.Event(), threading.Event()

    def fall_silent(sent: int) -> None:
        if sent >= 700_000:
            silent.set()
            leave.wait(60)

    behaviour.before_chunk = fall_silent
    with pytest.raises(TransferInterrupted, match="stopped"):
        fetch(HttpSource(url), part, cancelled=silent.is_set)
    leave.set()
    behaviour.before_chunk = None
    fetch(HttpSource(url), part)
    assert part.read_bytes() == CONTENT


def test_an_exception_from_the_listener_leaves_what_arrived(part: Path, behaviour: Behaviour, url: str) -> None:
    ticks = itertools.count(step=0.25)
    interrupted = threading.Event()
    behaviour.before_chunk = lambda sent: None if sent < 700_000 else void(interrupted.wait(30))

    def interrupt(seen: Progress) -> None:
        if seen.received_bytes > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(HttpSource(url), part, progress=interrupt, clock=lambda: next(ticks))
    interrupted.set()
    kept = part.stat().st_size
    assert kept > 500_000
    fetch(HttpSource(url, sums(CONTENT)), part)
    assert ranges(behaviour)[-1] == f"bytes={kept}-"


def test_redirects_are_followed_without_the_password(part: Path, behaviour: Behaviour, url: str) -> None:
    first = Behaviour(redirect_to=url)
    with serving(first) as start:
        fetch(HttpSource(start.replace("http://", "http://me:se%40cret@")), part)
    assert first.requests[0]["authorization"] == "Basic " + base64.b64encode(b"me:se@cret").decode()
    assert "authorization" not in behaviour.requests[0]
    assert part.read_bytes() == CONTENT


def test_a_password_in_the_url_is_never_shown(part: Path, behaviour: Behaviour, url: str) -> None:
    behaviour.statuses = [404]
    source = HttpSource(url.replace("http://", "http://me:secret@") + "?token=secret")
    with pytest.raises(StorageError) as caught:
        fetch(source, part)
    assert "secret" not in caught.value.message + repr(source)


def test_endless_redirects_end(part: Path) -> None:
    behaviour = Behaviour()
    with serving(behaviour) as url:
        behaviour.redirect_to = url
        with pytest.raises(StorageError, match="answered 302"):
            fetch(HttpSource(url), part)
    assert len(behaviour.requests) <= 11


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_out_of_http_are_refused(part: Path, target: str) -> None:
    with serving(Behaviour(redirect_to=target)) as url, pytest.raises(StorageError, match=r"(?i)redirect"):
        fetch(HttpSource(url), part)
    assert not part.exists()


class Authority:
    """A certificate authority of our own, and a server context from it."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self.context)
        self.bundle = base64.b64encode(authority.cert_pem.bytes()).decode()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def test_a_private_authority_needs_its_bundle(part: Path, behaviour: Behaviour, authority: Authority) -> None:
    with serving(behaviour, authority.context) as url:
        with pytest.raises(StorageError, match="not trusted") as caught:
            fetch(HttpSource(url), part)
        assert "caBundle" in caught.value.remedy
        assert not isinstance(caught.value, TransferInterrupted)
        fetch(HttpSource(url, ca_bundle=authority.bundle), part)
    assert part.read_bytes() == CONTENT


def test_https_does_not_fall_back_to_http_unless_a_strong_checksum_guards_it(
    part: Path, behaviour: Behaviour, url: str, authority: Authority
) -> None:
    with serving(Behaviour(redirect_to=url), authority.context) as start:
        for checksums in ({}, sums(CONTENT, "md5")):
            with pytest.raises(StorageError, match="from https to http"):
                fetch(HttpSource(start, checksums, authority.bundle), part)
        assert behaviour.requests == []
        fetch(HttpSource(start, sums(CONTENT), authority.bundle), part)
    assert part.read_bytes() == CONTENT


def test_http_may_lead_to_https(part: Path, behaviour: Behaviour, authority: Authority) -> None:
    with ExitStack() as stack:
        secure = stack.enter_context(serving(behaviour, authority.context))
        start = stack.enter_context(serving(Behaviour(redirect_to=secure)))
        fetch(HttpSource(start, ca_bundle=authority.bundle), part)
    assert part.read_bytes() == CONTENT


def test_the_proxy_of_the_environment_is_used(
    part: Path, behaviour: Behaviour, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    fetch(HttpSource("http://images.invalid/one.qcow2"), part)
    assert behaviour.requests[0]["path"] == "http://images.invalid/one.qcow2"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    part.unlink()
    fetch(HttpSource(url), part)
    assert behaviour.requests[1]["path"] == "/image"


def test_https_goes_through_a_proxy_as_a_tunnel(
    part: Path, behaviour: Behaviour, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(behaviour, authority.context) as url, tunnelling() as (proxy, asked):
        monkeypatch.setenv("https_proxy", proxy)
        fetch(HttpSource(url, ca_bundle=authority.bundle), part)
        assert asked == [url.removeprefix("https://").removesuffix("/image")]
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (HttpSource("ftp://host/x"), "not an http or https URL"),
        (HttpSource("http:///x"), "not an http or https URL"),
        (HttpSource("http://h/x", {"streebog256": "0" * 64}), "streebog256 cannot be computed"),
        (HttpSource("http://h/x", {"streebog512": "0" * 128}), "streebog512 cannot be computed"),
        (HttpSource("http://h/x", {"sha256": "0" * 63}), "64 hexadecimal digits"),
        (HttpSource("http://h/x", {"crc32": "0"}), "not known"),
        (HttpSource("http://h/x", ca_bundle="%%%"), "caBundle"),
        (HttpSource("http://h/x", ca_bundle=base64.b64encode(b"hello").decode()), "no certificate"),
        (HttpSource("http://h:port/x"), "not an http or https URL"),
    ],
)
def test_sources_that_cannot_work_are_refused_before_any_request(part: Path, source: HttpSource, what: str) -> None:
    assert what in problem(source)
    with pytest.raises(StorageError, match=what):
        fetch(source, part)


def test_a_sound_source_has_no_problem(authority: Authority) -> None:
    assert problem(HttpSource("https://host/x?y=1", sums(b""), authority.bundle)) == ""
