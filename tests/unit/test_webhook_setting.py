"""The webhook's URL: where it comes from, and that it is never shown."""

import pytest

from backfilld.daemon.settings import Settings, SettingsError, settings

URL = "https://hooks.example.com/services/T000/B000/xoxb-secret"
NEEDED = {"BACKFILLD_PIPELINE": "p.toml", "BACKFILLD_STATE_DIR": "s"}


def settings_with(**more: str) -> Settings:
    return settings(environment=NEEDED | more)


def test_without_a_url_there_is_no_webhook():
    assert settings_with().webhook == ""


def test_the_variable_wins_over_the_credential(tmp_path):
    (tmp_path / "webhook").write_text(f"{URL}\n")
    assert settings_with(CREDENTIALS_DIRECTORY=str(tmp_path)).webhook == URL
    other = "http://127.0.0.1:9/x"
    assert settings_with(CREDENTIALS_DIRECTORY=str(tmp_path), BACKFILLD_WEBHOOK=other).webhook == other


def test_an_unreadable_credential_is_refused(tmp_path):
    (tmp_path / "webhook").mkdir()
    with pytest.raises(SettingsError, match=r"the credential `webhook` cannot be read: .*Is a directory"):
        settings_with(CREDENTIALS_DIRECTORY=str(tmp_path))


def test_the_url_is_not_shown_with_the_other_settings():
    assert "xoxb" not in repr(settings_with(BACKFILLD_WEBHOOK=URL))


@pytest.mark.parametrize(
    "wrong", ["xoxb-secret", "ftp://xoxb-secret", "https:///xoxb-secret", "https://a b xoxb"]
)
def test_a_malformed_url_is_refused_without_repeating_it(wrong):
    with pytest.raises(SettingsError, match="BACKFILLD_WEBHOOK is not a URL") as refused:
        settings_with(BACKFILLD_WEBHOOK=wrong)
    assert "xoxb" not in str(refused.value)
