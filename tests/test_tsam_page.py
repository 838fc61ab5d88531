"""docs/tsam.md: what it says gives TSAM's way can be set."""

import re

from tests.helpers.networks import CONFIG
from tests.helpers.processes import ROOT
from tsam_dali.config import load_config
from tsam_dali.config.load import setting_names

PAGE = (ROOT / "docs" / "tsam.md").read_text()
TOKENS = re.findall(r"`([^`]+)`", PAGE)
FILES = CONFIG / "example_data.json", CONFIG / "example_config.json"


def test_the_settings_exist_and_take_the_values():
    known = set(setting_names())
    sections = {name.partition(".")[0] for name in known}
    named = [token for token in TOKENS if re.match(rf"({'|'.join(sections)})\.", token) and not token.endswith(".json")]
    assert len(named) > 15
    assert [token for token in named if token.partition("=")[0] not in known] == []
    load_config(*FILES, [token for token in named if "=" in token])


def test_its_tools_exist():
    tools = {token for token in TOKENS if token.startswith(("tools/", "pipelines/"))}
    assert len(tools) > 3
    assert [tool for tool in tools if not (ROOT / tool).is_file()] == []
