"""Custom components of the page: data stays data."""

from __future__ import annotations

import json
import re

from emofuse.demo.html import drawn, head
from emofuse.demo.texts import texts


def test_data_of_the_page_is_data_and_its_head_holds_no_code():
    component = drawn("answers", panel="file", value={"text": "</script><img src=x>{{#each}} ${value}"})
    assert component.html_template == '<div class="emo-root"></div>' and component.js_on_load is not None
    made = head()
    inline = re.findall(r"<script(?![^>]* src=)[^>]*>", made)
    assert inline == ['<script type="application/json" id="emofuse-texts">'] and made.count("</script>") == 2
    data = re.search(r'id="emofuse-texts">(.*?)</script>', made, re.DOTALL)
    assert data and json.loads(data[1])["zh"] == texts()["zh"]
