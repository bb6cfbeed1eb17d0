"""What was pushed: the signature, its keys, and the subscription it came by."""

from tests.mutants import Mutant

SIGNATURES = "tests/security/test_signatures.py"
SUBSCRIPTIONS = "tests/security/test_subscriptions.py"
WIRE = "tests/unit/test_messages.py -k 'TestSignature or attributes'"
SIGNED = (
    "parts = (len(version), version, len(identifier), identifier, len(name), name, len(data), data)"
)


def messages(guard, old, new, tests):
    return Mutant(guard=guard, file="asgi_tasks/messages.py", old=old, new=new, tests=tests)


def dispatch(guard, old, new, tests):
    return Mutant(guard=guard, file="asgi_tasks/dispatch.py", old=old, new=new, tests=tests)


MUTANTS = [
    dispatch(
        "a push is of its task's subscription",
        "if envelope.subscription != routes.subscription(message.task_name):",
        "if False:",
        SUBSCRIPTIONS,
    ),
    dispatch(
        "a push is of its very name's subscription, not that of an alias",
        "routes.subscription(message.task_name):",
        "routes.subscription(route.name):",
        SUBSCRIPTIONS,
    ),
    dispatch(
        "a push is of our project's subscription",
        "if envelope.subscription != routes.subscription(message.task_name):",
        "if envelope.subscription[-20:] != routes.subscription(message.task_name)[-20:]:",
        SUBSCRIPTIONS,
    ),
    dispatch(
        "a subscription has one spelling",
        "if envelope.subscription != routes.subscription(message.task_name):",
        "if envelope.subscription.lower() != routes.subscription(message.task_name).lower():",
        SUBSCRIPTIONS,
    ),
    dispatch(
        "a message is signed",
        "if route.signed and not is_signed(message, envelope, routes.signing_keys):",
        "if False:",
        SIGNATURES,
    ),
    dispatch(
        "an open route opens no other",
        "if route.signed and not is_signed(",
        "if all(route.signed for route in routes) and not is_signed(",
        f"{SIGNATURES} -k open_route",
    ),
    dispatch(
        "an open route is open",
        "if route.signed and not is_signed(",
        "if not is_signed(",
        f"{SIGNATURES} -k open_route",
    ),
    messages("the data is signed", SIGNED, SIGNED.replace("len(data), data", '0, b""'), SIGNATURES),
    messages(
        "the id is signed", SIGNED, SIGNED.replace("len(identifier), identifier", '0, b""'), WIRE
    ),
    messages("the name is signed", SIGNED, SIGNED.replace("len(name), name", '0, b""'), WIRE),
    messages(
        "the version is signed",
        SIGNED,
        SIGNED.replace("len(version), version", '0, b""'),
        WIRE,
    ),
    messages(
        "fields are signed with their lengths",
        'b"%d:%b,%d:%b,%d:%b,%d:%b," % parts',
        'b"%b%b%b%b" % parts[1::2]',
        f"{SIGNATURES} -k part_of_one_field",
    ),
    messages("the signature has its salt", '"asgi_tasks.messages", b""', '"", b""', WIRE),
    messages(
        "one signature leaves nothing for the next", "_keyed(key).copy()", "_keyed(key)", WIRE
    ),
    messages("it is SHA-256", 'algorithm="sha256"', 'algorithm="sha1"', WIRE),
    messages(
        "the attributes are what was signed",
        '[each.get(name, "") for name in expected]',
        '[each.get("signature", "")]',
        SIGNATURES,
    ),
    messages(
        "the signature is compared",
        '[each.get(name, "") for name in expected]',
        '[each.get(name, "") for name in ("task_id", "task_name")]',
        SIGNATURES,
    ),
    messages(
        "signatures are compared in constant time",
        "return constant_time_compare(one, other)",
        "return one == other",
        f"{SIGNATURES} -k constant_time",
    ),
    messages(
        "a signature has one spelling",
        "return constant_time_compare(one, other)",
        "return constant_time_compare(one.lower(), other.lower())",
        SIGNATURES,
    ),
    messages(
        "every key of ours verifies",
        "for key in keys)",
        "for key in list(keys)[:1])",
        f"{SIGNATURES} -k its_key_is_one_of_ours",
    ),
    Mutant(
        guard="the first key signs",
        file="asgi_tasks/backends.py",
        old="routes.signing_keys[0]",
        new="routes.signing_keys[-1]",
        tests="tests/security/test_key_rotation.py",
    ),
    Mutant(
        guard="fallbacks of SECRET_KEY verify",
        file="asgi_tasks/conf.py",
        old="(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)",
        new="(settings.SECRET_KEY,)",
        tests=f"{SIGNATURES} -k fallback",
    ),
    Mutant(
        guard="SECRET_KEY does not verify beside a signing key",
        file="asgi_tasks/conf.py",
        old="        if not self.signing_key:\n",
        new="        if True:\n",
        tests=f"{SIGNATURES} -k secret_key",
    ),
    Mutant(
        guard="an unsigned route is warned about",
        file="asgi_tasks/checks.py",
        old="        if not route.signed:\n",
        new="        if False:\n",
        tests="tests/unit/test_checks.py -k unsigned",
    ),
]
