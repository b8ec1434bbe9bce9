"""The gallery, read lazily and checked, and every kind of photo a student may bring."""

import io
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from lecture_utils import images, models, store

MEBIBYTE = 2**20


# --- the gallery --------------------------------------------------------------------------------


def test_order_slices_and_labels_without_reading_a_pixel(monkeypatch) -> None:
    def no_reading(path: Path) -> bytes:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(store, "read", no_reading)
    gallery = images.gallery()
    assert len(gallery) == 1400
    assert gallery.labels == [label for label in sorted(images.CLASSES) for _ in range(100)]
    part = gallery[250:450:100]
    assert part.labels == ["cactus", "car"]
    assert [path.name for _, path in part.entries] == ["0050.jpg", "0050.jpg"]
    assert images.gallery(["mug", "car"]).labels == ["mug"] * 100 + ["car"] * 100
    assert len(images.gallery("snail")) == 100


def test_a_picture_is_the_file_it_names() -> None:
    picture = images.gallery("teddy")[-1]
    assert (picture.label, picture.path.name) == ("teddy", "0099.jpg")
    assert np.array_equal(picture.image, Image.open(picture.path).convert("RGB"))
    assert (picture.image.mode, picture.image.size) == ("RGB", (160, 160))
    assert (picture.mask.mode, picture.mask.size) == ("L", (160, 160))


def test_an_unknown_class_lists_all() -> None:
    with pytest.raises(ValueError, match=r"'dog'.*balloon.*teddy"):
        images.gallery(["car", "dog"])


def test_missing_truncated_and_altered_files_are_named(monkeypatch, tmp_path) -> None:
    folder = tmp_path / "miniatures" / "gallery" / "fish"
    folder.mkdir(parents=True)
    shutil.copy(store.DATA / "SHA256SUMS", tmp_path)
    for file in (store.DATA / "miniatures" / "gallery" / "fish").glob("000[0-3]*"):
        shutil.copy(file, folder)
    monkeypatch.setattr(store, "DATA", tmp_path)
    monkeypatch.setattr(images, "MINIATURES", tmp_path / "miniatures")
    fish = images.gallery("fish")
    assert fish[3].label == "fish"

    (folder / "0000.jpg").unlink()
    truncated = folder / "0001_mask.png"
    truncated.write_bytes(truncated.read_bytes()[:-10])
    altered = bytearray((folder / "0002.jpg").read_bytes())
    altered[-20] ^= 1
    (folder / "0002.jpg").write_bytes(altered)
    for number, name in enumerate(["0000.jpg", "0001_mask.png", "0002.jpg"]):
        with pytest.raises(store.DataError, match=f"fish/{name}.*git checkout"):
            fish[number]
    assert "miniatures/gallery/fish/0001_mask.png" in store.damaged()


# --- fingerprints of pictures -------------------------------------------------------------------


def plain(size=(8, 6)) -> images.Picture:
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    mask = Image.new("L", size, 9)
    return images.Picture(Image.fromarray(pixels), "mug", mask, Path("a.png"))


def palette(first: tuple[int, ...], transparency: int | None = None) -> Image.Image:
    image = Image.new("P", (6, 6), 0)
    image.putpalette([*first, 9, 9, 9])
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def test_the_fingerprint_of_a_list_covers_pixels_labels_masks_and_palettes() -> None:
    picture = plain()
    changed = picture.image.copy()
    changed.putpixel((7, 5), (0, 0, 0))
    other_mask = picture.mask.copy()
    other_mask.putpixel((0, 0), 10)
    lists = [
        [],
        [picture],
        [picture, picture],
        [replace(picture, image=changed)],
        [replace(picture, image=picture.image.convert("L"))],
        [replace(picture, label="teapot")],
        [replace(picture, mask=other_mask)],
        [replace(picture, mask=None)],
        [picture.image],
        [palette((1, 2, 3))],
        [palette((1, 2, 4))],
        [palette((1, 2, 3), transparency=0)],
        [palette((1, 2, 3), transparency=1)],
    ]
    prints = [images.fingerprint(pictures) for pictures in lists]
    assert None not in prints and len(set(prints)) == len(lists)
    copied = replace(picture, image=picture.image.copy(), mask=picture.mask.copy())
    assert images.fingerprint([copied]) == images.fingerprint([picture])


