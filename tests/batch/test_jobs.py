"""The jobs of a batch: products, pairs and manifests."""

import json

import pytest

from jaxstyle.batch.jobs import Job, from_manifest, product, zipped
from jaxstyle.errors import JobsError, SettingError
from jaxstyle.settings import resolve

QUICK = resolve(size=64, steps=1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Change to a folder with folders of empty files named like pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/cat.jpg", "photos/dog.jpg", "paintings/a.png", "paintings/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def from_csv(text, given=None, contents=(), styles=(), extension="png"):
    with open("jobs.csv", "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return from_manifest("jobs.csv", given or {}, contents, styles, extension)


def from_jsonl(*rows, given=None, contents=(), styles=()):
    with open("jobs.jsonl", "w", encoding="utf-8") as file:
        file.writelines(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    return from_manifest("jobs.jsonl", given or {}, contents, styles)


def test_a_product_is_every_content_in_every_style():
    jobs = product(["x/cat.jpg", "x/dog.jpg"], ["a.png", "s3://b/b.png"], QUICK)
    assert jobs == [
        Job("x/cat.jpg", ("a.png",), QUICK, "cat__a.png"),
        Job("x/cat.jpg", ("s3://b/b.png",), QUICK, "cat__b.png"),
        Job("x/dog.jpg", ("a.png",), QUICK, "dog__a.png"),
        Job("x/dog.jpg", ("s3://b/b.png",), QUICK, "dog__b.png"),
    ]


def test_repeated_arguments_make_one_job():
    jobs = product(["cat.jpg", "cat.jpg"], ["a.png", "a.png"], QUICK, "webp")
    assert [job.output for job in jobs] == ["cat__a.webp"]


def test_outputs_are_unique_even_where_contents_and_styles_run_together():
    jobs = product(["a.png", "a__b.png"], ["b__c.png", "c.png"], QUICK)
    assert [job.output for job in jobs] == [
        "a__b__c.png",
        "a__c.png",
        "a__b__b__c.png",
        "a__b__c-2.png",
    ]


@pytest.mark.parametrize("count", [120, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_contents_in_ten_styles_have_names_of_their_own(count):
    contents = [f"photos/{n % 100}/{n // 100}.jpg" for n in range(count)]
    jobs = product(contents, [f"paintings/{n}.png" for n in range(10)], QUICK)
    assert len({job.output.casefold() for job in jobs}) == 10 * count
    assert jobs[0].output == "0-0__0.png"


def test_pairs_are_the_first_with_the_first():
    jobs = zipped(["cat.jpg", "dog.jpg"], ["a.png", "a.png"], QUICK, "tif")
    assert [(job.content, job.styles, job.output) for job in jobs] == [
        ("cat.jpg", ("a.png",), "cat__a.tif"),
        ("dog.jpg", ("a.png",), "dog__a.tif"),
    ]


def test_pairs_of_unequal_numbers_are_refused():
    with pytest.raises(JobsError, match="^there are 2 contents and 1 styles: "):
        zipped(["cat.jpg", "dog.jpg"], ["a.png"], QUICK, "png")


def test_a_table_has_pictures_and_settings(here):
    (here / "lists").mkdir()
    (here / "lists" / "jobs.csv").write_text(
        "\ufeffcontent,style,style_weight,style_layers,clamp,output, steps ,init\r\n"
        '../photos/cat.jpg,a.png|/b.png,1e3,"relu1_1=2,relu2_1",FALSE,"odd, #1.jpg","3,2",\r\n'
        "\r\n"
        'gs://b/dog.jpg,"a.png",,,,,,start.png\r\n'
        '"two\nlines.jpg",a.png,,,yes,,,noise\r\n',
        encoding="utf-8",
        newline="",
    )
    given = {"style_weight": 7.0, "size": 64, "steps": (9,), "fine_style": "fine.png"}
    first, second, third = from_manifest("lists/jobs.csv", given, (), ())
    beneath = {"size": 64, "fine_style": "fine.png"}
    assert first == Job(
        "lists/../photos/cat.jpg",
        ("lists/a.png", "/b.png"),
        resolve(
            style_weight=1000,
            style_layers={"relu1_1": 2, "relu2_1": 1},
            clamp=False,
            steps=(3, 2),
            **beneath,
        ),
        "odd, #1.jpg",
        1,
    )
    settings = resolve(style_weight=7, steps=9, init="lists/start.png", **beneath)
    assert second == Job("gs://b/dog.jpg", ("lists/a.png",), settings, "dog__a.png", 3)
    settings = resolve(style_weight=7, steps=9, init="noise", clamp=True, **beneath)
    output = "two-lines__a.png"
    assert third == Job("lists/two\nlines.jpg", ("lists/a.png",), settings, output, 4)


def test_lines_of_json_have_plain_values(here):
    row = {"content": "cat.jpg", "style": ["a.png", "b.png"], "steps": [3, 2], "clamp": False}
    first, second, third = from_jsonl(
        {**row, "style_layers": {"relu1_1": 2}, "learning_rate": None},
        "\n",
        {"content": "cat.jpg", "style": "a|b.png", "output": "B.TIF", "preset": "keras"},
        {"content": "cat.jpg", "style": "x/a.png", "output": None},
        given={"size": 64, "learning_rate": 3.0},
    )
    own = resolve(size=64, steps=(3, 2), clamp=False, style_layers={"relu1_1": 2})
    assert first == Job("cat.jpg", ("a.png", "b.png"), own, "cat__a+b.png", 1)
    keras = resolve("keras", size=64, learning_rate=3)
    assert second == Job("cat.jpg", ("a|b.png",), keras, "B.TIF", 3)
    default = resolve(size=64, learning_rate=3)
    assert third == Job("cat.jpg", ("x/a.png",), default, "cat__x-a.png", 4)


def test_rows_without_pictures_take_those_given_beside(here):
    jobs = from_csv(
        "style,content,seed\npaintings/b.png,,1\n,photos/dog.jpg,2\n,,3\n",
        contents=["photos"],
        styles=["paintings"],
    )
    assert [(job.row, job.settings.seed, job.output) for job in jobs] == [
        (1, 1, "cat__b.png"),
        (1, 1, "dog__b.png"),
        (2, 2, "dog__a.png"),
        (2, 2, "dog__b-2.png"),
        (3, 3, "cat__a.png"),
        (3, 3, "cat__b-2.png"),
        (3, 3, "dog__a-2.png"),
        (3, 3, "dog__b-3.png"),
    ]


def test_names_given_go_before_names_made(here):
    jobs = from_csv("content,style,output\ncat.jpg,a.png,\ndog.jpg,b.png,CAT__A.jpg\n")
    assert [job.output for job in jobs] == ["cat__a-2.png", "CAT__A.jpg"]


def test_an_invalid_default_setting_is_not_blamed_on_a_row(here):
    with pytest.raises(SettingError, match="^size: "):
        from_csv("content,style\ncat.jpg,a.png\n", given={"size": 0})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "jobs.csv: this manifest has no rows"),
        ("content,style\n\n", "jobs.csv: this manifest has no rows"),
        ("content,stile\n", "jobs.csv: unknown column 'stile': did you mean style"),
        ("content,style-weight\n", ".*unknown column 'style-weight': did you mean style_weight"),
        ("content;style\n", ".*unknown column 'content;style': did you mean content"),
        ("style,content,style\n", "jobs.csv: there are two columns 'style'"),
        ("content,style\na.png,b.png,c.png\n", ".*: row 1: 'c.png' is in a column without a name"),
        ("content,style,\na.png,b.png,c.png\n", ".*: row 1: 'c.png' is in a column without a name"),
        ('content,style\na.png,b.png\n"c.png,d.png\n', ".*: after row 1: is not valid CSV: "),
        ("style,seed\n\nb.png,1\n", ".*: row 2: names no content, and no --contents are given"),
        ("content\na.png\n", ".*: row 1: names no style, and no --styles are given"),
        ("content,style\na.png,|\n", ".*: row 1: names no style"),
        ("content,style,size\na,b,\na,b,big\n", ".*: row 2: size: 'big' is not a whole number"),
        ("content,style,size\na.png,b.png,0\n", ".*: row 1: size: must be at least 1"),
        ("content,style,clamp\na.png,b.png,2\n", ".*: row 1: clamp: '2' is neither true nor false"),
        ("content,style,preset\na.png,b.png,kears\n", ".*: row 1: preset: .* did you mean keras"),
        ("content,style,output\na.png,b.png,x/y.png\n", ".*row 1: output: must be a file name "),
        ("content,style,output\na.png,b.png,x\\y.png\n", ".*row 1: output: must be a file name "),
        (
            "content,style,output\na.png,b.png,.png\n",
            ".*row 1: output: '.png' must not begin with",
        ),
        (
            "content,style,output\na.png,b.png,index.html\n",
            ".*: 'index.html' must end in one",
        ),
        (
            "content,style,output\na.png,b.png,log.jsonl\n",
            ".*: 'log.jsonl' must end in one",
        ),
        (
            f"content,style,output\na,b,{'x' * 200}.png\n",
            ".*: output: 'x.* must be shorter than",
        ),
        (
            "content,style,output\na,b,x.png\na,b,\na,b,X.PNG\n",
            "jobs.csv: rows 1 and 3 have the same output, X.PNG",
        ),
    ],
)
def test_an_invalid_table_is_refused_in_one_line(here, text, problem):
    with pytest.raises(JobsError, match=f"^{problem}") as refused:
        from_csv(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "row 2: is not valid JSON"),
        ("[" * 100_000, "row 2: is not valid JSON"),
        ("[1]", "row 2: must be an object"),
        ({"content": 1}, "row 2: content: must be a path or a URL, not 1"),
        ({"content": "a.png", "style": ["b.png", 2]}, "row 2: style: must be a path or a URL"),
        ({"contents": "a.png"}, "row 2: unknown column 'contents': did you mean content"),
        ({"content": "a.png", "style": "b.png", "size": [1]}, r"row 2: size: must be .*\[1\]"),
        ({"content": "a.png", "style": "b.png", "clamp": "no"}, "row 2: clamp: must be true or"),
        ({"content": "a.png", "style": "b.png", "output": 5}, "row 2: output: must be a file name"),
        ({"content": "a.png", "style": "b.png", "output": "a\nb.png"}, "row 2: output: must be"),
        ({"content": "a.png", "style": "b.png", "output": "\udc80.png"}, "row 2: output: must be"),
    ],
)
def test_invalid_lines_are_refused_with_their_number(here, row, problem):
    good = {"content": "a.png", "style": "b.png"}
    with pytest.raises(JobsError, match=f"^jobs.jsonl: {problem}") as refused:
        from_jsonl(good, row)
    assert "\n" not in str(refused.value)


def test_one_name_for_several_pictures_is_refused(here):
    with pytest.raises(JobsError, match="row 1: output: 'x.png' is one name for 2 pictures"):
        from_csv("content,output\nphotos/cat.jpg,x.png\n", styles=["paintings"])


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("no.csv", "no.csv: cannot be read: No such file"),
        ("jobs.xlsx", "jobs.xlsx: a manifest must be a .csv or .jsonl file"),
    ],
)
def test_a_missing_manifest_is_refused_in_one_line(here, path, problem):
    with pytest.raises(JobsError, match=f"^{problem}"):
        from_manifest(path, {}, (), ())


def test_an_empty_folder_beside_the_manifest_is_refused(here):
    (here / "empty").mkdir()
    with pytest.raises(JobsError, match="^empty: there are no pictures in this folder$"):
        from_csv("style\npaintings/a.png\n", contents=["empty"])
