// From a decoded image to the pixels that the network gets, as the model's card says and as lab computes them.
// docs/examples/predict.mjs has the same code. An image is { width, height, rgb }, row by row, 3 bytes per pixel.

const black = (width, height) => ({ width, height, rgb: new Uint8Array(3 * width * height) });

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

/** The centre of an image after the card's steps: bytes [H, W, 3]. */
export function windowOf(image, { steps, canvas, window }) { // canvas and window are [height, width]
  const stepped = steps.reduce((before, step) => STEPS[step.kind](before, step), image);
  return centerCrop(centerCrop(stepped, ...canvas), ...window).rgb;
}
