"""Would one send this answer to a customer? The rubric of recipes/assistant.yaml: plain rules, no model, no chance.

An answer scores  english x length x variety x invented x manner x the weighted sum of five parts, so between 0 and 10.
Every part is a number between 0 and 1 and says one thing that can be checked from the two texts alone:

    english    x      it reads like English that one would send: known words in a usual order (assistant_english.py)
    length     x      12 to 60 words; nothing at 3 or at 90
    variety    x      it does not repeat itself: no run of three words twice, no sentence twice, no word again and again
    invented   x      nothing that the customer did not say: numbers, dates, times, prices, names, links, telephone
                      numbers, refunds granted, and what became of the order; 0.6, 0.3, 0.1 for one, two, more of them
    manner     x      it speaks as the shop does to a customer: no "as an AI", no signs of a template, no lists, no blame,
                      no condolences where nobody died, and it does not take the customer's place; the same scale
    number     1.5    the customer's order or booking number stands there as they wrote it, and no other that is like one
    apology    2      it says sorry where the customer is angry or was harmed, and says it at most twice
    step       3.5    one concrete next step: something that the customer is asked for, or that the writer does now
    taken_up   2.5    it is about what the customer wrote about, in the writer's own words and not a copy of theirs
    ending     0.5    it stops at the end of a sentence

The first five multiply because they were tried as parts of the sum: what is gibberish, a fragment, invented or one thing
said ten times then still earns most of the rest. A rule can be satisfied without pleasing anybody: read the answers too. What cannot be
checked so, and is not: whether the step helps, whether the facts are right, whether the tone suits.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from prefloop.recipes.assistant_english import WORD, english, is_known, plain, stems

WEIGHTS: Mapping[str, float] = {"number": 1.5, "apology": 2.0, "step": 3.5, "taken_up": 2.5, "ending": 0.5}
GATES = ("english", "length", "variety", "invented", "manner")
FAULTS = (1.0, 0.6, 0.3, 0.1)
"""What is left after no, one, two and more faults of one kind."""
SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+(?=\S)[^.!?\n]+)*[.!?]*")


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
    """The ten parts of an answer's score, each between 0 and 1."""
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
        "apology": apology(prompt, response),
        "step": step(prompt, sentences),
        "taken_up": taken_up(prompt, response),
        "ending": ending(response, sentences),
    }


def between(value: float, nothing: float, low: float, high: float, too_much: float) -> float:
    """1 from `low` to `high`, falling in straight lines to 0 at `nothing` and at `too_much`."""
    return max(0.0, min(1.0, (value - nothing) / (low - nothing), (too_much - value) / (too_much - high)))


# ---- it does not repeat itself, and it ends

COMMON = frozenset(
    """a about all also am an and any are as ask asking at be been before but by can could do for from get had has have
    how i if in is it its just know let like look make may me more my need no not of on one or other our out please
    see send so some sorry take tell than thank thanks that the their them then there they this to too up us very was
    we were what when where whether which who why will with would you your yours i'm i'll i've it's don't we'll we're
    you're you've that's can't won't hello hi dear pls thx did does got were are help want order orders number booking
    ref""".split()
)
"""Words that say little about what a text is about."""


def variety(words: Sequence[str], sentences: Sequence[str]) -> float:
    """1 without repetition; runs of three words, sentences, doubled words and one word again and again cost."""
    runs = list(zip(words, words[1:], words[2:], strict=False))
    again = (1 - len(set(runs)) / len(runs)) if runs else 0.0
    told = len(sentences) - len({plain(s).strip(" .!?") for s in sentences})
    doubled = sum(a == b for a, b in pairwise(words))
    most = max(Counter(w for w in words if w not in COMMON).values(), default=0)
    return max(0.0, 1 - 4 * again - told / 2 - doubled / 4 - max(0, most - 3) / 4)


def ending(response: str, sentences: Sequence[str]) -> float:
    """1 if the last character ends a sentence of three words or more that does not break off at a small word."""
    last = re.findall(r"[a-z']+|\d+", plain(sentences[-1]))
    whole = re.search(r"[\w)\"'\u2019%][.!?]+[\"')\u2019\u201d]?$", response.rstrip()) is not None
    return float(
        whole and len(last) >= 3 and last[-1] not in {"the", "a", "an", "and", "of", "or", "your", "my", "our"}
    )


