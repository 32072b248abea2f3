// Time series and state timelines, as SVG.

const MARGIN = { left: 62, right: 14, top: 8, bottom: 20 };

// [{name, config, color, points: [[seconds, number|null]]}] of a panel
function seriesOf(panel, answers) {
  const found = [];
  panel.targets.forEach((target, i) => {
    for (const { metric, values } of answers[i]) {
      const name = legendName(target, metric);
      const config = settings(panel, name);
      const points = values.map(([at, value]) => [at, Number.isFinite(+value) ? +value : null]);
      found.push({ name, config, color: seriesColor(config, found.length, name), points });
    }
  });
  return found;
}

function ticks(low, high, unit, count = 4) {
  const factor = unit === "percentunit" ? 0.01 : unit === "bytes" ? 2 ** 20 : 1;
  const rough = (high - low) / count / factor;
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough) * factor;
  const at = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-6; v += step) at.push(Math.abs(v) < step * 1e-6 ? 0 : v);
  return at;
}

function clock(seconds) {
  return new Date(seconds * 1000).toISOString().slice(11, 19);
}

function timeAxis(svg, box, time) {
  const parts = box.right - box.left < 320 ? 2 : 4;
  for (let i = 0; i <= parts; i++) {
    const at = time.start + ((time.end - time.start) * i) / parts;
    const x = box.x(at);
    svg.append(element("line", { x1: x, x2: x, y1: box.top, y2: box.bottom, class: "grid" }));
    const anchor = i === 0 ? "start" : i === parts ? "end" : "middle";
    svg.append(element("text", { x, y: box.bottom + 15, "text-anchor": anchor, class: "tick" }, clock(at)));
  }
}

function marks(svg, box, annotations) {
  for (const { at, color } of annotations) {
    svg.append(element("line", { x1: box.x(at), x2: box.x(at), y1: box.top, y2: box.bottom, stroke: color, "stroke-dasharray": "4 3", "stroke-width": 1.5 }));
    svg.append(element("polygon", { points: `${box.x(at) - 4},${box.bottom + 6} ${box.x(at) + 4},${box.bottom + 6} ${box.x(at)},${box.bottom}`, fill: color }));
  }
}

function drawSeries(panel, answers, width, height, time, annotations) {
  const series = seriesOf(panel, answers);
  const unit = panel.fieldConfig.defaults.unit;
  const onRight = series.filter((s) => s.config.custom.axisPlacement === "right");
  const onLeft = series.filter((s) => s.config.custom.axisPlacement !== "right");
  const stacked = panel.fieldConfig.defaults.custom.stacking.mode === "normal";
  if (stacked) stack(onLeft);
  const numbers = onLeft.flatMap((s) => s.points.map(([, v]) => v)).filter((v) => v !== null);
  for (const step of panel.fieldConfig.defaults.thresholds.steps) if (step.value !== null && panel.fieldConfig.defaults.custom.thresholdsStyle) numbers.push(step.value);
  let low = panel.fieldConfig.defaults.min ?? Math.min(0, ...numbers);
  let high = panel.fieldConfig.defaults.max ?? Math.max(...numbers, low);
  if (high === low) high = low + (unit === "percentunit" ? 0.01 : 1);
  if (panel.fieldConfig.defaults.max === undefined) high += (high - low) * 0.08;
  if (panel.fieldConfig.defaults.min === undefined && low < 0) low -= (high - low) * 0.08;
  const box = { left: MARGIN.left, right: width - (onRight.length ? 34 : MARGIN.right), top: MARGIN.top, bottom: height - MARGIN.bottom };
  box.x = (at) => box.left + ((at - time.start) / (time.end - time.start)) * (box.right - box.left);
  const scale = (from, to) => (v) => box.bottom - ((v - from) / (to - from)) * (box.bottom - box.top);
  box.y = scale(low, high);
  const svg = element("svg", { width, height });
  timeAxis(svg, box, time);
  const at = ticks(low, high, unit);
  const step = at.length > 1 ? at[1] - at[0] : 1;
  for (const v of at) {
    svg.append(element("line", { x1: box.left, x2: box.right, y1: box.y(v), y2: box.y(v), class: v === 0 ? "zero" : "grid" }));
    svg.append(element("text", { x: box.left - 6, y: box.y(v) + 4, "text-anchor": "end", class: "tick" }, tickLabel(v, unit, step)));
  }
  for (const one of [...onLeft].reverse()) draw(svg, one, box, box.y, stacked);
  for (const one of onRight) draw(svg, one, box, scale(one.config.min ?? 0, one.config.max ?? 1), false);
  if (onRight.length) for (const v of [0, 1]) svg.append(element("text", { x: box.right + 8, y: scale(0, 1)(v) + 4, class: "tick" }, String(v)));
  if (panel.fieldConfig.defaults.custom.thresholdsStyle) {
    for (const { value, color } of panel.fieldConfig.defaults.thresholds.steps) {
      if (value !== null) svg.append(element("line", { x1: box.left, x2: box.right, y1: box.y(value), y2: box.y(value), stroke: color, "stroke-dasharray": "6 5" }));
    }
  }
  marks(svg, box, annotations);
  return [svg, legend(series)];
}

