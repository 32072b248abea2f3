"""Each dashboard can be drawn from the answers; a person can look at the result below target/dashboards/pictures."""

import re

import pytest

import board
import picture


@pytest.mark.parametrize("name", board.NAMES)
def test_every_panel_draws(world, work, name):
    folder = work / "pictures"
    folder.mkdir(exist_ok=True)
    html, height = picture.page(picture.gather(world, board.load(name)))
    drawn = picture.photograph(html, height, folder, name)
    assert drawn.stat().st_size > 20_000


@pytest.mark.parametrize("name", board.NAMES)
def test_a_picture_is_kept_beside_the_dashboard(name):
    kept = board.FOLDER / f"{name}.png"
    assert kept.read_bytes().startswith(b"\x89PNG")
    assert kept.stat().st_size < 300_000


def test_the_readme_says_what_the_pictures_are():
    text = re.sub(r"\s+", " ", (board.FOLDER / "README.md").read_text())
    assert "not screenshots of a Grafana server" in text
    assert all(f"({name}.png)" in text for name in board.NAMES)