# ---- the number

IDENTIFIER = re.compile(r"(?<![\w.])#?(?=[\w/.-]*\d)[A-Za-z0-9]+(?:[-/.][A-Za-z0-9]+)*(?:\s\d{3,}|-\d+)*")
CALLED = re.compile(
    r"\b(?:order|orders|booking|number|no|ref|reference|case|ticket|account|customer|subscriber|subscription|member|job|"
    r"claim|policy|invoice|receipt|return|repair|parcel|tracking|card|card number|visit|patient|file|serial|contract|"
    r"agreement|license|licence|enrolment|reservation|membership|ride|tag|pass|permit|notice|user|rental|voucher|"
    r"transfer|appointment|instance|id)(?:\s+(?:number|no|ref|file|ending|ends|in|name|code|is))*[.:#]*\s*$",
    re.IGNORECASE,
)


def identifiers(text: str) -> list[str]:
    """Numbers by which something is filed: with four digits or more, with letters, or with a word such as "order"."""
    found = []
    for match in IDENTIFIER.finditer(text):
        name = match.group().strip(".-/")
        digits = sum(c.isdigit() for c in name)
        mixed = digits >= 3 and (any(c.isalpha() for c in name) or re.search(r"\d[-/]\d", name) is not None)
        year = re.fullmatch(r"(?:19|20)\d\d", name) is not None
        called = CALLED.search(text[: match.start()]) is not None or name.startswith("#")
        if mixed or (digits >= 5) or (digits >= 3 and called) or (digits == 4 and not year):
            found.append(name.lstrip("#").lower())
    return found


def number(prompt: str, response: str) -> float:
    """1 if a number that the customer filed it under stands in the answer; with a wrong one nothing; half without."""
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
    r"\b(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|tonight|january|february|april|june|july|"
    r"august|september|october|november|december|this week|this afternoon|by the end of)\b"
)
LINKS = re.compile(r"https?:|www\.|\b\w+\.(?:com|org|net|co|io)\b|\S@\S|\+\d|\b\d{3}-\d{3}-\d{4}\b")
MONEY = re.compile(r"[$€£%]|\bpercent\b|\b(?:dollars|euros|pounds)\b")
GIFT = r"(?:refund|refunded|replacement|reimburse\w*|compensat\w*|discount|voucher|gift card|credit|free of charge)"
GRANTS = re.compile(
    rf"\b(?:full|partial|complete|your|a|the) (?:refund|reimbursement|compensation)\b|\bfree of charge\b|\bguarantee\w*\b|"
    rf"\b(?:we|i)(?:'ll|'ve| will| have| can| am going to| are going to)?(?: \w+){{0,4}} {GIFT}\b|"
    rf"\b(?:get|receive|offer|issue|process|provide|give)\w*(?: \w+){{0,4}} {GIFT}\b|\bwill be (?:refunded|replaced|credited)\b|"
    r"\b(?:send|sending|sent)(?: you| out)* (?:a|the|your) (?:new|replacement|correct|right)\b"
)
CLAIMS = re.compile(
    r"\b(?:is|are) (?:now |already |currently )?(?:on (?:its|the|their) way|in transit|being shipped|out of stock)\b|"
    r"\b(?:has|have|was|were) (?:now |already |been |just |successfully |currently ){1,3}"
    r"(?:shipped|delivered|dispatched|sent|processed|resolved|fixed|found|cancelled|canceled|updated|confirmed|received|"
    r"located|approved|closed|delayed|lost|scheduled|booked|solved|repaired|transferred|refunded)\b|"
    r"\bdue to (?:a|an|the|our|some)\b|\b(?:our|the) (?:policy|policies|terms)\b|\bour (?:records|system) (?:show|indicate|say)|"
    r"\baccording to (?:our|the)\b|\b(?:was|is) caused by\b|\bwe(?:'ve| have) (?:found|located|resolved|fixed|received)\b|"
    r"\bi(?:'ve| have) (?:found|located|resolved|fixed|cancelled|refunded|updated|corrected|arranged|booked|confirmed)\b"
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
    "i i'm i'll i've i'd english windows mac android iphone pdf pin sim vat wifi tv id pc usb app ok".split()
)


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

