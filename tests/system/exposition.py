"""What Prometheus' text format demands, strictly. promtool's `check metrics` passes duplicate series and buckets that fall: this does not.

Nothing in this file knows of connspread.
"""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)$")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


def _labels(text, line, found):
    labels, at = {}, 0
    while at < len(text or ""):
        pair = LABEL.match(text, at)
        if not pair:
            found.append(f"not labels: {line}")
            return {}
        if pair[1] in labels:
            found.append(f"a label twice: {line}")
        labels[pair[1]] = pair[2]
        at = pair.end()
    return labels


def _buckets(series, found):
    """series: {labels without le: [(le, value), ...] in the order of the text}, and the _count of each."""
    for key, (buckets, count) in series.items():
        bounds = [float(le) for le, _ in buckets]
        values = [value for _, value in buckets]
        if bounds != sorted(set(bounds)):
            found.append(f"bounds of buckets do not rise: {key}")
        if values != sorted(values):
            found.append(f"buckets fall: {key} {values}")
        if not bounds or bounds[-1] != float("inf"):
            found.append(f"no bucket +Inf: {key}")
        elif count != values[-1]:
            found.append(f"_count is not the last bucket: {key}")


class _Family:
    def __init__(self):
        self.type, self.help, self.histogram = None, False, {}

    def add(self, name, base, labels, value):
        if self.type == "histogram":
            key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
            buckets, count = self.histogram.get(key, ([], None))
            if name == base + "_bucket":
                buckets.append((labels.get("le", "nan"), value))
            elif name == base + "_count":
                count = value
            self.histogram[key] = buckets, count


def _base(name, families):
    """The family of a sample: its own name, or that of the histogram or summary which it is part of."""
    for kind, parts in PARTS.items():
        for part in parts:
            if part and name.endswith(part) and name[:-len(part)] in families and families[name[:-len(part)]].type == kind:
                return name[:-len(part)]
    return name


def faults(text):
    """Everything that is wrong with it, as lines."""
    found, families, ended, series, current = [], {}, set(), set(), None
    if text and not text.endswith("\n"):
        found.append("no line feed at the end")
    for line in text.splitlines():
        words = line.split(" ", 3)
        sample = None if line.startswith("#") else SAMPLE.match(line)
        if line.startswith("#"):
            if len(words) < 4 or words[1] not in ("HELP", "TYPE"):
                found.append(f"neither HELP nor TYPE: {line}")
                continue
            base = words[2]
        elif not sample:
            found.append(f"not a sample: {line}")
            continue
        else:
            base = _base(sample[1], families)
        if base != current:
            if base in ended:
                found.append(f"in two places: {base}")
            ended.add(current)
            current = base
        family = families.setdefault(base, _Family())
        if not sample:
            if (words[1] == "TYPE" and family.type) or (words[1] == "HELP" and family.help):
                found.append(f"{words[1]} twice: {base}")
            if words[1] == "TYPE":
                family.type = words[3]
                if words[3] not in TYPES:
                    found.append(f"no type: {line}")
            family.help |= words[1] == "HELP"
            continue
        if not family.type or not family.help:
            found.append(f"no HELP or no TYPE before it: {line}")
        labels = _labels(sample[2], line, found)
        key = sample[1], tuple(sorted(labels.items()))
        if key in series:
            found.append(f"twice: {line}")
        series.add(key)
        try:
            value = float(sample[3])
        except ValueError:
            found.append(f"not a number: {line}")
            continue
        if family.type in ("counter", "histogram") and not value >= 0:
            found.append(f"below 0: {line}")
        family.add(sample[1], base, labels, value)
    for family in families.values():
        _buckets(family.histogram, found)
    return found


def check(text):
    found = faults(text)
    assert not found, "metrics: " + "; ".join(found[:5])
