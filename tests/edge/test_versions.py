"""Versions side by side: the power goes at every single step, and what starts then is the old version or the new one.

Every step of a whole update is enumerated, not sampled: at each one the power goes before it, in the middle of it (a
torn file), or after it with everything forgotten that was not made to last. Then the real launcher chooses.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.fleet.releases import packed
from edge import update as machine
from edge.update import CRASHED, Condition, Found, Step, Update, at_start, done, went_back
from edge.versions import PLACE, TRIAL_STARTS, ArchiveRefused, Disk, Versions, lacking
from protocols.limits import RELEASE_FILES_MAX, RELEASE_TREE_BYTES_MAX
from protocols.releases import DESCRIPTION, START, Release, UpdateState, describe
from tests.edge.mirror import a_release

LAUNCH = PLACE / "firmware_config/root/usr/lib/portillon/launch"
CARD, OLD, NEW = "0.1.0", "0.2.0", "0.3.0"


class PowerCut(BaseException):
    """The power is gone: nothing after this line happens."""


class MortalDisk(Disk):
    """A disk whose power goes at the n-th step. how: before it, torn in its middle, lossy (nothing unsettled lasts)."""

    def __init__(self, at: int = -1, how: str = "before") -> None:
        self.steps: list[str] = []
        self._at, self._how = at, how
        self._undo: list[tuple[Path, Callable[[], object]]] = []

    def write(self, path: Path, data: bytes) -> None:
        def tear() -> None:
            path.write_bytes(data[: len(data) // 2])

        self._do("write", path, lambda: Disk.write(self, path, data), tear, lambda: path.unlink(missing_ok=True))

    def rename(self, old: Path, new: Path) -> None:
        back = _memory_of(new)

        def undo() -> None:
            os.replace(new, old)
            back()

        self._do("rename", new, lambda: Disk.rename(self, old, new), None, undo)

    def link(self, path: Path, target: str) -> None:
        self._do("link", path, lambda: Disk.link(self, path, target), None, lambda: path.unlink(missing_ok=True))

    def folder(self, path: Path) -> None:
        self._do("folder", path, lambda: Disk.folder(self, path), None, lambda: shutil.rmtree(path))

    def erase(self, path: Path) -> None:
        def tear() -> None:
            if path.is_dir() and not path.is_symlink():
                for file in sorted(path.rglob("*.py")):
                    file.unlink()

        self._do("erase", path, lambda: Disk.erase(self, path), tear, _memory_of(path))

    def settle(self, path: Path) -> None:
        def last() -> None:
            Disk.settle(self, path)
            self._undo = [(one, undo) for one, undo in self._undo if one.parent != path]

        self._do("settle", path, last, None, None)

    def _do(
        self,
        what: str,
        path: Path,
        act: Callable[[], object],
        tear: Callable[[], object] | None,
        undo: Callable[[], object] | None,
    ) -> None:
        here = len(self.steps) == self._at
        self.steps.append(f"{what} {path.name}")
        if here and self._how != "lossy":
            if self._how == "torn" and tear is not None:
                tear()
            raise PowerCut
        act()
        if undo is not None:
            self._undo.append((path, undo))
        if here:
            for _, forget in reversed(self._undo):
                forget()
            raise PowerCut


def _memory_of(path: Path) -> Callable[[], object]:
    """Return what puts back what a path held."""
    if path.is_symlink():
        target = os.readlink(path)
        return lambda: (path.unlink(missing_ok=True), os.symlink(target, path))
    if path.is_file():
        data = path.read_bytes()
        return lambda: path.write_bytes(data)
    if path.is_dir():
        files = {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}

        def restore() -> None:
            for name, data in files.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(data)

        return restore
    return lambda: None


class Machine:
    """A gate's disk and its launcher; what Python is given is told instead of run."""

    def __init__(self, folder: Path) -> None:
        self.base, self.venv = folder / "base", folder / "venv"
        self.base.mkdir(parents=True)
        (self.venv / "bin").mkdir(parents=True)
        given = 'while [ ! -d "$1" ]; do shift; done; basename "$1"'  # the folder, whatever options come before it
        for name, says in (("python", given), ("portillon-gate", f"echo {CARD}")):
            (self.venv / "bin" / name).write_text(f"#!/bin/sh\n{says}\n")
            (self.venv / "bin" / name).chmod(0o755)

    def boot(self) -> str:
        """Return the version that the launcher starts."""
        command = ["sh", LAUNCH, self.base, self.venv, "1", "run"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    def begin(self, running: str, disk: Disk | None = None) -> Update:
        """What every start does first: finish what the power cut off."""
        versions = Versions(self.base, disk)
        before = versions.update()
        update, step = at_start(before, versions.found(running))
        if step is Step.COMMIT:
            versions.commit(update)
        elif step is Step.BACK:
            versions.go_back(update)
        elif step is Step.UNMARK:
            versions.unmark()
        if update != before:
            versions.keep(update)
        return update


def whole_update(base: Path, archive: Path, disk: Disk, *, good: bool) -> None:
    """An update from the archive to its end, each step by the machine's own table."""
    versions = Versions(base, disk)
    update = Update(7, NEW, UpdateState.VERIFIED)
    versions.keep(update)
    versions.install(archive, NEW)
    versions.keep(update := done(update, Step.INSTALL))
    versions.switch(update := done(update, Step.SWITCH, condition=Condition()))
    if good:
        versions.commit(done(update, Step.COMMIT))
        versions.tidy()
    else:
        versions.go_back(went_back(update, "SELFTEST"))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory: hundreds of updates are made to last in it, and what lasts is decided by MortalDisk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="portillon-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "0.3.0.tar.gz"
    path.write_bytes(a_release(NEW))
    return path


def a_machine(folder: Path, *, first: bool) -> Machine:
    """A gate on the card's program, or on an older release."""
    gate = Machine(folder)
    if not first:
        old = folder / "old.tar.gz"
        old.write_bytes(a_release(OLD))
        versions = Versions(gate.base)
        versions.install(old, OLD)
        versions.switch(Update(1, OLD, UpdateState.TRIAL))
        versions.commit(Update(1, OLD, UpdateState.COMMITTED))
    return gate


def steps_of(tmp_path: Path, archive: Path, *, good: bool, first: bool) -> list[str]:
    disk = MortalDisk()
    gate = a_machine(tmp_path / "counted", first=first)
    whole_update(gate.base, archive, disk, good=good)
    return disk.steps


@pytest.mark.parametrize("how", ["before", "torn", "lossy"])
@pytest.mark.parametrize("good", [True, False], ids=["stays", "goes back"])
@pytest.mark.parametrize("first", [True, False], ids=["from the card", "from a release"])
def test_a_power_cut_at_any_step_boots_old_or_new_and_the_next_start_knows_which(
    tmp_path: Path, archive: Path, first: bool, good: bool, how: str
) -> None:
    old, steps = CARD if first else OLD, steps_of(tmp_path, archive, good=good, first=first)
    assert len(steps) > 25 and {"write trial.new", "rename trial", "rename current", "erase trial"} <= set(steps)
    tearable = [at for at, step in enumerate(steps) if step.startswith(("write", "erase"))]  # elsewhere torn is before
    for at in tearable if how == "torn" else range(len(steps)):
        gate = a_machine(tmp_path / f"cut-{at}", first=first)
        with pytest.raises(PowerCut):
            whole_update(gate.base, archive, MortalDisk(at, how), good=good)
        running = gate.boot()
        update = gate.begin(running)
        where = f"{how} step {at}, {steps[at]}: {running}, {update.state}"
        assert running in (old, NEW), where
        if (update.version, update.state) == (NEW, UpdateState.COMMITTED):
            assert running == NEW and gate.boot() == NEW and not (gate.base / "trial").exists(), where
        elif update.state is UpdateState.TRIAL:
            assert running == NEW, where
            assert [gate.boot() for _ in range(TRIAL_STARTS)][-1] == old, where  # it never holds
            assert gate.begin(old) == went_back(update, CRASHED), where
            assert gate.boot() == old, where
        else:
            assert gate.boot() == old and not (gate.base / "trial").exists(), where
        if how == "lossy" and (update.version != NEW or update.state in (UpdateState.VERIFIED, UpdateState.INSTALLED)):
            whole_update(gate.base, archive, Disk(), good=True)  # and it can be done again from there
            assert gate.boot() == NEW, where


@pytest.mark.parametrize("how", ["before", "torn", "lossy"])
@pytest.mark.parametrize("state", [UpdateState.TRIAL, UpdateState.ROLLED_BACK])
def test_a_power_cut_while_a_start_finishes_what_the_last_one_cut_off_boots_old_or_new(
    tmp_path: Path, archive: Path, state: UpdateState, how: str
) -> None:
    """The launcher went back, and going back is cut too."""

    def cut_off(name: str) -> Machine:
        gate = a_machine(tmp_path / name, first=False)
        versions = Versions(gate.base)
        versions.install(archive, NEW)
        versions.switch(Update(7, NEW, UpdateState.TRIAL))
        versions.keep(Update(7, NEW, state))
        (gate.base / "trial").write_bytes(b"0\n")
        return gate

    disk = MortalDisk()
    cut_off("counted").begin(OLD, disk)
    assert len(disk.steps) >= 5
    for at in range(len(disk.steps)):
        gate = cut_off(f"cut-{at}")
        with pytest.raises(PowerCut):
            gate.begin(OLD, MortalDisk(at, how))
        assert gate.boot() == OLD, disk.steps[at]
        assert gate.begin(OLD).state is UpdateState.ROLLED_BACK, disk.steps[at]
        assert gate.boot() == OLD and not (gate.base / "trial").exists()


# --- the launcher -----------------------------------------------------------------------------------------------------


@pytest.fixture
def on_trial(tmp_path: Path, archive: Path) -> Machine:
    gate = a_machine(tmp_path, first=False)
    versions = Versions(gate.base)
    versions.install(archive, NEW)
    versions.switch(Update(7, NEW, UpdateState.TRIAL))
    return gate


def test_the_launcher_can_be_read_in_a_minute() -> None:
    assert len(LAUNCH.read_text().splitlines()) <= 45


def test_a_version_on_trial_that_crashes_at_start_is_started_twice_and_then_the_old_one(on_trial: Machine) -> None:
    assert [on_trial.boot() for _ in range(4)] == [NEW, NEW, OLD, OLD]
    update = on_trial.begin(OLD)
    assert (update.state, update.code) == (UpdateState.ROLLED_BACK, CRASHED)
    assert on_trial.boot() == OLD and os.readlink(on_trial.base / "current") == f"versions/{OLD}"


def test_a_version_on_trial_that_hangs_is_ended_and_not_started_again(on_trial: Machine) -> None:
    (on_trial.venv / "bin" / "python").write_text("#!/bin/sh\nexec sleep 60\n")
    command = ["sh", LAUNCH, on_trial.base, on_trial.venv, "1", "run"]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=20)
    assert ended.returncode == -9
    assert (on_trial.base / "trial").read_text() == "0\n"