ANGER = re.compile(
    r"\b(?:angry|anger|furious|livid|disgust\w*|disgrac\w*|shame\w*|asham\w*|unacceptable|ridiculous|terrible|horrible|"
    r"awful|vile|rude\w*|cheat\w*|scam|thie\w+|liars?|lied|lying|fed up|sick of|tired of|exhaust\w*|cry|cried|crying|tears|"
    r"heartbroken|upset|annoy\w*|unhappy|not happy|cross|disappoint\w*|scared|frighten\w*|terrified|panic\w*|anxious|"
    r"humiliat\w*|mortified|embarrass\w*|shocking|shaking|unbelievable|rubbish|useless|rage|deceived|tricked|insult\w*|"
    r"never forgive|not ok|how dare|how could you|are you serious|excuses|a joke|unfair|isn't fair|harsh|feel stupid)\b"
)
HARM = re.compile(
    r"\b(?:hurt\w*|injur\w*|bruis\w*|bleed\w*|(?:i|he|she|daughter|son) fell|cut my|hospital|ill|sick|allerg\w*|poison\w*|pain|fire|flames|smok\w+|"
    r"flood\w*|soak\w*|ruin\w*|smash\w*|exploded|in pieces|mould|cockroach\w*|bed bugs|stole\w*|fraud|funeral|died|"
    r"dead|late (?:husband|wife|father|mother)'?s?|stranded|stuck|locked out|no hot water|no heating|insulin|starving|"
    r"asthma|slept in|slept on|missed (?:my|a|an|our)|broke (?:my|a|the) \w+)\b"
)
SORRY = re.compile(r"\bsorry\b|\bapolog\w+|\bregret\b|\bforgive us\b")


def is_grave(prompt: str) -> bool:
    """Whether the customer is angry or was harmed, as far as it shows: such words, or words in capitals."""
    loud = [w for w in re.findall(r"\b[A-Z]{4,}\b", prompt) if is_known(w.lower())]
    return bool(loud) or any(p.search(plain(prompt)) for p in (ANGER, HARM))


def apology(prompt: str, response: str) -> float:
    """1 if it says sorry where that is due, and not more than twice anywhere."""
    said = len(SORRY.findall(plain(response)))
    if said > 2:
        return 0.5
    return float(said > 0 or not is_grave(prompt))


# ---- one concrete next step

REQUEST = re.compile(
    r"\b(?:please|could you|can you|would you)(?: \w+){0,2}? (?:send|tell|confirm|check|take|keep|open|restart|show|try|unplug|"
    r"switch|reply|forward|choose|look|bring|press|give|put|report|stop|turn|remove|add|set|see|make|lay|run|freeze|ask|"
    r"change|use|have|call|go|film|log|close|plug|be|click|describe|upload|write|lock|don't|do not|let me know which)\b"
)
QUESTION = re.compile(
    r"^(?:and |but |so )?(?:which|what|where|when|who|how|do|does|is|are|did|have|has|would|at what|in which)\b.*\?$"
)
ACTION = re.compile(
    r"\b(?:i|we)(?:'m|'re|'ll| am| are| will)(?: now| just| going to| also)? (?:ask|check|look|pass|send|report|rais|tak|"
    r"put|mak|add|mark|forward|fil|open|not|bring|call|reopen|cancel|writ|read|hav|find|search|get|tell|compar|alert|"
    r"contact|speak|stop|request|reserv|chang|order|collect|arrang)\w*\b"
)
VAGUE = re.compile(
    r"\b(?:contact|call|visit|email|reach out to|get in touch with) (?:us|our|the|your|customer|support|me)\b(?: \w+)?|"
    r"\b(?:feel free|don't hesitate|do not hesitate|let (?:me|us) know if|reach out|here to (?:help|assist)|"
    r"happy to (?:help|assist)|(?:help|assist) you|more (?:information|details|context)|other questions|"
    r"best possible|as soon as possible|look forward|take care of (?:this|it)|resolve (?:this|it|the))\b"
)
THINGS = frozenset(
    """photo picture video screenshot number label receipt address name email phone code postcode warehouse courier team
    manager driver workshop billing restaurant hotel store kitchen engineer housekeeping reception supplier maker desk
    settings app account club practice branch delivery payment dates size model invoice bag room plug tap socket form
    serial details page staff colleague depot developers bank police doctor library garage company""".split()
)
"""Things that a step can be about, beside those that the customer named."""


