"""./matinee: what it takes for complete, and what it says where it is not."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "matinee"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, working on a checkout in a temporary folder."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("matinee_script", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    for lock in ("run", "dev", "node"):
        (tmp_path / "requirements" / f"{lock}.lock").write_text(f"{lock}==1\n")
    (tmp_path / "web" / "src").mkdir(parents=True)
    (tmp_path / "web" / "package.json").write_text("{}")
    (tmp_path / "web" / "src" / "main.tsx").write_text("1")
    places = {
        "PROJECT": tmp_path,
        "VENV": tmp_path / ".venv",
        "REQUIREMENTS": tmp_path / "requirements",
        "WEB": tmp_path / "web",
        "CLIENT": tmp_path / "app",
    }
    for name, place in places.items():
        monkeypatch.setattr(module, name, place)
    for folder in (tmp_path / ".venv" / "bin", tmp_path / "app", tmp_path / "web" / "node_modules"):
        folder.mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    return module


def _complete(script: ModuleType, lock: str) -> None:
    script._write_stamp(script.VENV, script._environment_stamp(script.VENV, lock))
    script._write_stamp(script.CLIENT, script._client_stamp())
    script._write_stamp(script.WEB / "node_modules", script._modules_stamp())


def test_a_fresh_checkout_is_incomplete(script: ModuleType) -> None:
    """No stamp anywhere."""
    assert not script._all_there("up", tools=False)


def test_what_is_stamped_is_left_alone(script: ModuleType) -> None:
    """A later start installs and builds nothing; the tests' environment runs everything else too."""
    _complete(script, "run")
    assert script._all_there("up", tools=False)
    assert not script._all_there("test", tools=True)

    _complete(script, "dev")
    assert script._all_there("up", tools=False)
    assert script._all_there("test", tools=True)


@pytest.mark.parametrize("changed", ["requirements/run.lock", "web/src/main.tsx", "web/package.json"])
def test_a_change_of_what_it_was_made_from_makes_it_stale(
    script: ModuleType, tmp_path: Path, changed: str
) -> None:
    """Another lock, another source of the browser client, other tools for it."""
    _complete(script, "run")

    (tmp_path / changed).write_text("other")

    assert not script._all_there("up", tools=False)


def test_another_interpreter_behind_the_environment_makes_it_stale(
    script: ModuleType, tmp_path: Path
) -> None:
    """As when the system's Python was replaced by a newer one, or was removed."""
    _complete(script, "run")
    python = tmp_path / ".venv" / "bin" / "python"

    python.unlink()

    assert not script._all_there("up", tools=False)


def test_a_new_source_file_makes_the_client_stale(script: ModuleType, tmp_path: Path) -> None:
    """The stamp covers names as well as contents."""
    _complete(script, "run")

    (tmp_path / "web" / "src" / "other.tsx").touch()

    assert not script._all_there("up", tools=False)


def test_commands_without_pages_do_without_the_client(script: ModuleType) -> None:
    """An account can be made before Node was ever needed."""
    script._write_stamp(script.VENV, script._environment_stamp(script.VENV, "run"))

    assert script._all_there("user", tools=False)
    assert not script._all_there("up", tools=False)


def test_a_fault_is_one_sentence_and_no_trace(script: ModuleType) -> None:
    """With an exit code that is not 0."""
    with pytest.raises(SystemExit, match=r"^matinee: do this\.$"):
        script.fail("do this.")


def test_an_old_python_can_read_as_far_as_the_sentence_about_its_age() -> None:
    """No syntax that Python 3.7 does not know stands in the script."""
    import ast

    ast.parse(SCRIPT.read_text("utf-8"), feature_version=(3, 7))


def test_bytecode_goes_beside_the_packages_where_none_may_lie_beside_the_sources(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to write no bytecode, it is kept in .venv: compiled anew, each start would take twice as long."""
    _complete(script, "run")
    handed: dict[str, str] = {}
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "argv", ["matinee", "doctor"])
    monkeypatch.setattr(script.os, "execve", lambda _path, _words, environment: handed.update(environment))

    script.main()

    assert "PYTHONDONTWRITEBYTECODE" not in handed
    assert handed["PYTHONPYCACHEPREFIX"] == str(script.VENV / "bytecode")
