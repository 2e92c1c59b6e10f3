"""Prints the last line of an item and exits 0 only if the item holds.

Called as `conclude.py PART ITEM STATUS PATH`, with the item's own rules as Python on stdin. The rules find `status` (the
exit status of what ran), `path` (what it wrote), `document()` (that as JSON) and `number`; they fill `figures`, and say
with `expect(holds, words)` what has to hold.
"""

import json
import sys

part, item, status, path = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
figures, wrong = {}, []


def expect(holds, words):
    if not holds:
        wrong.append(words)


def document():
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


expect(status == 0, f"what ran ended with status {status}")
try:
    exec(compile(sys.stdin.read(), f"item {part}.{item}", "exec"))
except Exception as error:  # Whatever the rules stumble on is an item that does not hold, and still has its last line.
    wrong.append(f"{type(error).__name__}: {error}")

for words in wrong:
    print(f"show {part}.{item}: does not hold: {words}", file=sys.stderr)
line = {"part": part, "item": item, "ok": not wrong}
if wrong:
    line["error"] = "; ".join(wrong)
# The verdict is ours: figures of the same names do not replace it.
line = {**line, **{key: value for key, value in figures.items() if key not in line}}
print(json.dumps(line))
sys.exit(1 if wrong else 0)
