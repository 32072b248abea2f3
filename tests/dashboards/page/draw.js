// Lays the panels out on Grafana's grid of 24 columns and draws each from the answers that were put into the page.

const { dashboard, answers, annotations, time, variables } = JSON.parse(document.getElementById("data").textContent);
const CELL = 30;
const GAP = 8;
const COLUMN = (document.getElementById("board").clientWidth + GAP) / 24;
const HEAD = 26;
const LEGEND = 20;

document.getElementById("title").textContent = dashboard.title;
document.getElementById("variables").textContent = Object.entries(variables).map(([name, value]) => `${name}: ${value === ".+" ? "All" : value}`).join("   ·   ");
for (const { name, color } of dashboard.annotations.list.map((a) => ({ name: a.name, color: a.iconColor }))) {
  document.getElementById("variables").append(element("span", { class: "mark", style: `color:${color}` }, `▲ ${name}`));
}

for (const panel of dashboard.panels) {
  const { x, y, w, h } = panel.gridPos;
  const place = `left:${x * COLUMN}px;top:${y * (CELL + GAP)}px;width:${w * COLUMN - GAP}px;height:${h * (CELL + GAP) - GAP}px`;
  if (panel.type === "row") {
    document.getElementById("board").append(element("h2", { style: place }, panel.title));
    continue;
  }
  const box = element("section", { style: place }, element("h3", {}, panel.title));
  const width = w * COLUMN - GAP;
  const height = h * (CELL + GAP) - GAP - HEAD;
  document.getElementById("board").append(box);
  box.append(...drawPanel(panel, answers[panel.id], width - 2, height));
}

function drawPanel(panel, answer, width, height) {
  switch (panel.type) {
    case "timeseries": return drawSeries(panel, answer, width, height - legendHeight(panel, answer, width), time, annotations);
    case "state-timeline": return drawTimeline(panel, answer, width, height, time, annotations);
    case "table": return drawTable(panel, answer);
    case "stat": return drawStat(panel, answer, width, height);
    default: throw new Error(`no drawing for ${panel.type}`);
  }
}

// The legend takes as many lines as its names need.
function legendHeight(panel, answer, width) {
  const names = panel.targets.flatMap((target, i) => answer[i].map(({ metric }) => legendName(target, metric)));
  let lines = 1, used = 0;
  for (const name of names) {
    const need = 26 + name.length * 6.6;
    if (used + need > width - 16 && used) { lines++; used = 0; }
    used += need;
  }
  return Math.min(lines, 3) * LEGEND;
}
