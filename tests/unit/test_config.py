"""The menu: every option works, every key is known, and what is wrong is said in one line with its name."""

import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from ray_ingest.config import FEEDS, SECTIONS, ReplayFeedConfig, compose, group_options
from ray_ingest.core.sessions import CalendarTable
from ray_ingest.errors import ConfigError
from ray_ingest.feeds.brokers import names as broker_names
from ray_ingest.resources import resource_dir
from ray_ingest.schema import BrokerConfig, BrokersFeedConfig, TopConfig

CONF = resource_dir("conf")
PACKAGE = Path(__file__).resolve().parents[2] / "ray_ingest"
OPTIONS = [(group, option) for group, options in group_options().items() for option in options]
INDEX = "instruments=[NSE_INDEX|Nifty 50]"
REQUIRED = {
    ("feed", "replay"): ["feed.path=ticks.csv"],
    ("redis", "url"): ["redis.url=redis://localhost"],
    ("alerts", "email"): ["alerts.host=smtp.example.com", "alerts.to=[a@b.c]", "alerts.sender=d@b.c"],
    ("alerts", "telegram"): ["alerts.to=[-100123]"],
    **{("feed", live): [INDEX] for live in ("upstox", "fyers", "dhan", "brokers")},
}
"""What an option can't do without."""


def names(schema: type[Any]) -> set[str]:
    """The settings of a class."""
    return {field.name for field in fields(schema)}


def refusal(*overrides: str) -> str:
    """The one line that overrides are refused with; they are the user's mistake, so exit code 2."""
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    text = str(caught.value)
    assert "\n" not in text
    assert "hydra.cc" not in text
    assert "omegaconf" not in text.lower()
    assert caught.value.exit_code == 2
    return text


def test_the_defaults_compose() -> None:
    """The program runs without a single argument."""
    config = compose([])
    assert (config.feed.kind, config.redis.kind, config.ray.kind) == ("sim", "embedded", "local")
    assert config.speed is None


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_of_every_group_composes(group: str, option: str) -> None:
    """Each file of the menu can be chosen, and is then what the program is told."""
    config = compose([f"{group}={option}", *REQUIRED.get((group, option), [])])
    written = OmegaConf.load(CONF / group / f"{option}.yaml")
    assert isinstance(written, dict | type(OmegaConf.create()))
    for key in written:
        if not OmegaConf.is_missing(written, key):
            chosen = getattr(config, group)
            value = chosen[key] if isinstance(chosen, dict) else getattr(chosen, str(key))
            assert value == written[key], f"{group}.{key}"


@pytest.mark.parametrize("group", list(group_options()))
def test_files_and_classes_know_the_same_settings(group: str) -> None:
    """A key of the menu that no class knows would be refused; a setting that no file shows is one that
    nobody finds. A group's options may each show a part."""
    options = group_options()[group]
    if group == "feed":
        assert set(options) == set(FEEDS)
        assert {option: set(keys) for option, keys in options.items()} == {
            option: names(schema) for option, schema in FEEDS.items()
        }
    elif group == "calendar":
        for option, keys in options.items():
            written = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
            assert isinstance(written, dict)
            for key in keys:
                lacking = {name: value for name, value in written.items() if name != key}
                with pytest.raises(ConfigError, match=rf"calendar\.?{key}|{key}"):
                    CalendarTable.from_mapping(lacking)  # type: ignore[arg-type]
    else:
        assert set().union(*map(set, options.values())) == names(SECTIONS[group])


def test_the_menu_itself_knows_the_same_settings_as_the_classes() -> None:
    """What `config.yaml` holds beside the groups is what the classes hold, with the same defaults."""
    written = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    assert isinstance(written, dict)
    sections = {name: value for name, value in written.items() if isinstance(value, dict)}
    assert {n: v for n, v in written.items() if n not in (*sections, "defaults")} == asdict(TopConfig())
    assert set(sections) | set(group_options()) == {"feed", "calendar", "brokers", *SECTIONS}
    brokers = sections.pop("brokers")
    assert tuple(sorted(brokers)) == broker_names()
    assert all(values == asdict(BrokerConfig()) for values in brokers.values())
    for name, values in sections.items():
        schema = SECTIONS[str(name)]()
        assert values == {field: getattr(schema, field) for field in names(type(schema))}, name


