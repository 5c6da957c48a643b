"""What bench/decoders.py runs in Chromium: decodes k.jpg with a canvas, or resizes it; writes k.NAME, RGB.

python decoder_browser.py chromium|chromium_low|chromium_medium|chromium_high FOLDER COUNT SIZE
"""

import sys
from pathlib import Path

from consumer_browser import last_word

PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
const send = (path, body) => fetch(path, { method: "POST", body });
const rgb = (rgba) => rgba.filter((_, index) => index % 4 !== 3);
try {
  for (let number = 0; number < COUNT; number++) {
    const file = await (await fetch(`/pictures/${number}.jpg`)).blob();
    const image = await createImageBitmap(file, { colorSpaceConversion: "none" });
    const [width, height] = "QUALITY" ? [SIZE, SIZE] : [image.width, image.height];
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if ("QUALITY") context.imageSmoothingQuality = "QUALITY";
    context.drawImage(image, 0, 0, width, height);
    await send(`/pictures/${number}.NAME`, rgb(context.getImageData(0, 0, width, height).data));
  }
  await send("/end", "");
} catch (error) { await send("/end", String(error.message ?? error)); }
</script>"""


def main(name: str, folder: str, count: str, size: str) -> str:
    """Why the page failed; "" if it did not."""
    page = PAGE.replace("COUNT", count).replace("SIZE", size)
    return last_word(page.replace("QUALITY", name.partition("_")[2]).replace("NAME", name), {"pictures": Path(folder)})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or None)
