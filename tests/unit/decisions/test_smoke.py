import pytest

from opskit.adapters.probe import ProbeResult
from opskit.decisions.smoke import judge_smoke
from opskit.traffic import Colour
from opskit.verdict import Outcome

GOOD = ProbeResult(200, 0.01, {"colour": "green"})


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (GOOD, Outcome.PASS),
        (ProbeResult(200, 0.01, None), Outcome.PASS),
        (ProbeResult(200, 0.01, [1, 2]), Outcome.PASS),
        (ProbeResult(503, 0.01, None), Outcome.FAIL),
        (ProbeResult(302, 0.01, None), Outcome.FAIL),
        (ProbeResult(None, 5.0, None, "timed out"), Outcome.FAIL),
        (ProbeResult(200, 0.01, {"colour": "blue"}), Outcome.FAIL),
    ],
)
def test_every_path_must_answer_200_from_the_right_colour(result, outcome):
    assert judge_smoke({"/health": GOOD, "/version": result}, Colour.GREEN).outcome is outcome


def test_no_test_is_no_pass():
    assert judge_smoke({}, Colour.GREEN).outcome is Outcome.INCONCLUSIVE
