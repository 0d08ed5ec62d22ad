"""Damage to files: what chance does to bytes, and what an attacker does to what they stand for.

A damaged byte in a zip archive shows in its checksum, so a reader would never be tried on more than
that. Here the parts are damaged and packed again with the right checksums and lengths, one format
inside the other: the numbers in the header of an array in an `.npz` file, a value of `config.json`
in a `.keras` file, a chunk of a PNG. All is decided by the generator that is given.
"""

import ast
import copy
import io
import json
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

Damage = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

_LARGEST_GROWTH = 1 << 17
_OF_CHANCE = 0.25
"""Share of structured content that is damaged byte by byte all the same."""

_BOMB = bytes(96 << 20)

_TOKENS = (
    *(b"\0", b"\x1b[2J", b"\r", b"\n\n", "\u2028\u0085".encode(), b"\xed\xa0\x80", b"\xff\xfe"),
    *(b"NaN", b"-Infinity", b"1e999", b"-1", b"9" * 400, b"[" * 100_000, b'{"":' * 2000),
    # Pickles that call what they name: a command, an evaluation, an endless memory.
    *(b"cos\nsystem\n(S'true'\ntR.", b"cbuiltins\neval\n(S'1'\ntR."),
    *(b"cposix\nsystem\n(S'true'\ntR.", b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R."),
    *(b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", b"ctorch\nload\n", b"..", b"../"),
)  # fmt: skip

_NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 255, 256, 10_000, 10**6, 2**24, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63),
    *(-(2**31), -(2**63), 10**18, 10**400),
)

_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "a", "a" * 5000, "\x1b[2J", "\ud800", "a\nb", "../../etc", "\0"),
    *({}, []),
    *(0.5, 1e308, -1e308, float("nan"), float("inf"), [[]], {"": {}}, [0] * 5000, ["a"] * 300),
    *_NUMBERS,
)  # fmt: skip


