"""A letter's HTML as a page that looks like it, and does nothing.

The wall is the policy that the page is served with (a sandbox without scripts, and no source but
`data:`). What is taken out here is what acts in spite of it (`<meta>` refresh, `<link>` preconnect,
`<base>`), and what would only be blocked loudly. Layout stays: tables, styles, fonts, `<style>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

import nh3

from app.mailer.domain.errors import MailerError
from app.mailer.ports import ShownHtml

_TAGS = nh3.ALLOWED_TAGS | {
    "address",
    "big",
    "font",
    "main",
    "section",
    "style",
    "tfoot",
}
#: Gone with all that is in them; other unknown tags go, and what they hold stays.
_DROPPED = {"script", "title", "noscript", "template", "textarea", "select", "iframe", "object"}
_LOOK = {"align", "bgcolor", "class", "dir", "height", "id", "lang", "style", "title", "valign"}
_LOOK |= {"width", "background", "border", "bordercolor", "nowrap", "role"}
_ATTRIBUTES = {
    **nh3.ALLOWED_ATTRIBUTES,
    "*": _LOOK,
    "a": {"href", "name"},
    "area": {"alt", "coords", "href", "shape"},
    "font": {"color", "face", "size"},
    "hr": {"color", "noshade", "size"},
    "img": {"alt", "hspace", "src", "usemap", "vspace"},
    "li": {"type", "value"},
    "map": {"name"},
    "ol": {"reversed", "start", "type"},
    "style": {"media", "type"},
    "table": {"cellpadding", "cellspacing", "frame", "rules", "summary"},
    "td": {"colspan", "headers", "rowspan", "scope"},
    "th": {"abbr", "colspan", "headers", "rowspan", "scope"},
    "ul": {"type"},
}
_OF_HTML = {"dir", "lang"}
_OF_BODY = {"bgcolor", "class", "dir", "id", "lang", "style", "text"}
_SOURCES = {"src", "background"}
_SCHEMES = {"http", "https", "mailto", "tel", "cid", "data"}

_ATTRIBUTE_LIST = re.compile(r"""(?:"[^"]*"|'[^']*'|[^'">])*(?=>)""")
_EMPTY_DIV = re.compile(r"""<div((?: [a-z-]+="[^"]*")*)></div>""")
_CONTENT_ID = re.compile(r"\bcid:([^\"'\s>)&]+)", re.IGNORECASE)
_STYLES = re.compile(r"(<style[^>]*>)(.*?)(</style>)", re.DOTALL)
_CSS_SOURCE = re.compile(
    r"url\(\s*+[\"']?\s*+(?!data:image/)([^()\"']*+)[\"']?\s*+\)", re.IGNORECASE
)
_CSS_IMPORT = re.compile(r"@import\b[^;]*;?", re.IGNORECASE)
_LINK = re.compile(r"https?://|mailto:|tel:|#", re.IGNORECASE)
_ELSEWHERE = re.compile(r"(?:https?:)?//", re.IGNORECASE)

_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
#: Nobody has to close these, or they do not nest.
_UNCLOSED = frozenset(
    "area base body br col dd dt hr html img input li link meta p td th tr wbr".split(" ")  # noqa: SIM905
)
#: Time to parse grows with the square of the depth; no letter for people comes near this.
_DEEPEST = 3000
#: It grows with the square of the number of a tag's attributes, too.
_MOST_ATTRIBUTES = 500
_TAG_BEGINS = re.compile("</?[a-z]", re.IGNORECASE)
_BLANK = r"\t\n\f\r "  # what is white space between attributes, and nothing else
_ATTRIBUTE = (
    rf"[{_BLANK}/]*+[^{_BLANK}/>][^{_BLANK}/>=]*+"
    rf"""(?:[{_BLANK}]*+=[{_BLANK}]*+(?:"[^"]*+"?+|'[^']*+'?+|[^{_BLANK}>"'][^{_BLANK}>]*+)?+)?+"""
)
_WHOLE_TAG = re.compile(
    rf"</?[a-z][^{_BLANK}/>]*+(?:{_ATTRIBUTE}){{0,{_MOST_ATTRIBUTES}}}+(?P<more>{_ATTRIBUTE})?+",
    re.IGNORECASE,
)
#: How often the same text may stand in what could be a tag; in honest letters it is once.
_MOST_OVERLAPS = 8

