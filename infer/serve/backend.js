// Where predictions come from: this server. Another backend.js with the same two functions makes the page work without one.

/** What is served: {name, classes, threshold, heatmaps, limits, facts, intended_use}; null where a token is needed. */
export async function describe(token) {
  const response = await fetch("/v1/model", { headers: authorization(token) });
  if (response.status === 401) return null;
  return await content(response);
}

/**
 * Predict image files. Gives one entry for each, in order: {name, label, probabilities, positive, heatmap, view}, or
 * {name, error, remedy}. `view` is an image source: the picture as the network sees it, to which the heat map belongs.
 */
export async function predict(files, { token, heatmap }) {
  const form = new FormData();
  for (const file of files) form.append("images", file, file.name);
  const response = await fetch(heatmap ? "/v1/predict?heatmap=1" : "/v1/predict", {
    method: "POST",
    body: form,
    headers: authorization(token),
  });
  if (response.status === 503) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After") || 1)));
    return await predict(files, { token, heatmap });
  }
  const answer = await content(response, 422);
  return answer.predictions.map((item) => ({ ...item, view: item.view && `data:image/png;base64,${item.view}` }));
}

function authorization(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** The JSON of a response; an Error with the reason and the remedy where it is neither a success nor `alsoGood`. */
async function content(response, alsoGood = 200) {
  const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}`, remedy: "" }));
  if (response.ok || (response.status === alsoGood && answer.predictions)) return answer;
  throw new Error([answer.error, answer.remedy].filter(Boolean).join("; "));
}
