// The page: images are chosen or dropped, their predictions shown, listed and saved. Nothing is sent but to the backend.
import { describe, predict } from "./backend.js";

const BATCH = 16; // files in one request, or fewer: the answers come in while the rest is sent
const MOST_BARS = 12; // classes that are drawn; all of them are in the CSV
const SVG = "http://www.w3.org/2000/svg";
const element = (id) => document.getElementById(id);

let model = null;
let token = "";
let results = []; // {file, url, ...prediction}, in the order of the files
let chosen = -1;
let round = 0; // of files; "Clear" begins a new one, and answers of the last are dropped

async function start() {
  try {
    model = await describe(token);
  } catch (error) {
    return complain(error);
  }
  complain(null);
  element("token-form").hidden = model !== null;
  element("work").hidden = element("about").hidden = model === null;
  if (model === null) {
    if (token) complain(new Error("the token is wrong; ask whoever runs the server"));
    return element("token").focus();
  }
  showModel();
}

function showModel() {
  document.title = `Classify images: ${model.name}`;
  element("model").textContent = model.name;
  if (model.where) element("where").textContent = model.where;
  element("heatmap-option").hidden = !model.heatmaps;
  element("uses").replaceChildren(...model.intended_use.map((text) => make("li", text)));
  element("facts").replaceChildren(
    ...model.facts.map(({ name, value }) => {
      const row = document.createElement("tr");
      const head = make("th", name);
      head.scope = "row";
      row.append(head, make("td", value));
      return row;
    }),
  );
  const classes = model.classes.map((entry) => [className(entry), "number"]);
  const heads = [["image"], ["label"], ...classes, ...(model.threshold ? [["positive"]] : [])];
  element("head").replaceChildren(
    ...heads.map(([text, kind]) => {
      const head = make("th", text, kind);
      head.scope = "col";
      return head;
    }),
  );
  element("footer").textContent = model.lab ? `Served by lab ${model.lab}.` : "";
}

const className = ({ label, name }) => (label === name ? label : `${label} ${name}`);

