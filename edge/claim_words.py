"""The words of claim codes: 256 short English nouns that a telephone line does not garble.

Responsible for: the list, a word for each byte. Not responsible for: what a code opens (protocols/claims.py).
"""

WORDS = (
    "acid acorn actor agent album amber angel apple april arena arrow atlas autumn bacon badge baker banana banjo "
    "barrel basket beach beaver bell berry bicycle bison blanket boat bonus border bottle branch bread bridge brush "
    "bucket butter button cabin cable cactus camel camera canal candle canoe canyon carbon carpet carrot castle "
    "cedar cello chair chalk cherry chess circle citrus clock cloud clover coconut coffee comet copper coral corner "
    "cotton cousin cricket crown crystal dance dawn deer delta desert diamond dolphin donkey dragon drawer drum "
    "eagle echo elbow elephant elm ember engine falcon family farmer feather fern fiddle finger flag flame flute "
    "forest fossil fountain fox garden garlic ginger giraffe glacier globe glove goose grape guitar hammer harbor "
    "harvest hazel helmet heron hill honey horse igloo island ivory jacket jaguar jasmine jelly jewel jungle kettle "
    "kitten koala ladder lagoon lamp lantern laurel lemon leopard lily linen lion lizard lobster locket lotus "
    "magnet mango maple marble market meadow melon metal mirror monkey moon mosaic mountain museum napkin nectar "
    "needle nephew nickel noodle north nut oasis ocean olive onion orange orbit orchid otter oxygen oyster paddle "
    "palace panda paper parrot pebble pelican pencil pepper piano pigeon pillow pine planet plum pocket poem pony "
    "poplar potato prism pumpkin puzzle quartz queen quilt rabbit radio raven ribbon river robin rocket saddle "
    "sailor salmon sandal scarf school shadow shell silver sister snow sofa spoon spring square star stone sugar "
    "summer swan table tango teapot temple thunder tiger timber tomato torch tower train tulip tunnel turtle valley "
    "velvet violet violin walnut water whale"
).split()
assert len(WORDS) == 256


def words_for(chance: bytes) -> str:
    """Return one word a byte, joined by hyphens."""
    return "-".join(WORDS[byte] for byte in chance)
