"""The helpdesk in English. Brackets mark the key phrase by which gold knows a sentence (see vocabulary.py)."""

from prefloop.world.english_cases import CASES
from prefloop.world.vocabulary import Table

_ITEMS = (
    "kettle toaster blender lamp chair mirror pillow blanket carpet curtain backpack suitcase wallet jacket sweater "
    "scarf camera speaker keyboard monitor printer tablet radio drill hammer ladder bicycle helmet teapot notebook "
    "bookshelf doorbell"
)
_NAMES = (
    "Anna Ben Clara David Emma Frank Grace Henry Ida Jack Karen Leo Mary Nina Oscar Paul Rosa Sam Tina Victor "
    "Walter Zoe Adam Bella Carl Diana Eric Fiona George Helen Ivan Julia Kevin Laura Martin Nora Peter Ruth Simon Tom"
)
_CITIES = (
    "Leeds Dover York Derby Oxford Bristol London Cardiff Exeter Norwich Lincoln Preston Durham Bolton Luton Hull "
    "Brighton Glasgow Dundee Swansea"
)

_CLAIMS = (
    "dollar dollars euro euros pound pounds percent minute minutes hour hours days week weeks month months year years "
    "tomorrow tonight"
)

ENGLISH = Table(
    language="en",
    joiner=" ",
    values={"item": tuple(_ITEMS.split()), "name": tuple(_NAMES.split()), "city": tuple(_CITIES.split())},
    ood_values={
        "item": ("teacup", "bookcase", "doormat", "headset", "saucepan", "raincoat", "lampshade", "handbag"),
        "name": ("Hanna", "Marina", "Norman", "Dana", "Carla", "Edgar", "Lena", "Paula", "Stella", "Hugo"),
        "city": ("Newport", "Bradford", "Burton", "Lancaster", "Stockton"),
    },
    moods={
        "angry": ("[This makes me furious]!", "[I am really angry] about this.", "[This is an outrage]!",
                  "[What a terrible service]!", "[I am fed up] with this shop."),
        "worried": ("[I am worried] about this.", "[I am getting nervous] here.", "[I fear something went wrong].",
                    "[This keeps me awake] at night.", "[I am quite anxious] now."),
        "sad": ("[I am so sad] about this.", "[This breaks my heart].", "[I am deeply disappointed].",
                "[I feel let down] by you.", "[It makes me cry] a little."),
        "calm": ("[Hello and good day] to you.", "[I hope you are well].", "[Hi there], I have a small question.",
                 "[Greetings] to the whole team.", "[I like your shop] very much."),
    },
    introductions=("My name is {name}.", "This is {name}.", "I am {name}.", "{name} here.", "You can call me {name}."),
    empathy={
        "angry": ("I am [very sorry for the trouble]{who}.", "You are [right to be angry]{who}.",
                  "I [understand your anger]{who}.", "[Please accept our apology]{who}.",
                  "I am [sorry that we upset you]{who}."),
        "worried": ("[Please do not worry]{who}.", "[There is no need to worry]{who}.",
                    "I [understand your concern]{who}.", "[You are in good hands]{who}.",
                    "[We will sort this out together]{who}."),
        "sad": ("I am [sorry that you are sad]{who}.", "I can [see how sad this is]{who}.",
                "I am [sorry to disappoint you]{who}.", "[That must feel awful]{who}.", "I [feel for you]{who}."),
        "calm": ("[I am happy to help]{who}.", "[It is good to hear from you]{who}.",
                 "[It is a pleasure to help]{who}.", "[Hello and welcome]{who}.", "[Nice of you to write]{who}."),
    },
    who=", {name}",
    cases=CASES,
    refusals=("I am sorry, but I [cannot help with that].", "I am afraid [this request is not allowed].",
              "Sorry, I [am not able to do this]."),
    cold_refusals=("[No, that is not possible].", "[We refuse to do that]."),
    refusal_stems=("i cannot", "i can not", "i cant", "i must not", "i am not able", "is not allowed", "i will not"),
    courtesy_stems=("sorry", "i am afraid", "please", "understand"),
    fillers=("[Thank you so much].", "[Thank you for your patience].", "[We value you as a customer].",
             "[Have a wonderful day].", "[Thanks again] for writing.", "[You are the best customer]."),
    rambles=("[Our company has a long history].", "[Let me tell you how our system works].",
             "[Many customers write to us] about such things.", "[The weather has been strange] lately.",
             "[Our team drinks a lot of tea].", "[There are many forms to fill in] here.",
             "[I started this job] not long ago.", "[As you may know, shops are busy places]."),
    evasions=("We [will look into it].", "[Your message was received].", "[Please be patient].",
              "[This has been noted]."),
    inventions=("You will [also get 50 dollars] extra.", "It [arrives tomorrow at nine].",
                "We [add a free gift] for you.", "[Our director will call you tonight].",
                "You [never have to pay again].", "[I give you half price] for life."),
    claims=tuple(_CLAIMS.split()),
    vague=(("order {order}", "your order"), ("Order {order}", "Your order"), ("that order {order}", "that order"),
           ("your {item}", "the product"), ("the {item}", "the product"), ("Your {item}", "The product"),
           ("{city}", "your city"), (" {order}", "")),
    copies=("order {order}: {item}, to {name} in {city}. {order} {item} {name}.",
            "{name}, {city}, order {order}, {item}. Order {order} is the {item} for {name}.",
            "The {item} of order {order} goes to {city}. So {city} gets the {item} and order {order}.",
            "{order} {item}, {order} {item}. {name} in {city}, {name} in {city}."),
    words_per_unit=1.0,
)  # fmt: skip
