"""Would one send this answer to a customer? The rubric of recipes/assistant.yaml: plain rules, no model, no chance.

An answer scores 0 to 10: english x length x variety x invented x manner x sense x ending x the sum of four parts.
Every part is a number between 0 and 1 and says one thing that can be checked from the two texts alone:

    english    x      it reads like English that one would send: known words, in a usual order, in sentences
                      (assistant_english.py)
    length     x      12 to 60 words; nothing at 3 or at 90
    variety    x      it does not repeat itself: no run of three words twice, no sentence twice, no word all the time
    invented   x      nothing that the customer did not say: numbers, dates, times, prices, names, links, telephone
                      numbers, refunds granted, what became of the order; 0.6, 0.3, 0.1 for one, two, more of them
    manner     x      it speaks as the shop does to a customer: no "as an AI", no signs of a template, no lists, no
                      blame, no condolences where nobody died, and not from the customer's place; the same scale
    sense      x      nothing that cannot be: asking a parcel, a photo of somebody's sister, persons exchanged, a
                      team that has nothing to do with it (assistant_sense.py); the same scale, and less
    ending     x      it stops at the end of a sentence; 0.6 if not
    number     1.5    the customer's order or booking number stands there as they wrote it, and no other like it
    apology    1.5    it says sorry where the customer is angry or was harmed, and says it at most twice
    step       4      one concrete next step: something that the customer is asked for, or that the writer does now
    taken_up   3      it is about what the customer wrote about, in the writer's own words and not a copy of theirs

The first seven multiply because they were tried as parts of the sum: what is gibberish, a fragment, invented, or one
thing said ten times still earned most of the rest. A rule can be satisfied without pleasing anybody: read the answers
too. What cannot be checked so, and is not: whether the step helps, whether the facts are right, whether the tone suits.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from prefloop.recipes.assistant_english import COMMON, SENTENCE, WORD, about, english, is_known, plain, stem
from prefloop.recipes.assistant_sense import absurdities, fitting, strangers

WEIGHTS: Mapping[str, float] = {"number": 1.5, "apology": 1.5, "step": 4.0, "taken_up": 3.0}
GATES = ("english", "length", "variety", "invented", "manner", "sense", "ending")
FAULTS = (1.0, 0.6, 0.3, 0.1)
"""What is left after no, one, two and more faults of one kind."""


def _any(phrases: str) -> str:
    """A pattern for any of these phrases, as whole words: `_` is a space in one, `*` any ending, `|` stands apart."""
    return r"\b(?:" + "|".join(p.replace("_", " ").replace("*", r"\w*") for p in phrases.split()) + r")\b"


def score(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """One number from 0 to 10 for each answer, given the customer's message; higher is better."""
    return [total(parts(prompt, response)) for prompt, response in zip(prompts, responses, strict=True)]


def total(judged: Mapping[str, float]) -> float:
    """The score that parts make."""
    summed = sum(weight * judged[name] for name, weight in WEIGHTS.items())
    for gate in GATES:
        summed *= judged[gate]
    return summed


def parts(prompt: str, response: str) -> dict[str, float]:
    """The eleven parts of an answer's score, each between 0 and 1."""
    words = WORD.findall(plain(response))
    sentences = [s.strip() for s in SENTENCE.findall(response) if WORD.search(plain(s))]
    if not words or not sentences:
        return dict.fromkeys((*GATES, *WEIGHTS), 0.0)
    return {
        "english": english(prompt, response),
        "length": between(len(response.split()), 3, 12, 60, 90),
        "variety": variety(re.findall(r"[a-z']+|\d+", plain(response)), sentences),
        "number": number(prompt, response),
        "invented": FAULTS[min(3, len(set(inventions(prompt, response))))],
        "manner": FAULTS[min(3, len(slips(prompt, response)))],
        "sense": FAULTS[min(3, len({*absurdities(prompt, response), *strangers(prompt, response)}))]
        * fitting(prompt, response),
        "apology": apology(prompt, response),
        "step": step(prompt, sentences),
        "taken_up": taken_up(prompt, response),
        "ending": FAULTS[0 if is_ended(response, sentences) else 1],
    }


def between(value: float, nothing: float, low: float, high: float, too_much: float) -> float:
    """1 from `low` to `high`, falling in straight lines to 0 at `nothing` and at `too_much`."""
    return max(0.0, min(1.0, (value - nothing) / (low - nothing), (too_much - value) / (too_much - high)))