def test_a_version_that_stays_is_not_ended(on_trial: Machine) -> None:
    (on_trial.venv / "bin" / "python").write_text(f"#!/bin/sh\nrm {on_trial.base}/trial\nsleep 1.6\necho stayed\n")
    command = ["sh", LAUNCH, on_trial.base, on_trial.venv, "1", "run"]
    assert subprocess.run(command, capture_output=True, check=True, timeout=20, text=True).stdout == "stayed\n"


@pytest.mark.parametrize("mark", [b"", b"\n", b"x\n", b"-1\n", b"12\n", b"\0\0\0", b"$(reboot)\n", b"9" * 9_000])
def test_a_mark_that_cannot_be_read_means_the_version_before(on_trial: Machine, mark: bytes) -> None:
    (on_trial.base / "trial").write_bytes(mark)
    assert on_trial.boot() == OLD


def test_a_version_whose_folder_is_gone_leaves_the_one_before_and_then_the_card(on_trial: Machine) -> None:
    shutil.rmtree(on_trial.base / "versions" / NEW)
    assert on_trial.boot() == OLD
    shutil.rmtree(on_trial.base / "versions")
    assert on_trial.boot() == CARD


def test_the_program_is_given_its_own_folder_and_not_the_link_that_moves(on_trial: Machine) -> None:
    (on_trial.venv / "bin" / "python").write_text('#!/bin/sh\necho "$@"\n')
    assert on_trial.boot().endswith(f" {(on_trial.base / 'versions' / NEW).resolve()} run")
    Versions(on_trial.base).unmark()
    assert on_trial.boot() == f"-I -B -u {(on_trial.base / 'versions' / NEW).resolve()} run"


