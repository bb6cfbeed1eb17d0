"""Who is calling: each check of oidc.py, and how it keeps tokens and certificates."""

from tests.mutants import Mutant

BAD = "tests/security/test_tokens.py -k 'PushEndpoint and bad_token'"
GOOD = "tests/security/test_tokens.py -k 'PushEndpoint and good_token_lets'"
DENIED = "tests/security/test_tokens.py -k 'PushEndpoint and another_account'"
BY_ITSELF = "tests/unit/test_oidc.py"
KEYS = "tests/security/test_certificates.py"
# Two lines of dispatch.py.
VERIFY = 'await get_verifier(options).verify(headers.get("authorization", ""))'
READ = "envelope = PushEnvelope.decode(await _read_body(headers, read, options.max_body_bytes))"


def oidc(guard, old, new, tests):
    return Mutant(guard=guard, file="asgi_tasks/oidc.py", old=old, new=new, tests=tests)


MUTANTS = [
    # The header of the request
    oidc(
        "a token has at most 4096 characters",
        "if len(authorization) > MAX_HEADER_CHARACTERS:",
        "if False:",
        BAD,
    ),
    oidc("a token is the whole header", "BEARER.fullmatch(", "BEARER.match(", BAD),
    oidc("the scheme has no case", "re.ASCII | re.IGNORECASE", "re.ASCII", GOOD),
    # The parts of the token
    oidc(
        "base64url has no spare bits",
        'if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:',
        "if False:",
        BAD,
    ),
    oidc(
        "base64 that cannot be read is no error of ours",
        "    except ValueError as error:\n        raise Unauthenticated",
        "    except KeyError as error:\n        raise Unauthenticated",
        BAD,
    ),
    oidc(
        "JSON that cannot be read is no error of ours",
        "    except InvalidMessage as error:",
        "    except KeyError as error:",
        BAD,
    ),
    oidc("header and claims are objects", "if not isinstance(document, dict):", "if False:", BAD),
    Mutant(
        guard="no claim stands twice in a token",
        file="asgi_tasks/messages.py",
        old="object_pairs_hook=_unique, ",
        new="",
        tests=BAD,
    ),
    # Its header
    oidc("the algorithm is RS256", 'header.get("alg") != "RS256" or ', "", BAD),
    oidc("the key id is a string", "not isinstance(key_id, str) or ", "", BAD),
    oidc(
        "the key id is not empty", "not 0 < len(key_id) <= 128", "not len(key_id) <= 128", BY_ITSELF
    ),
    oidc("the key id is short", "not 0 < len(key_id) <= 128", "not 0 < len(key_id)", BY_ITSELF),
    *(
        oidc(f"no {name} in the header", f'"{name}"', '"none"', BAD)
        for name in ("crit", "b64", "jwk", "jku", "x5u", "x5c")
    ),
    # Its times
    oidc(
        "times are no floats", "type(moment) is int for", "isinstance(moment, int | float) for", BAD
    ),
    oidc("times are no booleans", "type(moment) is int for", "isinstance(moment, int) for", BAD),
    oidc("a token lives for an hour", " <= TOKEN_LIFE + CLOCK_SKEW:", ":", BAD),
    oidc(
        "a token ends after it begins",
        "if not 0 < expires - issued",
        "if not expires - issued",
        BAD,
    ),
    oidc("a token is not of the future", "max(issued, not_before)", "not_before", BAD),
    oidc("nbf is obeyed", "max(issued, not_before)", "issued", BAD),
    oidc("a token expires", "if expires < now - CLOCK_SKEW:", "if False:", BAD),
    oidc("the leeway is ten seconds, no more", "CLOCK_SKEW = 10", "CLOCK_SKEW = 60", BAD),
    oidc("the leeway is ten seconds, no less", "CLOCK_SKEW = 10", "CLOCK_SKEW = 0", GOOD),
    # By whom, for whom
    oidc("the issuer is Google", 'if claims.get("iss") not in ISSUERS:', "if False:", BAD),
    oidc("the audience is ours", 'if claims.get("aud") != self._audience:', "if False:", BAD),
    oidc(
        "the audience is a string, and all of it",
        'if claims.get("aud") != self._audience:',
        'if self._audience not in (claims.get("aud") or ""):',
        BAD,
    ),
    oidc("the signature is right", "if not is_right:", "if False:", BAD),
    oidc(
        "the key is an RSA key",
        "(TypeError, ValueError) as error:",
        "KeyError as error:",
        BY_ITSELF,
    ),
    oidc(
        "the account is ours",
        "isinstance(email, str) and constant_time_compare(email, self._service_account)",
        "True",
        DENIED,
    ),
    oidc("the e-mail is a string", "isinstance(email, str) and ", "", BY_ITSELF),
    oidc(
        "the e-mail is compared in constant time",
        "constant_time_compare(email, self._service_account)",
        "email == self._service_account",
        "tests/security/test_tokens.py -k constant_time",
    ),
    oidc(
        "the e-mail is verified, and nothing like it",
        'claims.get("email_verified") is not True',
        'not claims.get("email_verified")',
        DENIED,
    ),
    # What is remembered
    oidc(
        "a remembered token expires",
        "if self._verified.get(authorization, 0) > self._clock():",
        "if authorization in self._verified:",
        BY_ITSELF,
    ),
    oidc(
        "a token is remembered",
        "        self._verified[authorization] = expiry",
        "        pass",
        BY_ITSELF,
    ),
    oidc(
        "a thousand tokens are remembered, no more",
        "if len(self._verified) >= MAX_CACHED_TOKENS:",
        "if False:",
        BY_ITSELF,
    ),
    oidc(
        "a denied token is not remembered",
        '        self._check_account(claims)\n        self._remember(authorization, claims["exp"])',
        '        self._remember(authorization, claims["exp"])\n        self._check_account(claims)',
        BY_ITSELF,
    ),
    Mutant(
        guard="the caller is known before the body is read",
        file="asgi_tasks/dispatch.py",
        old=f"    {VERIFY}\n    {READ}\n",
        new=f"    {READ}\n    {VERIFY}\n",
        tests="tests/security/test_tokens.py -k before",
    ),
    Mutant(
        guard="two Authorization headers are none",
        file="asgi_tasks/asgi.py",
        old='joined[name] = f"{joined[name]},{value}" if name in joined else value',
        new="joined[name] = value",
        tests="tests/security/test_tokens.py -k 'PushEndpoint and one_authorization_header'",
    ),
    # Google's keys
    oidc(
        "fresh keys are not fetched again",
        "if key_id not in self._by_key or not self._is_fresh():",
        "if True:",
        f"{KEYS} -k as_long_as_google_says",
    ),
    oidc(
        "one fetch serves all who wait",
        "if self._fetching is None or self._fetching.get_loop() is not loop:",
        "if True:",
        f"{KEYS} -k thousand",
    ),
    oidc(
        "a fetch on another loop is not waited for",
        " or self._fetching.get_loop() is not loop:",
        ":",
        f"{KEYS} -k another_loop",
    ),
    oidc(
        "an unknown key fetches once a minute",
        "if self._clock() < self._next_fetch:",
        "if False:",
        f"{KEYS} -k flood",
    ),
    oidc(
        "an unknown key fetches once a minute from an endpoint that fails",
        "max(RETRY_INTERVAL, min(fresh_for, REFETCH_INTERVAL))",
        "RETRY_INTERVAL",
        f"{KEYS} -k flood",
    ),
    oidc(
        "a failed fetch is soon tried again",
        "max(RETRY_INTERVAL, min(fresh_for, REFETCH_INTERVAL))",
        "REFETCH_INTERVAL",
        f"{KEYS} -k 'tried_again or back_in_time'",
    ),
    oidc(
        "a failed fetch is not tried again at once",
        "max(RETRY_INTERVAL, min(fresh_for, REFETCH_INTERVAL))",
        "min(fresh_for, REFETCH_INTERVAL)",
        f"{KEYS} -k tried_again",
    ),
    oidc(
        "a failed fetch does not outlast the keys",
        "max(RETRY_INTERVAL, min(fresh_for, REFETCH_INTERVAL))",
        "REFETCH_INTERVAL if fresh_for > 0 else RETRY_INTERVAL",
        f"{KEYS} -k back_in_time",
    ),
    oidc(
        "an unknown key fetches at all",
        "if key_id not in self._by_key or not self._is_fresh():",
        "if not self._is_fresh():",
        f"{KEYS} -k TestRotation",
    ),
    oidc(
        "max-age is obeyed",
        "self._fresh_until = self._clock() + life",
        "self._fresh_until = self._clock() + TOKEN_LIFE",
        f"{KEYS} -k as_long_as_google_says",
    ),
    oidc(
        "max-age has its bounds",
        "max(SHORTEST_LIFE, min(int(found[1]), STALE_LIFE))",
        "int(found[1])",
        f"{KEYS} -k as_long_as_google_says",
    ),
    oidc(
        "keys out of date serve for a day",
        "< self._fresh_until + STALE_LIFE",
        "< self._fresh_until",
        f"{KEYS} -k a_day_longer",
    ),
    oidc(
        "keys out of date serve for no more than a day",
        " and self._clock() < self._fresh_until + STALE_LIFE",
        "",
        f"{KEYS} -k a_day_longer",
    ),
    oidc(
        "an unknown key is not judged by keys out of date",
        "            if not self._is_fresh():\n",
        "            if False:\n",
        f"{KEYS} -k not_to_be_judged_by",
    ),
    oidc(
        "a known key does not wait for a fetch that hangs",
        "timeout=self._patience(key_id)",
        "timeout=None",
        f"{KEYS} -k about_a_second",
    ),
    oidc(
        "a known key waits for the fetch at first",
        "PATIENCE = 1 ",
        "PATIENCE = 0 ",
        f"{KEYS} -k withdrew",
    ),
    oidc(
        "patience is counted from the beginning of the fetch",
        "self._fetching_since + PATIENCE - self._clock()",
        "0.0 + PATIENCE",
        f"{KEYS} -k do_not_wait_at_all",
    ),
    oidc(
        "an unknown key waits for the fetch",
        "if key_id not in self._by_key or not self._has_any():",
        "if not self._has_any():",
        f"{KEYS} -k unknown_key_waits",
    ),
    oidc(
        "a key too old waits for the fetch",
        "if key_id not in self._by_key or not self._has_any():",
        "if key_id not in self._by_key:",
        f"{KEYS} -k too_old",
    ),
    oidc(
        "who leaves does not end the fetch",
        "await asyncio.wait({self._fetching}, timeout=self._patience(key_id))",
        "await asyncio.wait_for(self._fetching, self._patience(key_id))",
        f"{KEYS} -k 'leaves or goes_on'",
    ),
    oidc("a fetch gives up", "total=FETCH_TIMEOUT", "total=20", f"{KEYS} -k TestHangingEndpoint"),
    oidc(
        "keys come with a 200",
        " if response.status == 200 else None",
        "",
        f"{KEYS} -k TestFailingEndpoint",
    ),
    oidc(
        "keys are not fetched from where a redirect leads",
        "allow_redirects=False",
        "allow_redirects=True",
        f"{KEYS} -k redirect",
    ),
    oidc(
        "keys are certificates that can be read",
        "all(map(_is_certificate, by_key.values()))",
        "by_key",
        f"{KEYS} -k TestFailingEndpoint",
    ),
    oidc(
        "no keys are no answer",
        "        if not by_key:\n",
        "        if False:\n",
        f"{KEYS} -k TestFailingEndpoint",
    ),
]