_PAGE = """<!doctype html>
<html{html}><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta http-equiv="x-dns-prefetch-control" content="off">
<meta name="referrer" content="no-referrer">
</head><body{body}>
{content}
</body></html>
"""
#: For whoever shows the page otherwise than by its own address, which has a stricter one.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'"


def show_letter_html(html: str, images: Mapping[str, str]) -> ShownHtml:
    """`html` as a whole page; `images` has a `data:` URL for each content id.

    Links stay, for the eye: each wants a new window, which the sandbox does not open. Raises
    `MailerError` for what is nested so deeply, or has such tags, that showing it would take long.
    """
    if _has_hostile_tags(html):
        raise MailerError(
            "This letter's HTML has tags with too many attributes to be shown.",
            "Look at the message itself.",
        )
    if _depth(html) > _DEEPEST:
        raise MailerError(
            "This letter's HTML is nested too deeply to be shown.", "Look at the message itself."
        )
    return _Cleaning(images).page(html)


def _depth(html: str) -> int:
    deepest = depth = 0
    for closing, name in _TAG.findall(html):
        if name.lower() not in _UNCLOSED:
            depth = max(0, depth - 1) if closing else depth + 1
            deepest = max(deepest, depth)
    return deepest


def _has_hostile_tags(html: str) -> bool:
    """Whether a tag has too many attributes.

    Each `<` is tried, whatever it stands in: only the parser knows what is a comment, a style or a
    value. Text that would have to be read over and over again for that is hostile as well.
    """
    left = _MOST_OVERLAPS * len(html)
    for begin in _TAG_BEGINS.finditer(html):
        tag = _WHOLE_TAG.match(html, begin.start())
        assert tag is not None
        left -= tag.end() - tag.start()
        if tag["more"] is not None or left < 0:
            return True
    return False


class _Cleaning:
    def __init__(self, images: Mapping[str, str]) -> None:
        self._images = images
        self._blocked = 0

    def page(self, html: str) -> ShownHtml:
        content = nh3.clean(
            html,
            tags=_TAGS,
            clean_content_tags=_DROPPED,
            attributes=_ATTRIBUTES,
            attribute_filter=self._attribute,
            url_schemes=_SCHEMES,
            set_tag_attribute_values={"a": {"target": "_blank"}, "area": {"target": "_blank"}},
        )
        content = _STYLES.sub(
            lambda found: found[1] + self._css(found[2]) + found[3],
            content,
        )
        document = _PAGE.format(
            policy=_POLICY,
            html=self._of_root(html, "html", _OF_HTML),
            body=self._of_root(html, "body", _OF_BODY),
            content=content,
        )
        return ShownHtml(document, self._blocked)

    def _attribute(self, tag: str, name: str, value: str) -> str | None:
        if tag not in _TAGS:
            return None
        if name in _SOURCES:
            return self._source(value)
        if name == "style":
            return self._css(value)
        if name == "href" and not _LINK.match(value):
            # Also what is relative: no recipient has what it would lead to.
            return None
        return value

    def _source(self, url: str) -> str | None:
        url = url.strip()
        if url.lower().startswith("data:image/"):
            return url
        if url.lower().startswith("cid:"):
            return self._images.get(unquote(url[4:]))
        if _ELSEWHERE.match(url):
            self._blocked += 1
        return None

    def _css(self, css: str) -> str:
        css = _CONTENT_ID.sub(lambda found: self._images.get(unquote(found[1]), found[0]), css)
        # Never by nothing: two ends that meet could spell the end of the style.
        css, imports = _CSS_IMPORT.subn("/* */", css)
        self._blocked += imports
        return _CSS_SOURCE.sub(self._css_source, css)

    def _css_source(self, found: re.Match[str]) -> str:
        if _ELSEWHERE.match(found[1]):
            self._blocked += 1
        return "none"

    def _of_root(self, html: str, tag: str, allowed: set[str]) -> str:
        """The attributes of `<html>` or `<body>`, which the cleaning of a fragment loses."""
        found = re.search(rf"<{tag}\b", html, re.IGNORECASE)
        given = found and _ATTRIBUTE_LIST.match(html, found.end())
        if not given:
            return ""
        cleaned = nh3.clean(
            f"<div{given[0]}></div>",
            tags={"div"},
            attributes={"div": allowed},
            attribute_filter=self._attribute,
        )
        whole = _EMPTY_DIV.fullmatch(cleaned)
        return whole[1] if whole else ""
