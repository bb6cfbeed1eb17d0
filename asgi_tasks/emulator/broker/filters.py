"""
Pub/Sub's filter language: what a subscription asks of a message's attributes.
https://cloud.google.com/pubsub/docs/subscription-message-filter
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from asgi_tasks.emulator.errors import InvalidArgument

type Test = Callable[[Mapping[str, str]], bool]

MAX_BYTES: Final = 256

_BLANK: Final = " \t\r\n"
_WORD = re.compile(r"\w+|.", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})|([0-3][0-7]{2})|(.))")
_NAMED_ESCAPES = {
    **dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)),
    **{mark: mark for mark in "\\\"'"},
}


def _token(pattern: str) -> re.Pattern[str]:
    return re.compile(f"({pattern})[{_BLANK}]*", re.ASCII)


_NOT, _AND_OR = _token(r"NOT\b|-"), _token(r"(?:AND|OR)\b")
_ATTRIBUTES, _HAS_PREFIX = _token(r"attributes\b"), _token(r"hasPrefix\b")
_EQUALITY = _token("!?=")
_COLON, _DOT, _COMMA, _OPEN, _CLOSE = (_token(re.escape(mark)) for mark in ":.,()")
_BARE_KEY = _token("[A-Za-z0-9_-]+")
_STRING = _token(r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Whether a subscription wants a message of these attributes."""

    text: str
    test: Test = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(text=text, test=_Parser(text).parse())

    def __call__(self, attributes: Mapping[str, str]) -> bool:
        return self.test(attributes)


@dataclass(slots=True, kw_only=True)
class _Group:
    """What stands between two parentheses, or all of it."""

    negated: bool = False
    operator: str = ""  # AND or OR once there was one
    tests: list[Test] = field(default_factory=list)

    def add(self, test: Test, *, negated: bool) -> None:
        self.tests.append(_inverse(test) if negated else test)

    def test(self) -> Test:
        if len(self.tests) == 1:
            return self.tests[0]
        tests, quantifier = tuple(self.tests), all if self.operator == "AND" else any
        return lambda attributes: quantifier(test(attributes) for test in tests)


class _Parser:
    """Keeps its own stack: 256 parentheses must not meet Python's recursion limit."""

    def __init__(self, text: str) -> None:
        _check_size(text)
        self._text = text
        self._at = len(text) - len(text.lstrip(_BLANK))
        self._groups = [_Group()]

    def parse(self) -> Test:
        while True:
            self._operand()
            while self._leave_group():
                pass
            if self._at == len(self._text):
                return self._whole()
            self._operator()

    def _operand(self) -> None:
        negated = self._take(_NOT) is not None
        while self._take(_OPEN):
            self._groups.append(_Group(negated=negated))
            negated = self._take(_NOT) is not None
        self._groups[-1].add(self._comparison(), negated=negated)

    def _leave_group(self) -> bool:
        if len(self._groups) == 1 or not self._take(_CLOSE):
            return False
        group = self._groups.pop()
        self._groups[-1].add(group.test(), negated=group.negated)
        return True

    def _operator(self) -> None:
        group, start = self._groups[-1], self._at
        end = "the end" if len(self._groups) == 1 else ")"
        operator = self._expect(_AND_OR, f"AND, OR or {end}")
        if group.operator not in {"", operator}:
            raise self._refusal("AND and OR need parentheses to be combined,", start)
        group.operator = operator

    def _whole(self) -> Test:
        if len(self._groups) > 1:
            raise self._unexpected("AND, OR or )")
        return self._groups[0].test()

    def _comparison(self) -> Test:
        if self._take(_HAS_PREFIX):
            return self._prefix()
        self._expect(_ATTRIBUTES, "attributes, hasPrefix, NOT or (")
        if self._take(_COLON):
            return _present(self._key())
        self._expect(_DOT, ". or :")
        key = self._key()
        operator = self._expect(_EQUALITY, "= or !=")
        equal = _equal(key, self._string("a value in double quotes"))
        return equal if operator == "=" else _inverse(equal)

    def _prefix(self) -> Test:
        self._expect(_OPEN, "(")
        self._expect(_ATTRIBUTES, "attributes.KEY")
        self._expect(_DOT, ".")
        key = self._key()
        self._expect(_COMMA, ",")
        prefix = self._string("a value in double quotes")
        self._expect(_CLOSE, ")")
        return _starting(key, prefix)

    def _key(self) -> str:
        bare = self._take(_BARE_KEY)
        wanted = "a key: letters, digits, - and _, or any text in double quotes"
        return self._string(wanted) if bare is None else bare

    def _string(self, wanted: str) -> str:
        start = self._at
        literal = self._take(_STRING)
        if literal is None:
            if self._text.startswith('"', start):
                wanted = "a string without control characters and with a closing quote"
            raise self._unexpected(wanted)
        return _ESCAPE.sub(lambda escape: self._unescaped(escape, start), literal[1:-1])

    def _unescaped(self, escape: re.Match[str], start: int) -> str:
        hexadecimal, octal, mark = escape.groups()
        if mark is None:
            character = _character(int(hexadecimal[1:], 16) if hexadecimal else int(octal, 8))
        else:
            character = _NAMED_ESCAPES.get(mark)
        if character is None:
            problem = f"unknown escape {escape[0]} (a backslash itself is \\\\)"
            raise self._refusal(problem, start + 1 + escape.start())
        return character

    def _take(self, token: re.Pattern[str]) -> str | None:
        """What comes next if it is such a token."""
        match = token.match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return match[1]

    def _expect(self, token: re.Pattern[str], wanted: str) -> str:
        found = self._take(token)
        if found is None:
            raise self._unexpected(wanted)
        return found

    def _unexpected(self, wanted: str) -> InvalidArgument:
        match = _WORD.match(self._text, self._at)
        found = repr(match[0]) if match else "the end"
        if found in {"'and'", "'or'", "'not'"}:
            found += " in lowercase"
        return self._refusal(f"expected {wanted}, found {found}", self._at)

    def _refusal(self, problem: str, at: int) -> InvalidArgument:
        return InvalidArgument(f"filter: {problem} at character {at + 1} of {self._text!r}.")


def _check_size(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"filter: character {error.start + 1} is a lone surrogate.") from None
    if size > MAX_BYTES:
        raise InvalidArgument(f"filter: has {size} bytes, at most {MAX_BYTES} are allowed.")


def _character(number: int) -> str | None:
    is_half = 0xD800 <= number <= 0xDFFF
    return None if is_half or number > 0x10FFFF else chr(number)


def _present(key: str) -> Test:
    return lambda attributes: key in attributes


def _equal(key: str, value: str) -> Test:
    return lambda attributes: attributes.get(key) == value


def _starting(key: str, prefix: str) -> Test:
    return lambda attributes: key in attributes and attributes[key].startswith(prefix)


def _inverse(test: Test) -> Test:
    """Also of a message that lacks the attribute: != is NOT and =."""
    return lambda attributes: not test(attributes)
