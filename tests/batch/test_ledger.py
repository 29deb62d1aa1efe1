"""The ledger: done and missing jobs, and the lock of the folder."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jaxstyle.batch import ledger as ledgers
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.origins import stamps
from jaxstyle.batch.storage import Folder
from jaxstyle.errors import LedgerError, WouldReplaceError
from jaxstyle.machine import lock
from jaxstyle.settings import resolve
from tests.processes import process_environment

GUARD = {"weights": "a" * 64, "version": "1.0", "bits": 8}


def job(name: str) -> Job:
    return Job(f"{name}.jpg", ("style.jpg",), resolve(), f"{name}.png")


def jobs(names: str, fingerprint: str = "f") -> list[tuple[Job, str]]:
    return [(job(name), fingerprint) for name in names]


def outputs(found: list[Job]) -> str:
    return "".join(each.output.removesuffix(".png") for each in found)


def log(folder: Folder, name: str = "log.jsonl") -> list[dict]:
    return [json.loads(line) for line in (folder.read(name) or b"").splitlines()]


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path) -> Folder:
    return Folder(
        str(tmp_path / "out") if request.param == "local" else f"memory://{secrets.token_hex(4)}"
    )


@pytest.fixture
def local(tmp_path) -> Folder:
    return Folder(str(tmp_path))


def make(ledger: Ledger, folder: Folder, *done: Job) -> None:
    for each in done:
        folder.write(each.output, b"picture")
        ledger.done(each, 1.25)


def fail(ledger: Ledger, failing: list[Job]) -> None:
    for each in failing:
        ledger.failed(each, "out of luck", 0.5)


def test_everything_is_missing_at_first(folder):
    with Ledger.open(folder, GUARD) as ledger:
        assert outputs(ledger.missing(jobs("abc"))) == "abc"


def test_done_jobs_are_not_missing(folder):
    with Ledger.open(folder, GUARD) as ledger:
        make(ledger, folder, *ledger.missing(jobs("ab")))
    with Ledger.open(folder, GUARD) as ledger:
        assert outputs(ledger.missing(jobs("abc"))) == "c"
        assert sorted(ledger.entries) == ["a.png", "b.png"]


def test_a_line_for_every_picture(folder):
    with Ledger.open(folder, GUARD) as ledger:
        first, second = ledger.missing(jobs("ab"))
        make(ledger, folder, first)
        ledger.failed(second, "b.jpg: not a picture,\nat all", 0.5)
    done, failed = log(folder)
    assert done.pop("inputs") == failed.pop("inputs") == []
    assert done.pop("time") <= failed.pop("time")
    assert len(done.pop("fingerprint")) == len(failed.pop("fingerprint")) == 64
    assert done == {
        "output": "a.png",
        "content": "a.jpg",
        "styles": ["style.jpg"],
        "status": "done",
        "reason": "",
        "seconds": 1.25,
        "host": socket.gethostname(),
    }
    assert failed["status"] == "failed"
    assert failed["reason"] == "b.jpg: not a picture, at all"


def test_failed_jobs_are_tried_again(folder):
    with Ledger.open(folder, GUARD) as ledger:
        fail(ledger, ledger.missing(jobs("a")))
    with Ledger.open(folder, GUARD) as ledger:
        assert outputs(ledger.missing(jobs("a"))) == "a"


def test_jobs_whose_output_was_removed_are_missing_again(folder):
    with Ledger.open(folder, GUARD) as ledger:
        make(ledger, folder, *ledger.missing(jobs("ab")))
        folder.delete("a.png")
        assert outputs(ledger.missing(jobs("ab"))) == "a"


def test_other_settings_are_done_again_only_where_that_is_forced(folder):
    with Ledger.open(folder, GUARD) as ledger:
        make(ledger, folder, *ledger.missing(jobs("ab")))
    mixed = [*jobs("a", "changed"), *jobs("b")]
    with Ledger.open(folder, GUARD) as ledger:
        with pytest.raises(
            WouldReplaceError, match=r"a\.png was made .*: remove it, give another folder"
        ):
            ledger.missing(mixed)
        assert outputs(ledger.missing(jobs("bc"))) == "c"
    with Ledger.open(folder, GUARD, force=True) as ledger:
        make(ledger, folder, *ledger.missing(mixed))
    with Ledger.open(folder, GUARD) as ledger:
        assert ledger.missing(mixed) == []


def test_an_old_output_does_not_count_as_done_after_a_failed_rerun(folder):
    with Ledger.open(folder, GUARD) as ledger:
        make(ledger, folder, *ledger.missing(jobs("a")))
    with Ledger.open(folder, GUARD, force=True) as ledger:
        fail(ledger, ledger.missing(jobs("a", "changed")))
        ledger.compact()
    with Ledger.open(folder, GUARD) as ledger:
        assert outputs(ledger.missing(jobs("a", "changed"))) == "a"
        with pytest.raises(WouldReplaceError):  # the old one is of neither
            ledger.missing(jobs("a", "once more"), lambda job: "once more")


def test_a_picture_of_a_file_that_has_changed_is_not_replaced(local):
    (photo := Path(local.root, "a.jpg")).write_text("before")
    given = [(Job(str(photo), (), resolve(), "a.png"), "f")]
    with Ledger.open(local, GUARD) as ledger:
        (only,) = ledger.missing(given)
        local.write("a.png", b"picture")
        ledger.done(only, 1.0, stamps(only.inputs()))
    for text, stamped in (("before", True), ("other", False), ("befOre", False), ("before", True)):
        photo.write_text(text)
        os.utime(photo, ns=(1, len(text) + 2 * stamped))
        with Ledger.open(local, GUARD) as ledger:
            if stamped:
                assert ledger.missing(given) == []
                continue
            with pytest.raises(WouldReplaceError, match=r"made from .*a\.jpg, which has changed"):
                ledger.missing(given)
    photo.unlink()
    with Ledger.open(local, GUARD) as ledger:
        assert ledger.missing(given) == []


def test_force_does_everything_again(folder):
    with Ledger.open(folder, GUARD) as ledger:
        make(ledger, folder, *ledger.missing(jobs("ab")))
    with Ledger.open(folder, GUARD, force=True) as ledger:
        assert outputs(ledger.missing(jobs("ab"))) == "ab"


def test_killed_before_the_line_was_written(folder):
    with Ledger.open(folder, GUARD) as ledger:
        ledger.missing(jobs("ab"))
        folder.write("a.png", b"picture")
    with Ledger.open(folder, GUARD) as ledger:
        assert outputs(ledger.missing(jobs("ab"))) == "b"
    assert [(entry["output"], entry["status"]) for entry in log(folder)] == [("a.png", "done")]
    with Ledger.open(folder, GUARD) as ledger, pytest.raises(WouldReplaceError):
        ledger.missing(jobs("ab", "changed"))
    folder.delete("log.jsonl")  # now only the picture itself can say how it was made
    with Ledger.open(folder, GUARD) as ledger, pytest.raises(WouldReplaceError):
        ledger.missing(jobs("ab"), lambda job: "otherwise")


def test_truncated_and_foreign_lines_are_skipped(folder):
    with Ledger.open(folder, GUARD) as ledger:
        make(ledger, folder, *ledger.missing(jobs("a")))
    whole = folder.read("log.jsonl") or b""
    torn, foreign = b'{"output": "b.png", "cont', (b"[]", b"7", b"null", b"{}", b"", b"\n\n")
    for junk in (torn, b"\xff\xfe\x00", *foreign):
        folder.write("log.jsonl", junk + b"\n" + whole + junk)
        with Ledger.open(folder, GUARD) as ledger:
            assert list(ledger.entries) == ["a.png"], junk
            make(ledger, folder, *ledger.missing(jobs("ab")))
        assert sorted(ledgers.read_log(folder).entries) == ["a.png", "b.png"], junk
        folder.delete("b.png")


def test_lines_of_wrong_types_are_skipped_and_it_is_said(folder):
    with Ledger.open(folder, GUARD) as ledger:
        make(ledger, folder, *ledger.missing(jobs("a")))
    (entry,) = log(folder)
    place = f"{folder.root}/log.jsonl: is damaged, and repaired: line 1: "
    wrong = [json.dumps({**entry, name: [7]}).encode() for name in entry]
    wrong += [json.dumps({**entry, "status": "unheard"}).encode(), b"[" * 99999, b"\0", b"\xff"]
    for line in wrong:
        folder.write("log.jsonl", line + b"\n")
        found = ledgers.read_log(folder)
        assert found.entries == {}
        assert found.damage.startswith(place) and found.damage.isprintable()
    folder.write("log.jsonl", wrong[0][:-9])  # as a kill in the middle leaves it
    assert ledgers.read_log(folder) == ({}, "")


def test_the_log_has_one_line_for_every_output_in_the_end(folder):
    with Ledger.open(folder, GUARD) as ledger:
        fail(ledger, ledger.missing(jobs("a")))
        make(ledger, folder, *ledger.missing(jobs("ab")))
        ledger.compact()
    assert [(e["output"], e["status"]) for e in log(folder)] == [
        ("a.png", "done"),
        ("b.png", "done"),
    ]


# --- the guard ------------------------------------------------------------------------------------


def test_a_folder_of_another_guard_is_left_alone(folder):
    with Ledger.open(folder, GUARD):
        pass
    kept = folder.read("batch.json")
    other = {"weights": "b" * 64, "version": "1.0"}
    with (
        pytest.raises(WouldReplaceError, match="--force") as failure,
        Ledger.open(folder, other),
    ):
        pass
    line = str(failure.value)
    assert line.startswith(f"{folder.root}: ") and "\n" not in line
    assert "was made with bits 8, not nothing, and weights aaaaaaaa..., not bbbbbbbb...: " in line
    assert "version" not in line
    assert folder.read("batch.json") == kept


def test_a_guard_is_compared_as_json(folder):
    for _ in range(2):
        with Ledger.open(folder, {"sizes": (1, 2)}):
            pass


def test_a_damaged_guard_is_not_written_over(folder):
    folder.create()
    damages = b"", b"mine", b"[]", b"7", b"\0", b"\xff\xfe", b"[" * 99999, b'{"a": 1, "a": 1}'
    for damage in damages:
        folder.write("batch.json", damage)
        with (
            pytest.raises(LedgerError, match=r"batch\.json: is damaged .*--force") as failure,
            Ledger.open(folder, GUARD),
        ):
            pass
        assert str(failure.value).isprintable()
        assert folder.read("batch.json") == damage
    with Ledger.open(folder, GUARD, force=True):
        pass
    with Ledger.open(folder, GUARD):
        pass


def test_force_takes_a_folder_over_and_a_kill_in_the_middle_leaves_nothing_old(folder):
    with Ledger.open(folder, GUARD) as ledger:
        make(ledger, folder, *ledger.missing(jobs("ab")))
    other = {**GUARD, "weights": "b" * 64}
    with Ledger.open(folder, other, force=True) as ledger:
        first, second = ledger.missing(jobs("ab"))
        make(ledger, folder, first)  # and then it is killed
    with Ledger.open(folder, other) as ledger:
        assert ledger.missing(jobs("ab")) == [second]


def test_a_log_behind_a_url_is_not_rewritten_for_every_line(monkeypatch):
    folder = Folder(f"memory://{secrets.token_hex(4)}")
    appended = []
    monkeypatch.setattr(Folder, "append", lambda self, name, line: appended.append(line))
    with Ledger.open(folder, GUARD) as ledger:
        make(ledger, folder, *ledger.missing(jobs("abcd")))
    assert [len(lines.split("\n")) for lines in appended] == [1, 3]


# --- the lock -------------------------------------------------------------------------------------

HOLD = """
import sys
from jaxstyle.batch.ledger import Ledger
from jaxstyle.batch.storage import Folder
with Ledger.open(Folder(sys.argv[1]), {}):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_second_process_is_kept_out_until_the_first_is_killed(local):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, local.root],
        env=process_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"locked\n"
        with pytest.raises(LedgerError) as failure, Ledger.open(local, {}):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert f"another process (pid {process.pid} on " in str(failure.value)
    assert f"is working in {local.root}: wait for it" in str(failure.value)
    with Ledger.open(local, {}):
        pass


def test_a_failure_releases_the_lock(local):
    with pytest.raises(ZeroDivisionError), Ledger.open(local, GUARD):
        raise ZeroDivisionError
    with Ledger.open(local, GUARD):
        pass


def test_without_file_locks_the_folder_is_not_locked(local, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with Ledger.open(local, GUARD), Ledger.open(local, GUARD):
        pass