# ---- it does not repeat itself, and it ends


def variety(words: Sequence[str], sentences: Sequence[str]) -> float:
    """1 without repetition; runs of three words, sentences, doubled words and one word again and again cost, the same
    topic twice within five words too ("report the report"), and asking more than twice."""
    runs = list(zip(words, words[1:], words[2:], strict=False))
    again = (1 - len(set(runs)) / len(runs)) if runs else 0.0
    told = len(sentences) - len({plain(s).strip(" .!?") for s in sentences})
    doubled = sum(a == b for a, b in pairwise(words))
    most = max(Counter(w for w in words if w not in COMMON).values(), default=0)
    asking = sum(w.startswith("ask") for w in words)
    topics = [stem(w) if w not in COMMON and w[0].isalpha() else "" for w in words]
    close = sum(bool(t) and t in topics[i + 1 : i + 5] for i, t in enumerate(topics))
    return max(0.0, 1 - 4 * again - told / 2 - (doubled + close) / 4 - max(0, most - 3) / 4 - max(0, asking - 2) / 4)


def is_ended(response: str, sentences: Sequence[str]) -> bool:
    """Whether the last sentence has an end and three words or more, and does not break off at a small word."""
    last = re.findall(r"[a-z']+|\d+", plain(sentences[-1]))
    whole = re.search(r"[\w)\"'\u2019%][.!?]+[\"')\u2019\u201d]?$", response.rstrip()) is not None
    return whole and len(last) >= 3 and last[-1] not in {"the", "a", "an", "and", "of", "or", "your", "my", "our"}


# ---- the number

IDENTIFIER = re.compile(r"(?<![\w.])#?(?=[\w/.-]*\d)[A-Za-z0-9]+(?:[-/.][A-Za-z0-9]+)*(?:\s\d{3,}|-\d+)*")
FILED = """
order orders booking number no ref reference case ticket account customer subscriber subscription member job claim
policy invoice receipt return repair parcel tracking card visit patient file serial contract agreement license licence
enrolment reservation membership ride tag pass permit notice user rental voucher transfer appointment id
"""
CALLED = re.compile(
    _any(FILED) + r"(?:\s+(?:number|no|ref|file|ending|ends|in|name|code|is))*[.:#]*\s*$", re.IGNORECASE
)
"""What stands before a number by which something is filed."""


def identifiers(text: str) -> list[str]:
    """Numbers by which something is filed: with four digits or more, with letters, or with a word such as "order"."""
    found = []
    for match in IDENTIFIER.finditer(text):
        name = match.group().strip(".-/")
        digits = sum(c.isdigit() for c in name)
        mixed = digits >= 3 and (any(c.isalpha() for c in name) or re.search(r"\d[-/]\d", name) is not None)
        price = re.fullmatch(r"\d+\.\d\d", name) is not None
        year = re.fullmatch(r"(?:19|20)\d\d", name) is not None
        called = CALLED.search(text[: match.start()]) is not None or name.startswith("#")
        if price:
            continue
        if mixed or (digits >= 5) or (digits >= 3 and called) or (digits == 4 and not year):
            found.append(name.lstrip("#").lower())
    return found


def number(prompt: str, response: str) -> float:
    """1 if a number that the customer's matter is filed under stands in the answer; 0.3 without, 0 with a wrong one."""
    given, written = identifiers(prompt), identifiers(response)
    if any(not _says(prompt, name) for name in written):
        return 0.0
    if not given:
        return 1.0
    return 1.0 if any(_says(response, name) for name in given) else 0.3


def _says(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w]){re.escape(name)}(?!\w|[-/.]\w)", text.lower()) is not None


# ---- nothing invented

