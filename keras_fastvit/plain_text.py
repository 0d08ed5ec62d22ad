"""Text that comes from outside: what may be the name of a class, and how any text is shown."""

import unicodedata

LONGEST_NAME = 1000
"""How many characters a name may have. Folders' names have 255 bytes at most."""

_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, halves of characters, and ends of lines."""

_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the direction of the text that follows, so that it shows something else than it is."""

_OF_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`[<|"})


def is_name(text: str) -> bool:
    r"""Returns whether a text can be written, read and shown as one line.

    Control characters could steer a terminal, ends of lines make two names of one, and the halves
    of characters that Python makes of bytes which are no UTF-8 cannot be written. The Android
    demo has the same rule.

    >>> is_name("Wölfin"), is_name("two\nlines"), is_name("\x1b[31mred"), is_name("K\udcf6nig")
    (True, False, False, False)
    """
    return len(text) <= LONGEST_NAME and not any(map(_is_no_text, text))


def shown(text: str) -> str:
    r"""Returns a text in one line that can be printed anywhere: what could not is escaped.

    >>> print(shown("\x1b[31mred\n"))
    \x1b[31mred\n
    """
    return "".join(
        sign.encode("unicode_escape").decode() if _is_no_text(sign) else sign for sign in text
    )


def in_markdown(text: str) -> str:
    r"""Returns a text that Markdown shows as it is, in a table as well: no code, links or HTML.

    >>> print(in_markdown("up|down <b>"))
    up\|down \<b>
    """
    return shown(text).translate(_OF_MARKDOWN)


def _is_no_text(sign: str) -> bool:
    return sign in _TURNS or unicodedata.category(sign) in _NO_TEXT
