// Checks dashboards against the types that Grafana itself is built with: the dashboard, and each panel's options and field settings.
// usage: node validate.mjs NODE_MODULES DASHBOARD.json...   prints one problem a line, exits 1 if there is any
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [modules, ...files] = process.argv.slice(2);
const require = createRequire(join(modules, "x.js"));
const { createGenerator } = require("ts-json-schema-generator");
const Ajv = require("ajv").default;
const raw = join(modules, "@grafana/schema/dist/types/raw");

// Grafana's own exports carry these although its types do not name them.
const UNNAMED = [
  [/\/templating\/list\/\d+$/, "definition"],
  [/\/annotations\/list\/\d+$/, /^(expr|step|titleFormat|textFormat|tagKeys)$/],
];

function validator(path, type) {
  const schema = createGenerator({ path: join(raw, path), type, skipTypeCheck: true }).createSchema(type);
  return new Ajv({ allErrors: true, strict: false }).compile(schema);
}

const DASHBOARD = "dashboard/x/types.gen.d.ts";
const checkDashboard = validator(DASHBOARD, "Dashboard");
const checkPanel = validator(DASHBOARD, "Panel");
const checkRow = validator(DASHBOARD, "RowPanel");
const panelChecks = new Map();
function checksOf(type) {
  if (!panelChecks.has(type)) {
    const path = `composable/${type.replace("-", "")}/panelcfg/x/types.gen.d.ts`;
    const fields = readFileSync(join(raw, path), "utf8").includes("FieldConfig ");
    panelChecks.set(type, { options: validator(path, "Options"), custom: fields ? validator(path, "FieldConfig") : null });
  }
  return panelChecks.get(type);
}

const problems = [];
function note(place, errors) {
  for (const error of errors ?? []) {
    const key = error.params.additionalProperty;
    if (UNNAMED.some(([at, name]) => at.test(error.instancePath) && (name instanceof RegExp ? name.test(key) : name === key))) continue;
    problems.push(`${place}${error.instancePath}: ${error.message}${key ? ` (\`${key}\`)` : ""}`);
  }
}

for (const file of files) {
  const board = JSON.parse(readFileSync(file, "utf8"));
  checkDashboard({ ...board, panels: [] });
  note(file, checkDashboard.errors);
  for (const panel of board.panels) {
    const place = `${file} · ${panel.title}`;
    const kind = panel.type === "row" ? checkRow : checkPanel;
    if (!kind(panel)) note(place, kind.errors);
    if (panel.type === "row") continue;
    const { options, custom } = checksOf(panel.type);
    if (!options(panel.options)) note(`${place} · options`, options.errors);
    const own = panel.fieldConfig.defaults.custom;
    if (custom && own && !custom(own)) note(`${place} · custom`, custom.errors);
  }
}

for (const problem of problems) console.log(problem);
process.exit(problems.length ? 1 : 0);