_COUNT = r"(?:\d+|one|two|three|four|five|six|seven|ten|a few|few|several|a couple of|next|coming|an|a)"
TIMES = re.compile(
    rf"\b(?:within|in|for|over|than|take|takes|after|up to|least|the)\s(?:the\s|about\s|another\s)?{_COUNT}"
    r"(?:\s?(?:-|to|or)\s?\w+)?\s(?:business\s|working\s)?(?:minute|hour|day|week|month)s?\b|"
    + _any(
        """monday tuesday wednesday thursday friday saturday sunday tomorrow tonight january february april june july
        august september october november december this_week this_afternoon by_the_end_of"""
    )
)
LINKS = re.compile(r"https?:|www\.|\b\w+\.(?:com|org|net|co|io)\b|\S@\S|\+\d|\b\d{3}-\d{3}-\d{4}\b")
MONEY = re.compile(r"[$€£%]|\b(?:percent|dollars|euros|pounds)\b")
_GIFT = _any("refund refunded replacement reimburse* compensat* discount voucher gift_card credit free_of_charge")
GRANTS = re.compile(
    r"\b(?:full|partial|complete|your|a|the) (?:refund|reimbursement|compensation)\b|\bfree of charge\b|\bguarantee\w*|"
    rf"\b(?:we|i)(?:'ll|'ve| will| have| can| am going to| are going to)?(?: \w+){{0,4}} {_GIFT}|"
    rf"\b(?:get|receive|offer|issue|process|provide|give)\w*(?: \w+){{0,4}} {_GIFT}|"
    r"\bwill be (?:refunded|replaced|credited)\b|"
    r"\b(?:send|sending|sent)(?: you| out)* (?:a|the|your) (?:new|replacement|correct|right)\b"
)
_DONE = _any(
    """shipped delivered dispatched sent processed resolved fixed found cancelled canceled updated confirmed received
    located approved closed delayed lost scheduled booked solved repaired transferred refunded corrected arranged"""
)
CLAIMS = re.compile(
    r"\b(?:is|are) (?:now |already |currently )?(?:on (?:its|the|their) way|in transit|being shipped|out of stock)\b|"
    rf"\b(?:has|have|was|were) (?:now |already |been |just |successfully |currently ){{1,3}}{_DONE}|"
    rf"\b(?:we|i)(?:'ve| have) {_DONE}|\bdue to (?:a|an|the|our|some)\b|\b(?:our|the) (?:policy|policies|terms)\b|"
    r"\bour (?:records|system) (?:show|indicate|say)|\baccording to (?:our|the)\b|\b(?:was|is) caused by\b"
)
OPEN = re.compile(r"\b(?:whether|if|ask|asking|check|checking|why)\b")
"""Words of a sentence that leave open what comes of it."""


def inventions(prompt: str, response: str) -> Iterator[str]:
    """What the answer says that the customer did not: each as the text that shows it."""
    asked = plain(prompt)
    said = plain(response)
    known = set(re.findall(r"\d+", asked))
    yield from (digits for digits in re.findall(r"\d+", said) if digits not in known)
    for sentence in SENTENCE.findall(said):
        patterns = (TIMES, MONEY, LINKS) if OPEN.search(sentence) else (TIMES, MONEY, LINKS, GRANTS, CLAIMS)
        for pattern in patterns:
            yield from (m.group() for m in pattern.finditer(sentence) if m.group() not in asked)
    yield from names(prompt, response)


FAMILIAR = frozenset(
    ("i", "i'm", "i'll", "i've", "i'd", "english", "windows", "mac", "android", "iphone", "pdf", "pin")
)
FAMILIAR |= {"sim", "vat", "wifi", "tv", "id", "pc", "usb", "app", "ok"}
"""What is written with a capital without being a name that was invented."""


def names(prompt: str, response: str) -> Iterator[str]:
    """Words with a capital inside a sentence, or unknown ones at its beginning, that the customer did not write."""
    asked = {*re.findall(r"[a-z']+", plain(prompt))}
    for sentence in SENTENCE.findall(response.replace("\u2019", "'")):
        for place, word in enumerate(re.findall(r"[A-Za-z][A-Za-z']*", sentence)):
            low = word.lower().removesuffix("'s")
            inside = place > 0 and word[0].isupper()
            begins = place == 0 and word[0].isupper() and not is_known(low)
            if (inside or begins) and low not in asked and low not in FAMILIAR:
                yield word


# ---- sorry, where it is due

ANGER = """
angry anger furious livid disgust* disgrac* shame* asham* unacceptable ridiculous terrible horrible awful vile rude*
cheat* scam thie* liar liars lied lying fed_up sick_of tired_of exhaust* cry cried crying tears heartbroken upset
annoy* unhappy not_happy cross disappoint* scared frighten* terrified panic* anxious humiliat* mortified embarrass*
shocking shaking unbelievable rubbish useless rage deceived tricked insult* never_forgive not_ok how_dare
how_could_you are_you_serious excuses a_joke unfair isn't_fair harsh feel_stupid
"""
HARM = """
hurt* injur* bruis* bleed* i_fell he_fell she_fell daughter_fell son_fell cut_my hospital ill sick allerg* poison*
pain fire flames smok* flood* soak* ruin* smash* exploded in_pieces mould cockroach* bed_bugs stole* fraud funeral
died dead late_husband* late_wife* late_father* late_mother* stranded stuck locked_out no_hot_water no_heating insulin
starving asthma slept_in slept_on missed_my missed_a missed_an missed_our broke_my broke_the
"""
GRAVE = re.compile(_any(f"{ANGER} {HARM}"))
SORRY = re.compile(r"\bsorry\b|\bapolog\w+|\bregret\b|\bforgive us\b")