def test_every_setting_is_read_somewhere() -> None:
    """A knob that turns nothing is worse than none."""
    source = (
        "".join(
            path.read_text("utf-8")
            for path in PACKAGE.rglob("*.py")
            if path.name not in ("schema.py", "config_rules.py")
        )
        + (PACKAGE / "schema.py").read_text("utf-8").partition("class AppConfig")[2]
    )
    for schema in [*SECTIONS.values(), ReplayFeedConfig, BrokersFeedConfig, BrokerConfig, TopConfig]:
        unread = {name for name in names(schema) if not re.search(rf"\.{name}\b", source)}
        read_by_themselves = {"lateness_ms", "silence_ms", "grace_ms"} | names(SECTIONS["filter"])
        assert unread <= read_by_themselves, schema


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("feed.foo=1", "feed.foo: unknown setting"),
        ("feed.minuts=3", "feed.minuts: unknown setting; did you mean feed.minutes?"),
        ("+feed.minuts=3", "feed.minuts: unknown setting; did you mean feed.minutes?"),
        ("partitions=3", "partitions: unknown setting; did you mean ingest.partitions?"),
        ("feed.path=x.csv", "feed.path: unknown setting here; it is one of feed=replay"),
        ("redis.url=redis://x", "redis.url: unknown setting here; it is one of redis=url"),
        ("calendar.foo=1", "calendar.foo: unknown setting"),
        ("++new=1", "new: unknown setting"),
        ("hydra.run.dir=x", "hydra.run.dir: unknown setting"),
        ("feed@x=sim", "feed@x: unknown setting"),
        (
            "feed=simm",
            "feed=simm: must be one of brokers, dhan, fyers, replay, sim, upstox; did you mean sim?",
        ),
        ("redis=cluster", "redis=cluster: must be one of embedded, url"),
        (
            "feed=sim,replay",
            "feed=sim,replay: must be one of brokers, dhan, fyers, replay, sim, upstox; did you mean replay?",
        ),
        ("ingest=null", "ingest=null: ingest is a group of settings, written ingest.<key>=<value>"),
        ("feed.kind=real", "feed.kind=real: must be one of sim, replay, brokers, dhan, fyers, upstox"),
        ("feed", "feed: settings are written key=value; --help lists them"),
        ("~feed.seed", "~feed.seed: settings are written key=value; --help lists them"),
        ("-m", "-m: settings are written key=value; --help lists them"),
    ],
)
def test_an_unknown_key_or_option_is_named_with_what_may_have_been_meant(override: str, line: str) -> None:
    """One line, the full key, and near matches or the option of the group that has the key."""
    assert refusal(override) == line


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("feed.minutes=abc", "feed.minutes=abc: must be a whole number"),
        ("feed.minutes=1.5", "feed.minutes=1.5: must be a whole number"),
        ("feed.minutes=null", "feed.minutes=None: must be a whole number"),
        ("feed.seed=1,2", "feed.seed=1,2: must be a whole number"),
        ("metrics.port=x", "metrics.port=x: must be a whole number or null"),
        ("metrics.port=70000", "metrics.port=70000: must be a port, 0 or null"),
        ("ray.dashboard=maybe", "ray.dashboard=maybe: must be true or false"),
        ("ray.dashboard_port=0", "ray.dashboard_port=0: must be a port"),
        ("redis.timeout_s=soon", "redis.timeout_s=soon: must be a number"),
        ("redis.lists_ttl_h=inf", "redis.lists_ttl_h=inf: must be from 0.001 to 876,000"),
        ("redis.prefix=null", "redis.prefix=None: must be text"),
        ("filter.allow_exchanges=NSE", "filter.allow_exchanges=NSE: must be a list of texts, such as [a,b]"),
        ("ingest.partitions=0", "ingest.partitions=0: must be from 1 to 256"),
        ("ingest.batch_ticks=2084", "ingest.batch_ticks=2084: must be from 1 to 2,083"),
        ("ingest.flush_duty=nan", "ingest.flush_duty=nan: must be above 0, at most 1"),
        ("feed.speed=fast", "feed.speed=fast: must be max or a number above 0"),
        ("feed.speed=-1", "feed.speed=-1: must be max or a number above 0"),
        ("log.level=loud", "log.level=loud: must be one of debug, info, warning, error"),
        ("redis.appendfsync=off", "redis.appendfsync=off: must be one of always, everysec, no"),
        ("journal.ticks=some", "journal.ticks=some: must be one of live, all, none"),
        ("journal.fsync=maybe", "journal.fsync=maybe: must be one of always, everysec, no"),
        ("journal.segment_mb=0", "journal.segment_mb=0: must be from 1 to 10,000"),
        ("redis.breaker_failures=0", "redis.breaker_failures=0: must be from 1 to 1,000"),
        ("report=[1]", "report=[1]: must be text or null"),
        ("instruments=x", "instruments=x: must be a list of texts, such as [a,b]"),
        ("brokers.upstox.connections=x", "brokers.upstox.connections=x: must be a whole number or null"),
        ("brokers.dhan.connections=0", "brokers.dhan.connections=0: must be from 1 to 100"),
        ("brokers.dhan.url=http://x", "brokers.dhan.url=http://x: must be ws://… or wss://…"),
        ("brokers.dhan.url=ws://[::1", "brokers.dhan.url=ws://[::1: must be ws://… or wss://…"),
        ("brokers.dhan.url=wss://x:99999", "brokers.dhan.url=wss://x:99999: must be ws://… or wss://…"),
        (
            "brokers.dhan=null",
            "brokers.dhan=None: brokers.dhan is a group of settings, written brokers.dhan.<key>=<value>",
        ),
        (
            "brokers.dhan.token_file=~nobody-here/x",
            "brokers.dhan.token_file=~nobody-here/x: must be a path, and there is no such user",
        ),
        ("instruments=[[a]]", "instruments=[['a']]: must be a list of texts, such as [a,b]"),
        ("brokers.kite.url=ws://x", "brokers.kite.url: unknown setting; did you mean brokers.dhan.url?"),
        ("brokers=x", "brokers=x: brokers is a group of settings, written brokers.<key>=<value>"),
        ("session.stall_s=0", "session.stall_s=0.0: must be from 0.5 to 3,600"),
        (
            "feed=upstox",
            "instruments=[]: must be given with a live feed, as in instruments=[NSE_INDEX|Nifty 50], "
            "or instruments_file=FILE",
        ),
        ("feed=replay", "feed.path: must be given, as in feed.path=…"),
        ("redis=url", "redis.url=None: must be given with redis=url"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(override: str, line: str) -> None:
    """One line: the full key, the value, and what may be written there."""
    assert refusal(override) == line


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "feed.order=[upstox,kite]",
            "feed.order=[upstox,kite]: must be different ones of upstox, fyers, dhan",
        ),
        ("feed.order=[dhan,dhan]", "feed.order=[dhan,dhan]: must be different ones of upstox, fyers, dhan"),
        ("feed.policy=best", "feed.policy=best: must be one of failover, arbitrate"),
        ("feed.silence_ms=1", "feed.silence_ms=1: must be from 100 to 60,000"),
    ],
)
def test_what_several_brokers_do_together_is_checked(override: str, line: str) -> None:
    """Order, policy and times of `feed=brokers`."""
    assert refusal("feed=brokers", INDEX, override) == line


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ("alerts=post", "alerts=post: must be one of email, none, slack, telegram, webhook"),
        ("alerts=email", "alerts.host=None: must be given with alerts=email, as in smtp.gmail.com"),
        ("alerts=email alerts.host=h", "alerts.sender=None: must be an address, as in you@example.com"),
        (
            "alerts=email alerts.host=h alerts.sender=a@b.c",
            "alerts.to=[]: must be addresses, as in [you@example.com]",
        ),
        (
            "alerts=email alerts.host=h alerts.sender=a@b.c alerts.to=[a]",
            "alerts.to=[a]: must be addresses, as in [you@example.com]",
        ),
        (
            "alerts=email alerts.host=h alerts.user=a alerts.security=none",
            "alerts.security=none: must be starttls or ssl where there is an alerts.user to log in",
        ),
        (
            "alerts=email alerts.host=h alerts.security=tls",
            "alerts.security=tls: must be one of starttls, ssl, none",
        ),
        (
            "alerts=telegram alerts.to=[me]",
            "alerts.to=[me]: must be ids of chats, as in ['-1001234567890'], or @channel",
        ),
        ("alerts=slack alerts.max_per_hour=1", "alerts.max_per_hour=1: must be from 2 to 3,600"),
        ("alerts=slack alerts.hold_s=61", "alerts.hold_s=61.0: must be from 0 to 60"),
        ("alerts=slack alerts.host=h", "alerts.host: unknown setting here; it is one of alerts=email"),
    ],
)
def test_what_alerts_need_is_checked(overrides: str, line: str) -> None:
    """Addresses, chats, and a password that would go in clear: said before anything starts."""
    assert refusal(*overrides.split()) == line


@pytest.mark.parametrize(
    "path",
    ["/tmp/it's/a,b.csv", "a=b.csv", "back\\slash's\\", "with space.csv", "{odd}[1].csv", "unix:///s?db=0"],
)
def test_paths_and_urls_need_no_quoting_beyond_the_shells(path: str) -> None:
    """Commas, quotes, brackets and equal signs are part of a value, as they are of file names and URLs."""
    config = compose(["feed=replay", f"feed.path={path}"])
    assert isinstance(config.feed, ReplayFeedConfig)
    assert config.feed.path == path


def test_an_override_reaches_the_class_with_its_type() -> None:
    """Numbers, flags, nulls and lists arrive as what they are."""
    config = compose(
        [
            "feed.speed=10",
            "ingest.linger_ms=1",
            "metrics.port=null",
            "filter.deny_exchanges=[A,B]",
            "report=r",
        ]
    )
    assert (config.speed, config.ingest.linger_ms, config.metrics.port) == (10.0, 1.0, None)
    assert (config.filter.deny_exchanges, config.report) == (["A", "B"], "r")
