"""File names: unique, reproducible and valid on every file system."""

import random

import pytest

from jaxstyle.batch import names


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/cat.jpg", "a/dog.jpg"], ["cat", "dog"]),
        (["a/cat.jpg", "b/cat.jpg", "b/dog.jpg"], ["a-cat", "b-cat", "dog"]),
        (["p/a/cat.jpg", "q/a/cat.jpg", "b/cat.jpg"], ["p-a-cat", "q-a-cat", "b-cat"]),
        (["cat.jpg", "a/cat.jpg"], ["cat", "a-cat"]),
        (["a/cat.jpg", "a/cat.png"], ["cat-jpg", "cat-png"]),
        (["a/cat.jpg", "a/cat.png", "b/cat.png"], ["a-cat-jpg", "a-cat-png", "b-cat"]),
        (["a/Cat.png", "a/cat.png"], ["Cat", "cat-2"]),
        (["A/cat.png", "a/cat.png"], ["cat", "cat-2"]),
        (["a/caf\u00e9.png", "b/cafe\u0301.png"], ["a-caf\u00e9", "b-caf\u00e9"]),
        (["a-cat.png", "a/cat.png", "b/cat.png"], ["a-cat", "a-cat-2", "b-cat"]),
        (["cat.png", "cat.jpg", "cat-2.jpg"], ["cat-png", "cat-jpg", "cat-2"]),
        (["gs://one/cat.png", "s3://two/cat.png"], ["one-cat", "two-cat"]),
        (["https://a.org/x?id=1", "https://a.org/x?id=2"], ["x", "x-2"]),
        (["...png", "\U0001f600.png", "../#.png"], ["png", "picture-2", "picture"]),
    ],
)
def test_labels_are_stems_with_as_many_folders_as_are_needed(paths, expected):
    found = names.labels(paths)
    assert [found[path] for path in paths] == expected


@pytest.mark.parametrize("root", ["/home/ann", "/mnt/shared/x", "gs://bucket"])
def test_labels_do_not_depend_on_where_the_folders_are(root):
    inside = ["cat.jpg", "cat.png", "a/cat.jpg", "b/a/cat.jpg", "a/dog.png", "b/dog.png"]
    here, there = names.labels(inside), names.labels(f"{root}/{path}" for path in inside)
    assert [there[f"{root}/{path}"] for path in inside] == [here[path] for path in inside]


ODD = ["a", "A", "b", "-", ".", " ", "#", "%", "+", "_", "__", "\u00e9", "e\u0301", "\u00df", "ss"]
ODD += ["\u4e2d", "\udc80", "\n", "\u202e", "'", '"', "<script>", "2", "-2", "con", "\u0130", "\\"]


def odd_path(chance):
    words = ("".join(chance.choices(ODD, k=chance.randint(1, 3))) for _ in range(4))
    return "/".join(list(words)[: chance.randint(1, 4)]) + ".png"


def odd_paths(seed, count=100):
    chance = random.Random(seed)
    return [odd_path(chance) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_unique_safe_and_the_same_in_any_order(seed):
    paths = odd_paths(seed)
    found = names.labels(paths)
    assert set(found) == set(paths)
    assert len({names.same(label) for label in found.values()}) == len(set(paths))
    for label in found.values():
        assert label == names.safe_name(label) != ""
    assert names.labels(reversed(paths)) == found


@pytest.mark.parametrize("seed", range(5))
def test_numbers_make_names_unique_and_leave_the_first_alone(seed):
    chance = random.Random(seed)
    wanted = chance.choices(["a", "A", "a-2", "a-3", "b", "B-2", "c"], k=40)
    unique = names.numbered(wanted, taken=["C", "b-3"])
    assert len({names.same(name) for name in [*unique, "c", "b-3"]}) == len(unique) + 2
    for index, (name, given) in enumerate(zip(wanted, unique, strict=True)):
        first = name.lower() not in [other.lower() for other in wanted[:index]]
        assert (given == name) == (first and name != "c")
        assert given == name or given.rpartition("-")[0] == name


def test_equal_names_are_numbered_and_no_number_is_tried_twice(monkeypatch):
    tried, same = [], names.same
    monkeypatch.setattr(names, "same", lambda name: tried.append(name) or same(name))
    unique = names.numbered(["a"] * 300)
    assert (unique[0], unique[-1]) == ("a", "a-300")
    assert len(tried) < 10 * 300


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\u4e2d"])
def test_long_names_lose_their_middle_and_stay_different(letter):
    one, other = (f"start-{letter * 150}{middle}{letter * 150}-end" for middle in "12")
    short = names.shortened(one)
    assert len(short.encode()) <= 180
    assert short.startswith(f"start-{letter}")
    assert short.endswith(f"{letter}-end")
    assert short != names.shortened(other)
    assert names.shortened("short") == "short"
    assert names.shortened(letter * 60) == letter * 60
