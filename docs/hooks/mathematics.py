"""Formulas become MathML while the site is built: pages need no script and no network to show them."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

# What pymdownx.arithmatex leaves, in its generic form.
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_page_content(page_html: str, **_) -> str:
    """MathML in place of LaTeX."""
    page_html = _DISPLAY.sub(lambda found: _mathml(found.group(1), "block"), page_html)
    return _INLINE.sub(lambda found: _mathml(found.group(1), "inline"), page_html)


def _mathml(latex: str, display: str) -> str:
    # One formula is one line, or the browser would show the line breaks of its source.
    return convert(" ".join(html.unescape(latex).split()), display=display)
