"""Settings: one tree from flags, environment and file, all faults at once."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from runtime.settings import Settings, SettingsError, env_name, leaves, load


def test_defaults_are_a_whole_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be set."""
    monkeypatch.chdir(tmp_path)

    assert load(environ={}) == Settings()


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    """Each layer sets what the ones above it leave open."""
    file = tmp_path / "matinee.toml"
    file.write_text('[gateway]\nport = 1\nown_port = 1\nhost = "::1"\n[chat]\nblocked_words = ["x"]\n')
    environ = {"MATINEE_CONFIG": str(file), "MATINEE_GATEWAY__PORT": "2", "MATINEE_GATEWAY__OWN_PORT": "2"}

    settings = load({"gateway": {"port": 3}}, environ)

    assert (settings.gateway.port, settings.gateway.own_port, settings.gateway.host) == (3, 2, "::1")
    assert settings.chat.blocked_words == ("x",)


def test_every_fault_is_named_at_once_with_its_path(tmp_path: Path) -> None:
    """A person mends all of it in one go: wrong values and unknown names, of file and environment alike."""
    file = tmp_path / "matinee.toml"
    file.write_text('[gateway]\nport = 70000\ncolour = "red"\n[nonsense]\nx = 1\n')
    environ = {
        "MATINEE_CONFIG": str(file), "MATINEE_SYNC__CONCURRENCY": "many", "MATINEE_GATEWAY_PORT": "1",
        "OTHER_SETTING": "1",
    }  # fmt: skip

    with pytest.raises(SettingsError) as caught:
        load({}, environ)

    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    for part in (
        "gateway.port (MATINEE_GATEWAY__PORT): ", "gateway.colour (MATINEE_GATEWAY__COLOUR): no such setting",
        "nonsense (MATINEE_NONSENSE): no such setting", "sync.concurrency (MATINEE_SYNC__CONCURRENCY): ",
        "MATINEE_GATEWAY_PORT: no such setting",
    ):  # fmt: skip
        assert any(line.startswith(part) for line in lines), part


def test_a_hook_that_nobody_would_call_cannot_be_set() -> None:
    """`on_dvr` comes with recording: until then it is refused, not ignored."""
    environ = {"MATINEE_HOOKS__ON_DVR": "http://h/hook", "MATINEE_HOOKS__SECRET": "a secret of the hooks"}

    with pytest.raises(SettingsError, match="MATINEE_HOOKS__ON_DVR: no such setting"):
        load({}, environ)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    """A missing default file is no fault, a missing named one is."""
    with pytest.raises(SettingsError, match="no such file"):
        load({}, {"MATINEE_CONFIG": str(tmp_path / "absent.toml")})


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    """It says where."""
    (file := tmp_path / "matinee.toml").write_text("[gateway\n")

    with pytest.raises(SettingsError, match=r"matinee\.toml: .*line 1"):
        load({}, {"MATINEE_CONFIG": str(file)})


def test_lists_from_the_environment_are_parted_by_commas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty places count for nothing."""
    monkeypatch.chdir(tmp_path)

    settings = load({}, {"MATINEE_CHAT__BLOCKED_WORDS": " darn, heck,, "})

    assert settings.chat.blocked_words == ("darn", "heck")


def test_secrets_do_not_show() -> None:
    """Settings can be logged."""
    settings = Settings(postgres_dsn=SecretStr("postgresql://u:hunter2@db/x"))

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()


def test_settings_cannot_be_changed_by_a_process() -> None:
    """They are read once, at start."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().gateway.port = 1  # type: ignore[misc]


def test_every_setting_has_its_own_variable_and_its_sentence() -> None:
    """Documentation and environment derive from the tree."""
    found = list(leaves())

    assert len({env_name(path) for path, _ in found}) == len(found)
    assert [path for path, field in found if not field.description] == []
