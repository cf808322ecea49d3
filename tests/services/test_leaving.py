from app.services import leaving


def test_a_host_is_told_to_leave_and_takes_it_back(tmp_path):
    assert not leaving.is_told(tmp_path)
    leaving.begin(tmp_path)
    leaving.begin(tmp_path)
    assert leaving.is_told(tmp_path)
    leaving.end(tmp_path)
    leaving.end(tmp_path)
    assert not leaving.is_told(tmp_path)