NO_START_MENDS_IT = 2  # RestartPreventExitStatus of portillon-gate.service


def ends(gate: Machine) -> int:
    """Start what is due with the real Python; return how it ended."""
    (gate.venv / "bin" / "python").unlink()
    (gate.venv / "bin" / "python").symlink_to(sys.executable)
    command = ["sh", LAUNCH, gate.base, gate.venv, "5", "run", "--config", "gate.toml"]
    return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode


@pytest.mark.parametrize(("says", "code"), [
    ("sys.exit(2)", 1), ("sys.exit(0)", 0), ("sys.exit(3)", 3), ("", 0), ("sys.exit('why')", 1), ("1 / 0", 1),
    ("sys.exit(sys.argv[1:] != ['run', '--config', 'gate.toml'])", 0), ("os.kill(os.getpid(), 9)", -9),
    ("import where; sys.exit(where.is_here)", 7), ("sys.exit(7 if sys.argv[0] == str(PLACE) else 0)", 7),
    ("sys.exit(7 if __name__ == '__main__' == sys.modules['__main__'].__name__ else 0)", 7),
])  # fmt: skip
def test_a_version_on_trial_never_ends_with_the_code_that_no_start_mends(
    on_trial: Machine, says: str, code: int
) -> None:
    tree = on_trial.base / "versions" / NEW
    (tree / "where.py").write_text("is_here = 7\n")
    (tree / START).write_text(f"import os, pathlib, sys\nPLACE = pathlib.Path(__file__).parent\n{says}\n")
    assert ends(on_trial) == code


