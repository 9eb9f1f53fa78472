"""Records what the BBC's own library makes of timestamps and time ranges.

Run by hand, when the cases change, from this folder:

    venv=$(mktemp -d) && python3 -m venv "$venv"
    "$venv/bin/pip" install mediatimestamp==5.2.0
    "$venv/bin/python" mediatimestamp_oracle.py

It writes data/mediatimestamp.json, the same bytes at every run, which mediatimestamp.rs compares
with this crate, so that the tests need neither Python nor a network. One case a line:

    timestamps  [text, is it allowed by the TAMS schema?, canonical text, or null if refused]
    sums        [a, b, a + b, a - b]
    ranges      [text, is it allowed by the TAMS schema?, canonical text, or null if refused]
    pairs       [a, b, is b inside a?, do they overlap?, intersection, hull]
"""

import json
import random
import re
from importlib.metadata import version
from itertools import product
from pathlib import Path

from mediatimestamp.exceptions import TsValueError
from mediatimestamp.immutable import TimeRange, Timestamp

# As timestamp.json and timerange.json of TAMS 8.2 have them.
TIMESTAMP = r"-?(?:0|[1-9][0-9]*):(?:0|[1-9][0-9]{0,8})"
RANGE = rf"[\[(]?(?:{TIMESTAMP})?(?:_(?:{TIMESTAMP})?)?[\])]?"

NANOSECONDS_PER_SECOND = 1_000_000_000
MAX_SECONDS = 2**48 - 1

# No letters that spell "now", which the library reads as the time of the run.
ALPHABET = "[]()_:-+.,0159 TZFé１\t\n"

random.seed(8)


def read(kind, text):
    """The canonical text, or None where the library refuses."""
    try:
        return str(kind.from_str(text))
    except (TsValueError, ValueError):
        return None


def number(pools):
    return str(random.choice(random.choices(*zip(*pools))[0]))


def timestamp_text():
    seconds = number([
        (range(0, 12), 8),
        ([1694429247, 1694429248], 2),
        ([MAX_SECONDS - 1, MAX_SECONDS], 1),
        ([MAX_SECONDS + 1, 2**63, 2**64, 10**40], 0.3),
        (["", "00", "01", "007"], 0.3),
    ])
    nanoseconds = number([
        ([0], 6),
        ([1, 2, 5, 40000000, 500000000, 999999998, 999999999], 4),
        (["", "00", "05", "000000001", 1000000000, 10**20], 0.4),
    ])
    sign = random.choices(["", "-", "+", "--"], [8, 2, 0.1, 0.1])[0]
    colon = random.choices([":", "", ".", "::"], [60, 0.5, 1, 0.5])[0]
    return sign + seconds + colon + nanoseconds


def range_text():
    opening = random.choice(["", "[", "("])
    closing = random.choice(["", "]", ")"])
    start = random.choices(["", timestamp_text()], [1, 3])[0]
    end = random.choices(["", start, timestamp_text()], [1, 1, 3])[0]
    middle = random.choices([start + "_" + end, start], [5, 1])[0]
    return opening + middle + closing


def mutated(text):
    for _ in range(random.randint(1, 3)):
        at = random.randint(0, len(text))
        text = random.choice([
            text[:at] + random.choice(ALPHABET) + text[at:],
            text[:at] + text[at + 1:],
            text[:at] + random.choice(ALPHABET) + text[at + 1:],
            text[:at] + text[at:at + 4] + text[at:],
            text[at:] + text[:at],
        ])
    return text


def cases(kind, pattern, written, generate, count):
    texts = dict.fromkeys(written)
    while len(texts) < len(written) + count:
        text = generate()
        texts[mutated(text) if random.random() < 0.3 else text] = None
    return [[text, re.fullmatch(pattern, text) is not None, read(kind, text)] for text in texts]


def markers(*middles):
    """Each text with every pair of markers, and without."""
    return ["".join(parts) for parts in product(["", "[", "("], middles, ["", "]", ")"])]