def is_grave(prompt: str) -> bool:
    """Whether the customer is angry or was harmed, as far as it shows: such words, or words in capitals."""
    loud = [w for w in re.findall(r"\b[A-Z]{4,}\b", prompt) if is_known(w.lower())]
    return bool(loud) or GRAVE.search(plain(prompt)) is not None


def apology(prompt: str, response: str) -> float:
    """1 if it says sorry where that is due, and not more than twice anywhere."""
    said = len(SORRY.findall(plain(response)))
    if said > 2:
        return 0.5
    return float(said > 0 or not is_grave(prompt))


# ---- one concrete next step

REQUEST = re.compile(
    r"\b(?:please|could you|can you|would you)(?: \w+){0,2}? "
    + _any(
        """send tell confirm check take keep open restart show try unplug switch reply forward choose look bring press
        give put report stop turn remove add set see make lay run freeze ask change use have call go film log close
        plug be click describe upload write lock don't do_not let_me_know_which"""
    )
)
QUESTION = re.compile(
    rf"^(?:and |but |so )?{_any('which what where when who how do does is are did have has would')}.*\?$"
)
ACTION = re.compile(
    r"\b(?:i|we)(?:'m|'re|'ll| am| are| will)(?: now| just| going to| also)? "
    + _any(
        """ask* check* look* pass* send* report* rais* tak* put* mak* add* mark* forward* fil* open* not* bring* call*
        reopen* cancel* writ* read* hav* find* search* get* tell* compar* alert* contact* speak* stop* request*
        reserv* chang* collect* arrang*"""
    )
)
ELSEWHERE = re.compile(
    r"\b(?:please|you)(?: \w+)? (?:contact|call|email|write to|visit|go to) (?:the|our|your|a|customer)\b|"
    r"\b(?:please|you)(?: \w+)? ask (?:the|our|customer)\b|\basking you to\b"
)
"""The customer is sent to do what the writer is there for."""
KNOWN = re.compile(
    r"\b(?:send|tell|give|provide|confirm|show)(?: \w+){0,3} "
    r"(?:order|booking|card|account|reference|ticket|case) number\b"
)
"""The customer is asked for the number that stands in the message."""
VAGUE = re.compile(
    r"\b(?:contact|call|visit|email|get in touch with) (?:us|our|the|your|customer|support|me)\b(?: \w+)?|"
    + _any(
        """feel_free don't_hesitate do_not_hesitate let_me_know_if let_us_know_if reach_out here_to_help here_to_assist
        happy_to_help happy_to_assist help_you assist_you more_information more_details more_context other_questions
        best_possible as_soon_as_possible look_forward take_care_of_this take_care_of_it resolve_this resolve_it
        resolve_the"""
    )
)
THINGS = frozenset(
    """
photo picture video screenshot number label receipt address name email phone code postcode warehouse courier team
manager driver workshop billing restaurant hotel store kitchen engineer housekeeping reception supplier maker desk
settings app account club practice branch delivery payment dates size model invoice bag room plug tap socket form
serial details page staff colleague depot developers bank police doctor library garage company
""".split()  # noqa: SIM905
)
"""Things that a step can be about, beside those that the customer named."""


def step(prompt: str, sentences: Sequence[str]) -> float:
    """1 if one to three sentences ask for something or do something that is named; set phrases instead of it cost, and
    so does sending the customer elsewhere, or asking for the number that was given."""
    asked, is_filed = about(prompt), bool(identifiers(prompt))
    taken = vague = 0.0
    for sentence in map(plain, sentences):
        if ELSEWHERE.search(sentence) or (is_filed and KNOWN.search(sentence)):
            vague += 1
            continue
        vague += VAGUE.search(sentence) is not None
        says = REQUEST.search(sentence) or ACTION.search(sentence) or QUESTION.search(sentence.strip())
        if says and not (VAGUE.search(sentence) and not REQUEST.search(sentence)) and len(sentence.split()) >= 4:
            named = about(sentence)
            taken += 1.0 if named & asked or named & {stem(t) for t in THINGS} else 0.6
    return max(0.0, min(1.0, taken, (6 - taken) / 2) - 0.35 * vague)


