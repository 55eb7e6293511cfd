"""Where the webhook's URL comes from, and that it is shown nowhere."""

import pytest

from backfilld.daemon.settings import Settings, SettingsError, settings

URL = "https://hooks.example.com/services/T000/B000/xoxb-secret"
NEEDED = {"BACKFILLD_PIPELINE": "p.toml", "BACKFILLD_STATE_DIR": "s"}


def chosen(**more: str) -> Settings:
    return settings(environment=NEEDED | more)


def test_without_one_nobody_is_told():
    assert chosen().webhook == ""


def test_the_environment_comes_before_the_credential(tmp_path):
    (tmp_path / "webhook").write_text(f"{URL}\n")
    assert chosen(CREDENTIALS_DIRECTORY=str(tmp_path)).webhook == URL
    other = "http://127.0.0.1:9/x"
    assert chosen(CREDENTIALS_DIRECTORY=str(tmp_path), BACKFILLD_WEBHOOK=other).webhook == other


def test_a_credential_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "webhook").mkdir()
    with pytest.raises(SettingsError, match=r"the credential `webhook` cannot be read: .*Is a directory"):
        chosen(CREDENTIALS_DIRECTORY=str(tmp_path))


def test_it_is_not_shown_with_the_other_settings():
    assert "xoxb" not in repr(chosen(BACKFILLD_WEBHOOK=URL))


@pytest.mark.parametrize(
    "wrong", ["xoxb-secret", "ftp://xoxb-secret", "https:///xoxb-secret", "https://a b xoxb"]
)
def test_what_is_no_url_is_refused_without_repeating_it(wrong):
    with pytest.raises(SettingsError, match="BACKFILLD_WEBHOOK is not a URL") as refused:
        chosen(BACKFILLD_WEBHOOK=wrong)
    assert "xoxb" not in str(refused.value)