def timestamps():
    written = [
        "", "-", ":", "0:0", "-0:0", "-0:800000000", "-1:500000000", "1:5", "1:40000000",
        "0:05", "1:1000000000", "1", "1.5", "+1:0", "1:", ":1", "00:0", "1_0:0", "1:0:0",
        f"{MAX_SECONDS}:999999999", f"-{MAX_SECONDS}:999999999", f"{MAX_SECONDS + 1}:0",
        f"-{MAX_SECONDS + 1}:0", "9" * 400 + ":0", "2023-09-11T10:46:50.0Z",
        "2015-07-01T00:59:59:F24 25/1 UTC+01:00 TAI-35",
    ]
    return cases(Timestamp, TIMESTAMP, written, timestamp_text, 600)


def sums():
    limit = (MAX_SECONDS + 1) * NANOSECONDS_PER_SECOND - 1
    for _ in range(300):
        a, b = (
            Timestamp.from_nanosec(random.choice([1, -1]) * random.choice([
                random.randint(0, 3),
                random.randint(0, 10) * NANOSECONDS_PER_SECOND,
                random.randint(0, limit),
                limit - random.randint(0, 1),
            ]))
            for _ in range(2)
        )
        yield [str(a), str(b), str(a + b), str(a - b)]


def ranges():
    written = markers("", "_", "5:0", "-0:0", "5:0_", "_5:0", "0:0_10:0", "5:0_5:0", "5:0_3:0", "0:0_0:1")
    written += [
        "[-1:0_-0:500000000)", "[1694429247:0_1694429248:0)", "bad", "__", "[[", "][",
        "[0:0_1:0000000001)", "[0:0_1:0)trailing", " [0:0_1:0)", "[0:0_1:0) ", "[0.5_1.5)",
        f"[0:0_{MAX_SECONDS}:999999999]", f"[0:0_{MAX_SECONDS + 1}:0)", f"[-{MAX_SECONDS + 1}:0_0:0)",
        f"[{2**64}:0_{2**64 + 1}:0)", "[2023-09-11T10:46:50.0Z_2023-09-11T10:46:51.0Z)",
    ]
    return cases(TimeRange, RANGE, written, range_text, 3000)


def pairs():
    """Ranges whose bounds meet often: the points are few, and one nanosecond apart or far."""
    points = ["-1:0", "0:0", "0:1", "0:2", "10:0", "11:0"]
    starts = [""] + [marker + point for marker in "[(" for point in points]
    ends = [""] + [point + marker for marker in "])" for point in points]
    operands = sorted({str(TimeRange.from_str(f"{start}_{end}")) for start, end in product(starts, ends)})
    # Not as operands: this crate reads them as never, which the cases of ranges show.
    operands = [text for text in operands if text not in ("(0:0_0:1)", "(0:1_0:2)")]
    interesting = [("()", "()"), ("()", "_"), ("_", "()"), ("_", "_")]
    interesting += [(text, text) for text in operands]
    interesting += [("[0:0_0:1)", "(0:0_10:0)"), ("(0:0_10:0]", "[-1:0_0:1)"), ("(0:1_", "_0:2)")]
    while len(interesting) < 3500:
        interesting.append(tuple(random.choices(operands, k=2)))
    for left, right in dict.fromkeys(interesting):
        a, b = TimeRange.from_str(left), TimeRange.from_str(right)
        yield [
            left,
            right,
            b in a,
            a.overlaps_with_timerange(b),
            str(a.intersect_with(b)),
            str(a.extend_to_encompass_timerange(b)),
        ]


def main():
    sections = {"timestamps": timestamps(), "sums": sums(), "ranges": ranges(), "pairs": pairs()}
    lines = [f'{{"mediatimestamp":"{version("mediatimestamp")}"']
    for name, section in sections.items():
        rows = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in section)
        lines.append(f',"{name}":[\n' + ",\n".join(rows) + "\n]")
    path = Path(__file__).parent / "data" / "mediatimestamp.json"
    path.write_text("".join(lines) + "}\n", encoding="utf-8")


main()
