// Numbers and colours as Grafana writes them: unit, decimals, thresholds, value mappings.

const PALETTE = ["#7EB26D", "#EAB839", "#6ED0E0", "#EF843C", "#E24D42", "#1F78C1", "#BA43A9", "#705DA0", "#508642", "#CCA300", "#447EBC", "#C15C17"];

const SCALES = {
  s: [[1e-6, 1e-9, "ns"], [1e-3, 1e-6, "µs"], [1, 1e-3, "ms"], [60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]],
  bytes: [[1024, 1, "B"], [2 ** 20, 1024, "KiB"], [2 ** 30, 2 ** 20, "MiB"], [Infinity, 2 ** 30, "GiB"]],
  reqps: [[1000, 1, "req/s"], [Infinity, 1000, "K req/s"]],
  cps: [[Infinity, 1, "c/s"]],
  percentunit: [[Infinity, 0.01, "%"]],
  none: [[Infinity, 1, ""]],
};

function format(value, unit, decimals) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const scale = SCALES[unit];
  if (!scale) throw new Error(`no unit ${unit}`);
  const size = Math.abs(value) === 0 ? Number.MIN_VALUE : Math.abs(value);
  const [, factor, name] = value === 0 && unit === "s" ? [0, 1, "s"] : scale.find(([below]) => size < below);
  const scaled = value / factor;
  const digits = decimals ?? (Math.abs(scaled) >= 100 || Number.isInteger(scaled) ? 0 : Math.abs(scaled) >= 10 ? 1 : 2);
  return scaled.toFixed(digits) + (name === "%" ? "%" : name && ` ${name}`);
}

function thresholdColor(value, thresholds) {
  let color = thresholds.steps[0].color;
  for (const step of thresholds.steps) if (step.value !== null && value >= step.value) color = step.color;
  return color === "text" ? "#d8d9da" : color;
}

function mapped(value, mappings) {
  for (const mapping of mappings ?? []) if (mapping.options[String(value)]) return mapping.options[String(value)];
  return null;
}

// The field settings of one series or column: the panel's defaults under the overrides that match its name.
function settings(panel, name) {
  const config = structuredClone(panel.fieldConfig.defaults);
  config.custom ??= {};
  for (const { matcher, properties } of panel.fieldConfig.overrides) {
    const hit = matcher.id === "byName" ? matcher.options === name : new RegExp(matcher.options.slice(1, -1)).test(name);
    if (!hit) continue;
    for (const { id, value } of properties) {
      if (id.startsWith("custom.")) config.custom[id.slice(7)] = value;
      else config[id] = value;
    }
  }
  return config;
}

// By name: a route has one colour in all panels.
function seriesColor(config, index, name) {
  if (config.color?.mode === "fixed") return config.color.fixedColor;
  if (config.color?.mode !== "palette-classic-by-name") return PALETTE[index % PALETTE.length];
  const hash = [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7);
  return `hsl(${(hash * 47) % 360} 62% ${52 + (hash % 3) * 8}%)`;
}

function legendName(target, metric) {
  return (target.legendFormat ?? "").replace(/{{(\w+)}}/g, (_, label) => metric[label] ?? "");
}

function element(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "rect", "text", "polyline", "polygon", "circle"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
