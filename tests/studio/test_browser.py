"""The studio as a person uses it, in a real browser."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxstyle import images
from jaxstyle.runs import recipe as recipes
from tests.processes import SMALL_COMMAND, process_environment
from tests.studio.conftest import (
    BROWSER,
    UPLOADED,
    count,
    finished,
    give,
    newest,
    press,
    serving,
    setting,
    start_long,
    wait_for,
)

pytestmark = BROWSER


def test_a_photo_is_painted_and_kept(studio, visit, pictures):
    page = visit(studio)
    give(page, pictures)
    press(page)
    links = finished(page)
    assert [link.split("/")[1] for link in links] == ["picture", "tiff", "timelapse", "recipe"]
    made = newest(studio.folder)
    assert images.read(made).rgb.shape == (48, 64, 3)
    assert page.get_by_label("Show from the left: The photo").is_visible()


def test_what_is_no_picture_is_refused_in_words(studio, visit, tmp_path):
    page = visit(studio)
    (tmp_path / "notes.png").write_text("no picture")
    page.set_input_files("#photo input[type=file]", tmp_path / "notes.png")
    page.wait_for_selector(".toast-body")
    assert "notes.png" in page.inner_text(".toast-body")
    assert str(studio.folder) not in page.inner_text(".toast-body")
    press(page)
    wait_for(page, "failed")
    assert "give a photo" in page.inner_text("#easel")


@pytest.mark.slow
def test_the_picture_is_seen_growing_and_can_be_repeated(studio, visit, pictures):
    page = visit(studio)
    give(page, pictures, size="128")
    setting(page, "steps", "200")
    page.evaluate(
        """() => {
          window.seen = new Set();
          const look = () => {
            const image = document.querySelector("#easel .running img:not(.faint)");
            if (image) seen.add(image.src);
          };
          const all = { attributes: true, childList: true, subtree: true };
          new MutationObserver(look).observe(document.querySelector("#easel"), all);
        }"""
    )
    press(page)
    wait_for(page, "running .curve svg")
    assert "left" in page.inner_text("#easel .status")
    finished(page)
    assert page.evaluate("seen.size") >= 3
    made = newest(studio.folder)
    again = made.with_name("again-by-hand.png")
    words = ["run", "--from", str(made), "-o", str(again), "--quiet"]
    command = [sys.executable, "-c", SMALL_COMMAND, *words]
    subprocess.run(command, env=process_environment(), check=True)
    assert again.read_bytes() == made.read_bytes()


@pytest.mark.slow
def test_stop_keeps_the_picture_and_go_on_starts_from_it(studio, visit, pictures):
    page = start_long(visit, studio, pictures)
    page.click("#stop")
    wait_for(page, "stopped")
    stopped = newest(studio.folder)
    assert json.loads(images.read_description(stopped))["interrupted"]["steps"] == 3000
    setting(page, "steps", "5")
    press(page, "#on")
    finished(page)
    made = newest(studio.folder)
    settings = recipes.read(made, {}).settings
    assert settings.steps == (5,)
    start = images.read(settings.init).rgb
    np.testing.assert_array_equal(start, images.read(stopped).rgb)


@pytest.mark.slow
def test_regions_painted_by_mouse_change_the_picture(studio, visit, pictures):
    page = visit(studio)
    give(page, pictures)
    press(page)
    finished(page)
    without = newest(studio.folder)
    page.get_by_role("tab", name="Regions").click()
    for editor in ("#paint-photo", "#paint-style-1"):
        canvas = page.locator(f"{editor} canvas").first
        canvas.wait_for()
        page.wait_for_timeout(1500)  # it fades in
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.45)
        page.mouse.down()
        for step in range(10):
            height = 0.45 + 0.1 * (step % 2)
            width = 0.3 + 0.03 * step
            page.mouse.move(box["x"] + box["width"] * width, box["y"] + box["height"] * height)
        page.mouse.up()
    page.wait_for_timeout(1000)  # the editor sends what was painted
    page.click("#see")
    page.wait_for_selector("#seen .done, #seen .failed")
    assert "2 regions" in page.inner_text("#seen")
    page.get_by_role("tab", name="Make").click()
    press(page)
    finished(page)
    made = newest(studio.folder)
    settings = recipes.read(made, {}).settings
    assert len(settings.content_mask) == len(settings.style_mask) == 1
    masked = images.read(settings.content_mask[0]).rgb
    assert 0.01 < (masked.max(axis=-1) > 0).mean() < 0.9
    assert np.abs(images.read(made).rgb - images.read(without).rgb).max() > 0.02


@pytest.mark.slow
def test_a_grid_is_made_and_a_cell_gives_its_settings(studio, visit, pictures):
    page = visit(studio)
    give(page, pictures)
    page.get_by_role("tab", name="Sweep").click()
    before = count(studio.folder)
    page.get_by_label("Values across").fill("0.2, 0.8")
    press(page)
    wait_for(page, "done .cells")
    assert count(studio.folder) == before + 2
    page.click("#easel .cells button >> nth=1")
    page.wait_for_function("document.querySelector('#strength input').value === '0.8'")


@pytest.mark.slow
def test_settings_are_taken_whatever_tab_is_in_front(studio, visit, pictures):
    page = visit(studio)
    give(page, pictures)
    page.get_by_role("tab", name="Texture").click()
    setting(page, "steps", "3")
    press(page)
    finished(page)
    made = newest(studio.folder)
    page.get_by_role("tab", name="Paint").click()
    page.wait_for_function("document.querySelector('#preset input').value === 'default'")
    assert page.locator("#setting-steps textarea, #setting-steps input").first.input_value() == "3"
    setting(page, "seed", "7")
    page.get_by_role("tab", name="History").click()
    page.click(f"#cards [data-name='{made.stem}']")
    page.click("#take")
    page.wait_for_function("document.querySelector('#preset input').value === 'texture'")
    page.wait_for_timeout(1000)
    assert page.locator("#setting-seed input").input_value() == "0"
    assert page.locator("#setting-steps textarea, #setting-steps input").first.input_value() == "3"


@pytest.mark.slow
def test_files_that_were_not_uploaded_are_not_read(tmp_path, visit, pictures):
    def forge(route):
        data = json.loads(route.request.post_data or "")
        for value in data["data"]:
            if isinstance(value, dict) and "path" in value:
                value["path"] = str(pictures / "other.png")
        route.continue_(post_data=json.dumps(data))

    with serving(tmp_path, tracebacks=True) as server:
        page = visit(server)
        give(page, pictures)
        page.route("**/queue/join*", forge)
        page.click("#go")
        deadline = time.monotonic() + 60
        while "was not uploaded" not in "".join(server.said):
            page.wait_for_timeout(100)
            assert time.monotonic() < deadline
        assert not page.query_selector("#easel .running, #easel .done")
    assert not count(tmp_path)


@pytest.mark.slow
def test_textures_and_photos_are_made_too(studio, visit, pictures):
    page = visit(studio)
    give(page, pictures)
    page.get_by_role("tab", name="Texture").click()
    page.get_by_label("Width").fill("64")
    page.get_by_label("Height").fill("32")
    setting(page, "steps", "3")
    press(page)
    finished(page)
    texture = newest(studio.folder)
    assert images.read(texture).rgb.shape == (32, 64, 3)
    page.get_by_role("tab", name="Photo").click()
    setting(page, "steps", "3")
    choose = page.get_by_label("Size", exact=True)
    choose.fill("64")
    choose.press("Enter")
    page.get_by_label("All pixels of the photo").check()
    press(page)
    finished(page)
    photo = newest(studio.folder)
    assert images.read(photo).rgb.shape == (96, 128, 3)


@pytest.mark.slow
def test_a_restarted_studio_shows_the_history(tmp_path, visit, pictures):
    with serving(tmp_path) as server:
        page = visit(server)
        give(page, pictures)
        press(page)
        finished(page)
        made = newest(tmp_path)
    with serving(tmp_path) as server:
        page = visit(server)
        page.get_by_role("tab", name="History").click()
        page.click(f"#cards [data-name='{made.stem}']")
        page.wait_for_selector("#detail img")
        assert "jaxstyle run" in page.inner_text("#details")
        page.click("#take")
        page.wait_for_selector("#photo img")
        assert page.get_by_label("Size", exact=True).input_value() == "64"
        page.get_by_role("tab", name="History").click()
        page.on("dialog", lambda dialog: dialog.accept())
        page.click("#delete")
        page.wait_for_selector("#cards .none")
    assert not list(tmp_path.glob("*.png"))
    assert not list((tmp_path / "extras").iterdir())


@pytest.mark.slow
def test_two_browsers_are_served_one_after_the_other(studio, visit, pictures):
    first, second = visit(studio), visit(studio)
    for page in (first, second):
        give(page, pictures)
    setting(first, "steps", "3000")
    press(first)
    wait_for(first, "running .curve svg")
    press(second)
    wait_for(second, "waiting")
    assert "1 before this one" in second.inner_text("#easel")
    first.click("#stop")
    wait_for(first, "stopped")
    finished(second)


@pytest.mark.slow
def test_a_closed_page_does_not_end_a_run(tmp_path, visit, pictures):
    with serving(tmp_path) as server:
        start_long(visit, server, pictures).close()
        again = visit(server)
        wait_for(again, "running .curve svg")
        again.click("#stop")
        wait_for(again, "stopped")
        assert count(tmp_path) == 1


@pytest.mark.slow
def test_a_photo_of_sixty_megapixels_is_used(studio, visit, pictures, tmp_path):
    large = tmp_path / "large.jpg"
    Image.linear_gradient("L").convert("RGB").resize((10_000, 6_000)).save(large)
    page = visit(studio)
    give(page, pictures)
    page.click("#photo button[aria-label='Remove Image'], #photo button[aria-label='Clear']")
    page.set_input_files("#photo input[type=file]", large)
    page.wait_for_selector(f"#photo {UPLOADED}")
    press(page)
    finished(page)
    assert images.read(newest(studio.folder)).rgb.shape == (38, 64, 3)


SCARCE = """
from jaxstyle.machine import resources
resources.memory_limit = lambda *root: resources.Limit(2_000_000_000, 0, "")
"""


@pytest.mark.slow
def test_what_does_not_fit_into_memory_is_refused_in_words(tmp_path, visit, pictures):
    with serving(tmp_path, code=SCARCE) as server:
        page = visit(server)
        give(page, pictures, size="16384")
        press(page)
        wait_for(page, "failed")
        said = page.inner_text("#easel")
        assert "GB of memory" in said and "would fit" in said or "out of memory" in said


@pytest.mark.slow
def test_large_work_is_asked_about_first(tmp_path, visit, pictures):
    with serving(tmp_path) as server:
        page = visit(server)
        give(page, pictures, size="256")
        setting(page, "steps", "1000000")
        press(page)
        wait_for(page, "asking")
        assert "will take " in page.inner_text("#easel")
        press(page, "#agree")
        wait_for(page, "running .curve svg")
        page.click("#stop")
        wait_for(page, "stopped")


@pytest.mark.slow
def test_a_server_that_is_killed_loses_nothing_that_was_finished(tmp_path, visit, pictures):
    with serving(tmp_path) as server:
        page = visit(server)
        give(page, pictures)
        press(page)
        finished(page)
        made = newest(tmp_path)
        kept = made.read_bytes()
        setting(page, "steps", "3000")
        press(page)
        wait_for(page, "running .curve svg")
        server.end(signal.SIGKILL)
    assert made.read_bytes() == kept
    with serving(tmp_path) as server:
        page = visit(server)
        page.get_by_role("tab", name="History").click()
        page.wait_for_selector("#cards button")
        assert page.locator("#cards button").count() == 1
    assert {path.stem for path in (tmp_path / "extras").iterdir()} == {made.stem}


@pytest.mark.slow
def test_a_server_that_is_ended_keeps_the_picture_at_work(tmp_path, visit, pictures):
    with serving(tmp_path) as server:
        start_long(visit, server, pictures).close()
        server.end(signal.SIGTERM)
    assert "interrupted" in json.loads(images.read_description(newest(tmp_path)))


@pytest.mark.slow
def test_fifty_runs_take_no_more_memory_or_threads(tmp_path, visit, pictures):
    with serving(tmp_path) as server:
        assert server.status("VmRSS") < 700_000  # idle
        page = visit(server)
        give(page, pictures)
        setting(page, "steps", "2")
        after = {}
        for number in range(1, 51):
            deadline, pressed = time.monotonic() + 100, -10.0
            while count(tmp_path) < number:
                if time.monotonic() > pressed + 10:  # a press is lost while the page is busy
                    page.click("#go:not([disabled])")
                    pressed = time.monotonic()
                page.wait_for_timeout(50)
                assert time.monotonic() < deadline
            after[number] = server.status("VmRSS"), server.status("Threads")
        assert after[50][0] < 1.05 * after[10][0], after
        assert after[50][1] <= after[10][1] + 1, after


@pytest.mark.slow
def test_strangers_need_the_password(tmp_path, browser, pictures):
    variables = {"JAXSTYLE_PASSWORD": "correct horse"}
    with serving(tmp_path, "--host", "0.0.0.0", **variables) as server:
        port = server.url.rpartition(":")[2]
        url = f"http://127.0.0.1:{port}/"
        for credentials in (None, {"username": "me", "password": "wrong horse"}):
            context = browser.new_context(http_credentials=credentials)
            for path in ("", "config", "gradio_api/info", "theme.css", "history/picture/x"):
                assert context.request.get(url + path).status == 401, path
            assert context.request.post(url + "gradio_api/upload").status == 401
            context.close()
        known = {"username": "me", "password": "correct horse"}
        page = browser.new_page(http_credentials=known)
        page.goto(url)
        give(page, pictures)
        press(page)
        finished(page)


@pytest.mark.slow
def test_a_run_of_the_command_line_can_be_watched(tmp_path, browser, pictures):
    words = ["run", str(pictures / "photo.png"), str(pictures / "style.png"), "--watch", "0"]
    words += ["-o", str(tmp_path / "out.png"), "--size", "64", "--steps", "400"]
    command = [sys.executable, "-c", SMALL_COMMAND, *words]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=process_environment()
    ) as process:
        line = next(line for line in process.stderr if "http://" in line)
        page = browser.new_page()
        page.goto(line[line.index("http://") :].split()[0])
        page.wait_for_selector("#easel .running .curve svg", timeout=100_000)
        page.wait_for_selector("#easel .done", timeout=100_000)
        process.communicate()
    assert process.returncode == 0
    assert Path(tmp_path / "out.png").exists()