def step(prompt: str, sentences: Sequence[str]) -> float:
    """1 if one to three sentences ask for something or do something that is named; set phrases instead of it cost."""
    asked = about(prompt)
    taken = vague = 0.0
    for sentence in map(plain, sentences):
        vague += VAGUE.search(sentence) is not None
        says = REQUEST.search(sentence) or ACTION.search(sentence) or QUESTION.search(sentence.strip())
        if says and not (VAGUE.search(sentence) and not REQUEST.search(sentence)) and len(sentence.split()) >= 4:
            named = about(sentence)
            taken += 1.0 if named & asked or named & {_stem(t) for t in THINGS} else 0.6
    return max(0.0, min(1.0, taken, (6 - taken) / 2) - 0.35 * vague)


# ---- about what the customer wrote about, not copied


def _stem(word: str) -> str:
    """What "parcels", "parcel's" and "parcel" have in common: the shortest that an ending leaves, five letters at most
    being compared."""
    return min([word, *(s for s in stems(word) if len(s) >= 3)], key=lambda s: (len(s), s))[:5]


def about(text: str) -> set[str]:
    """Stems of the words that say what a text is about."""
    return {_stem(w) for w in WORD.findall(plain(text)) if len(w) > 2 and w not in COMMON}


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
        r"\bas an? (?:ai|assistant|language)|\bi(?:'m| am) an? (?:\w+ ){0,2}(?:ai|assistant|model|bot|program)\b|\blanguage model\b|\bsmollm\b|"
        r"\bhugging face\b|\bi don't have (?:access|feelings|personal|the ability)|\bi(?:'m| am) (?:designed|trained|programmed)|\bai\b"
    ),
    "a template": re.compile(
        r"\[[^\]]*\]|<\|?\w+\|?>|\{\w+\}|\b(?:user|assistant|system|customer|agent):|subject:|\bx{3,}\b"
    ),
    "a list": re.compile(r"\*\*|^\s*(?:[-*#\u2022]|\d+[.)])\s|\n\s*(?:[-*#\u2022]|\d+[.)])\s|```"),
    "a form letter": re.compile(
        r"\bdear (?:sir|madam|customer|valued|mr|ms|team|support|\[)|\b(?:sincerely|best regards|kind regards|warm regards|yours truly)\b|"
        r"\bvalued customer|\binconvenience\b|\bthank you for (?:reaching out|contacting|bringing)|\breaching out\b"
    ),
    "blame": re.compile(
        r"\byou should have (?:been|known|read|checked|told|done|called|made|thought)\b|\byour (?:own )?(?:fault|mistake)\b|\bcalm down\b|\bnot (?:my|our) (?:problem|fault|job)\b|"
        r"\byou're not the only\b|\bi (?:can't|cannot) (?:help|assist|provide)\b|\bi'm unable\b|\byou(?:'re| are) (?:being |so )?(?:stupid|an idiot|wrong|rude)\b|\bit's not about\b"
    ),
    "the customer's place": re.compile(
        r"\bmy (?:\w+ )?(?:order|parcel|package|booking|account|refund|money|purchase|subscription|delivery|room|ticket|flight|bike|"
        r"dog|mother|husband|wife|son|daughter|friend|experience|card|bill|shoes|membership|phone|new)\b|"
        r"\bi (?:ordered|bought|paid|purchased|received|booked|returned|was charged|recently|tried|went|had|was)\b|"
        r"\bi(?:'m| am) writing to (?:express|inform|complain|request|you about)|\bi(?:'d| would) like (?:a refund|my|to return|to cancel)\b|"
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
    if LOSS.search(said) and not DEATH.search(asked):
        found.append("condolences where nobody died")
    if not re.search(r"\b(?:you(?:r|'\w+)?|please|thanks?|sorry|hope|welcome)\b", said):
        found.append("no word to the customer")
    return found
