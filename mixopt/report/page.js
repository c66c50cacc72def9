"use strict";
// Drawings and the table of runs wait in JSON blocks; this draws them. No network, no library but
// plotly, which stands above where there is a figure.

function readBlock(id) {
  const block = document.getElementById(id);
  return block ? JSON.parse(block.textContent) : null;
}

function drawPlots() {
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  for (const place of document.querySelectorAll(".plot")) {
    const drawings = readBlock(place.id + "-data");
    const show = (i) => {
      place.style.minHeight = drawings[i].layout.height + "px";
      Plotly.react(place, drawings[i].data, drawings[i].layout, config);
    };
    show(0);
    const choose = document.querySelector(`select[data-for="${place.id.slice("plot-".length)}"]`);
    if (choose) choose.addEventListener("change", () => show(choose.selectedIndex));
  }
}

function fillNav() {
  const nav = document.getElementById("nav");
  for (const part of document.querySelectorAll("main section[data-nav]")) {
    const link = document.createElement("a");
    link.href = "#" + part.id;
    link.textContent = part.dataset.nav;
    nav.append(link);
  }
}

// A filter is words that must all match: text anywhere in a row, or column=value, >, <, >=, <=.
// Columns go by their names in the run table: w/<domain>, m/<metric>, seed, status, ...
function matcher(query, columns) {
  const tests = query.trim().split(/\s+/).filter(Boolean).map((word) => {
    const parts = /^(.+?)(<=|>=|=|<|>)(.+)$/.exec(word);
    const at = parts ? columns.findIndex((c) => c.key.toLowerCase() === parts[1].toLowerCase()) : -1;
    if (at < 0) {
      const text = word.toLowerCase();
      return (row) => row.some((cell) => String(cell ?? "").toLowerCase().includes(text));
    }
    const [, , how, given] = parts;
    const value = Number(given);
    return (row) => {
      if (row[at] === null) return false;
      if (how === "=") return String(row[at]) === given || (given !== "" && row[at] === value);
      if (how === "<") return row[at] < value;
      if (how === ">") return row[at] > value;
      return how === "<=" ? row[at] <= value : row[at] >= value;
    };
  });
  return (row) => tests.every((test) => test(row));
}

function show(cell, kind) {
  if (cell === null || cell === "") return "–";
  if (kind === "num") return Math.abs(cell) >= 1e4 ? cell.toPrecision(4) : cell.toFixed(4).replace("-", "−");
  if (kind === "share") return cell === 0 ? "0" : (cell * 100).toFixed(1) + " %";
  return String(cell);
}

function runsTable() {
  const data = readBlock("runs-data");
  if (!data) return;
  const [table, filter, more, tally] = ["table", "filter", "more", "count"].map((key) =>
    document.getElementById("runs-" + key));
  const boxes = [...document.querySelectorAll("input[data-group]")];
  const status = data.columns.findIndex((c) => c.name === "status");
  const page = 200;
  let sorted = { at: 0, up: true };
  let limit = page;

  const compare = (a, b) => {
    const [x, y] = [a[sorted.at], b[sorted.at]];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
    return sorted.up ? order : -order;
  };

  function draw() {
    const hidden = new Set(boxes.filter((box) => !box.checked).map((box) => box.dataset.group));
    const visible = data.columns.map((c, i) => i).filter((i) => !hidden.has(data.columns[i].group));
    const rows = data.rows.filter(matcher(filter.value, data.columns)).sort(compare);
    const head = document.createElement("tr");
    for (const i of visible) {
      const cell = document.createElement("th");
      const button = document.createElement("button");
      button.textContent = data.columns[i].name + (sorted.at === i ? (sorted.up ? " ▲" : " ▼") : "");
      button.addEventListener("click", () => {
        sorted = { at: i, up: sorted.at === i ? !sorted.up : true };
        draw();
      });
      cell.className = data.columns[i].kind === "text" ? "text" : "num";
      cell.setAttribute("aria-sort", sorted.at === i ? (sorted.up ? "ascending" : "descending") : "none");
      cell.append(button);
      head.append(cell);
    }
    const groups = document.createElement("tr");
    for (const i of visible) {
      const group = data.columns[i].group;
      const last = groups.lastElementChild;
      if (last && last.dataset.group === group) { last.colSpan += 1; continue; }
      const cell = document.createElement("th");
      cell.dataset.group = group;
      cell.className = group ? "group" : "";
      cell.textContent = data.groups[group] ?? "";
      groups.append(cell);
    }
    table.tHead.replaceChildren(groups, head);
    table.tBodies[0].replaceChildren(...rows.slice(0, limit).map((row) => {
      const line = document.createElement("tr");
      if (row[status] !== "ok") line.className = "failed";
      for (const i of visible) {
        const cell = document.createElement("td");
        cell.className = data.columns[i].kind === "text" ? "text" : "num";
        cell.textContent = show(row[i], data.columns[i].kind);
        line.append(cell);
      }
      return line;
    }));
    more.hidden = rows.length <= limit;
    tally.textContent = rows.length === data.rows.length
      ? `${rows.length} run${rows.length === 1 ? "" : "s"}` : `${rows.length} of ${data.rows.length} runs`;
  }

  filter.addEventListener("input", () => { limit = page; draw(); });
  for (const box of boxes) box.addEventListener("change", draw);
  more.addEventListener("click", () => { limit += page; draw(); });
  draw();
}

fillNav();
runsTable();
drawPlots();
