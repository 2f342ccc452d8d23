"""The page of all settings, made from `conf/` and the schema."""

from dataclasses import fields
from pathlib import Path

from ray_ingest.config import FEEDS, SECTIONS
from ray_ingest.config_reference import Setting, reference, settings_of
from ray_ingest.schema import BrokerConfig, TopConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    """docs/configuration.md is what the program says now: python -m ray_ingest.config_reference > it."""
    assert PAGE.read_text("utf-8") == reference()


def test_every_setting_of_the_schema_is_on_it() -> None:
    """What can be set can be looked up; `kind` is what an option of a group sets."""
    page = reference()
    names = [field.name for field in fields(TopConfig)]
    for section, schema in (*SECTIONS.items(), *(("feed", schema) for schema in FEEDS.values())):
        names += [f"{section}.{field.name}" for field in fields(schema) if field.name != "kind"]
    names += [f"brokers.upstox.{field.name}" for field in fields(BrokerConfig)]
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_names_defaults_and_meanings_come_from_the_file(tmp_path: Path) -> None:
    """Nested names are joined, comments are meanings, and lists of a defaults section are no settings."""
    file = tmp_path / "some.yaml"
    file.write_text(
        "# what\ndefaults:\n  - feed: sim  # x\na: [b, c]  # both\nd:  # below\n  e: null\nf: '' # none\n"
    )
    assert settings_of(file) == [
        Setting("defaults", "", ""),
        Setting("a", "[b, c]", "both"),
        Setting("d", "", "below"),
        Setting("d.e", "null", ""),
        Setting("f", "''", "none"),
    ]
