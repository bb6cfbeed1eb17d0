"""The filter language against what Google documents of it, and against a model of its own."""

import sys

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given, settings

from asgi_tasks.emulator.broker.filters import MAX_BYTES, Filter
from asgi_tasks.emulator.errors import InvalidArgument

NAMES = ("com", "net", "org", "co", None)
LANGUAGE = "iana.org/language_tag"


def names_matching(text):
    """Which values of the attribute name pass; None stands for a message without it."""
    matches = Filter.parse(text)
    return [name for name in NAMES if matches({} if name is None else {"name": name})]


def refusal(text):
    with pytest.raises(InvalidArgument) as refused:
        Filter.parse(text)
    assert refused.value.message.startswith("filter: ")
    return refused.value.message


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("attributes:name", ["com", "net", "org", "co"]),
        ("NOT attributes:name", [None]),
        ("-attributes:name", [None]),
        ('attributes.name = "com"', ["com"]),
        ('attributes.name != "com"', ["net", "org", "co", None]),
        ('NOT attributes.name = "com"', ["net", "org", "co", None]),
        ('NOT attributes.name != "com"', ["com"]),
        ('hasPrefix(attributes.name, "co")', ["com", "co"]),
        ('NOT hasPrefix(attributes.name, "co")', ["net", "org", None]),
        ('hasPrefix(attributes.name, "")', ["com", "net", "org", "co"]),
    ],
)
def test_documented_forms(text, matching):
    assert names_matching(text) == matching


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ('attributes.name = "com" OR attributes.name = "net"', ["com", "net"]),
        ('attributes:name AND attributes.name != "com"', ["net", "org", "co"]),
        ('attributes:name AND NOT attributes.name = "com"', ["net", "org", "co"]),
        ('attributes:name AND -attributes.name = "com"', ["net", "org", "co"]),
        ('NOT attributes:name OR attributes.name = "co"', ["co", None]),
        ('NOT (attributes:name OR attributes.name = "co")', [None]),
        ('-(attributes.name = "com" OR attributes.name = "co")', ["net", "org", None]),
        ('NOT (NOT (attributes.name = "com"))', ["com"]),
        ('attributes:name AND (attributes.name="net" OR attributes.name="org")', ["net", "org"]),
        ('(attributes.name="a" AND attributes:name) OR attributes.name="co"', ["co"]),
        ('attributes:name AND attributes.name!="com" AND attributes.name!="co"', ["net", "org"]),
        ("((attributes:name))", ["com", "net", "org", "co"]),
    ],
)
def test_operators_and_parentheses(text, matching):
    assert names_matching(text) == matching


@pytest.mark.parametrize(
    "text",
    [
        'attributes.name="com"',
        '  attributes.name  =  "com"  ',
        '\tattributes.name\r\n= "com"\n',
        '(attributes.name="com")AND(attributes:name)',
        '( NOT( attributes.name != "com" ) )',
        'hasPrefix( attributes.name , "com" )',
    ],
)
def test_blanks_between_tokens_do_not_matter(text):
    assert names_matching(text) == ["com"]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        (f'attributes."{LANGUAGE}" = "en"', LANGUAGE, "en"),
        (f'attributes:"{LANGUAGE}"', LANGUAGE, "any"),
        (f'hasPrefix(attributes."{LANGUAGE}", "e")', LANGUAGE, "en"),
        ('attributes.is-even_2 = "a b"', "is-even_2", "a b"),
        ('attributes.-x = ""', "-x", ""),
        ("attributes:AND", "AND", ""),
        ('attributes.NOT = "OR"', "NOT", "OR"),
        ('attributes.attributes = "x"', "attributes", "x"),
        ('attributes.a = "(\') AND NOT"', "a", "(') AND NOT"),
        ('attributes.a = "みんな"', "a", "みんな"),
    ],
)
def test_keys_and_values(text, key, value):
    matches = Filter.parse(text)
    assert matches({key: value, "other": "x"})
    assert not matches({})
    assert not matches({key.swapcase(): value})


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r"\"quoted\"", '"quoted"'),
        (r"it\'s", "it's"),
        (r"back\\slash", r"back\slash"),
        (r"\\n", r"\n"),
        (r"\a\b\f\n\r\t\v", "\a\b\f\n\r\t\v"),
        (r"\u307F\u3093\u306A", "みんな"),
        (r"\U0001F600!", "😀!"),
        (r"\x41\x6a", "Aj"),
        (r"\101\000", "A\0"),
        (r"\u00e9", "é"),
    ],
)
def test_escapes_in_a_string(literal, value):
    assert Filter.parse(f'attributes.a = "{literal}"')({"a": value})
    assert Filter.parse(f'hasPrefix(attributes.a, "{literal}")')({"a": value + "more"})
    assert Filter.parse(f'attributes:"{literal}"')({value: ""})


