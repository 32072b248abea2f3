// Tables (instant queries merged by their labels, then renamed and ordered) and single numbers.

function rowsOf(panel, answers) {
  const single = panel.targets.length === 1;
  let shared = null;
  for (const answer of answers) {
    if (!answer.length) continue;
    const labels = new Set(answer.flatMap(({ metric }) => Object.keys(metric)));
    shared = shared ? new Set([...shared].filter((label) => labels.has(label))) : labels;
  }
  const rows = new Map();
  panel.targets.forEach((target, i) => {
    answers[i].forEach(({ metric, value }, n) => {
      const key = single ? n : [...shared].map((label) => metric[label]).join(" ");
      const row = rows.get(key) ?? {};
      Object.assign(row, metric, { [single ? "Value" : `Value #${target.refId}`]: +value[1] });
      rows.set(key, row);
    });
  });
  return [...rows.values()];
}

function drawTable(panel, answers) {
  const organize = panel.transformations.at(-1).options;
  const columns = Object.keys(organize.indexByName).sort((a, b) => organize.indexByName[a] - organize.indexByName[b]);
  const rows = rowsOf(panel, answers).filter((row) => columns.some((column) => row[column] !== undefined));
  const named = (column) => organize.renameByName[column] ?? column;
  const [sort] = panel.options.sortBy ?? [];
  if (sort) {
    const by = columns.find((column) => named(column) === sort.displayName);
    rows.sort((a, b) => ((Number.isFinite(a[by]) ? a[by] : -1) - (Number.isFinite(b[by]) ? b[by] : -1)) * (sort.desc ? -1 : 1));
  }
  const head = element("tr", {}, ...columns.map((column) => element("th", {}, named(column))));
  const body = rows.map((row) => element("tr", {}, ...columns.map((column) => cell(row[column], settings(panel, named(column))))));
  const table = element("table", {}, head, ...body);
  return rows.length ? [table] : [element("div", { class: "empty" }, panel.fieldConfig.defaults.noValue ?? "No data")];
}

function cell(value, config) {
  const number = typeof value === "number";
  const state = mapped(value, config.mappings);
  const text = state?.text ?? (number ? format(value, config.unit, config.decimals) : value ?? config.noValue);
  const made = element("td", { class: number && !state ? "number" : "text" });
  const kind = config.custom.cellOptions?.type;
  let color = state?.color ?? (config.color?.mode === "fixed" ? config.color.fixedColor : thresholdColor(number ? value : NaN, config.thresholds));
  if (color === "text") color = "#d8d9da";
  if (kind === "gauge" && number) {
    const share = Math.max(0, Math.min(1, (value - config.min) / (config.max - config.min)));
    made.append(element("div", { class: "gauge" }, element("b", { style: `width:${share * 100}%;background:${color}` })), element("em", { style: `color:${color}` }, text));
    return made;
  }
  if (kind === "color-text" && value !== undefined) made.style.color = color;
  if (config.links && value !== undefined) made.classList.add("link");
  made.append(text);
  return made;
}

function drawStat(panel, answers, width, height) {
  const box = element("div", { class: "stats" });
  panel.targets.forEach((target, i) => {
    for (const { metric, values } of answers[i]) {
      const name = legendName(target, metric);
      const config = settings(panel, name);
      const points = values.map(([at, value]) => [at, +value]).filter(([, value]) => Number.isFinite(value));
      const last = points.at(-1)?.[1];
      const state = mapped(last, config.mappings);
      const color = config.color.mode === "fixed" ? config.color.fixedColor : state?.color ?? thresholdColor(last, config.thresholds);
      const text = state?.text ?? format(last, config.unit, config.decimals);
      const full = panel.options.colorMode === "background";
      const one = element("div", { class: "stat", style: full ? `background:${color};color:#fff` : `color:${color}` });
      if (panel.options.textMode === "value_and_name") one.append(element("small", {}, name));
      one.append(element("strong", {}, text));
      if (panel.options.graphMode === "area" && points.length > 1) one.append(spark(points, color, width, height * 0.42));
      box.append(one);
    }
  });
  if (!box.children.length) box.append(element("div", { class: "empty" }, panel.fieldConfig.defaults.noValue ?? "No data"));
  return [box];
}

function spark(points, color, width, height) {
  const numbers = points.map(([, v]) => v);
  const [low, high] = [Math.min(0, ...numbers), Math.max(...numbers)];
  const x = (at) => ((at - points[0][0]) / (points.at(-1)[0] - points[0][0])) * width;
  const y = (v) => height - 1 - ((v - low) / (high - low || 1)) * (height - 4);
  const line = points.map(([at, v]) => `${x(at).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
  return element("svg", { width, height, class: "spark" }, element("polygon", { points: `0,${height} ${line} ${width},${height}`, fill: color, "fill-opacity": 0.18 }), element("polyline", { points: line, fill: "none", stroke: color, "stroke-width": 1.2 }));
}
