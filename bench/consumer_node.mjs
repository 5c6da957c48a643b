// What bench/consumers.py runs in Node: ONNX Runtime's own package, or its WebAssembly.
//     node consumer_node.mjs node|wasm MODEL IMAGES OUT TYPE N ...SHAPE
import { readFileSync, writeFileSync } from "node:fs";
import { answer } from "./consumer_answer.mjs";

async function main(runner, model, images, out, type, ...shape) {
  const ort = await import(runner === "node" ? "onnxruntime-node" : "onnxruntime-web");
  if (runner === "wasm") ort.env.wasm.numThreads = 1;
  const { buffer, byteOffset, byteLength } = readFileSync(images);
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
  const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(model)));
  const { probabilities, batch } = await answer(ort, session, bytes, type, shape.map(Number));
  writeFileSync(out, probabilities);
  return { batch };
}

console.log(JSON.stringify(await main(...process.argv.slice(2)).catch((error) => ({ refused: error.message }))));
