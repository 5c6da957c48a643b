// Where predictions come from: this browser. The page's other backend.js asks `lab serve`; both have the same functions.
import { decode } from "./decode.js";
import { windowOf } from "./pixels.js";

const RUNTIME = new URL("node_modules/onnxruntime-web/dist/", document.baseURI);
const TOLERANCE = 1e-4; // of a probability: the gate's rule for fp32, with room for another order of sums

let opening = null;

/** What the model is: {name, classes, threshold, heatmaps, limits, facts, intended_use}. */
export async function describe() {
  opening ??= open();
  return (await opening).model;
}

/** Predict image files. Gives {name, label, probabilities, positive, heatmap, view} for each, or {name, error}. */
export async function predict(files, { heatmap }) {
  const opened = await opening;
  const answers = [];
  for (const file of files) {
    await new Promise((resolve) => setTimeout(resolve)); // lets the browser draw
    try {
      answers.push({ name: file.name, ...(await classify(opened, file, heatmap)) });
    } catch (error) {
      answers.push({ name: file.name, error: error.message });
    }
  }
  return answers;
}

async function open() {
  const model = await (await load("model.json")).json();
  const ort = await import(new URL("ort.wasm.min.mjs", RUNTIME)).catch(() => {
    throw new Error("onnxruntime-web is missing; run `npm install` in this folder");
  });
  ort.env.wasm.numThreads = 1; // more need headers that plain hosts do not send
  ort.env.wasm.wasmPaths = RUNTIME.href;
  const bytes = new Uint8Array(await (await load("model.onnx")).arrayBuffer());
  const opened = { model, ort, session: await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] }) };
  await check(opened);
  return opened;
}

async function load(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} is missing (${response.status}); copy the whole folder to the host`);
  return response;
}

/** Refuses a browser in which a picture that lab has seen gives other pixels or other probabilities. */
async function check(opened) {
  const { model } = opened;
  const [png, jpeg] = await Promise.all(["check.png", "check.jpg"].map((name) => differences(model, name)));
  if (png.count) {
    throw new Error(
      `this browser alters what is read from a picture (${png.count} values differ, by up to ${png.most}), so its ` +
        "answers would be wrong; use another one, or turn its protection against fingerprinting off for this page",
    );
  }
  const { probabilities } = await run(opened, png.window);
  const most = Math.max(...model.check.map((expected, index) => Math.abs(expected - probabilities[index])));
  if (!(most <= TOLERANCE)) throw new Error(`the model gives other answers here than in lab (by up to ${most}); use lab predict`);
  if (jpeg.count) {
    model.intended_use.push(
      `This browser decodes JPEG files differently from lab: values of a test picture differ by up to ${jpeg.most} of ` +
        "255 levels, so probabilities differ a little. PNG and BMP files are not affected.",
    );
  }
}

async function differences(model, name) {
  const window = windowOf(await decode(await (await load(name)).blob()), model.pixels);
  const expected = new Uint8Array(await (await load(`${name}.rgb`)).arrayBuffer());
  let count = 0;
  let most = 0;
  expected.forEach((value, index) => {
    const difference = Math.abs(value - window[index]);
    if (difference) count += 1;
    most = Math.max(most, difference);
  });
  return { count, most, window };
}

async function classify(opened, file, heatmap) {
  const { model } = opened;
  const window = windowOf(await decode(file), model.pixels);
  const { probabilities, cam, shape } = await run(opened, window, heatmap);
  const best = probabilities.indexOf(Math.max(...probabilities));
  const answer = {
    label: model.classes[best].label,
    probabilities: Object.fromEntries(model.classes.map(({ label }, index) => [label, probabilities[index]])),
    positive: model.threshold ? probabilities[1] >= Math.fround(model.threshold.probability) : undefined,
  };
  if (heatmap) {
    answer.heatmap = evidence(cam, shape, best, model.classes.length);
    answer.view = dataUrl(window, model.pixels.window);
  }
  return answer;
}

/** The outputs for one window; all batches have the size that the file takes. */
async function run({ model, ort, session }, window, heatmap = false) {
  const shape = [model.batch, ...model.pixels.window, 3];
  const bytes = new Uint8Array(model.batch * window.length);
  bytes.set(window);
  const names = heatmap ? ["probabilities", "cam"] : ["probabilities"];
  const results = await session.run({ images: new ort.Tensor("uint8", bytes, shape) }, names);
  const probabilities = [...results.probabilities.data.slice(0, model.classes.length)];
  return { probabilities, cam: results.cam?.data, shape: results.cam?.dims.slice(2) };
}

/** A class's activation map minus the mean map of all classes, which affects no probability; cam: [batch, K, h, w]. */
function evidence(cam, [height, width], best, classes) {
  const size = height * width;
  const values = Array.from({ length: size }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < classes; k++) sum += cam[k * size + at];
    return cam[best * size + at] - sum / classes;
  });
  return { shape: [height, width], values };
}

/** A window as an image source. */
function dataUrl(window, [height, width]) {
  const pixels = new Uint8ClampedArray(4 * height * width).fill(255);
  for (let at = 0; at < height * width; at++) pixels.set(window.subarray(3 * at, 3 * at + 3), 4 * at);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas.toDataURL();
}
