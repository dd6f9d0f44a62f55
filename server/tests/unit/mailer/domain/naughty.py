"""Strings that have broken mail programs, and alphabets that make more of them."""

from __future__ import annotations

from hypothesis import strategies as st

#: Must be refused wherever they would stand in a header.
CONTROLS = [
    "a\r\nBcc: x@evil.example",
    "a\nBcc: x@evil.example",
    "a\rBcc: x@evil.example",
    "a\r\n\r\n<script>",
    "a\n\rb",
    "\n",
    "trailing\r\n",
    "a\x00b",
    "a\x0bb",
    "a\x0cb",
    "a\tb",
    "a\x1b[31mb",
    "a\x7fb",
    "a\x85Bcc: x",
    "a\u2028Bcc: x",
    "a\u2029Bcc: x",
    "a\ud83d",
    "\udc80a",
]

#: Must arrive as they are.
LITERALS = [
    "plain",
    "Grüße, Jürgen",
    "=?utf-8?q?hi=0D=0ABcc:_x?=",
    "=?utf-8?b?aGkNCkJjYzogeA==?=",
    "=?utf-8?q?hi?= =?utf-8?q?there?=",
    "=?us-ascii?Q?=00?=",
    "=?utf-8*de?q?a?=",
    "=?",
    "?=",
    "x =?broken",
    "a_b=20c",
    "\u202egnp.exe",
    "שלום עולם",
    "👨‍👩‍👧‍👦" * 12,
    "🇩🇪🇫🇷🇮🇹" * 15,
    "e\u0301\u0302\u0303" * 60,
    "Z\u0351\u036b\u0343\u036a" * 40,
    "x" * 500,
    "ü" * 500,
    "word " * 60 + "end",
    " leading",
    "trailing ",
    "two  spaces " + "and more " * 12 + "end",
    " ",
    'He said "no" \\ yes',
    "\\",
    '"',
    "a, b; c <d@e.f>",
    "(comment) [x] : ;",
    "Lovelace, Ada",
    "%0d%0aBcc: x",
    "utf-8''x%0Ay",
    "../../etc/passwd",
    "Subject: Bcc: x@evil.example",
    "\ufeffbom",
    "\u200b",
    "no\u00a0break\u3000space",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "\U0010ffff",
]

#: Any text that a header may carry.
header_text = st.one_of(
    st.sampled_from(LITERALS),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=150),
    st.text(st.sampled_from("ab =?_\"\\<>,.;:()@%*'ü😀\u0301\u200d"), max_size=150),
)

#: Any text that a body may carry.
body_text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.lists(
        st.sampled_from(
            [
                *("\r\n", "\n", "\r", "\r\n.\r\n", ".", "..", "From ", "F", "=_", "--", "=", " "),
                *("\t", "ü", "😀", "\x00", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "x"),
                *("y" * 74, "z" * 1200, "word " * 20, "\n--=_fd42a84f5894fff57e5203d6a\n"),
            ]
        ),
        max_size=25,
    ).map("".join),
)
