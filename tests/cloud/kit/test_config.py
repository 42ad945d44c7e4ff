"""Settings: read once, every problem said at once, nothing guessed."""

from pathlib import Path

import pytest

from cloud.config import SETTINGS, SettingsRefused, read_settings


def test_five_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings({
            "PORTILLON_DATABASE_URL": "mysql://x", "PORTILLON_LISTEN": "8080", "PORTILLON_DEMO": "yes",
            "PORTILLON_POOL_SIZE": "0", "PORTILLON_KEYS_DIR": str(tmp_path / "none"), "PORTILLON_DATABASE": "typo",
        })
    assert len(refused.value.problems) == 6
    for name in ("DATABASE_URL", "LISTEN", "DEMO", "POOL_SIZE", "KEYS_DIR", "PORTILLON_DATABASE is not a setting"):
        assert any(name in problem for problem in refused.value.problems)


def test_an_empty_environment_gives_the_defaults_that_are_listed() -> None:
    settings = read_settings({})
    assert (settings.listen_host, settings.listen_port) == ("127.0.0.1", 8080)
    assert settings.pool_size == 10
    assert all(setting.meaning for setting in SETTINGS)


def test_a_command_names_what_it_misses() -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings({}).require("database_url", "secret")
    assert [problem.split()[0] for problem in refused.value.problems] == [
        "PORTILLON_DATABASE_URL", "PORTILLON_SECRET_FILE"]


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ab" * 16)
    with pytest.raises(SettingsRefused, match="64 hex digits"):
        read_settings({"PORTILLON_SECRET_FILE": str(tmp_path / "secret")})


def test_only_a_demonstration_may_be_framed() -> None:
    with pytest.raises(SettingsRefused, match="PORTILLON_DEMO=1"):
        read_settings({"PORTILLON_DEMO_ORIGIN": "http://127.0.0.1:9000"})
    shown = read_settings({"PORTILLON_DEMO_ORIGIN": "http://127.0.0.1:9000", "PORTILLON_DEMO": "1"})
    assert shown.demo_origin == "http://127.0.0.1:9000"


def test_whom_to_believe_and_where_to_send_mail_are_checked_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings({
            "PORTILLON_TRUSTED_PROXIES": "10.0.0.7,*,proxy.example", "PORTILLON_SMTP_URL": "smtp://me:secret@mail.example",
            "PORTILLON_SMTP_PASSWORD_FILE": str(tmp_path / "none"), "PORTILLON_SMTP_CA": str(tmp_path / "none"),
        })  # fmt: skip
    told = " ".join(refused.value.problems)
    for words in ("'*'", "'proxy.example'", "no password", "PORTILLON_MAIL_FROM", "PASSWORD_FILE: ", "SMTP_CA: "):
        assert words in told
    assert "secret" not in told


def test_mail_and_proxies_are_read_and_a_password_is_shown_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    told = read_settings({
        "PORTILLON_SMTP_URL": "smtps://me@mail.example", "PORTILLON_MAIL_FROM": "school@example.org",
        "PORTILLON_SMTP_PASSWORD_FILE": str(tmp_path / "password"), "PORTILLON_TRUSTED_PROXIES": "none",
    })  # fmt: skip
    assert (told.smtp_password, told.trusted_proxies) == ("s3cret", ())
    assert "s3cret" not in repr(told)
    assert read_settings({}).trusted_proxies == ("127.0.0.1", "::1")
