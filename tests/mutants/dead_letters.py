"""What dead_letters must not do: launder, lose, hold, or vouch for many."""

from tests.mutants import Mutant

FOLDER = "asgi_tasks/dead_letters"
TESTS = "tests/integration/dead_letters"
REPLAYING = f"{TESTS}/test_replaying.py"
LOOKING = f"{TESTS}/test_looking.py"


def examining(guard, old, new, tests):
    return Mutant(guard=guard, file=f"{FOLDER}/examining.py", old=old, new=new, tests=tests)


def replaying(guard, old, new, tests):
    return Mutant(guard=guard, file=f"{FOLDER}/replaying.py", old=old, new=new, tests=tests)


def box(guard, old, new, tests):
    return Mutant(guard=guard, file=f"{FOLDER}/box.py", old=old, new=new, tests=tests)


MUTANTS = [
    examining(
        "a dead letter with a wrong signature is not replayed",
        "if signature in {Signature.WRONG, Signature.MISSING}:",
        "if signature is Signature.MISSING:",
        f"{REPLAYING} -k TestRefused",
    ),
    examining(
        "a dead letter without a signature is not replayed",
        "if signature in {Signature.WRONG, Signature.MISSING}:",
        "if signature is Signature.WRONG:",
        f"{REPLAYING} -k TestRefused",
    ),
    examining(
        "a dead letter came from its task's subscription",
        "if letter.source_subscription != table.subscription(message.task_name):",
        "if False:",
        f"{REPLAYING} -k TestRefused",
    ),
    examining(
        "a dead letter's arguments fit",
        "        route.bind(message.args, message.kwargs)\n",
        "",
        f"{REPLAYING} -k do_not_fit",
    ),
    replaying(
        "a dead letter is acknowledged once its message is confirmed",
        "unconfirmed=0 if _is_refused(error) else size)\n            return size\n",
        "unconfirmed=0 if _is_refused(error) else size)\n",
        f"{REPLAYING} -k TestBrokerFails",
    ),
    replaying(
        "one dead letter is vouched for",
        "or message_id == resign:",
        "or resign:",
        f"{REPLAYING} -k TestResign",
    ),
    replaying(
        "one dead letter is signed anew",
        "if one.message and one.letter.message_id == resign:",
        "if one.message:",
        f"{REPLAYING} -k TestRefused",
    ),
    Mutant(
        guard="--resign takes one dead letter",
        file="asgi_tasks/management/dead_letter_arguments.py",
        old="if resigned and len(ids) != 1:",
        new="if False:",
        tests=f"{REPLAYING} -k exactly_one",
    ),
    Mutant(
        guard="discard removes nothing that was not named",
        file="asgi_tasks/management/dead_letter_arguments.py",
        old='options["action"] == "discard" and bool(ids or is_filtered) == options["all"]',
        new="False",
        tests=f"{TESTS}/test_discarding.py",
    ),
    box(
        "dead letters that were looked at are given back",
        "            self._leases.give_back()\n",
        "            pass\n",
        f"{LOOKING} -k given_back",
    ),
    box(
        "leases of dead letters are extended",
        "                self._leases.extend()\n",
        "                pass\n",
        f"{LOOKING} -k extended",
    ),
    box(
        "dead letters are pulled until pulls give nothing more",
        "while empty < EMPTY_ROUNDS:",
        "while not seen:",
        f"{LOOKING} -k given_back",
    ),
    Mutant(
        guard="moments that are not in UTC are malformed",
        file="asgi_tasks/messages.py",
        old="        timestamp.astimezone(UTC)  # near",
        new="        # near",
        tests=f"{LOOKING} -k NotInUtc",
    ),
    Mutant(
        guard="attributes with moments that are not in UTC are not known",
        file=f"{FOLDER}/letters.py",
        old="suppress(ValueError, OverflowError)",
        new="suppress(ValueError)",
        tests=f"{LOOKING} -k NotInUtc",
    ),
    Mutant(
        guard="an export replaces files alone",
        file=f"{FOLDER}/exporting.py",
        old="if path.exists() and not path.is_file():",
        new="if False:",
        tests=f"{LOOKING} -k 'no_file_stays or device_stays'",
    ),
    Mutant(
        guard="an export replaces nothing that came meanwhile",
        file=f"{FOLDER}/exporting.py",
        old="path.touch(mode=0o600, exist_ok=False)",
        new="path.touch(mode=0o600)",
        tests="tests/unit/test_dead_letters.py -k meanwhile",
    ),
    replaying(
        "requests of one ordering key do not overtake each other",
        "most = 1 if batch[0].letter.ordering_key else WORKERS",
        "most = WORKERS",
        f"{REPLAYING} -k stay_in_order",
    ),
    box(
        "dead letters of one moment are read in their order",
        "return letter.died_at, len(letter.message_id), letter.message_id",
        "return letter.died_at, 0, ''",
        f"{REPLAYING} -k stay_in_order",
    ),
]
