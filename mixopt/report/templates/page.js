"use strict";
// Drawings and the list of runs wait in JSON blocks; this draws them. No network, and no library but
// plotly, which stands in the page where there is a picture.

function readBlock(id) {
  const block = document.getElementById(id);
  return block ? JSON.parse(block.textContent) : null;
}

// -- pictures ------------------------------------------------------------------------------------

const NARROW = 620; // pixels of a picture, below which it is laid out for a phone
const dark = matchMedia("screen and (prefers-color-scheme: dark)");

// The library stands in the page compressed; browsers since 2023 can unpack it.
async function unpackLibrary() {
  const packed = document.getElementById("library");
  if (!packed) return false;
  const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  return true;
}

// Colours of the light page, written in drawings, become those of the dark one.
function inTheme(value, colours) {
  if (typeof value === "string") {
    const known = colours.get(value.toLowerCase());
    if (known) return known;
    const parts = /^rgba\((\d+,\d+,\d+),(.+)\)$/.exec(value);
    const strong = parts && colours.get(parts[1]);
    return strong ? `rgba(${strong},${parts[2]})` : value;
  }
  if (Array.isArray(value)) return value.map((part) => inTheme(part, colours));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, inTheme(v, colours)]));
}

function nightColours() {
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(",");
  const colours = new Map();
  for (const [day, night] of Object.entries(readBlock("night") ?? {})) {
    colours.set(day.toLowerCase(), night).set(rgb(day), rgb(night));
  }
  return colours;
}

// Titles of axes that are longer than their axis lose their middle, never an end.
function shorten(layout, width) {
  for (const [key, axis] of Object.entries(layout)) {
    if (!/^[xy]axis\d*$/.test(key) || !axis.title) continue;
    const letters = axis.title.text.match(/&\w+;|./gu) ?? [];
    const length = key[0] === "x" ? width - 110 : layout.height - 110;
    const most = Math.max(12, Math.floor(length / 7.2));
    if (letters.length <= most) continue;
    const half = Math.floor((most - 1) / 2);
    axis.title.text = letters.slice(0, half).join("") + "…" + letters.slice(-half).join("");
  }
}

function laidOut(drawing, width) {
  const layout = structuredClone(drawing.layout);
  layout.width = width;
  shorten(layout, width);
  if (width >= NARROW) return layout;
  for (const [key, change] of Object.entries(drawing.narrow ?? {})) {
    layout[key] = typeof change === "object" ? { ...layout[key], ...change } : change;
  }
  layout.margin = { ...layout.margin, r: Math.min(layout.margin.r ?? 12, 14) };
  layout.legend = { ...layout.legend, font: { size: 11 } };
  for (const [key, axis] of Object.entries(layout)) {
    if (/^[xy]axis\d*$/.test(key)) axis.tickfont = { ...axis.tickfont, size: 10.5 };
  }
  // Legends take more rows: half a picture's width a name.
  const names = drawing.data.filter((t) => t.showlegend !== false && t.name).length;
  const extra = drawing.layout.showlegend === false || names < 2 ? 0 : 18 * Math.ceil(names / 2);
  layout.margin.t = (layout.margin.t ?? 40) + extra;
  layout.height += extra;
  return layout;
}

