"""What a request and its texts may be, and what the logs may show of them."""

from tests.mutants import Mutant

WIRE = "tests/unit/test_messages.py -k 'not Signature'"


def corpus(words):
    return f"tests/security/test_inputs.py -k 'PushEndpoint and ({words})'"


def messages(guard, old, new, tests=WIRE):
    return Mutant(guard=guard, file="asgi_tasks/messages.py", old=old, new=new, tests=tests)


def dispatch(guard, old, new, tests):
    return Mutant(guard=guard, file="asgi_tasks/dispatch.py", old=old, new=new, tests=tests)


LOGS = "tests/security/test_logs.py -k 'PushEndpoint and ({})'"
MUTANTS = [
    # The JSON
    messages("JSON is UTF-8", "text = data.decode()", 'text = data.decode("latin-1")'),
    messages("no key stands twice", "if len(document) != len(pairs):", "if False:"),
    messages("no NaN", 'raise ValueError(f"{name} is not JSON")', "return"),
    messages("no 1e400", "if math.isinf(number):", "if False:"),
    messages(
        "JSON is at most 64 deep", "    if level:\n        raise", "    if False:\n        raise"
    ),
    messages(
        "JSON that exhausts Python's stack",
        "except (ValueError, RecursionError)",
        "except ValueError",
    ),
    messages("no lone surrogate", "if ESCAPED_SURROGATE.search(text):", "if False:"),
    messages("surrogates in capitals", "[dD][89a-fA-F]", "d[89a-f]"),
    messages(
        "a bounded number of values",
        "if len(text) > MAX_VALUES and TOO_MANY_VALUES.match(text):",
        "if False:",
    ),
    messages(
        "few brackets are not deep", '.count("{") > MAX_DEPTH:', '.count("{") > MAX_DEPTH + 1:'
    ),
    messages("all brackets count", 'text.count("[") + text', "text"),
    messages("one value too many", "{MAX_VALUES + 1}", "{MAX_VALUES + 2}"),
    messages("a text is one value", r'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?+[^",\[{]*+)*+', '"?+'),
    messages("an escaped quote ends no text", r'(?:\\.[^"\\]*+)*+', ""),
    messages("a document is an object", "if not isinstance(value, dict):", "if value is None:"),
    # The envelope
    messages("base64 is strict", "validate=True", "validate=False"),
    messages(
        "attributes are texts",
        "if not all(isinstance(text, str)",
        "if not all(isinstance(text, object)",
    ),
    messages("so many attributes", "if len(attributes) > MAX_ATTRIBUTES:", "if False:"),
    messages(
        "both ids agree", 'if message.get("message_id", message_id) != message_id:', "if False:"
    ),
    messages("an id has no line break", "pattern.fullmatch(value)", "pattern.match(value)"),
    messages("a field is a text", "type(value) is str and ", ""),
    messages("a subscription has a form", '[\\w.~+%-]{1,255}"', '[^/]{1,255}"'),
    messages("an attempt has a limit", "1 <= value <= 10_000", "1 <= value"),
    messages("an attempt is positive", "1 <= value <= 10_000", "value <= 10_000"),
    messages(
        "true is no number",
        "isinstance(value, int) and not isinstance(value, bool)",
        "isinstance(value, int)",
    ),
    # The message
    messages(
        "a version is a number", "if not _is_int(version) or version < 1:", "if version is None:"
    ),
    messages("no version before the first", "or version < 1:", "or False:"),
    messages("a newer version is not guessed at", "if version > VERSION:", "if False:"),
    messages("args is a list", "if not isinstance(args, list) or not", "if not"),
    messages("kwargs is an object", " or not isinstance(kwargs, dict):", ":"),
    messages("a time has a zone", "if timestamp.tzinfo is None:", "if False:"),
    messages(
        "a time is a text",
        "except (TypeError, ValueError, OverflowError) as error:",
        "except (ValueError, OverflowError) as error:",
    ),
    messages(
        "a task's name cannot be a path", '"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}"', '"[^ ]{1,200}"'
    ),
    messages("a task's id has a form", '"[A-Za-z0-9_-]{1,64}"', '"[A-Za-z0-9_ -]{1,64}"'),
    messages("a task's id has a length", "[A-Za-z0-9_-]{1,64}", "[A-Za-z0-9_-]+"),
    # Enqueue
    messages("encode asks decode", "if self.decode(data) != self:", "if False:"),
    messages(
        "encode refuses what changes", "if self.decode(data) != self:", "if not self.decode(data):"
    ),
    messages("encode asks decode of long messages", "if len(data) <= MAX_VALUES and", "if"),
    messages(
        "encode asks decode of other types", "elif type(child) not in _SCALARS:", "elif False:"
    ),
    messages(
        "encode asks decode of other keys", "any(type(key) is not str for key in node)", "False"
    ),
    messages(
        "encode asks decode of deep messages", "for _ in range(MAX_DEPTH - 1):", "while True:"
    ),
    messages("encode asks decode of local times", "self.enqueued_at.tzinfo is UTC", "True"),
    messages(
        "encode refuses what exhausts the stack",
        "OverflowError, RecursionError) as",
        "OverflowError) as",
    ),
    messages(
        "encode refuses a time before the first", "ValueError, OverflowError, R", "ValueError, R"
    ),
    Mutant(
        guard="enqueue refuses what is too large",
        file="asgi_tasks/backends.py",
        old="if len(data) > self.config.max_message_bytes:",
        new="if False:",
        tests="tests/unit/test_backends.py",
    ),
    Mutant(
        guard="what enqueue accepts fits into a push",
        file="asgi_tasks/conf.py",
        old="4 // 3 + 1_000_000",
        new="4 // 3 + 256_000",
        tests="tests/security/test_inputs.py -k largest",
    ),
    # The request
    dispatch("a push is a POST", 'if method != "POST":', "if False:", corpus("method")),
    dispatch("405 says what is allowed", ', 405: {"Allow": "POST"}', "", corpus("method")),
    dispatch("a push is JSON", 'if media_type != "application/json":', "if False:", corpus("type")),
    dispatch(
        "a push is UTF-8 by its header",
        "if not set(charsets) <=",
        "if False and not set(charsets) <=",
        corpus("type"),
    ),
    dispatch(
        "a push is not compressed",
        'if encoding.strip().lower() != "identity":',
        "if False:",
        corpus("encoding"),
    ),
    dispatch(
        "a declared length has a limit", "int(length[:20]) > limit", "False", corpus("declared")
    ),
    dispatch(
        "a declared length may be nonsense",
        "length.isascii() and length.isdigit() and ",
        "length and ",
        corpus("declared"),
    ),
    dispatch(
        "a declared length may be long", "int(length[:20])", "int(length)", corpus("declared")
    ),
    Mutant(
        guard="a body has a limit",
        file="asgi_tasks/asgi.py",
        old="if size > limit:",
        new="if False:",
        tests=corpus("bytes or chunks"),
    ),
    Mutant(
        guard="a body has a limit in the view",
        file="asgi_tasks/views.py",
        old="if len(body) > limit:",
        new="if False:",
        tests="tests/security/test_inputs.py -k 'view and (bytes or chunks)'",
    ),
    Mutant(
        guard="no answer has a body",
        file="asgi_tasks/asgi.py",
        old='"body": b""}',
        new='"body": b"refused"}',
        tests=corpus("method"),
    ),
    Mutant(
        guard="no answer of the view has a body",
        file="asgi_tasks/views.py",
        old="HttpResponse(status=",
        new='HttpResponse("refused", status=',
        tests="tests/security/test_inputs.py -k 'view and method'",
    ),
    # The call
    Mutant(
        guard="an unknown name is not imported",
        file="asgi_tasks/routes.py",
        old='            raise TaskNotFound(f"no route is named {name!r}") from None',
        new="            return TaskRoute(import_string(name))",
        tests=corpus("name"),
    ),
    Mutant(
        guard="an unknown name is 404",
        file="asgi_tasks/routes.py",
        old="            return self._by_name[name]\n",
        new="            return self._by_name.get(name) or next(iter(self._by_name.values()))\n",
        tests=corpus("name"),
    ),
    dispatch(
        "arguments fit the function",
        "        route.bind(message.args, message.kwargs)",
        "        pass",
        corpus("arguments"),
    ),
    Mutant(
        guard="the context is ours",
        file="asgi_tasks/routes.py",
        old="context = (None,) if self.task.takes_context else ()",
        new="context = ()",
        tests=corpus("context"),
    ),
    dispatch(
        "an error of ours is no acknowledgement",
        "        status = 500",
        "        status = 204",
        "tests/unit/test_dispatch.py -k mistake",
    ),
    # The log
    messages(
        "a refusal does not quote the body",
        'f"not the JSON expected: {error}"',
        'f"not the JSON expected: {data!r}"',
        LOGS.format("argument"),
    ),
    dispatch(
        "a refusal does not quote an argument",
        'does not take these arguments"',
        'does not take these arguments: {error}"',
        LOGS.format("argument"),
    ),
    Mutant(
        guard="a result is logged as JSON",
        file="asgi_tasks/deliveries.py",
        old="json.dumps(report.result)[:RES",
        new="str(report.result)[:RES",
        tests=LOGS.format("result"),
    ),
    dispatch(
        "the method is logged escaped",
        "{method[:20]!r}",
        "{method[:20]}",
        "tests/security/test_logs.py -k method",
    ),
    dispatch(
        "the method is logged cut",
        "{method[:20]!r}",
        "{method!r}",
        "tests/security/test_logs.py -k method",
    ),
    Mutant(
        guard="no argument is logged",
        file="asgi_tasks/deliveries.py",
        old='"outcome": outcome.word,\n',
        new='"outcome": outcome.word,\n        "called": delivery.message.args,\n',
        tests=LOGS.format("argument"),
    ),
]
