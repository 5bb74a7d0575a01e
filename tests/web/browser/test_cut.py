"""A network that is cut for a moment; the same for 30 seconds is benchmarks/web_cut.py."""

import pytest

from web.browser.acts import begin
from web.browser.cut import Line, through
from web.browser.stand import plain


@pytest.mark.parametrize("how", ["offline", "silent"])
def test_nothing_is_lost_or_doubled_and_the_page_recovers_by_itself(serve, window, how):
    stand = serve(plain(120))
    line = Line(stand.port)
    page = window({**stand.person(), "url": line.url})
    begin(page, line.url)
    result = through(page, stand, line, how=how, seconds=3, pace=0.1)
    line.close()
    assert (result["lost"], result["doubled"], result["refused"]) == (0, 0, 0)
    assert result["given_during"] > 3  # of the ten that it holds, while much is left
    assert result["acknowledged_during"] == 0
    assert result["acknowledged_after"] == result["kept_in_browser"] == result["given_during"]
    assert result["recovered_seconds"] < 20
    assert ("offline" in result["said"]) == (how == "offline")  # who hears nothing waits for a while before it says so