async function drawPlots() {
  const places = [...document.querySelectorAll(".plot")];
  try {
    if (!places.length || !(await unpackLibrary())) return;
  } catch (error) {
    for (const place of places) {
      const told = document.createElement("p");
      told.textContent = "This picture needs a browser of 2023 or later; the tables have its numbers.";
      place.style.minHeight = "0";
      place.append(told);
    }
    return;
  }
  const colours = nightColours();
  const redraws = places.map((place) => {
    const drawings = readBlock(place.id + "-data");
    const choose = document.querySelector(`select[data-for="${place.id.slice("plot-".length)}"]`);
    const draw = () => {
      const drawing = drawings[choose ? choose.selectedIndex : 0];
      const width = Math.floor(place.getBoundingClientRect().width);
      const config = {
        displaylogo: false,
        displayModeBar: width < NARROW ? false : "hover",
        modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      };
      let [data, layout] = [structuredClone(drawing.data), laidOut(drawing, width)];
      if (dark.matches) [data, layout] = inTheme([data, layout], colours);
      if (width < NARROW) layout.dragmode = false; // a finger on a picture scrolls the page
      place.style.minHeight = layout.height + "px";
      return Plotly.react(place, data, layout, config);
    };
    if (choose) choose.addEventListener("change", draw);
    return draw;
  });
  const redraw = () => redraws.forEach((draw) => draw());
  // Pictures far down are drawn when the reader comes near, or the printer.
  const waiting = new Map(places.map((place, i) => [place, redraws[i]]));
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting || !waiting.has(entry.target)) continue;
      waiting.get(entry.target)();
      waiting.delete(entry.target);
    }
  }, { rootMargin: "1200px" });
  for (const place of places) near.observe(place);
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", redraw);
  addEventListener("afterprint", redraw);
  let timer = 0;
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(redraw, 150);
  });
}

// -- the list of runs ----------------------------------------------------------------------------

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
  const at = (key) => data.columns.findIndex((c) => c.key === key);
  const [status, scale, run] = [at("status"), at("scale"), at("run")];
  const chosen = document.getElementById("runs-scale");
  const place = new Map(data.scales.map((name, i) => [name, i]));
  const page = 200;
  let sorted = { at: 0, up: true };
  let limit = page;

  // Runs are compared within their scale, but in the order in which they came across all of them.
  const grouped = () => data.scales.length > 1 && !chosen.value && sorted.at !== 0;
  const compare = (a, b) => {
    const [x, y] = [a[sorted.at], b[sorted.at]];
    const apart = grouped() ? place.get(a[scale]) - place.get(b[scale]) : 0;
    if (apart) return apart;
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
    return sorted.up ? order : -order;
  };

  function heading(name, rows, visible) {
    const count = rows.filter((row) => row[scale] === name).length;
    const [line, cell] = [document.createElement("tr"), document.createElement("td")];
    line.className = "scale";
    cell.colSpan = visible.length;
    cell.textContent = `${name}: ${count} run${count === 1 ? "" : "s"}`;
    line.append(cell);
    return line;
  }

  function draw() {
    const hidden = new Set(boxes.filter((box) => !box.checked).map((box) => box.dataset.group));
    const visible = data.columns.map((c, i) => i).filter((i) => !hidden.has(data.columns[i].group));
    const wanted = matcher(filter.value, data.columns);
    const rows = data.rows
      .filter((row) => (!chosen || !chosen.value || row[scale] === chosen.value) && wanted(row))
      .sort(compare);
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
    let last = null;
    table.tBodies[0].replaceChildren(...rows.slice(0, limit).flatMap((row) => {
      const line = document.createElement("tr");
      const above = grouped() && row[scale] !== last ? [heading(row[scale], rows, visible)] : [];
      last = row[scale];
      if (row[status] !== "ok") line.className = "failed";
      for (const i of visible) {
        const cell = document.createElement("td");
        cell.className = data.columns[i].kind === "text" ? "text" : "num";
        const page = i === run ? data.pages[row[run]] : undefined;
        if (page) {
          const link = document.createElement("a");
          [link.href, link.textContent, link.rel] = [page, row[run], "noopener"];
          cell.append(link);
        } else {
          cell.textContent = show(row[i], data.columns[i].kind);
        }
        line.append(cell);
      }
      return [...above, line];
    }));
    more.hidden = rows.length <= limit;
    tally.textContent = rows.length === data.rows.length
      ? `${rows.length} run${rows.length === 1 ? "" : "s"}` : `${rows.length} of ${data.rows.length} runs`;
  }

  filter.addEventListener("input", () => { limit = page; draw(); });
  if (chosen) chosen.addEventListener("change", () => { limit = page; draw(); });
  for (const box of boxes) box.addEventListener("change", draw);
  more.addEventListener("click", () => { limit += page; draw(); });
  draw();
}

// -- preferences over a front -----------------------------------------------------------------------

