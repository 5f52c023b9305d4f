"""A page of `connspread report -o html`, read by python's own parser: what a browser would show, and whether it is well formed.

Knows nothing of how the tool makes it."""

import html.parser
import re

VOID = {"meta", "link", "br", "hr", "img"}


class Page(html.parser.HTMLParser):
    """Raises where tags do not match, an id stands twice, or something from outside is named."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open = []        # elements, outermost first, each a (tag, attributes)
        self.elements = []    # (tag, attributes, text), in order of their ends
        self.ids = set()
        self.sections = []    # ids of those that have one
        self.tags = set()
        self.words = [[]]
        self.size = len(text.encode())
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        assert len(named) == len(attributes), f"an attribute twice: <{tag} {attributes}>"
        self.tags.add(tag)
        for name, value in attributes:
            assert not name.startswith("on") and name not in ("src", "href", "action", "style"), f"<{tag} {name}={value!r}>"
        if "id" in named:
            assert named["id"] not in self.ids, f"id {named['id']} twice"
            self.ids.add(named["id"])
            if tag == "section":
                self.sections.append(named["id"])
        if tag not in VOID:
            self.open.append((tag, named))
            self.words.append([])
        else:
            self.elements.append((tag, named, ""))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> in {[t for t, _ in self.open]}"
        inner = "".join(self.words.pop())
        self.words[-1].append(inner)
        self.elements.append((*self.open.pop(), inner))

    def handle_data(self, data):
        self.words[-1].append(data)

    def all(self, tag, **attributes):
        """Texts of the elements with these attributes."""
        return [" ".join(text.split()) for t, a, text in self.elements if t == tag and all(a.get(k.replace("_", "-")) == v for k, v in attributes.items())]

    @property
    def verdict(self):
        return self.all("h1")[0]

    @property
    def remedies(self):
        """Their names, in the order in which they stand."""
        return [a["data-remedy"] for t, a, _ in self.elements if t == "li" and "data-remedy" in a]

    def holds(self):
        """What every page must be."""
        styles = "".join(text for t, _, text in self.elements if t == "style")
        policy = [a["content"] for t, a, _ in self.elements if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
        assert policy == ["default-src 'none'; style-src 'unsafe-inline'"], policy
        assert not self.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}, self.tags
        assert not re.search(r"url\(|@import|expression", styles), styles
        assert "prefers-color-scheme" in styles and "@media print" in styles, styles
        assert self.size < 1_000_000, f"{self.size} bytes"
        for tag, attributes, _ in self.elements:
            assert all(attributes.values()), f"a slot was left empty: <{tag} {attributes}>"
            for name in (attributes.get("aria-labelledby") or "").split():
                assert name in self.ids, f"<{tag}> is labelled by {name}, which is not there"
        pictures = [a for t, a, _ in self.elements if t == "svg"]
        for picture in pictures:
            about = self.all("desc", id=f"{picture['id']}-about")
            assert picture["role"] == "img" and about and len(about[0]) > 40, f"no description: {picture}"
        assert len(self.all("table")) >= len(pictures), "each picture has its table"
        return self
