"""Reward functions and environments that go wrong: what each does, and what the sentence must name."""

REWARDS: dict[str, tuple[str, str]] = {
    "raises": ("def score(p, r):\n    return p[99]\n", "raises.py:2: `score` failed: IndexError"),
    "imports": ("import nothing_like_it\ndef score(p, r):\n    return []\n", "imports.py:1"),
    "syntax": ("def score(p, r:\n", "syntax.py:1: this is not Python"),
    "one": ("def score(p):\n    return []\n", "cannot be called with two arguments"),
    "exits": ("import sys\ndef score(p, r):\n    sys.exit(0)\n", "wanted to end the program"),
    "nan": ("def score(p, r):\n    return [float('nan')] * len(r)\n", "returned nan"),
    "few": ("def score(p, r):\n    return [1.0]\n", "returned 1 numbers"),
    "far": ("def score(p, r):\n    return [[(len(t) + 1, 1.0)] for t in r]\n", "returned the place"),
    "spelled": ("def score(p, r):\n    return [[('end', 1.0)] for t in r]\n", "returned the place 'end'"),
    "naught": ("def score(p, r):\n    return [[(1, float('inf'))] if t else [(1, 2)] for t in r]\n", "returned "),
    "none": ("def score(p, r):\n    pass\n", "returned NoneType"),
    "text": ("def score(p, r):\n    return ['a'] * len(r)\n", "returned 'a'"),
    "hangs": ("def score(p, r):\n    while True: pass\n", "took longer than 0.1 seconds"),
    "sleeps": ("import time\ndef score(p, r):\n    time.sleep(99)\n", "took longer than 0.1 seconds"),
    "nameless": ("def other(p, r):\n    return []\n", "no function called `score`"),
    "yields": ("def score(p, r):\n    yield 1\n    1 / 0\n", "yields.py:3: `score` failed: ZeroDivisionError"),
}


ENVIRONMENTS: dict[str, tuple[str, str]] = {
    f"env_{name}": (f"class Env:\n    def respond(self, c, s):\n        {body}\n", says)
    for name, (body, says) in {
        "raises": ("return c[99]", "env_raises.py:3: `Env.respond` failed: IndexError"),
        "hangs": ("while True: pass", "took longer than 0.1 seconds"),
        "none": ("pass", "returned NoneType, not one (text, reward)"),
        "few": ("return []", "returned 0 answers"),
        "nan": ("return [(None, float('nan'))] * len(c)", "returned nan"),
        "words": ("return ['yes'] * len(c)", "returned 'yes'"),
        "silent": ("return [('', 1.0)] * len(c)", "said nothing"),
    }.items()
}
"""Name of a file -> an environment that goes wrong, and what must be said of it."""
