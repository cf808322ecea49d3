"""Every preset is a beginning that can be used."""

from urllib.parse import urlsplit

import msgspec
import pytest

from app.protocol.endpoints import BY_NAME
from app.protocol.policy import read
from app.upstreams import UPSTREAMS
from app.upstreams.presets import PRESETS, policy_of


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_used_as_it_stands(name):
    preset = PRESETS[name]
    assert preset.label
    assert preset.kind in UPSTREAMS
    assert not preset.base_url or urlsplit(preset.base_url).hostname
    policy = policy_of(name)
    assert policy.preset == name
    assert read(msgspec.json.encode(policy)) == policy
    assert all(UPSTREAMS[preset.kind].serves(BY_NAME[endpoint]) for endpoint in policy.endpoints or ())
