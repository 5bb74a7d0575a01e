"""Is this a good little story? A reward function for recipes/stories.yaml: plain rules, no model, no chance.

A story scores length x (the weighted sum of four parts), all of them between 0 and 1, so at most 5:

    length     x     40 to 90 words; nothing at 10 words or at 160
    ending     2     it stops at the end of a sentence, with every quotation mark closed
    dialogue   1     somebody speaks: two to five closed speeches of 2 to 20 words
    variety    1     it does not repeat itself: no run of three words, and no sentence, comes twice
    readable   1     words that stories use, in sentences of 3 to 20 words that begin with a capital

Length multiplies because it was tried as one more part: the policy soon answered every opening with "She was very
happy.", which ends, repeats nothing and reads well, and scored 4 of 5.

`readable` counts words against a list: those that the base model itself uses often (three times or more in 800
stories sampled at temperature 0.5), and those of the opening. A small model sampled hotter invents words; the list sees
it.
A rule can be satisfied without pleasing anybody, so look at the stories too: a score is a proxy.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

WEIGHTS: Mapping[str, float] = {"ending": 2.0, "dialogue": 1.0, "variety": 1.0, "readable": 1.0}
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
SPEECH = re.compile(r'"([^"]*)"')
SENTENCE = re.compile(r'[^.!?]+[.!?]+"?')


def score(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """One number for each story, given its opening; higher is better."""
    judged = [parts(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
    return [each["length"] * sum(WEIGHTS[name] * each[name] for name in WEIGHTS) for each in judged]


def parts(prompt: str, response: str) -> dict[str, float]:
    """The five parts of a story's score, each between 0 and 1."""
    words = WORD.findall(response.lower())
    sentences = [sentence.strip() for sentence in SENTENCE.findall(response)]
    if len(words) < 3 or not sentences:
        return dict.fromkeys(("length", *WEIGHTS), 0.0)
    return {
        "length": between(len(words), 10, 40, 90, 160),
        "ending": _ending(response),
        "dialogue": _dialogue(response),
        "variety": _variety(words, sentences),
        "readable": _readable(words, sentences, {*WORD.findall(prompt.lower())}),
    }


def between(value: float, nothing: float, low: float, high: float, too_much: float) -> float:
    """1 from `low` to `high`, falling in straight lines to 0 at `nothing` and at `too_much`."""
    return max(0.0, min(1.0, (value - nothing) / (low - nothing), (too_much - value) / (too_much - high)))


def _ending(text: str) -> float:
    ended = re.search(r'[.!?]"?$', text.rstrip()) is not None
    return float(ended and text.count('"') % 2 == 0)


def _dialogue(text: str) -> float:
    speeches = [speech for speech in SPEECH.findall(text) if 2 <= len(speech.split()) <= 20]
    return between(len(speeches), 0, 2, 5, 9)


def _variety(words: Sequence[str], sentences: Sequence[str]) -> float:
    runs = list(zip(words, words[1:], words[2:], strict=False))
    repeated_runs = 1 - len(set(runs)) / len(runs)
    repeated_sentences = 1 - len({sentence.lower() for sentence in sentences}) / len(sentences)
    doubled = sum(a == b for a, b in pairwise(words)) / len(words)
    return max(0.0, 1 - 3 * repeated_runs - 2 * repeated_sentences - 5 * doubled)


def _readable(words: Sequence[str], sentences: Sequence[str], opening: set[str]) -> float:
    known = sum(word in WORDS or word in opening for word in words) / len(words)
    shaped = sum(3 <= len(s.split()) <= 20 and s.lstrip('"')[:1].isupper() for s in sentences) / len(sentences)
    return between(known, 0.8, 0.98, 1.0, 2.0) * shaped


