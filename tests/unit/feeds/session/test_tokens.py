"""Tokens: from a file or the environment, read again when they may be new, and never seen in an error."""

import base64
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from ray_ingest.errors import TokenError
from ray_ingest.feeds.session.tokens import TokenKeeper, TokenSettings, expiry_ms, read_credentials
from tests.calendars import ms

NAMES = ("BROKER_ID", "BROKER_TOKEN")
TOKEN = "a-token-for-these-tests"  # noqa: S105
NOON_MS = ms("2026-08-05 12:00")


def settings(token_file: Path | None = None, client_id: str = "", id_name: str = NAMES[0]) -> TokenSettings:
    """Of a broker with a client id, unless `id_name` is ""."""
    return TokenSettings("broker", client_id, token_file, (id_name, NAMES[1]))


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    """A token file."""
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


def jwt(exp_ms: int) -> str:
    """Unsigned, which nobody looks at."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": exp_ms // 1000}).encode()).decode().rstrip("=")
    return f"header.{claims}.signature"


def test_from_the_environment() -> None:
    """Both variables; a broker without client ids needs only its token."""
    found = read_credentials(settings(), {"BROKER_ID": "me", "BROKER_TOKEN": f" {TOKEN}\n"})
    assert (found.client_id, found.access_token) == ("me", TOKEN)
    assert read_credentials(settings(id_name=""), {"BROKER_TOKEN": TOKEN}).client_id == ""


@pytest.mark.parametrize(
    ("text", "client_id", "expected_id"),
    [
        (f"{TOKEN}\n", "", "from-environment"),
        (f"\ufeff{TOKEN}", "from-config", "from-config"),
        (json.dumps({"access_token": TOKEN, "client_id": "from-file"}), "", "from-file"),
        (json.dumps({"access_token": TOKEN}), "from-config", "from-config"),
    ],
)
def test_from_a_file(tmp_path: Path, text: str, client_id: str, expected_id: str) -> None:
    """The bare token, or JSON; the configuration's client id comes first, the environment's last."""
    environ = {"BROKER_ID": "from-environment", "BROKER_TOKEN": "another-token"}
    found = read_credentials(settings(written(tmp_path, text), client_id), environ)
    assert (found.client_id, found.access_token) == (expected_id, TOKEN)


@pytest.mark.parametrize(
    ("text", "environ", "complaint"),
    [
        (None, {"BROKER_ID": "me"}, "no access token: set BROKER_TOKEN, or brokers.broker.token_file"),
        (None, {"BROKER_TOKEN": TOKEN}, "no client id: set BROKER_ID, or brokers.broker.client_id"),
        ("", {"BROKER_ID": "me"}, "should hold the access token and nothing else"),
        (f"token = {TOKEN}", {"BROKER_ID": "me"}, "should hold the access token and nothing else"),
        ('{"token": "' + TOKEN + '"}', {"BROKER_ID": "me"}, 'is not JSON with "access_token"'),
        ("{" + TOKEN, {"BROKER_ID": "me"}, 'is not JSON with "access_token"'),
        ('{"access_token": null}', {"BROKER_ID": "me"}, 'is not JSON with "access_token"'),
        ('{"access_token": ' + "[" * 30_000, {"BROKER_ID": "me"}, 'is not JSON with "access_token"'),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_said_in_a_line(
    tmp_path: Path, text: str | None, environ: dict[str, str], complaint: str
) -> None:
    """With the name of the variable or file, and without what is in it."""
    path = None if text is None else written(tmp_path, text)
    with pytest.raises(TokenError) as raised:
        read_credentials(settings(path), environ)
    assert complaint in str(raised.value)
    assert TOKEN not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(TokenError, match=r"token file .*nowhere can't be read: No such file or directory"):
        read_credentials(settings(tmp_path / "nowhere"), {})


def test_credentials_are_not_shown() -> None:
    """Not even by repr."""
    found = read_credentials(settings(), {"BROKER_ID": "my-name", "BROKER_TOKEN": TOKEN})
    assert TOKEN not in repr(found)
    assert "my-name" not in repr(found)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (jwt(NOON_MS), NOON_MS),
        (f"APP-100:{jwt(NOON_MS)}", NOON_MS),
        ("opaque", None),
        ("a.b.c", None),
        ("a.!!.c", None),
        (f"a.{base64.urlsafe_b64encode(b'[]').decode()}.c", None),
        (jwt(10**30), None),
    ],
)
def test_the_end_of_a_jwt(token: str, expected: int | None) -> None:
    """By its own words; whatever can't be read as one has no known end."""
    assert expiry_ms(token) == expected


def test_a_rewritten_file_is_noticed_at_the_next_look(tmp_path: Path) -> None:
    """A new token is a new version; the same one written again is not; a file gone for a moment keeps the
    token there was."""
    path = written(tmp_path, TOKEN)
    keeper = TokenKeeper(settings(path, "me"), "renew it", {})
    keeper.look(0.0, NOON_MS)
    assert keeper.version == 1
    path.write_text("another-token-for-these-tests")
    keeper.look(0.5, NOON_MS)
    assert keeper.version == 1
    keeper.look(1.0, NOON_MS)
    assert keeper.version == 2
    path.write_text("another-token-for-these-tests\n")
    keeper.look(2.0, NOON_MS)
    assert keeper.version == 2
    path.unlink()
    keeper.look(3.0, NOON_MS)
    assert (keeper.version, keeper.error != "") == (2, True)
    assert keeper.credentials is not None
    assert keeper.credentials.access_token == "another-token-for-these-tests"  # noqa: S105


def test_before_the_rollover_it_is_read_in_any_case() -> None:
    """Also where no file tells that it has changed."""
    environ = {"BROKER_ID": "me", "BROKER_TOKEN": TOKEN}
    keeper = TokenKeeper(settings(), "renew it", environ)
    keeper.look(0.0, ms("2026-08-05 02:59"))
    environ["BROKER_TOKEN"] = "another-token-for-these-tests"  # noqa: S105
    keeper.look(10.0, ms("2026-08-05 02:59"))
    assert keeper.version == 1
    keeper.look(20.0, ms("2026-08-05 03:00"))
    assert keeper.version == 2


def test_what_is_said_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The near end of a token, a refusal, and a file that others can read, once a token."""
    caplog.set_level(logging.WARNING)
    path = written(tmp_path, jwt(NOON_MS), mode=0o644)
    keeper = TokenKeeper(replace(settings(path, "me"), warn_s=1_800), "renew it", {})
    keeper.look(0.0, NOON_MS - 1_801_000)
    assert (keeper.warning, len(caplog.records)) == ("", 1)
    assert "can be read by others: chmod 600" in caplog.text
    for second in range(1, 9):
        keeper.look(second, NOON_MS - 1_800_000 + second)
        keeper.refused()
    assert keeper.warning == "the token ends at 05 Aug 12:00 IST"
    assert [record.getMessage() for record in caplog.records[1:]] == [
        "broker: the token ends at 05 Aug 12:00 IST: renew it",
        "broker refuses the token: renew it",
    ]
    keeper.look(100.0, NOON_MS)
    assert keeper.warning == "the token ended at 05 Aug 12:00 IST"
    path.write_text(TOKEN)
    keeper.look(101.0, NOON_MS)
    assert keeper.warning == ""
