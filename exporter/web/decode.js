// Decodes image files with the browser: upright 8-bit RGB, over black, without colour profiles, as lab decodes them.
// Kinds of files of which a browser makes other pixels than lab are refused.

const MOST_PIXELS = 80_000_000;
const MOST_ASPECT = 100;
const REMEDY = "use lab predict for it";

/** { width, height, rgb } of an image file. */
export async function decode(file) {
  const problem = findProblem(new Uint8Array(await file.arrayBuffer()));
  if (problem) throw new Error(`${problem}; ${REMEDY}`);
  const bitmap = await createImageBitmap(file, {
    colorSpaceConversion: "none",
    imageOrientation: "from-image",
    premultiplyAlpha: "premultiply",
  }).catch(() => {
    throw new Error("the image cannot be decoded");
  });
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new Error(`${width} x ${height} pixels, more than 80 million`);
  if (Math.max(width, height) > MOST_ASPECT * Math.min(width, height)) {
    throw new Error(`${width} x ${height} pixels, too thin for a picture`);
  }
  return { width, height, rgb: rgbOf(bitmap) };
}

function rgbOf(bitmap) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.fillRect(0, 0, canvas.width, canvas.height); // black
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const rgb = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    rgb[to++] = data[from];
    rgb[to++] = data[from + 1];
    rgb[to++] = data[from + 2];
  }
  return rgb;
}

/** Why a browser would make other pixels of a file than lab, or null. */
function findProblem(bytes) {
  const starts = (...signature) => signature.every((value, index) => bytes[index] === value);
  if (starts(0x42, 0x4d)) return null; // BMP
  if (starts(0x89, 0x50, 0x4e, 0x47)) return bytes[24] > 8 ? `${bytes[24]} bits per channel are reduced otherwise here` : null;
  if (starts(0xff, 0xd8, 0xff)) return jpegProblem(bytes);
  return "this page reads PNG, BMP and JPEG files only";
}

function jpegProblem(bytes) {
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) { // a frame header
      if (bytes[at + 4] !== 8) return `${bytes[at + 4]} bits per channel are reduced otherwise here`;
      return bytes[at + 9] > 3 ? "a CMYK JPEG becomes other colours here" : null;
    }
    at += marker === 0xff ? 1 : 2 + bytes[at + 2] * 256 + bytes[at + 3];
  }
  return null;
}
