"""What a machine has to see to take part in a batch on a cluster."""

from jaxstyle.batch.storage import Folder
from jaxstyle.batch.worker import Needs


def test_a_machine_that_does_not_see_everything(tmp_path):
    (tmp_path / "token").write_text("1234")
    picture = tmp_path / "a.png"
    picture.write_bytes(b"1234567")

    def problem(*files, folder="", token="1234"):
        return Needs("nowhere", Folder(f"{tmp_path}{folder}"), ("token", token), files).problem()

    assert problem((str(picture), 7, "advice")) == ""
    assert problem(token="4321").startswith(f"does not see {tmp_path}: give a path that all")
    assert problem(folder="/no").startswith(f"does not see {tmp_path}/no: give a path")
    assert not (tmp_path / "no").exists()
    assert problem((f"{tmp_path}/b", 7, "advice")) == f"does not see {tmp_path}/b: advice"
    assert "sees another file as" in problem((str(picture), 8, "advice"))