@pytest.mark.parametrize(
    "literal", [r"\q", r"\x4", r"\u30", r"\ud83d", r"\U00110000", r"\8", r"\400"]
)
def test_unknown_escape_is_refused_where_it_stands(literal):
    message = refusal(f'attributes.a = "ok{literal}"')
    assert f"unknown escape {literal[:2]}" in message
    assert "at character 19 of" in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" ", "expected attributes, hasPrefix, NOT or (, found the end at character 2"),
        ("name", "expected attributes, hasPrefix, NOT or (, found 'name' at character 1"),
        ('"com" = attributes.name', "expected attributes, hasPrefix, NOT or (, found '\"'"),
        ("Attributes:name", "found 'Attributes'"),
        ("attribute:name", "found 'attribute'"),
        ("attributes", "expected . or :, found the end at character 11"),
        ("attributes.name", "expected = or !=, found the end at character 16"),
        ("attributes.name = attributes.site", "a value in double quotes, found 'attributes'"),
        ("attributes.name = com", "a value in double quotes, found 'com' at character 19"),
        ("attributes.name = 'com'", 'a value in double quotes, found "\'"'),
        ("attributes.name == 'com'", "a value in double quotes, found '='"),
        ('attributes.name > "com"', "expected = or !=, found '>'"),
        ('attributes.name:"com"', "expected = or !=, found ':' at character 16"),
        ('attributes:name = "com"', "expected AND, OR or the end, found '=' at character 17"),
        (r"attributes:\u307F", "expected a key"),
        ("attributes:é", "expected a key"),
        ("attributes:", "in double quotes, found the end at character 12"),
        ("attributes:a.b", "expected AND, OR or the end, found '.'"),
        ('attributes.a = "com', "with a closing quote, found '\"' at character 16"),
        ('attributes.a = "com\\"', "with a closing quote"),
        ('attributes.a = "c\nm"', "without control characters"),
        ("attributes:a attributes:b", "AND, OR or the end, found 'attributes' at character 14"),
        ("attributes:a and attributes:b", "found 'and' in lowercase at character 14"),
        ("attributes:a AND", "found the end at character 17"),
        ("attributes:a ANDattributes:b", "found 'ANDattributes'"),
        ("not attributes:a", "found 'not' in lowercase at character 1"),
        ("NOT NOT attributes:a", "found 'NOT' at character 5"),
        ("--attributes:a", "found '-' at character 2"),
        ("(attributes:a", "expected AND, OR or ), found the end at character 14"),
        ("(attributes:a b)", "expected AND, OR or ), found 'b'"),
        ("attributes:a)", "expected AND, OR or the end, found ')' at character 13"),
        ("()", "found ')' at character 2"),
        ('attributes.name = "com" AND ("net" OR "org")', "found '\"' at character 30"),
        ('hasprefix(attributes.a, "x")', "found 'hasprefix'"),
        ('hasSuffix(attributes.a, "x")', "found 'hasSuffix'"),
        ('hasPrefix attributes.a, "x"', "expected (, found 'attributes'"),
        ('hasPrefix("a", "x")', "expected attributes.KEY"),
        ('hasPrefix(attributes:a, "x")', "expected ., found ':'"),
        ("hasPrefix(attributes.a)", "expected ,, found ')'"),
        ("hasPrefix(attributes.a, x)", "a value in double quotes, found 'x'"),
        ('hasPrefix(attributes.a, "x"', "expected ), found the end"),
        ('hasPrefix(attributes.a, "x") = "y"', "expected AND, OR or the end, found '='"),
    ],
)
def test_refusal_says_what_was_expected_and_where(text, problem):
    assert problem in refusal(text)


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("attributes:a AND attributes:b OR attributes:c", 31),
        ("attributes:a OR attributes:b AND attributes:c", 30),
        ("attributes:a AND (attributes:b AND attributes:c OR attributes:d)", 49),
        ("(attributes:a OR attributes:b) AND attributes:c OR attributes:d", 49),
    ],
)
def test_mixing_and_with_or_needs_parentheses(text, character):
    message = refusal(text)
    assert "AND and OR need parentheses" in message
    assert f"at character {character} of" in message