// The mixture of a stored front whose weighted objectives are least, each in units of what the front
// spans. Several people's weights are kept side by side; for all of them, the mixture that leaves the
// person who loses most with the least loss against their own best (and, of equals, the least in sum).
function preferences() {
  const front = readBlock("preferences-data");
  if (!front) return;
  const [box, table, keep, who] = ["", "-table", "-keep", "-who"].map((key) =>
    document.getElementById("preferences" + key));
  const sliders = [...box.querySelectorAll("input[type=range]")];
  const low = front.names.map((_, k) => Math.min(...front.values.map((row) => row[k])));
  const span = front.names.map((_, k) => Math.max(...front.values.map((row) => row[k])) - low[k]);
  const unit = front.values.map((row) => row.map((y, k) => (span[k] > 0 ? (y - low[k]) / span[k] : 0)));
  const kept = [];

  // All at zero say nothing: then every objective counts alike.
  const weights = () => {
    const given = sliders.map((slider) => Number(slider.value));
    const total = given.reduce((a, b) => a + b, 0);
    return given.map((w) => (total > 0 ? w / total : 1 / given.length));
  };
  const costs = (w) => unit.map((row) => row.reduce((sum, y, k) => sum + w[k] * y, 0));
  const best = (values) => values.indexOf(Math.min(...values));
  const together = (everyone) => {
    const regrets = everyone.map((w) => {
      const all = costs(w);
      const least = Math.min(...all);
      return all.map((c) => c - least);
    });
    const worst = unit.map((_, i) => Math.max(...regrets.map((r) => r[i])));
    const least = Math.min(...worst);
    const sum = unit.map((_, i) => regrets.reduce((s, r) => s + r[i], 0));
    return best(worst.map((value, i) => (value <= least + 1e-12 ? sum[i] : Infinity)));
  };

  function line(name, asked, at, remove) {
    const row = document.createElement("tr");
    const largest = front.domains.map((d, j) => [d, front.mixtures[at][j]]).filter(([, s]) => s > 0)
      .sort((a, b) => b[1] - a[1]).slice(0, 6).map(([d, s]) => `${d} ${(100 * s).toFixed(1)} %`);
    const cells = [name, asked ? asked.map((w) => Math.round(100 * w) + " %").join(" : ") : "–",
      ...front.values[at].map((y) => show(y, "num")), largest.join(", ")];
    cells.forEach((text, i) => {
      const cell = document.createElement("td");
      cell.className = i > 1 && i < cells.length - 1 ? "num" : "text";
      cell.textContent = text;
      row.append(cell);
    });
    const last = document.createElement("td");
    if (remove) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Remove";
      button.setAttribute("aria-label", "Remove " + name);
      button.addEventListener("click", remove);
      last.append(button);
    }
    row.append(last);
    row.dataset.at = at;
    return row;
  }

  function draw() {
    const now = weights();
    sliders.forEach((slider, k) => {
      const text = Math.round(100 * now[k]) + " %";
      slider.nextElementSibling.textContent = text;
      slider.setAttribute("aria-valuetext", text);
    });
    const rows = [line("now", now, best(costs(now)))];
    for (const one of kept) {
      rows.push(line(one.name, one.weights, best(costs(one.weights)), () => {
        kept.splice(kept.indexOf(one), 1);
        draw();
      }));
    }
    if (kept.length > 1) rows.push(line("fair to all kept", null, together(kept.map((one) => one.weights))));
    rows[0].className = "mark";
    table.tBodies[0].replaceChildren(...rows);
  }

  const head = document.createElement("tr");
  const heads = ["whose", "weights", ...front.names, "mixture", ""];
  heads.forEach((name, i) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = i > 1 && i < heads.length - 2 ? "num" : "text";
    cell.textContent = name;
    head.append(cell);
  });
  table.tHead.replaceChildren(head);
  for (const slider of sliders) slider.addEventListener("input", draw);
  keep.addEventListener("click", () => {
    kept.push({ name: who.value.trim() || `weights ${kept.length + 1}`, weights: weights() });
    who.value = "";
    draw();
  });
  box.hidden = false;
  draw();
}

preferences();
runsTable();
drawPlots();
