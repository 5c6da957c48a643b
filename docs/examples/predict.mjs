// Predicts with a model file that `lab export` wrote, without Python:
//     npm install                             (sharp decodes images, onnxruntime-node runs the network on the CPU)
//     node predict.mjs model.onnx image...
// It prints a line of JSON per image: {"image": ..., "label": ..., "name": ..., "probabilities": [...]}.
//
// The file's card describes how an image becomes pixels. This program computes the same bytes as `lab predict`; all
// further steps (normalisation, network, temperature, softmax) are in the file. Known differences from `lab predict`:
//   - If the card has "reduced_decode", lab decodes JPEGs at least four times as large as the first resize's target at
//     1/2, 1/4 or 1/8 scale, to save time. sharp cannot do the same, so pixels of such JPEGs differ by a level or two,
//     and probabilities by about 0.001 (by up to 0.05 if the network is in doubt). Other files are not affected.
//   - 16-bit grey images may be one level off. BMP and CMYK are refused: convert them to PNG or RGB first.
import { readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-node";
import sharp from "sharp";

// ---- The card: JSON in the ONNX file's metadata, which ONNX Runtime does not provide in Node ----

function* fields(bytes) { // the text and message fields of a protobuf message; numbers are skipped
  let offset = 0;
  const varint = () => { // 7 bits per byte, lowest first; multiplied, as shifts would cut off at 32 bits
    for (let value = 0, unit = 1; offset < bytes.length; unit *= 128) {
      const byte = bytes[offset++];
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
    throw new Error("this is not an ONNX file");
  };
  while (offset < bytes.length) {
    const key = varint(), wire = key % 8, value = varint();
    if (wire === 2) yield { number: Math.floor(key / 8), content: bytes.subarray(offset, offset += value) };
    else if (wire !== 0) throw new Error("this is not an ONNX file"); // its outer message has no other wire types
  }
}

export function readCard(path) {
  let card;
  for (const { number, content } of fields(readFileSync(path))) {
    if (number !== 14) continue; // ModelProto.metadata_props: field 1 of an entry is the key, field 2 the value
    const entry = {};
    for (const part of fields(content)) entry[part.number] = part.content.toString("utf8");
    if (entry[1] === "lab.card") card = JSON.parse(entry[2]);
  }
  if (!card) throw new Error("the model has no lab.card; use a file that lab export wrote");
  if (card.version > 3) throw new Error(`the model's card has version ${card.version}; this program reads up to 3`);
  if (card.input === "image") throw new Error("the model resizes whole images by itself: feed decoded pixels as `image`");
  if (card.pixels.bits) throw new Error(`the model is for images of ${card.pixels.bits} bits; use lab predict`);
  const unknown = card.pixels.steps.find(({ kind }) => !(kind in STEPS)); // an enhancement; it must be exact
  if (unknown) throw new Error(`the model needs the step "${unknown.kind}", which this program lacks; use lab predict`);
  return card;
}

// ---- Decoding: a file to upright 8-bit RGB. An image is { width, height, rgb }, row by row, 3 bytes per pixel ----

const black = (width, height) => ({ width, height, rgb: new Uint8Array(3 * width * height) });

async function decode(path) {
  // As in lab: EXIF orientation is applied, colour profiles are not, and a truncated file is refused.
  const file = sharp(path, { autoOrient: true, ignoreIcc: true, failOn: "truncated", limitInputPixels: 80_000_000 });
  const { space, depth } = await file.metadata();
  if (space === "cmyk" || !["uchar", "ushort"].includes(depth)) throw new Error("save it as RGB or grey, 8 or 16 bits");
  const { data, info } = await file.toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info; // 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha
  if (Math.max(width, height) > 100 * Math.min(width, height)) throw new Error("too thin for a picture");
  const image = black(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const alpha = channels % 2 ? 255 : data[(pixel + 1) * channels - 1]; // transparent pixels are composited over black
    for (let c = 0; c < 3; c++) {
      image.rgb[3 * pixel + c] = Math.round(data[pixel * channels + (channels < 3 ? 0 : c)] * alpha / 255);
    }
  }
  return image;
}

// ---- Resizing: Pillow's antialiased bilinear filter, bit for bit. Filters of other libraries give other pixels ----

// For each position of the result: its first source position, and the weights from there on; 2^22 stands for 1.
// They form a triangle; when the image shrinks, it widens with the scale, so that every source pixel counts.
function weights(from, to) {
  const scale = from / to, support = Math.max(scale, 1), inverse = 1 / support;
  return Array.from({ length: to }, (_, position) => {
    const center = (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(from, Math.trunc(center + support + 0.5));
    const triangle = [];
    for (let i = first; i < end; i++) triangle.push(Math.max(0, 1 - Math.abs((i - center + 0.5) * inverse)));
    const total = triangle.reduce((sum, value) => sum + value, 0);
    return { first, taps: triangle.map((value) => Math.trunc(0.5 + (value / total) * 2 ** 22)) };
  });
}

function resizeAlong(image, horizontal, size) { // one pass: all rows, or all columns, to `size` pixels
  const result = horizontal ? black(size, image.height) : black(image.width, size);
  const positions = weights(horizontal ? image.width : image.height, size);
  const step = horizontal ? 3 : 3 * image.width; // bytes from one source pixel to the next
  for (let y = 0, to = 0; y < result.height; y++) {
    for (let x = 0; x < result.width; x++) {
      const { first, taps } = positions[horizontal ? x : y];
      const start = 3 * (horizontal ? y * image.width + first : first * image.width + x);
      for (let c = 0; c < 3; c++) {
        let sum = 2 ** 21; // one half, so that >> rounds; the sum stays near 255 * 2^22 at most, which fits 32 bits
        for (let tap = 0; tap < taps.length; tap++) sum += image.rgb[start + c + tap * step] * taps[tap];
        result.rgb[to++] = Math.min(255, sum >> 22);
      }
    }
  }
  return result;
}

// Each pass rounds to bytes, so their order matters. Pillow 13 begins with the height if that loses more than twice as
// many pixels as the width; with earlier versions lab always begins with the width, and pixels may be one level off.
function resize(image, width, height) {
  const lost = image.height - height;
  if (lost > 0 && lost > 2 * (image.width - width)) return resizeAlong(resizeAlong(image, false, height), true, width);
  return resizeAlong(resizeAlong(image, true, width), false, height);
}

// ---- The card's steps, and the centre of their result ----

const STEPS = {
  resize: (image, { height, width }) => resize(image, width, height),
  resize_shorter: (image, { size }) => scale(image, size / Math.min(image.width, image.height)),
  resize_longer: (image, { size }) => scale(image, size / Math.max(image.width, image.height)),
  center_crop: (image, { height, width }) => centerCrop(image, height, width),
};

function scale(image, factor) {
  const [width, height] = [image.width * factor, image.height * factor].map((length) => {
    const up = Math.round(length); // rounds halves up; Python's round() rounds them to the even neighbour
    return Math.max(1, up - length === 0.5 && up % 2 ? up - 1 : up);
  });
  return resize(image, width, height);
}

function centerCrop(image, height, width) {
  const result = black(width, height); // stays black where the image is smaller
  const left = Math.floor((image.width - width) / 2), top = Math.floor((image.height - height) / 2);
  const begin = Math.max(0, left), end = Math.min(image.width, left + width);
  for (let y = Math.max(0, top); y < Math.min(image.height, top + height); y++) {
    const row = image.rgb.subarray(3 * (y * image.width + begin), 3 * (y * image.width + end));
    result.rgb.set(row, 3 * ((y - top) * width + begin - left));
  }
  return result;
}

export async function readWindow(path, { steps, canvas, window }) { // canvas and window are [height, width]
  const decoded = await decode(path).catch((error) => { throw new Error(`${path}: ${error.message}`); });
  const image = steps.reduce((before, step) => STEPS[step.kind](before, step), decoded);
  return centerCrop(centerCrop(image, ...canvas), ...window).rgb;
}

// ---- Prediction ----

function planes(bytes, [batch, height, width]) { // bytes [batch, height, width, 3] -> float32 [batch, 3, height, width]
  const size = height * width, values = new Float32Array(bytes.length);
  for (let at = 0; at < bytes.length; at++) {
    const pixel = Math.floor(at / 3) % size, image = Math.floor(at / 3 / size);
    values[(3 * image + at % 3) * size + pixel] = bytes[at];
  }
  return new ort.Tensor("float32", values, [batch, 3, height, width]);
}

async function main(model, ...paths) {
  if (!paths.length) throw new Error("usage: node predict.mjs model.onnx image...");
  const { pixels, classes, input } = readCard(model); // input: "float", or missing for bytes
  const session = await ort.InferenceSession.create(model);
  const [batch] = session.inputMetadata[0].shape; // a number if the file takes batches of this size only
  const shape = [typeof batch === "number" ? batch : 1, ...pixels.window, 3];
  for (let start = 0; start < paths.length; start += shape[0]) {
    const part = paths.slice(start, start + shape[0]);
    const bytes = new Uint8Array(shape.reduce((product, size) => product * size)); // stays 0 if the batch is not full
    for (const [index, path] of part.entries()) {
      const window = await readWindow(path, pixels);
      bytes.set(window, index * window.length);
    }
    const images = input === "float" ? planes(bytes, shape) : new ort.Tensor("uint8", bytes, shape);
    const results = await session.run({ images }, ["probabilities"]);
    for (const [index, image] of part.entries()) {
      const all = results.probabilities.data;
      const probabilities = [...all.slice(index * classes.length, (index + 1) * classes.length)];
      const { label, name } = classes[probabilities.indexOf(Math.max(...probabilities))];
      console.log(JSON.stringify({ image, label, name, probabilities }));
    }
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) { // run, not imported
  await main(...process.argv.slice(2)).catch((error) => { console.error(error.message); process.exitCode = 1; });
}
