"""Checkpoints of batches: what is saved when the process has to end."""

from dataclasses import dataclass, field

import pytest

from jaxstyle.batch.checkpoints import Keeper
from jaxstyle.runs import checkpoint


@dataclass
class State:
    """A stand-in for the state of a batch, whose buffers a step may have taken."""

    whole: bool = True
    tree: dict = field(default_factory=lambda: {"step": 3})

    def is_whole(self):
        return self.whole

    def to_tree(self):
        return self.tree


def stop():
    raise KeyboardInterrupt


def test_between_reports_the_latest_state_is_saved(tmp_path):
    keeper = Keeper(tmp_path)
    keeper.keep("a", State())
    keeper.pause()
    keeper.check = stop
    with pytest.raises(KeyboardInterrupt):
        keeper.pause()
    assert checkpoint.load(tmp_path / "a") == {"step": 3}


def test_during_a_step_the_next_report_is_waited_for(tmp_path):
    keeper = Keeper(tmp_path, check=stop, last=("a", State(whole=False)))
    keeper.pause()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        keeper.keep("a", State())
    assert checkpoint.load(tmp_path / "a") == {"step": 3}


def test_before_the_first_report_there_is_nothing_to_save(tmp_path):
    keeper = Keeper(tmp_path, last=("a", State()))
    keeper.run("a")
    keeper.check = stop
    with pytest.raises(KeyboardInterrupt):
        keeper.pause()
    assert list(tmp_path.iterdir()) == []


def test_another_thread_saves_only_where_nothing_is_lost(tmp_path):
    keeper = Keeper(tmp_path)
    assert keeper.save()  # before the first report
    keeper.last = "a", State(whole=False)
    assert not keeper.save()
    keeper.last = "a", State()
    assert keeper.save()
    assert checkpoint.load(tmp_path / "a") == {"step": 3}
    keeper.run("a")
    assert not keeper.save()  # its results are not written yet
    keeper.done("a")
    assert keeper.save()


def test_a_step_that_begins_while_a_checkpoint_is_saved_is_waited_for(tmp_path):
    class Taken(State):
        def to_tree(self):
            raise RuntimeError("Array has been deleted")

    assert not Keeper(tmp_path, last=("a", Taken())).save()