def test_the_fingerprint_of_a_gallery_covers_order_labels_and_files(tmp_path, monkeypatch) -> None:
    gallery = images.gallery()[:3]
    renamed = images.Gallery([("mug", path) for _, path in gallery.entries])
    photos = []
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (5, 5), colour).save(tmp_path / name)
        photos.append(images.Gallery([("", tmp_path / name)]))
    lists = [gallery, gallery[::-1], gallery[:2], renamed, *photos]
    monkeypatch.setattr(store, "read", lambda path: pytest.fail(f"{path} was read"))
    prints = [images.fingerprint(pictures) for pictures in lists]
    assert None not in prints and len(set(prints)) == len(lists)


# --- photos of one's own ------------------------------------------------------------------------


def opened(image: Image.Image, path: Path, **options) -> np.ndarray:
    """Save and open again; every photo that opens must also pass through the network."""
    image.save(path, **options)
    photo = images.open_photo(path)
    assert photo.mode == "RGB"
    assert abs(sum(p for _, p in models.load().predict(photo, k=14)) - 1) < 1e-4
    return np.asarray(photo)


def test_greyscale(tmp_path) -> None:
    assert (opened(Image.new("L", (30, 20), 77), tmp_path / "a.png") == 77).all()


def test_cmyk(tmp_path) -> None:
    red = Image.new("CMYK", (30, 20), (0, 255, 255, 0))
    found = opened(red, tmp_path / "a.jpg", quality=95)
    assert np.abs(found.astype(int) - [255, 0, 0]).max() < 12


def test_palette_with_transparency_lies_on_white(tmp_path) -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.paste(1, (10, 0, 20, 20))
    found = opened(image, tmp_path / "a.png", transparency=0)
    assert (found[:, :10] == 255).all() and (found[:, 10:] == [200, 0, 0]).all()


def test_half_transparent(tmp_path) -> None:
    found = opened(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), tmp_path / "a.png")
    assert np.abs(found.astype(int) - 127).max() <= 1


def test_sixteen_bits(tmp_path) -> None:
    levels = np.array([[0, 257 * 100, 65535]], np.uint16).repeat(4, 0)
    found = opened(Image.fromarray(levels), tmp_path / "a.png")
    assert found[0, :, 0].tolist() == [0, 100, 255]


def avif():
    reason = "this Pillow reads no AVIF"
    return pytest.param(
        "a.avif", marks=pytest.mark.skipif(not features.check("avif"), reason=reason)
    )