def test_a_version_on_trial_that_refuses_its_settings_is_left_for_the_one_before(on_trial: Machine) -> None:
    (on_trial.base / "versions" / NEW / START).write_text("import sys\nsys.exit(2)\n")
    (on_trial.base / "versions" / OLD / START).write_text("import sys\nsys.exit(44)\n")
    assert [ends(on_trial) for _ in range(3)] == [1, 1, 44]


def test_a_version_that_stays_or_that_is_gone_back_to_says_that_no_start_mends_its_settings(on_trial: Machine) -> None:
    for version in (OLD, NEW):
        (on_trial.base / "versions" / version / START).write_text("import sys\nsys.exit(2)\n")
    assert [ends(on_trial) for _ in range(3)] == [1, 1, NO_START_MENDS_IT]
    Versions(on_trial.base).unmark()
    assert ends(on_trial) == NO_START_MENDS_IT


# --- starts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "running", "current", "on_trial", "becomes", "step"), [
    ("trial", NEW, NEW, True, "trial", None),
    ("trial", NEW, NEW, False, "committed", Step.COMMIT),
    ("trial", OLD, NEW, True, "rolled_back", Step.BACK),
    ("trial", OLD, OLD, True, "installed", Step.UNMARK),
    ("trial", OLD, OLD, False, "installed", Step.UNMARK),
    ("trial", CARD, "", True, "installed", Step.UNMARK),
    ("rolled_back", NEW, NEW, True, "rolled_back", Step.BACK),
    ("rolled_back", OLD, NEW, True, "rolled_back", Step.BACK),
    ("rolled_back", OLD, OLD, True, "rolled_back", Step.BACK),
    ("rolled_back", OLD, OLD, False, "rolled_back", None),
    ("committed", NEW, NEW, False, "committed", None),
    ("committed", NEW, NEW, True, "committed", Step.UNMARK),
    ("installed", OLD, OLD, False, "installed", None),
    ("installed", OLD, OLD, True, "installed", Step.BACK),
    ("downloading", OLD, OLD, False, "downloading", None),
    ("idle", NEW, NEW, True, "idle", Step.BACK),
])  # fmt: skip
def test_every_start_has_its_row(
    state: str, running: str, current: str, on_trial: bool, becomes: str, step: Step | None
) -> None:
    update, found = at_start(Update(7, NEW, UpdateState(state)), Found(running, current, on_trial))
    assert (update.state, found) == (becomes, step)


@pytest.mark.parametrize("kept", [
    b"", b"{", b"[]", b"null", b"[" * 9_000, b'{"job": "x"}', b"\xff\xfe", b'{"v":1,"job":1,"version":"../../x",'
    b'"state":"trial","code":"","tries":0,"before":{"faults":[],"documents":{}}}', b" " * 20_000,
])  # fmt: skip
def test_a_kept_state_that_cannot_be_read_is_no_update(kept: bytes) -> None:
    assert machine.from_bytes(kept) == Update()


def test_a_kept_state_is_read_as_it_was_and_unknown_members_are_ignored() -> None:
    update = Update(7, NEW, UpdateState.TRIAL, "", 3, Condition(("camera",), {"KR1": 4}))
    data = machine.as_bytes(update)
    assert machine.from_bytes(data) == update
    assert machine.from_bytes(data[:-1] + b', "later": [1]}') == update


# --- archives ---------------------------------------------------------------------------------------------------------

PLAIN = {DESCRIPTION: describe(Release(NEW, (3, 11))), START: b""}