# ---- about what the customer wrote about, not copied


def taken_up(prompt: str, response: str) -> float:
    """Words of the customer's that the answer takes up, two or half of them being enough; copied stretches cost."""
    asked, said = WORD.findall(plain(prompt)), WORD.findall(plain(response))
    topics = about(prompt)
    if not topics:
        return 1.0
    share = len(topics & about(response)) / max(1, min(2, len(topics) // 2))
    run = _longest_copy(asked, said)
    return min(1.0, share) * between(run, -1, 0, 6, 11)


def _longest_copy(asked: Sequence[str], said: Sequence[str]) -> int:
    """Words of the longest stretch that stands in both."""
    best, before = 0, [0] * (len(asked) + 1)
    for word in said:
        row = [0] * (len(asked) + 1)
        for place, other in enumerate(asked, start=1):
            if word == other:
                row[place] = before[place - 1] + 1
        best, before = max(best, *row), row
    return best


# ---- how it speaks

SLIPS: Mapping[str, re.Pattern[str]] = {
    "a machine": re.compile(
        _any("as_an_ai* as_an_assistant as_a_language* ai language_model smollm hugging_face chatbot")
        + r"|\bi(?:'m| am) an? (?:\w+ ){0,2}(?:assistant|model|bot|program)\b"
        r"|\bi(?:'m| am) (?:designed|trained|programmed)\b|\bi don't have (?:access|feelings|personal|the ability)"
    ),
    "a template": re.compile(
        r"\[[^\]]*\]|<\|?\w+\|?>|\{\w+\}|\b(?:user|assistant|system|customer|agent):|subject:|\bx{3,}\b"
    ),
    "a list": re.compile(r"\*\*|(?:^|\n)\s*(?:[-*#\u2022]|\d+[.)])\s|```"),
    "a form letter": re.compile(
        r"\bdear (?:sir|madam|customer|valued|mr|ms|team|support|\[)|"
        + _any(
            """sincerely best_regards kind_regards warm_regards yours_truly valued_customer* inconvenience
            thank_you_for_contacting thank_you_for_bringing reaching_out"""
        )
    ),
    "blame": re.compile(
        r"\byou should have (?:been|known|read|checked|told|done|called|made|thought)\b|"
        r"\bnot (?:my|our) (?:problem|fault|job)\b|\bcalm down\b|\bit's not about\b|"
        r"\byour (?:own )?(?:fault|mistake)\b|\bi (?:can't|cannot) (?:help|assist|provide)\b|\bi'm unable\b|"
        r"\byou(?:'re| are) (?:being |so )?(?:stupid|an idiot|wrong|rude|not the only)\b"
    ),
    "the customer's place": re.compile(
        r"\bmy (?:\w+ )?"
        + _any(
            """order parcel package booking account refund money purchase subscription delivery room ticket flight bike
            dog mother husband wife son daughter friend experience card bill shoes membership phone new"""
        )
        + r"|\bi "
        + _any("ordered bought paid purchased received booked returned was_charged recently tried went had was")
        + r"|\bi(?:'m| am) writing to |\bi(?:'d| would) like (?:a refund|my|to return|to cancel)\b|"
        r"\b(?:we|i) (?:appreciate your (?:help|assistance)|look forward to your)"
    ),
}
"""What is wrong -> how it shows."""
LOSS = re.compile(r"\b(?:your loss|condolence\w*|passed away|deepest sympath\w*|grie\w+)\b")
DEATH = re.compile(
    r"\b(?:died|dead|death|funeral|late (?:husband|wife|father|mother|mum|dad)|wreath|passed away|widow\w*)\b"
)


def slips(prompt: str, response: str) -> list[str]:
    """What is wrong with how it speaks."""
    said, asked = plain(response), plain(prompt)
    found = [name for name, pattern in SLIPS.items() if pattern.search(said)]
    if {stem(word) for word in re.findall(r"\bmy (\w+)", said)} & about(prompt):
        found.append("the customer's things as one's own")
    if LOSS.search(said) and not DEATH.search(asked):
        found.append("condolences where nobody died")
    if not re.search(r"\b(?:you(?:r|'\w+)?|please|thanks?|sorry|hope|welcome)\b", said):
        found.append("no word to the customer")
    return found