WORDS = frozenset(
    """
a about accidentally adventure adventures adventurous afraid after again agreed alert all alone also always am amy
amy's an and angry animal animals anna another any anymore anyone anything anyway apple apples are around as ashamed
ask asked asking at ate away baby back backyard bad bag ball balloon balloons balls bandage basket bath bathroom be
beach bear beautiful became because bed been began being believe ben bench benny benny's best better big billy
billy's binky bird bird's birdie birds birthday bite black blanket blankets blew block blue blueberries blueberry
boat bob bob's body book books bored both bowl box boxes boy boy's bracelet branch brave bright bring broke broken
brother brought brown bubble buddy bug bugs build bunny but butterfly buy by cake cakes called came can can't candy
car care careful carrot carrots cars cartoon castle cat catch chain chair chase chicken chickens clapped clean
cleaned climb climbed close closer closet cloth clothes cloud clouds clown clumsy coat cocoa coin coins cold collar
collect color colorful colors come coming confused continued cook cookie cookies cool could couldn't course crab
crane cream cried crown cry crying cube cup cupboard curious cute dad daddy dance dark day decided deep delicious
did didn't different dino dirty do dog doing doll don't done down dragon drank draw drawer drawing drawings dress
drink dropped drum dry duck ducks each eat ella ellie emily emma end even ever every everyone excited explore face
fairy family far farm farmer fast faster favorite feel fell felt field finally find finding finished fish fix fixed
flew floor flower flowers fluffy flute fly flying food foot for forest forgot found fox fred friend friends frog
from fruit fun funny game garden gave get girl give glad go going good got grandma grass grateful great green ground
had hand hands happened happily happy hard hat have having he head hear heard heavy hello help helped helping her
herself hi high hill him himself his hold hole home hop hoped horse hospital hot house how hug huge hugged hungry
hurt i i'll i'm ice idea if important impressive in inside into is it it's its jack jane jane's jar jeep jewel jimmy
job joe joe's john john's join jug juice juicy jump jumped jungle just keep kept kind kitchen knew know lady lake
landed late laughed laundry lawn lawyer learn learned leave leaves leo let let's letter like liked lila lily lily's
listen little lived lonely long look looked looking lost lot lots loud love loved lucy lucy's machine made magic
mailbox make man many market max max's maybe me mean meet mess messy mia mia's might mine molly molly's mom moment
mommy money monkey monster moral more mouse move mr much mud mushroom music must my mysterious name named nap need
needed new next nice nina no nodded noise not now of oh ok okay old ollie on one open opened orange other others our
out outside over owl owner pan pants paper park party patient people pepper persistent piano pick picked picnic
picture pictures piece pieces pig pigeon pigs pile pink pizza place plan play played playing please pocket polite
polly pond present pretend pretty princess promised protect proud puddle puddles pull pulled push pushed put puzzle
rabbit race rain rainbow ran reach read ready real realized really red reliable remember remembered remy replied
rest ride right robot rock rocket rocks room round run sad safe said sam sammy sand sara sarah sat saw say says
scared scarf scary scooter screamed screen screw screws searched seat secret see seeds seek shake shape shapes share
shared sharing shark she shining shiny ship shirt shoe shoes shop shore should shouted show showed shy side sign
sing sister sit sitting sky sleep slid slide slipped slow small smart smile smiled snack snow snowman so some
something sometimes song sorry sound sounds soup spark sparkly special spin splash splashed spoon spot spots spring
squirrel stage started stay stick still stone stop stopped store story stranger strong stuck such suddenly sue sun
sunny sure surprise surprised swam sweet sweetie swim swing swings table tail take talk talked talking tall teddy
tell than thank thanked that that's the their them then there these they thing things this thought threw tim tim's
time timmy timmy's tired to together told tom tom's tommy too took top touch towards toy toys treasure treat tree
trees tried trip truck try tweety under unexpected until up use vase very village visit voice wait walk walked
walking want wanted wants was watch watched water way we welcome went were what what's when where while who why will
wind window wise wished with woods wore worry would wouldn't wow wrong yellow yes you you're your yummy zebra zipper
zoo zoom
""".split()  # noqa: SIM905  (one word after another is easier to read than 800 pairs of quotes)
)
"""Words that little stories use."""