def tarred(name: str, kind: bytes = b"0", size: int = 0, link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.linkname = kind, size, link
        tar.addfile(member, io.BytesIO(b"x" * size))
    return gzip.compress(out.getvalue(), mtime=0)


@pytest.mark.parametrize("data", [
    b"", b"no archive", a_release(NEW)[:200], a_release(NEW)[:100], a_release(OLD), packed({START: b""}),
    packed({**PLAIN, DESCRIPTION: b"{"}), packed({DESCRIPTION: PLAIN[DESCRIPTION]}),
    tarred("../outside"), tarred("/etc/passwd"), tarred("a/../../outside"), tarred("a//b"), tarred(".hidden"),
    tarred("a/.git/config"), tarred("x", b"2", link="/etc/passwd"), tarred("x", b"1", link="y"), tarred("x", b"3"),
    tarred("x", b"5"), tarred("x", b"6"), tarred("n" * 300), tarred("a\nb"), tarred("a\\b"), tarred("\u202egpj.py"),
    packed({f"{n}.py": b"" for n in range(RELEASE_FILES_MAX + 1)}),
], ids=lambda data: f"{len(data)} bytes")  # fmt: skip
def test_an_archive_that_is_not_plain_files_of_this_version_is_refused_and_nothing_switched(
    tmp_path: Path, data: bytes
) -> None:
    gate, archive = a_machine(tmp_path / "gate", first=False), tmp_path / "archive"
    archive.write_bytes(data)
    with pytest.raises(ArchiveRefused):
        Versions(gate.base).install(archive, NEW)
    assert gate.boot() == OLD and not (gate.base / "versions" / NEW).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "gate"]


def test_what_says_that_it_unpacks_to_too_much_is_refused_before_it_is_read(tmp_path: Path) -> None:
    member = tarfile.TarInfo("big.py")
    member.size = RELEASE_TREE_BYTES_MAX + 1
    archive = tmp_path / "archive"
    archive.write_bytes(gzip.compress(member.tobuf()))
    (tmp_path / "base").mkdir()
    with pytest.raises(ArchiveRefused, match="too much"):
        Versions(tmp_path / "base").install(archive, NEW)
    assert not list((tmp_path / "base").rglob("big.py"))


def test_a_byte_that_changed_on_the_disk_is_found_wherever_it_lies(tmp_path: Path) -> None:
    whole = gzip.compress(gzip.decompress(a_release(NEW)), compresslevel=0)  # stored: no compression to trip over
    (tmp_path / "base").mkdir()
    archive, versions = tmp_path / "archive", Versions(tmp_path / "base")
    archive.write_bytes(whole)
    versions.install(archive, NEW)
    for at in (whole.index(b"print"), len(whole) // 2, len(whole) - 6, len(whole) - 1):
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ArchiveRefused) as caught:
            versions.install(archive, NEW)
        assert caught.value.code == "ARCHIVE", at
    archive.unlink()
    with pytest.raises(ArchiveRefused) as caught:
        versions.install(archive, NEW)
    assert caught.value.code == "ARCHIVE" and not (tmp_path / "base" / "versions" / NEW).exists()


def test_a_release_that_needs_libraries_the_card_has_not_is_refused_by_name(tmp_path: Path) -> None:
    needs = Release(NEW, (3, 11), {"pynacl": "1.0", "tuf": "999", "no-such-library": "1"})
    assert lacking(needs) == ["no-such-library >= 1", "tuf >= 999"]
    assert lacking(Release(NEW, (9, 9))) == ["python >= 9.9"]
    archive = tmp_path / "archive"
    archive.write_bytes(packed({**PLAIN, DESCRIPTION: describe(needs)}))
    (tmp_path / "base").mkdir()
    with pytest.raises(ArchiveRefused) as caught:
        Versions(tmp_path / "base").install(archive, NEW)
    assert caught.value.code == "LIBRARIES"


def test_a_version_in_use_is_not_unpacked_over(tmp_path: Path) -> None:
    gate, archive = a_machine(tmp_path / "gate", first=False), tmp_path / "archive"
    archive.write_bytes(a_release(OLD))
    with pytest.raises(ArchiveRefused):
        Versions(gate.base).install(archive, OLD)
    assert gate.boot() == OLD


def test_what_is_unpacked_is_nobody_else_s_and_can_be_run(tmp_path: Path, archive: Path) -> None:
    gate = a_machine(tmp_path / "gate", first=True)
    Versions(gate.base).install(archive, NEW)
    tree = gate.base / "versions" / NEW
    assert stat.S_IMODE(tree.stat().st_mode) == 0o700
    assert subprocess.run(["python3", "-I", tree], capture_output=True, text=True, check=True).stdout == f"{NEW}\n"