@pytest.mark.parametrize("name", ["a.heic", avif()])
def test_formats_of_telephones(tmp_path, name) -> None:
    down, across = np.mgrid[0:40, 0:60]
    pixels = np.stack([4 * across, 6 * down, 200 - 3 * across], -1).astype(np.uint8)
    found = opened(Image.fromarray(pixels), tmp_path / name, quality=95)
    assert found.shape == pixels.shape
    assert np.abs(found.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("name", ["a.jpg", "a.heic", avif()])
@pytest.mark.parametrize(("mark", "white"), [(1, "left"), (3, "right"), (6, "above"), (8, "below")])
def test_turned_upright_by_its_mark(tmp_path, name, mark, white) -> None:
    image = Image.new("RGB", (64, 32))
    image.paste((255, 255, 255), (0, 0, 32, 32))  # white on the left, as the sensor sees it
    exif = Image.Exif()
    exif[0x0112] = mark  # 6: the camera was turned, show it a quarter turn clockwise
    # a HEIC file says it twice, once for its decoder and once in its EXIF: it is turned once
    found = opened(image, tmp_path / name, exif=exif.tobytes(), quality=95)
    if white in ("above", "below"):
        assert found.shape == (64, 32, 3)
        found = found.transpose(1, 0, 2)
    found = found if white in ("left", "above") else found[:, ::-1]
    assert found.shape == (32, 64, 3)
    assert found[:, :28].min() > 240 and found[:, 36:].max() < 15


def test_a_large_photo_in_heic_is_upright_and_reduced(tmp_path) -> None:
    image = Image.linear_gradient("L").resize((2400, 1200)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    found = opened(image, tmp_path / "a.heic", exif=exif.tobytes())
    assert found.shape == (2048, 1024, 3)
    assert found[:, :50].mean() > 200 and found[:, -50:].mean() < 50  # what was below is now left


def test_bytes_and_open_files_are_photos_too(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for suffix, exact in ((".png", True), (".heic", False)):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(noise).save(path)
        expected = np.asarray(images.open_photo(path))
        assert not exact or (expected == noise).all()
        content = path.read_bytes()
        for source in (str(path), content, bytearray(content), memoryview(content)):
            assert (np.asarray(images.open_photo(source)) == expected).all()
        with open(path, "rb") as file:
            for _ in range(2):  # it was read before, and it stays open
                assert (np.asarray(images.open_photo(file)) == expected).all()
        assert (np.asarray(images.open_photo(io.BytesIO(content))) == expected).all()


def test_animation_gives_its_first_frame(tmp_path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    found = opened(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (found == [255, 0, 0]).all()


def test_one_pixel(tmp_path) -> None:
    assert opened(Image.new("RGB", (1, 1), (9, 8, 7)), tmp_path / "a.png").tolist() == [[[9, 8, 7]]]


def test_fifty_megapixels_within_bounded_memory(tmp_path, unix) -> None:
    Image.new("RGB", (10_000, 5_000), (90, 60, 30)).save(tmp_path / "a.png", compress_level=1)
    code = (
        "import resource, sys\n"
        "from lecture_utils import images\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "photo = images.open_photo(sys.argv[1])\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(*photo.size, *photo.getpixel((9, 9)), grown)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert out[:5] == ["2048", "1024", "90", "60", "30"]
    unit = 1024 if sys.platform != "darwin" else 1
    assert int(out[5]) * unit < 500 * MEBIBYTE  # decoded it has 143 MiB


def test_more_pixels_than_memory_is_refused(tmp_path) -> None:
    for name, size in {"large.png": (13_000, 12_000), "bomb.png": (20_000, 20_000)}.items():
        Image.new("1", size).save(tmp_path / name)
        with pytest.raises(images.PhotoError, match="reduce it"):
            images.open_photo(tmp_path / name)


def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path) -> None:
    Image.effect_noise((300, 300), 80).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:5000])
    Image.effect_noise((300, 300), 80).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:5000])
    (tmp_path / "letter.jpg").write_text("Dear network, what do you see?", encoding="utf-8")
    (tmp_path / "empty.png").touch()
    cases = {
        "cut.jpg": "damaged",
        "cut.png": "damaged",
        "letter.jpg": "no picture",
        "empty.png": "no picture",
        "nothing.jpg": "no file",
        "cut.heic": "damaged",
        "": "folder",
    }
    Image.effect_noise((300, 300), 80).convert("RGB").save(tmp_path / "whole.heic")
    (tmp_path / "cut.heic").write_bytes((tmp_path / "whole.heic").read_bytes()[:5000])
    for name, words in cases.items():
        with pytest.raises(images.PhotoError, match=words) as caught:
            images.open_photo(tmp_path / name)
        assert "\n" not in str(caught.value)
    for nothing in (None, ""):
        with pytest.raises(images.PhotoError, match=r"a file's name, its bytes.*, not nothing"):
            images.open_photo(nothing)
    with open(tmp_path / "letter.jpg", encoding="utf-8") as text:
        for other in (5, np.zeros((4, 4, 3)), text):
            with pytest.raises(images.PhotoError, match=f"not {type(other).__name__}"):
                images.open_photo(other)
    for content in (b"", b"Dear network"):
        with pytest.raises(images.PhotoError, match="this file is no picture"):
            images.open_photo(content)
    with pytest.raises(images.PhotoError, match="save the picture to a file"):
        images.open_photo("https://example.org/cat.jpg")


def test_a_folder_of_photos(tmp_path) -> None:
    for name in ("b.png", "a.JPG", "c.HEIC", "notes.txt"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture", encoding="utf-8")
        else:
            Image.new("RGB", (5, 5), "red").save(tmp_path / name)
    found = images.folder(tmp_path)
    assert [picture.path.name for picture in found] == ["a.JPG", "b.png", "c.HEIC"]
    assert found[0].mask is None
    for wrong in (tmp_path / "a.JPG", tmp_path.parent / "not there"):
        with pytest.raises(images.PhotoError, match="no folder"):
            images.folder(wrong)