function make(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function complain(error) {
  element("problem").hidden = error === null;
  element("problem").textContent = error === null ? "" : error.message;
}

async function add(files) {
  if (!files.length || model === null) return;
  complain(null);
  const mine = round;
  const first = results.length;
  const heatmap = model.heatmaps && element("heatmap").checked;
  for (const file of files) results.push({ file, name: file.name, url: URL.createObjectURL(file), waiting: true });
  element("results").hidden = false;
  drawRows();
  let done = 0;
  for (const part of parts(files)) {
    element("status").textContent = `${done} of ${files.length} images are classified …`;
    const answers = await predictSafely(part, heatmap);
    if (mine !== round) return;
    answers.forEach((answer, index) => {
      const at = first + done + index;
      results[at] = { ...results[at], ...answer, name: results[at].name, waiting: false };
      drawRow(at);
    });
    if (done === 0) choose(first);
    else if (chosen >= 0 && answers.some((_, index) => first + done + index === chosen)) choose(chosen);
    done += part.length;
  }
  const failed = results.slice(first, first + files.length).filter((item) => item.error).length;
  const bad = failed ? `, ${failed} of them could not be classified` : "";
  element("status").textContent = `${files.length} ${files.length === 1 ? "image" : "images"}${bad}.`;
}

/** The files in parts that the backend takes in one request. */
function parts(files) {
  const most = Math.min(BATCH, model.limits.images);
  const bytes = 0.9e6 * model.limits.megabytes;
  const found = [];
  let size = 0;
  for (const file of files) {
    if (!found.length || found.at(-1).length === most || size + file.size > bytes) {
      found.push([]);
      size = 0;
    }
    found.at(-1).push(file);
    size += file.size;
  }
  return found;
}

async function predictSafely(files, heatmap) {
  try {
    return await predict(files, { token, heatmap });
  } catch (error) {
    complain(error);
    return files.map((file) => ({ name: file.name, error: error.message }));
  }
}

function drawRows() {
  element("rows").replaceChildren(...results.map(() => document.createElement("tr")));
  results.forEach((_, index) => drawRow(index));
}

function drawRow(index) {
  const item = results[index];
  const row = element("rows").rows[index];
  const head = document.createElement("th");
  head.scope = "row";
  const button = make("button", item.name);
  button.type = "button";
  button.addEventListener("click", () => choose(index, true));
  head.append(button);
  const cells = [head];
  const width = model.classes.length + 1 + (model.threshold ? 1 : 0);
  if (item.waiting || item.error) {
    const cell = make("td", item.error || "…", "failed");
    cell.colSpan = width;
    cells.push(cell);
  } else {
    cells.push(make("td", nameOf(item.label)));
    for (const { label } of model.classes) cells.push(make("td", percent(item.probabilities[label]), "number"));
    if (model.threshold) cells.push(make("td", item.positive ? "yes" : "no"));
  }
  row.replaceChildren(...cells);
  row.setAttribute("aria-selected", String(index === chosen));
}

const nameOf = (label) => className(model.classes.find((item) => item.label === label) || { label, name: label });
const percent = (value) => `${(100 * value).toFixed(1)}%`;

function choose(index, byUser = false) {
  chosen = index;
  [...element("rows").rows].forEach((row, at) => row.setAttribute("aria-selected", String(at === index)));
  const item = results[index];
  element("chosen-title").textContent = item.name;
  showPicture(item);
  element("label").textContent = item.error || (item.waiting ? "…" : nameOf(item.label));
  element("bars").replaceChildren(...(item.probabilities ? bars(item) : []));
  element("threshold").textContent = thresholdText(item);
  showSteps();
  if (byUser) element("chosen-title").focus();
}

/** The way from the chosen image to the ones before and after it; the focus stays on a button that can be pressed. */
function showSteps() {
  const [previous, next] = [element("previous"), element("next")];
  const focused = document.activeElement;
  element("steps").hidden = results.length < 2;
  element("position").textContent = `${chosen + 1} of ${results.length}`;
  previous.disabled = chosen <= 0;
  next.disabled = chosen === results.length - 1;
  if (focused === previous && previous.disabled) next.focus();
  if (focused === next && next.disabled) previous.focus();
}

function showPicture(item) {
  const picture = element("picture");
  picture.hidden = true;
  picture.onload = () => (picture.hidden = false);
  picture.onerror = () => (element("caption").textContent = "This browser cannot show the file.");
  picture.alt = `The image ${item.name}`;
  picture.src = item.url;
  const map = element("map");
  map.hidden = !item.heatmap;
  element("caption").textContent = item.heatmap
    ? "Above: the file. Below: what the network sees; red speaks for the label, blue against it."
    : "";
  if (item.heatmap) drawHeatMap(map, item);
}

/** Probabilities, the largest first; a line marks the threshold. */
function bars(item) {
  const classes = [...model.classes].sort((a, b) => item.probabilities[b.label] - item.probabilities[a.label]);
  const drawn = classes.slice(0, MOST_BARS).map((entry) => {
    const row = make("div", "", "bar");
    const value = item.probabilities[entry.label];
    row.append(make("span", className(entry), "name"), barOf(value, entry.label), make("span", percent(value), "number"));
    return row;
  });
  const rest = classes.length - drawn.length;
  return rest > 0 ? [...drawn, make("p", `and ${rest} more classes, which are in the CSV`, "soft")] : drawn;
}

function barOf(value, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(shape("rect", { x: 0, y: 0, width: 100 * value, height: 10 }));
  if (model.threshold?.label === label) {
    const at = 100 * model.threshold.probability;
    for (const kind of ["under", "mark"]) svg.append(shape("line", { x1: at, x2: at, y1: 0, y2: 10, class: kind }));
  }
  return svg;
}

function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function thresholdText(item) {
  if (!model.threshold || !item.probabilities) return "";
  const { label, probability } = model.threshold;
  const side = item.positive ? "reaches" : "is below";
  return `The probability of ${nameOf(label)} ${side} the model's threshold of ${percent(probability)} (the line).`;
}

/** The view in grey, and over it the map, scaled smoothly: red for values above 0, blue for those below. */
async function drawHeatMap(canvas, item) {
  const view = new Image();
  view.src = item.view;
  await view.decode();
  if (results[chosen] !== item) return;
  canvas.width = Math.max(view.naturalWidth, 256);
  canvas.height = Math.round((canvas.width * view.naturalHeight) / view.naturalWidth);
  const context = canvas.getContext("2d");
  context.filter = "grayscale(1)";
  context.drawImage(view, 0, 0, canvas.width, canvas.height);
  context.filter = "none";
  context.drawImage(colours(item.heatmap), 0, 0, canvas.width, canvas.height);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Heat map: which parts of ${item.name} speak for ${nameOf(item.label)}`);
}

function colours({ shape: [height, width], values }) {
  const most = Math.max(...values.map(Math.abs)) || 1;
  const pixels = new Uint8ClampedArray(4 * values.length);
  values.forEach((value, index) => {
    pixels.set([value > 0 ? 220 : 30, 30, value > 0 ? 30 : 220, (160 * Math.abs(value)) / most], 4 * index);
  });
  const small = document.createElement("canvas");
  [small.width, small.height] = [width, height];
  small.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return small;
}

/** A cell of a CSV; a text that a spreadsheet would run as a formula begins with an apostrophe. */
function cell(value) {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const header = ["ID", "label", ...model.classes.map(({ label }) => label)];
  if (model.threshold) header.push("positive");
  const lines = results.map((item) => {
    if (!item.probabilities) return [item.name, "", ...model.classes.map(() => "")].concat(model.threshold ? [""] : []);
    const values = model.classes.map(({ label }) => item.probabilities[label]);
    return [item.name, item.label, ...values, ...(model.threshold ? [Number(item.positive)] : [])];
  });
  return [header, ...lines].map((line) => line.map(cell).join(",") + "\r\n").join("");
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function clear() {
  round += 1;
  results.forEach(({ url }) => URL.revokeObjectURL(url));
  results = [];
  chosen = -1;
  element("results").hidden = true;
  element("status").textContent = "";
  complain(null);
  element("files").focus();
}

element("files").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = "";
  add(files);
});
element("download").addEventListener("click", download);
element("clear").addEventListener("click", clear);
element("previous").addEventListener("click", () => choose(chosen - 1));
element("next").addEventListener("click", () => choose(chosen + 1));
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = element("token").value.trim();
  start();
});
const drop = element("drop");
for (const kind of ["dragover", "dragenter"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  add([...event.dataTransfer.files]);
});
start();
