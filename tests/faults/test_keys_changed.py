"""The vault's keys are changed under load, as docs/configuration.md says: not one call fails."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from app.services.vault import Vault, VaultError
from tests import live
from tests.faults.clients import RESPONSES, call
from tests.live import ROOT, SECRET_KEY, VAULT_KEY, until

NEW_KEY = "a-newer-vault-key-for-tests-long-enough"


def reload(house):
    """Reload as `systemctl reload` does, and wait until the old worker is gone."""
    before = house.workers()
    house.process.send_signal(signal.SIGHUP)
    until(lambda: house.workers() and not set(before) & set(house.workers()), seconds=30)


@pytest.mark.faults
@pytest.mark.acceptance("J-2")
def test_the_vaults_keys_are_changed_under_load_and_no_call_fails(provider, sim, tmp_path):
    keys, told, over = tmp_path / "vault_keys", [], threading.Event()
    keys.write_text(VAULT_KEY)

    def load(house):
        while not over.is_set():
            told.append(call(house, RESPONSES, "events=5,gap=0.02").status)

    with live.database("sqlite", tmp_path, "keys") as url:
        with live.open_house(tmp_path, url, provider, vault_keys_file=str(keys), drain_s="5") as house:
            threads = [threading.Thread(target=load, args=(house,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            keys.write_text(f"{NEW_KEY},{VAULT_KEY}")
            reload(house)
            environment = os.environ | {
                "REALMS_DATABASE_URL": url,
                "REALMS_DATA_DIR": str(tmp_path),
                "REALMS_SECRET_KEY": SECRET_KEY,
                "REALMS_VAULT_KEYS_FILE": str(keys),
                "FLASK_APP": "wsgi",
            }
            rotate = [sys.executable, "-m", "flask", "keys", "rotate"]
            done = subprocess.run(rotate, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            keys.write_text(NEW_KEY)
            reload(house)
            time.sleep(1)
            over.set()
            for thread in threads:
                thread.join()
            sealed = house.rows("SELECT sealed FROM credentials")[0]["sealed"]
    print(f"{len(told)} calls while the vault's keys were changed: {told.count(200)} served")
    assert len(told) > 20
    assert set(told) == {200}
    assert Vault([NEW_KEY]).open(sealed, origin=f"{provider.url}/v1") == "sim-main"
    with pytest.raises(VaultError):
        Vault([VAULT_KEY]).open(sealed, origin=f"{provider.url}/v1")
