import json
import subprocess
import sys

from app.api import machinery
from app.services import leaving
from tests import databases
from tests.live import ROOT


def test_a_host_that_is_told_to_leave_is_not_ready_until_that_is_taken_back(cli, app, settings):
    client = app.test_client()
    with app.app_context():
        machinery().directory.refresh()
    assert client.get("/readyz").status_code == 200
    assert cli.invoke(args=["drain"]).exit_code == 0
    assert client.get("/readyz").status_code == 503
    assert client.get("/livez").status_code == 200
    result = cli.invoke(args=["drain", "--off", "--json"])
    assert json.loads(result.stdout) == {"draining": False}
    assert client.get("/readyz").status_code == 200


def test_a_data_directory_that_is_not_there_is_told(cli, app, tmp_path):
    settings = app.extensions["realms"].settings
    object.__setattr__(settings, "data_dir", tmp_path / "none")
    result = cli.invoke(args=["drain"])
    assert result.exit_code == 1
    assert "No such file" in result.stderr


def test_a_start_makes_the_host_ready_again(settings, tmp_path):
    leaving.begin(tmp_path)
    environment = {
        "REALMS_DATA_DIR": str(tmp_path),
        "REALMS_DATABASE_URL": settings.database_url.get_secret_value(),
        "PATH": "/usr/bin:/bin",
    }
    subprocess.run([sys.executable, "-m", "app.start"], cwd=ROOT, env=environment, check=True, capture_output=True)
    assert not leaving.is_told(tmp_path)


def test_chores_tell_what_they_deleted(cli):
    result = cli.invoke(args=["chores", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["deleted"]["records"] == 0
    assert cli.invoke(args=["chores"]).stdout.startswith("Deleted: 0 records, 0 audit, 0 deleted objects")


def test_moving_tells_how_much_and_refuses_what_is_no_database(cli, alice, tmp_path):
    url = f"sqlite:///{tmp_path}/other.db"
    databases.migrate(url)
    result = cli.invoke(args=["move", "--url-stdin", "--json"], input=f"{url}\n")
    assert json.loads(result.stdout)["moved"]["users"] == 1
    refused = cli.invoke(args=["move", "--url-stdin"], input="nonsense\n")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "no address of a database" in refused.stderr