function tickLabel(value, unit, step) {
  if (unit === "percentunit") return `${(value * 100).toFixed(step < 0.0099 ? 1 : 0)}%`;
  return format(value, unit, unit === "none" || unit === "reqps" || unit === "cps" ? (step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0) : undefined);
}

function stack(series) {
  const sums = new Map();
  for (const one of series) {
    one.base = [];
    one.points = one.points.map(([at, v]) => {
      const below = sums.get(at) ?? 0;
      sums.set(at, below + (v ?? 0));
      one.base.push([at, below]);
      return [at, below + (v ?? 0)];
    });
  }
}

// A line is broken where Prometheus gave no sample.
function pieces(points, gap) {
  const all = [[]];
  for (const point of points) {
    const last = all.at(-1).at(-1);
    if (point[1] === null || (last && point[0] - last[0] > gap)) all.push([]);
    if (point[1] !== null) all.at(-1).push(point);
  }
  return all.filter((piece) => piece.length);
}

function draw(svg, one, box, y, stacked) {
  const { custom } = one.config;
  if (custom.drawStyle === "bars") {
    const bar = Math.max(1.5, (box.right - box.left) / Math.max(one.points.length, 30) - 0.5);
    one.points.forEach(([at, v], i) => {
      const from = stacked ? one.base[i][1] : 0;
      if (v > from) svg.append(element("rect", { x: box.x(at) - bar / 2, width: bar, y: y(v), height: y(from) - y(v), fill: one.color, "fill-opacity": custom.fillOpacity / 100 }));
    });
    return;
  }
  for (const piece of pieces(one.points, 2.5 * time.step)) {
    // Little traffic: a sample without neighbours is a point, as with Grafana's `showPoints: auto`.
    if (piece.length === 1 && custom.showPoints === "auto" && custom.lineWidth) {
      svg.append(element("circle", { cx: box.x(piece[0][0]), cy: y(piece[0][1]), r: 2.4, fill: one.color }));
      continue;
    }
    const path = [];
    piece.forEach(([at, v], i) => {
      if (custom.lineInterpolation === "stepAfter" && i) path.push([box.x(at), y(piece[i - 1][1])]);
      path.push([box.x(at), y(v)]);
    });
    const line = path.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ");
    if (custom.fillOpacity) {
      const floor = stacked ? one.base.filter(([at]) => at >= piece[0][0] && at <= piece.at(-1)[0]).reverse().map(([at, v]) => `${box.x(at).toFixed(1)},${y(v).toFixed(1)}`).join(" ")
        : `${path.at(-1)[0]},${y(0)} ${path[0][0]},${y(0)}`;
      svg.append(element("polygon", { points: `${line} ${floor}`, fill: one.color, "fill-opacity": custom.fillOpacity / 100 }));
    }
    if (custom.lineWidth) {
      svg.append(element("polyline", { points: line, fill: "none", stroke: one.color, "stroke-width": 1.6, "stroke-dasharray": custom.lineStyle?.fill === "dash" ? custom.lineStyle.dash.join(" ") : "none" }));
    }
  }
}

function legend(series) {
  const box = element("div", { class: "legend" });
  for (const { name, color } of series) box.append(element("span", {}, element("i", { style: `background:${color}` }), name));
  return box;
}

function drawTimeline(panel, answers, width, height, time, annotations) {
  const rows = seriesOf(panel, answers).sort((a, b) => a.name.localeCompare(b.name));
  const box = { left: 84, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  box.x = (at) => box.left + ((at - time.start) / (time.end - time.start)) * (box.right - box.left);
  const svg = element("svg", { width, height });
  timeAxis(svg, box, time);
  const each = (box.bottom - box.top) / rows.length;
  rows.forEach((row, i) => {
    const top = box.top + i * each + each * 0.1;
    svg.append(element("text", { x: box.left - 6, y: top + each * 0.4 + 4, "text-anchor": "end", class: "tick" }, row.name));
    for (let from = 0; from < row.points.length; ) {
      let to = from;
      while (to + 1 < row.points.length && row.points[to + 1][1] === row.points[from][1]) to++;
      const end = to + 1 < row.points.length ? row.points[to + 1][0] : row.points[to][0];
      const { mappings, unit, decimals, thresholds } = panel.fieldConfig.defaults;
      const value = row.points[from][1];
      const state = mapped(value, mappings) ?? { text: format(value, unit, decimals), color: thresholdColor(value, thresholds) };
      const x = box.x(row.points[from][0]);
      const wide = box.x(end) - x;
      svg.append(element("rect", { x, width: Math.max(wide, 1), y: top, height: each * 0.8, fill: state.color, "fill-opacity": 0.75 }));
      if (wide > 60) svg.append(element("text", { x: x + wide / 2, y: top + each * 0.4 + 4, "text-anchor": "middle", class: "state" }, state.text));
      from = to + 1;
    }
  });
  marks(svg, box, annotations);
  return [svg];
}