def damaged(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Returns the content of a file with some damage.

    Args:
        content: Of an undamaged one.
        rng: Where all chance comes from.
        others: Contents of others, from which pieces are taken.
    """
    structured = _structured(content)
    if structured is not None and rng.random() > _OF_CHANCE:
        try:
            return structured(content, rng, others)
        except (ValueError, KeyError, IndexError, struct.error, SyntaxError, zipfile.BadZipFile):
            pass  # of a part that was damaged before
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(_BYTEWISE)(content, rng, others)
    return content


def _structured(content: bytes) -> Damage | None:
    if content.startswith(b"PK\x03\x04"):
        return _zip
    if content.startswith(b"\x93NUMPY"):
        return _npy
    if content.startswith(b"\x89PNG\r\n"):
        return _png
    if content[:1] in (b"{", b"["):
        return _json
    if content[8:9] == b"{":  # behind a length: safetensors
        return _safetensors
    return None


def _zip(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    compression = zipfile.ZIP_STORED
    i = rng.randrange(len(entries))
    name, part = entries[i]
    kind = rng.random()
    if kind < 0.8:
        entries[i] = (name, damaged(part, rng, [x for _, x in entries]))
    elif kind < 0.84:
        del entries[i]
    elif kind < 0.88:
        entries[i] = (rng.choice(entries)[0] + rng.choice(("", "x", "/", "\0")), part)
    elif kind < 0.92:
        entries[i] = (name, rng.choice(entries)[1])
    elif kind < 0.96:
        entries += [
            (f"{rng.choice(('', '../', '/'))}{j}{name}", b"") for j in range(rng.choice((1, 3000)))
        ]
    elif kind < 0.965:
        entries[i], compression = (name, part + _BOMB), zipfile.ZIP_DEFLATED
    else:
        compression = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    packed = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),  # of two entries of one name
        zipfile.ZipFile(packed, "w", compression, compresslevel=1) as archive,
    ):
        for name, part in entries:
            archive.writestr(zipfile.ZipInfo(name or "x"), part, compression)
    return packed.getvalue()


def _npy(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    length = struct.unpack("<H", content[8:10])[0]
    header, values = (
        ast.literal_eval(content[10 : 10 + length].decode("latin1")),
        content[10 + length :],
    )
    kind = rng.random()
    if kind < 0.5:
        shape = list(header["shape"])
        change = rng.randrange(3)
        if change == 0 and shape:
            shape[rng.randrange(len(shape))] = rng.choice(_NUMBERS)
        elif change == 1:
            shape += [rng.choice(_NUMBERS)] * rng.choice((1, 2, 40))
        else:
            shape = shape[1:]
        header["shape"] = tuple(shape)
    elif kind < 0.75:
        header["descr"] = rng.choice(
            ("<f2", "<f4", "<f8", ">f8", "<c8", "|b1", "|i1", "<i8", "<u8", "|O", "<U0", "<U9",
             "|S0", "|S40", "|V0", "|V8", "<U100000000", "<M8[s]", "<m8", "x", [("a", "<f4")],
             [("a", "|O")])
        )  # fmt: skip
    elif kind < 0.8:
        header[rng.choice((*header, "x"))] = rng.choice((None, True, "x", (), 1))
    else:
        values = damaged(values, rng, others)
    text = repr(header).encode()
    if kind > 0.97:
        text = damaged(text, rng, others)[:60_000]
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return content[:8] + struct.pack("<H", len(text)) + text + values


def _png(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    chunks, place = [], 8
    while place + 8 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    i = rng.randrange(len(chunks))
    name, data = chunks[i]
    kind = rng.random()
    if name == b"IHDR" and kind < 0.5:
        sides = [rng.choice((0, 1, 2, 9, 2**15, 2**20, 2**31 - 1)) for _ in range(2)]
        data = struct.pack(">II", *sides) + data[8:]
    elif kind < 0.8:
        data = damaged(data, rng, others) if data else rng.randbytes(8)
    else:
        name = rng.choice((b"IDAT", b"tRNS", b"PLTE", b"eXIf", b"acTL", b"zTXt", b"iCCP", b"IEND"))
    chunks[i] = name, data
    if kind > 0.95:
        chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
    return content[:8] + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _safetensors(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header = _json(content[8 : 8 + length], rng, others)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def _json(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    tree = {"": json.loads(content)}
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        _change(tree, rng)
    text = json.dumps(tree.get(""))
    if '"NESTED"' in text:
        depth = rng.choice((100, 900, 5000, 100_000))
        opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
        text = text.replace('"NESTED"', opening * depth + "1" + closing * depth, 1)
    return text.replace('"DIGITS"', "1" * 5000).encode()


def _change(tree: Any, rng: random.Random) -> None:
    """Changes one thing in a tree of lists and dicts, at any depth alike."""
    places: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        for key in node if isinstance(node, dict) else range(min(len(node), 50)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)) and len(places) < 20_000:
                waiting.append(node[key])
    numbers = [(node, key) for node, key in places if type(node[key]) in (int, float)]
    kind = rng.random()
    node, key = rng.choice(numbers if numbers and kind < 0.35 else places)
    if kind < 0.35:
        node[key] = rng.choice(_NUMBERS)
    elif kind < 0.7:
        node[key] = rng.choice(_VALUES)
    elif kind < 0.75:
        node[key] = rng.choice(("NESTED", "DIGITS"))
    elif kind < 0.85:
        other, place = rng.choice(places)
        node[key] = copy.deepcopy(other[place])
    elif kind < 0.93:
        del node[key]
    elif isinstance(node, dict):
        node[str(key) + rng.choice(("x", "\0", ""))] = node.pop(key)
    else:
        node += [node[key]] * rng.choice((1, 100))


# --- bytes ------------------------------------------------------------------------------------


def _flip(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(min(rng.choice((1, 1, 2, 8)), len(changed))):
        changed[_place(content, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _other_bytes(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, end = _span(content, rng)
    fill = rng.choice((b"\0", b"\xff", b""))
    return content[:start] + (fill * (end - start) or rng.randbytes(end - start)) + content[end:]


def _cut(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _without(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def _twice(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, end = _span(content, rng)
    times = rng.choice((2, 2, 3, 500))
    times = max(1, min(times, _LARGEST_GROWTH // max(end - start, 1)))
    return content[:start] + content[start:end] * times + content[end:]


def _splice(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others) if others else content
    start, end = _span(other, rng)
    place, after = _span(content, rng)
    return content[:place] + other[start:end] + content[after:]


def _token(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    place = _place(content, rng)
    after = rng.choice((place, place + 1, len(content)))
    return content[:place] + rng.choice(_TOKENS) + content[after:]


def _extreme(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Writes a number that counts and offsets may not be where those lie: at its multiple."""
    size = rng.choice((1, 2, 4, 4, 4, 8))
    sign = 2 ** (8 * size - 1)
    number = rng.choice((0, 1, 2, 2 * sign - 1, sign - 1, sign))
    if rng.random() < 0.3:
        number = rng.randrange(256)
    place = _place(content, rng)
    place -= place % size
    value = number.to_bytes(size, rng.choice(("little", "big")))
    return content[:place] + value + content[place + size :]


_BYTEWISE: tuple[Damage, ...] = (
    *(_flip, _flip, _extreme, _extreme, _other_bytes, _cut, _without, _twice, _splice, _token),
)


def _place(content: bytes, rng: random.Random) -> int:
    """Returns a place, half of them near the beginning, where formats say how large things are."""
    length = max(len(content), 1)
    return rng.randrange(min(length, 256) if rng.random() < 0.5 else length)


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = _place(content, rng)
    return start, start + min(rng.choice((1, 2, 4, 16, 64, 1024, 65536)), len(content) - start)
