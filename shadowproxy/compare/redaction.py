"""Takes out of examples what must not be stored: credentials by name and by look, and what the configuration names.

A secret becomes a mask such as `~a1b2c3d4~`, keyed BLAKE2 of its value: equal secrets have equal masks, so an
example still tells whether a value was the same on both sides, and the mask tells nothing without the key.
Names that hold secrets are masked wherever they stand: header fields, JSON members, query and form parameters.
"""

from __future__ import annotations

import hashlib
import re
from copy import copy
from typing import Final
from urllib.parse import quote, unquote_plus

import msgspec

from shadowproxy.compare.fields import Field, FieldTree, Rule
from shadowproxy.compare.jsontext import BEGINNINGS, Repeated, canonical, embedded
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.masks import is_mask
from shadowproxy.compare.paths import compile_path
from shadowproxy.compare.patterns import compile_pattern, pieces
from shadowproxy.compare.pruning import NAME_MEMBERS
from shadowproxy.compare.trees import ORDER, SIZE, TEXT, Aligned, below, inside
from shadowproxy.model.pair import Fields
from shadowproxy.model.policy import ComparePolicy

_SECRET_NAME: Final = re.compile(
    r"token|secret|passw(?:or)?d|passphrase|apikey|accesskey|privatekey|authkey|subscriptionkey|credential|authorization"
    r"|cookie|sessionid|signature|authenticationinfo|jwt|^(?:auth|pass|pwd|otp|pin|cvv|cvc|sig|ssn|sid|session)$"
)
"""In a name in lower case, without `-`, `_` and `.`."""
_PLAIN_NAME: Final = str.maketrans("", "", "-_. @")

