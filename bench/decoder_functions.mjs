// What bench/decoders.py runs in Node; as decoder_functions.py.
//     node decoder_functions.mjs sharp|jpeg_js|sharp_lanczos3|sharp_linear FOLDER COUNT SIZE
import { readFileSync, writeFileSync } from "node:fs";

const [name, folder, count, size] = process.argv.slice(2);

async function pixels(number) {
  const file = `${folder}/${number}`;
  if (name === "jpeg_js") {
    const { default: jpeg } = await import("jpeg-js");
    return jpeg.decode(readFileSync(`${file}.jpg`), { useTArray: true, formatAsRGBA: false }).data;
  }
  const { default: sharp } = await import("sharp");
  if (name === "sharp") return sharp(`${file}.jpg`, { ignoreIcc: true }).toColourspace("srgb").raw().toBuffer();
  const { width, height } = JSON.parse(readFileSync(`${file}.json`));
  const image = sharp(readFileSync(`${file}.rgb`), { raw: { width, height, channels: 3 } });
  return image.resize(Number(size), Number(size), { fit: "fill", kernel: name.replace("sharp_", "") }).raw().toBuffer();
}

for (let number = 0; number < count; number++) writeFileSync(`${folder}/${number}.${name}`, await pixels(number));
