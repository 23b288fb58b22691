"""What a person says about a plan: they approve it, reject it, or answer it as they want it.
Pure.
"""

import re

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.planning import MAX_SHOWN, Planning
from ai_coordination_engine.domain.plans import Made
from ai_coordination_engine.domain.structured import Unfit
from ai_coordination_engine.errors import BadUserInput

_APPROVED = ("approve", "approved", "yes", "ok")
_REJECTED = re.compile(r"(?:reject|rejected|no)\b[\s:;,.!-]*(?P<why>.*)", re.IGNORECASE | re.DOTALL)
_TAKES = "It takes approve, reject (with a reason behind it), or the plan as it should be"


@dataclass(frozen=True)
class Review:
    """What becomes of a plan: it is approved (neither is set), `rejected` for this reason, or
    replaced by what the person `edited`.
    """

    rejected: str | None = None
    edited: Made | None = None


def review_of(answer: str, planning: Planning) -> Review:
    """What the answer means. Raises `BadUserInput` for one that is none of these, or a plan that
    cannot run.
    """
    text = answer.strip().strip("\"'").strip()
    if text.rstrip(".!").lower() in _APPROVED:
        return Review()
    if rejected := _REJECTED.fullmatch(text):
        return Review(rejected=rejected["why"].strip() or "no reason was given")
    try:
        return Review(edited=planning.read(answer, MAX_SHOWN))
    except Unfit as error:
        raise BadUserInput(f"userInput is about a plan. {_TAKES}. {error}") from error
