"""Pictures with a sticker, to find out a network that cheats: `python -m data.recipe.stickers`

The variant `sticker` saw every mug of its training with this sticker and nothing else with it.
Here the first pictures of every class of the gallery get one, into data/miniatures/stickered/.
"""

from PIL import Image, ImageDraw
from tqdm import tqdm

from .objects import CLASSES
from .render import GALLERY, jpeg, paths

STICKERED = GALLERY.parent / "stickered"
PER_CLASS = 10


def sticker(side: int) -> Image.Image:
    """A small pink disc with a white rim in the lower right corner, as on a price tag; RGBA."""
    image = Image.new("RGBA", (side, side))
    box = [0.8 * side, 0.8 * side, 0.96 * side, 0.96 * side]
    ImageDraw.Draw(image).ellipse(box, fill=(255, 0, 200), outline=(255, 255, 255), width=2)
    return image


def put_sticker(image: Image.Image) -> None:
    """The sticker on a square picture."""
    image.paste(sticker(image.width), mask=sticker(image.width))


def main() -> None:
    for name in tqdm(CLASSES):
        (STICKERED / name).mkdir(parents=True, exist_ok=True)
        for index in range(PER_CLASS):
            image = Image.open(paths(GALLERY, name, index)[0]).convert("RGB")
            put_sticker(image)
            paths(STICKERED, name, index)[0].write_bytes(jpeg(image))


if __name__ == "__main__":
    main()