_NAMES: Final = r"(?:token|secret|passw(?:or)?d|passphrase|signature|(?:api|access|private|auth|subscription)[-_]?key)"
_BRIDGES: Final = (
    r"\\?[\"']?\s{0,4}[:=>]\s{0,4}\\?[\"']?",
    # in an element that the name belongs to, such as an HTML input, meta, or a setting in XML
    r"\\?[\"']?(?:\s{1,4}[\w:.-]{1,32}\s?=\s?\\?[\"'][^<>\"'\\]{0,128}\\?[\"']){0,6}\s{1,4}(?:value|content)\s?=\s?\\?[\"']",
    # a part of multipart/form-data (RFC 7578)
    r"[\"'](?:;[^\r\n]{0,256})?(?:\r?\n[\w-]{1,64}:[^\r\n]{0,256}){0,4}\r?\n\r?\n",
)
"""What may stand between the end of a name and its value."""
_VALUE: Final = (
    # in quotes, which are themselves escaped in a text in JSON: up to the quote that ends it
    r"(?<=\\\")(?:[^\"\\\r\n]|\\(?!\"))++|(?<=[^\\]\")(?:[^\"\\\r\n]|\\.)++"
    r"|(?<=\\')(?:[^'\\\r\n]|\\(?!'))++|(?<=[^\\]')(?:[^'\\\r\n]|\\.)++"
    r"|[^\s\"'<>&,;\\]+"
)
_SECRET_TEXT: Final = re.compile(
    r"(?P<jwt>(?<![\w-])eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?)"
    r"|(?P<bearer>(?<=\bbearer )[\w.~+/=-]{8,})"
    r"|(?P<basic>(?<=\bbasic )(?=\S*(?-i:[A-Z0-9]))[\w+/=-]{8,})"
    r"|(?P<vendor>\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\b[sprk]{2}_(?:live|test)_\w+|\bgh[pousr]_\w{20,}|\bxox[abprs]-[\w-]{10,})"
    r"|(?P<userinfo>(?<=://)[^\s/@:]{1,128}:[^\s/@]{1,512}(?=@))"
    r"|(?P<pem>-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*)"
    rf"|(?P<before>(?:value|content)=\\?[\"'])(?P<early>[^\"'\\<>]{{1,512}})"
    rf"(?=\\?[\"'][^<>]{{0,64}}\sname=\\?[\"'][\w.\[-]{{0,32}}{_NAMES})"
    rf"|(?P<open><[\w:.-]{{0,32}}{_NAMES}[\w.-]{{0,32}}(?:\s[^<>]{{0,256}})?(?<!/)>\s{{0,64}}(?:<!\[CDATA\[)?)"
    r"(?P<held>(?<=\[CDATA\[)(?:[^\]]|\](?!\]>))++|[^\s<][^<]*)"
    rf"|(?P<name>(?:(?<=[?&])(?:sig|pass)=|(?<=;)jsessionid=|{_NAMES}[\w\]-]{{0,32}}"
    rf"(?:{'|'.join(_BRIDGES)})))(?P<value>{_VALUE})",
    re.IGNORECASE,
)
"""What looks like a secret in any text. Each alternative is linear: none can start twice in what it has passed."""
_NEEDLES: Final = (
    *("eyj", "bearer ", "basic ", "akia", "asia", "_live_", "_test_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "xox"),
    *("token", "secret", "passw", "passphrase", "signature", "key", "?sig=", "&sig=", "?pass=", "&pass="),
    ";jsessionid=",
)
"""In lower case: whatever `_SECRET_TEXT` finds, user names in URLs aside, has one of these in it or before it. Looking
for them takes a fiftieth of the time, and most texts have none."""
_FOLDED: Final = str.maketrans("\u0130\u0131\u017f\u212a", "iisk")
"""What `re.IGNORECASE` takes for ASCII letters besides their own two cases."""
_VALUE_MEMBERS: Final = ("value", "values", "@value", "@content", TEXT)
"""`{"name": "password", "value": …}`: what stands beside the name of a secret."""
_MAX_EMBEDDED: Final = 3
"""JSON in a text in JSON in a text …: what lies deeper is masked by its look alone."""
_COOKIES: Final = ("cookie", "set-cookie")
_SCHEMES: Final = ("authorization", "proxy-authorization")


class Mask:
    """Masks values with one key: `~` and eight hexadecimal digits and `~`."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key[: hashlib.blake2b.MAX_KEY_SIZE]

    def __call__(self, value: object) -> str:
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else b"\0" + canonical(value)
        return f"~{hashlib.blake2b(data, key=self._key, digest_size=4).hexdigest()}~"


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name is a secret, by the look of the name."""
    return _SECRET_NAME.search(name.lower().translate(_PLAIN_NAME)) is not None


def may_hold_secret(text: str) -> bool:
    """Whether it is worth looking for secrets by their look: where this says no, there are none."""
    folded = (text if text.isascii() else text.translate(_FOLDED)).lower()
    return any(needle in folded for needle in _NEEDLES) or ("://" in text and "@" in text)


class Redactor:
    """Redacts the parts of an example under the rules of one route.

    `hides_bodies`: a rule names `body` or `line`, so that no body is shown at all.
    """

    __slots__ = ("_mask", "_max_depth", "_named", "_patterns", "_tree", "hides_bodies")

    def __init__(self, policy: ComparePolicy, mask: Mask) -> None:
        paths = [compile_path(text) for text in policy.redact]
        self._mask = mask
        self._max_depth = policy.max_depth
        self._named = frozenset(f"{path.room}:{path.name}" for path in paths)
        self.hides_bodies: Final = any(path.room in ("body", "line") for path in paths)
        self._tree = FieldTree(Rule(path, ignore=True) for path in paths)
        self._patterns = tuple(compile_pattern(text) for text in policy.redact_patterns)

    def hides(self, text: str) -> bool:
        """Whether something in a short text would be masked: such a member name must not become part of a field."""
        secret = may_hold_secret(text) and _SECRET_TEXT.search(text) is not None
        return secret or any(pattern.search(text) for pattern in self._patterns)

    def text(self, text: str, deadline: Deadline) -> str:
        """`text` with everything masked that looks like a secret or matches a pattern. Raises IncomparableError."""
        if may_hold_secret(text):
            text = _SECRET_TEXT.sub(self._secret, text)
        if not self._patterns:
            return text
        parts = []
        for piece in pieces(text):
            for pattern in self._patterns:
                deadline.check()
                piece = pattern.sub(lambda match: self._mask(match[0]), piece)
            parts.append(piece)
        return "".join(parts)

    @property
    def root(self) -> Field:
        """Where the rules for values begin."""
        return self._tree.root

    def value(self, value: object, deadline: Deadline, field: Field | None = None) -> object:
        """A value with its secrets masked, members of any depth. `field` is where it stands, the root without one.

        Raises IncomparableError.
        """
        return self._json(value, field or self._tree.root, False, deadline)

    def fields(self, fields: Fields, deadline: Deadline) -> list[tuple[str, str]]:
        """Header fields as text. Raises IncomparableError."""
        return [(text, self.field(text, value, deadline)) for text, value in _as_text(fields)]

    def field(self, name: str, value: str, deadline: Deadline) -> str:
        """The value of one header field. Raises IncomparableError."""
        name = name.lower()
        if f"header:{name}" in self._named:
            return self._mask(value)
        if name in _COOKIES:
            return self._cookies(value, only_first=name == "set-cookie")
        if name in _SCHEMES:
            scheme, space, rest = value.partition(" ")
            return f"{scheme} {self._mask(rest)}" if space else self._mask(value)
        return self._mask(value) if is_secret_name(name) else self.text(value, deadline)

    def target(self, target: str, deadline: Deadline) -> str:
        """A request target: its query by name, all of it by look. Raises IncomparableError."""
        path, mark, query = target.partition("?")
        return self.text(path, deadline) + mark + self.form(query, deadline)

    def form(self, form: str, deadline: Deadline) -> str:
        """Parameters `a=b&c=d`, by name and by look. Raises IncomparableError."""
        return "&".join(self._parameter(part, deadline) for part in form.split("&"))

    def parameter(self, name: str, value: str, deadline: Deadline) -> str:
        """The value of one form field. Raises IncomparableError."""
        return self._mask(value) if self.masks(name) else self.text(value, deadline)

    def masks(self, name: str) -> bool:
        """Whether a form field of this name is masked whatever it holds."""
        return f"form:{name}" in self._named or is_secret_name(name)

    def _parameter(self, part: str, deadline: Deadline) -> str:
        name, equals, value = part.partition("=")
        plain = unquote_plus(value)
        shown = self.parameter(unquote_plus(name), plain, deadline)
        return self.text(name, deadline) + equals + (value if shown == plain else quote(shown, safe="~"))

    def _secret(self, match: re.Match[str]) -> str:
        for name, secret in (("name", "value"), ("before", "early"), ("open", "held")):
            if match[name]:
                value = match[secret].rstrip()
                shown = value if is_mask(value) else self._mask(value)
                # What an element of this name has for attributes may be secret as well.
                before = "<" + _SECRET_TEXT.sub(self._secret, match[name][1:]) if name == "open" else match[name]
                return before + shown + match[secret][len(value) :]
        return self._mask(match[0])

    def _cookies(self, value: str, *, only_first: bool) -> str:
        parts = value.split(";")
        masked = [
            part if only_first and place else self._cookie(part.partition("="), part)
            for place, part in enumerate(parts)
        ]
        return ";".join(masked)

    def _cookie(self, pair: tuple[str, str, str], part: str) -> str:
        name, equals, value = pair
        return f"{name}={self._mask(value)}" if equals else f"{' ' * part.startswith(' ')}{self._mask(part.strip())}"

    def _json(self, value: object, field: Field, secret: bool, deadline: Deadline, embedded: int = 0) -> object:
        deadline.tick()
        secret = secret or field.ignored
        if isinstance(value, str):
            return self._mask(value) if secret else self._text(value, field, deadline, embedded)
        if isinstance(value, dict):
            return self._object(value, field, secret, deadline, embedded)
        if isinstance(value, list):
            member = field if field.plain or isinstance(value, Repeated) else inside(field, value)
            return type(value)(self._json(child, member, secret, deadline, embedded) for child in value)
        return self._mask(value) if secret and value is not None else value

    def _object(
        self, value: dict[str, object], field: Field, secret: bool, deadline: Deadline, embedded: int
    ) -> dict[str, object]:
        spelt = any(is_secret_name(name) for key in NAME_MEMBERS if isinstance(name := value.get(key), str))
        shown = copy(value)
        shown.clear()
        for key, child in value.items():
            inner = field if field.plain else below(field, value, key)
            hidden = secret or is_secret_name(key) or (spelt and key in _VALUE_MEMBERS)
            name = self._label(value, field, key, deadline) if isinstance(value, Aligned) else self.text(key, deadline)
            if key == ORDER and isinstance(value, Aligned) and value.names and isinstance(child, list):
                shown[name] = [self._label(value, field, str(each), deadline) for each in child]
            else:
                shown[name] = self._json(child, inner, hidden, deadline, embedded)
        return shown

    def _label(self, aligned: Aligned, field: Field, label: str, deadline: Deadline) -> str:
        """The label of an element, or its name alone, which may be a secret itself."""
        inner, hidden = inside(field, aligned), False
        for name in aligned.names or ():
            inner = inner.member(name)
            hidden = hidden or inner.ignored or is_secret_name(name)
        if not hidden or label in (ORDER, SIZE):
            return self.text(label, deadline)
        before, equals, name = label.rpartition("=")
        return before + equals + self._mask(name)

    def _text(self, text: str, field: Field, deadline: Deadline, level: int) -> str:
        """A text; one that is JSON itself is masked as JSON, and written anew if that changed something."""
        if level < _MAX_EMBEDDED and text[:1] in BEGINNINGS and (held := embedded(text, self._max_depth)) is not None:
            shown = self._json(held, field, False, deadline, level + 1)
            if shown != held:
                return msgspec.json.encode(shown).decode()
        return self.text(text, deadline)


def _as_text(fields: Fields) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
