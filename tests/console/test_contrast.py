"""Texts and signs of the console have the contrast that WCAG 2.2 asks for (AA: 4.5, signs: 3)."""

import re
from itertools import product
from pathlib import Path

import pytest

STYLE = (Path(__file__).parents[2] / "ai_coordination_engine/console/style.css").read_text()
TONES = ("done", "run", "fail", "ask", "hold", "idle")
BACKGROUNDS = ("page", "surface", "raised")
TEXTS = [
    *product(("text", "muted", "accent"), BACKGROUNDS),
    *[(tone, f"{tone}-soft") for tone in TONES],
    *product(("text", "muted"), [f"{tone}-soft" for tone in TONES]),
    *product(("done", "ask", "hold", "accent", "fail"), ("raised", "surface")),
    ("fail", "page"),
    ("on-accent", "accent"),
    ("page", "text"),
    ("text", "idle-soft"),
]
SIGNS = [*product(("control", *TONES), BACKGROUNDS), ("accent", "surface"), ("accent", "page")]


PAIRS = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", STYLE)
LIGHT = {name: light for name, light, _ in PAIRS}
DARK = {name: dark for name, _, dark in PAIRS}


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2, "relative luminance")."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)


def test_all_colours_are_pairs() -> None:
    assert len(PAIRS) == len(re.findall(r"--[a-z-]+: (?!0)", STYLE.partition("*, *")[0]))
    assert len(PAIRS) > 20


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_pair_of_colours_has_enough_contrast(theme: dict[str, str]) -> None:
    found = {
        f"{over} on {under}": round(contrast(theme[over], theme[under]), 2)
        for pairs, least in ((TEXTS, 4.5), (SIGNS, 3.0))
        for over, under in pairs
        if contrast(theme[over], theme[under]) < least
    }
    assert found == {}