def test_filter_of_256_bytes_is_the_longest():
    def of_size(size):
        return 'attributes:"' + "é" * ((size - 13) // 2) + "e" * ((size - 13) % 2) + '"'

    assert len(of_size(MAX_BYTES).encode()) == MAX_BYTES == 256
    Filter.parse(of_size(MAX_BYTES))
    assert "has 257 bytes, at most 256 are allowed" in refusal(of_size(MAX_BYTES + 1))


def test_lone_surrogate_is_refused():
    assert "character 16 is a lone surrogate" in refusal('attributes.a = \ud800"')


def test_filter_keeps_its_text_and_compares_by_it():
    text = "attributes:a"
    assert Filter.parse(text).text == text
    assert Filter.parse(text) == Filter.parse(text)
    assert Filter.parse(text) != Filter.parse("attributes:b")
    assert repr(Filter.parse(text)) == "Filter(text='attributes:a')"


@pytest.mark.parametrize("prefix", ["(", "-(", "NOT("])
def test_nesting_does_not_reach_the_recursion_limit(prefix):
    depth = (MAX_BYTES - len("attributes:a")) // (len(prefix) + 1)
    text = prefix * depth + "attributes:a" + ")" * depth
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        refusal(prefix * (MAX_BYTES // len(prefix)))
        inverted = prefix != "(" and depth % 2 == 1
        assert Filter.parse(text)({"a": ""}) is not inverted
    finally:
        sys.setrecursionlimit(limit)


# A filter as a tree, in the two ways it can be seen: written out, and told by its meaning.

KEYS = st.sampled_from(["a", "is-b", "c.d/é", 'q"\\'])
VALUES = st.sampled_from(["", "x", "xy", 'q"\\', "\n", "みな"])
ATTRIBUTES = st.dictionaries(KEYS, VALUES)
COMPARISONS = st.one_of(
    st.tuples(st.just("has"), KEYS),
    st.tuples(st.sampled_from(["=", "!=", "hasPrefix"]), KEYS, VALUES),
)
TREES = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["NOT ", "-"]), inner),
        st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=5,
)


def quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def key_of(key):
    return key if key in {"a", "is-b"} else quoted(key)


def written(tree):
    match tree:
        case ["has", key]:
            return f"attributes:{key_of(key)}"
        case ["hasPrefix", key, prefix]:
            return f"hasPrefix(attributes.{key_of(key)}, {quoted(prefix)})"
        case [("=" | "!=") as operator, key, value]:
            return f"attributes.{key_of(key)} {operator} {quoted(value)}"
        case [("NOT " | "-") as operator, inner]:
            return operator + in_parentheses(inner)
        case [operator, inner]:
            return f" {operator} ".join(map(in_parentheses, inner))


def in_parentheses(tree):
    is_comparison = tree[0] in {"has", "hasPrefix", "=", "!="}
    return written(tree) if is_comparison else f"({written(tree)})"


def meant(tree, attributes):
    match tree:
        case ["has", key]:
            return key in attributes
        case ["hasPrefix", key, prefix]:
            return key in attributes and attributes[key].startswith(prefix)
        case ["=", key, value]:
            return attributes.get(key) == value
        case ["!=", key, value]:
            return attributes.get(key) != value
        case [("NOT " | "-"), inner]:
            return not meant(inner, attributes)
        case ["AND", inner]:
            return all(meant(part, attributes) for part in inner)
        case ["OR", inner]:
            return any(meant(part, attributes) for part in inner)


@settings(max_examples=150, deadline=None)
@given(tree=TREES, messages=st.lists(ATTRIBUTES, min_size=1, max_size=8))
def test_valid_filter_means_what_its_tree_means(tree, messages):
    text = written(tree)
    assume(len(text.encode()) <= MAX_BYTES)
    matches = Filter.parse(text)
    for attributes in messages:
        assert matches(attributes) is meant(tree, attributes)


WORDS = ["attributes", "hasPrefix", "NOT", "AND", "OR", "and", "a"]
MARKS = ["-", "(", ")", ".", ":", ",", "=", "!=", " ", "\n", "\0", "é", "\ud800"]
STRINGS = ['"', '"x"', '"\\', '\\"', "\\u", "\\x4", "\\777"]
TOKENS = st.sampled_from([*WORDS, *MARKS, *STRINGS])


def refused(text):
    try:
        Filter.parse(text)({})
    except InvalidArgument as refusal:
        return refusal.message
    return ""


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(TOKENS, max_size=30).map("".join), st.text(), st.text(alphabet='(-"\\x')))
def test_any_text_is_a_filter_or_an_invalid_argument(text):
    message = refused(text)
    assert message.encode()[:8] in {b"", b"filter: "}  # it can be sent, whatever the text
