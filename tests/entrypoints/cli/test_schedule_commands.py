import pytest

from ai_coordination_engine.entrypoints.cli.cli import app
from ai_coordination_engine.errors import BadUserInput


def preview(*arguments: str) -> None:
    app(
        ["schedule", "preview", *arguments],
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["cron(0 9 1 1 ? 2190-2199)", "--timezone", "Europe/Berlin"],
            [f"{year}-01-01T09:00:00+01:00" for year in range(2190, 2200)],
        ),
        (["cron(0 9 1 1 ? 2190-2199)", "--limit", "1"], ["2190-01-01T09:00:00+00:00"]),
        (["at(1990-07-01T09:00)"], ["It does not fire any more."]),
    ],
)
def test_the_next_times_are_printed_with_the_offset_of_the_zone(
    arguments: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    preview(*arguments)
    assert capsys.readouterr().out.splitlines() == expected


def test_ten_times_are_printed_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    preview("rate(5 minutes)")
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_a_wrong_schedule_is_wrong_input() -> None:
    with pytest.raises(BadUserInput, match="the minute is '61'; it takes 0-59"):
        preview("61 9 * * *")
    with pytest.raises(BadUserInput, match="timezone 'Mars' is unknown"):
        preview("@daily", "--timezone", "Mars")
