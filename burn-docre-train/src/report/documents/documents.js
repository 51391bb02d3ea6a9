// The documents of the report: the choice of a fact or a pair, and the heat map of its attention.
"use strict";
(() => {
  const element = (name, properties = {}, ...children) => {
    const created = Object.assign(document.createElement(name), properties);
    created.append(...children);
    return created;
  };
  const percent = (weight) => `${Math.round(weight / 2.55)} %`;

  class DocumentView {
    constructor(body) {
      this.body = body;
      this.data = JSON.parse(body.querySelector(".doc-data").textContent);
      this.names = this.data.names.map((name, i) => `${i + 1} ${name}`);
      this.keys = this.names.length + (this.data.has_pad ? 1 : 0);
      this.status = body.querySelector(".doc-chosen");
      this.layer = this.data.n_layers - 1;
      this.statistic = 0;
      this.focus = [0, 0];
      this.addButtons();
      const first = Object.keys(this.data.weights)[0];
      if (first) {
        this.pair = first.split(",").map(Number);
        this.focus = this.pair;
        this.addHeatMap();
        this.draw();
      }
    }

    name(entity) {
      return entity < this.names.length ? this.names[entity] : "pad";
    }

    // Facts

    addButtons() {
      for (const span of this.body.querySelectorAll("span.doc-fact")) {
        const button = element("button", { type: "button", className: "doc-fact" });
        const index = Number(span.dataset.f);
        button.setAttribute("aria-pressed", "false");
        button.append(...span.childNodes);
        button.addEventListener("click", () => this.toggle(index));
        span.replaceWith(button);
      }
      this.buttons = [...this.body.querySelectorAll("button.doc-fact")];
    }

    toggle(index) {
      const isPressed = this.buttons[index].getAttribute("aria-pressed") === "true";
      const { head, tail } = this.data.facts[index];
      if (isPressed) this.mark(null, []);
      else this.mark([head, tail], [index]);
    }

    // Marks a pair and the evidence of its facts. Without a pair, nothing stays marked.
    mark(pair, facts) {
      const evidence = (field) => new Set(facts.flatMap((fact) => this.data.facts[fact][field]));
      const [gold, predicted] = [evidence("gold"), evidence("predicted")];
      const keys = new Set();
      for (const { head, tail, key_mention_pairs } of facts.map((fact) => this.data.facts[fact])) {
        for (const [ofHead, ofTail] of key_mention_pairs) {
          keys.add(`${head}.${ofHead}`).add(`${tail}.${ofTail}`);
        }
      }
      this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", facts.includes(i)));
      for (const mark of this.body.querySelectorAll(".doc-m")) {
        const { e, m } = mark.dataset;
        mark.classList.toggle("is-head", pair !== null && Number(e) === pair[0]);
        mark.classList.toggle("is-tail", pair !== null && Number(e) === pair[1]);
        mark.classList.toggle("is-key", keys.has(`${e}.${m}`));
      }
      this.body.querySelectorAll(".doc-text > li").forEach((sentence, i) => {
        sentence.classList.toggle("is-gold", gold.has(i));
        sentence.classList.toggle("is-predicted", predicted.has(i));
      });
      const graph = this.body.querySelector(".doc-graph");
      graph?.classList.toggle("has-chosen", pair !== null);
      for (const edge of this.body.querySelectorAll(".doc-edge")) {
        const { h, t } = edge.dataset;
        const isChosen = pair !== null && Number(h) === pair[0] && Number(t) === pair[1];
        edge.classList.toggle("is-chosen", isChosen);
      }
      this.status.textContent = pair === null ? "" : this.describe(pair, gold, predicted);
      if (pair !== null && this.grid) {
        this.pair = pair;
        this.draw();
      }
    }

    describe(pair, gold, predicted) {
      const list = (set) => [...set].map((sentence) => sentence + 1).join(", ") || "none";
      const found = this.data.names_evidence ? `, predicted evidence: ${list(predicted)}` : "";
      const names = `${this.name(pair[0])} → ${this.name(pair[1])}`;
      return `Chosen: ${names}. Gold evidence: ${list(gold)}${found}.`;
    }

    // Heat map

    addHeatMap() {
      const select = (label, options, chosen, change) => {
        const items = options.map((text, value) => element("option", { value, textContent: text }));
        const control = element("select", {}, ...items);
        control.value = chosen;
        control.addEventListener("change", () => change(Number(control.value)));
        return element("label", {}, `${label} `, control);
      };
      const layers = Array.from({ length: this.data.n_layers }, (_, i) => String(i + 1));
      const controls = element(
        "div",
        { className: "doc-controls" },
        select("Layer", layers, this.layer, (layer) => {
          this.layer = layer;
          this.draw();
        }),
        select("Attention heads", ["mean", "maximum"], this.statistic, (statistic) => {
          this.statistic = statistic;
          this.draw();
        }),
      );
      this.scale = element("p", { className: "doc-note" });
      this.table = element("div", { className: "doc-scroll doc-weights" });
      this.addGrid();
      const scroll = element("div", { className: "doc-scroll" }, this.grid);
      this.body.querySelector(".doc-heat").append(controls, this.scale, scroll, this.table);
    }

    addGrid() {
      const header = (text, scope, title) => {
        const cell = element("th", { scope, textContent: text, title });
        cell.setAttribute("role", scope === "col" ? "columnheader" : "rowheader");
        return cell;
      };
      const short = (entity) => (entity < this.names.length ? String(entity + 1) : "pad");
      const entities = Array.from({ length: this.keys }, (_, i) => i);
      this.grid = element("table", { className: "doc-grid" });
      this.grid.classList.toggle("is-dense", this.keys > 26);
      this.grid.setAttribute("role", "grid");
      this.grid.setAttribute("aria-label", "Pairs: heads in rows, tails in columns");
      const heading = element("tr", {}, header("h \\ t", "col", "head \\ tail"));
      heading.append(...entities.map((tail) => header(short(tail), "col", this.name(tail))));
      this.grid.append(heading);
      this.cells = entities.map((head) => {
        const cells = entities.map((tail) => this.cell(head, tail));
        this.grid.append(element("tr", {}, header(short(head), "row", this.name(head)), ...cells));
        return cells;
      });
      this.grid.addEventListener("keydown", (event) => this.key(event));
    }

    cell(head, tail) {
      const cell = element("td", { tabIndex: -1 });
      cell.setAttribute("role", "gridcell");
      const isStored = `${head},${tail}` in this.data.weights;
      cell.classList.toggle("is-stored", isStored);
      cell.addEventListener("click", () => {
        this.moveTo(head, tail);
        this.choose(head, tail);
      });
      return cell;
    }

    choose(head, tail) {
      if (!(`${head},${tail}` in this.data.weights)) return;
      const ofPair = (fact) => fact.head === head && fact.tail === tail;
      this.mark([head, tail], [...this.data.facts.keys()].filter((i) => ofPair(this.data.facts[i])));
    }

    moveTo(head, tail) {
      this.cells[this.focus[0]][this.focus[1]].tabIndex = -1;
      this.focus = [head, tail];
      const cell = this.cells[head][tail];
      cell.tabIndex = 0;
      cell.focus({ preventScroll: false });
    }

    key(event) {
      const last = this.keys - 1;
      const [head, tail] = this.focus;
      const target = {
        ArrowUp: [Math.max(head - 1, 0), tail],
        ArrowDown: [Math.min(head + 1, last), tail],
        ArrowLeft: [head, Math.max(tail - 1, 0)],
        ArrowRight: [head, Math.min(tail + 1, last)],
        Home: [head, 0],
        End: [head, last],
      }[event.key];
      if (target) this.moveTo(...target);
      else if (event.key === "Enter" || event.key === " ") this.choose(head, tail);
      else return;
      event.preventDefault();
    }

    // The weights of the chosen pair, column and row; null if they are not stored.
    weights() {
      const text = this.data.weights[this.pair.join(",")];
      if (text === undefined) return null;
      const list = (axis) => {
        const start = ((this.layer * 2 + axis) * 2 + this.statistic) * this.keys;
        const byte = (_, i) => parseInt(text.slice(2 * (start + i), 2 * (start + i) + 2), 16);
        return Array.from({ length: this.keys }, byte);
      };
      return [list(0), list(1)];
    }

    draw() {
      const [head, tail] = this.pair;
      const weights = this.weights();
      const [column, row] = weights ?? [[], []];
      const most = Math.max(1, ...column, ...row);
      this.cells.forEach((cells, h) =>
        cells.forEach((cell, t) => {
          const parts = [];
          if (weights && t === tail) parts.push(["column", column[h]]);
          if (weights && h === head) parts.push(["row", row[t]]);
          const weight = Math.max(0, ...parts.map((part) => part[1]));
          const text = parts.map(([axis, value]) => `${axis} ${percent(value)}`).join(", ");
          const stored = cell.classList.contains("is-stored") ? ", Enter shows its attention" : "";
          const name = `head ${this.name(h)}, tail ${this.name(t)}`;
          cell.setAttribute("aria-label", `${name}${text && `: ${text}`}${stored}`);
          cell.title = `${this.name(h)} → ${this.name(t)}${text && `: ${text}`}`;
          cell.style.setProperty("--weight", (weight / most).toFixed(3));
          cell.classList.toggle("has-weight", parts.length > 0);
          cell.classList.toggle("is-pair", h === head && t === tail);
          cell.setAttribute("aria-selected", h === head && t === tail);
          cell.tabIndex = h === this.focus[0] && t === this.focus[1] ? 0 : -1;
        }),
      );
      const pair = `${this.name(head)} → ${this.name(tail)}`;
      if (!weights) {
        this.scale.textContent = `The attention of ${pair} is not in this page.`;
        this.table.replaceChildren();
        return;
      }
      const bar = element("span", { className: "doc-scale" });
      bar.setAttribute("aria-hidden", "true");
      this.scale.replaceChildren(`Scale for ${pair}: 0 % `, bar, ` ${percent(most)}. A dot marks pairs to choose.`);
      this.drawTable(pair, column, row);
    }

    drawTable(pair, column, row) {
      const [head, tail] = this.pair;
      const all = [
        ...column.map((weight, h) => ["column", this.name(h), this.name(tail), weight]),
        ...row.map((weight, t) => ["row", this.name(head), this.name(t), weight]),
      ];
      const rows = all.sort((a, b) => b[3] - a[3]).slice(0, 8);
      const cells = ([axis, h, t, weight]) =>
        [axis, `${h} → ${t}`, percent(weight)].map((text) => element("td", { textContent: text }));
      const heading = ["Axis", "Attended pair", "Weight"];
      const heads = heading.map((text) => element("th", { scope: "col", textContent: text }));
      const statistic = ["mean", "maximum"][this.statistic];
      const caption = `Strongest weights of ${pair}, layer ${this.layer + 1}, ${statistic} of the heads`;
      this.table.replaceChildren(
        element(
          "table",
          { className: "doc-facts" },
          element("caption", { textContent: caption }),
          element("thead", {}, element("tr", {}, ...heads)),
          element("tbody", {}, ...rows.map((item) => element("tr", {}, ...cells(item)))),
        ),
      );
    }
  }

  const prepare = (details) => {
    const body = details.querySelector(".doc-body");
    if (details.open && !body.dataset.ready) {
      body.dataset.ready = "true";
      new DocumentView(body);
    }
  };

  // Opens the document of the page's anchor, or of a sentence in it.
  const openTarget = () => {
    const target = document.getElementById(location.hash.slice(1));
    const details = target?.closest("details.doc");
    if (!details) return;
    details.open = true;
    prepare(details);
    target.scrollIntoView();
  };

  for (const views of document.querySelectorAll(".doc-views")) {
    views.classList.add("doc-ready");
    for (const details of views.querySelectorAll("details.doc")) {
      details.addEventListener("toggle", () => prepare(details));
      prepare(details);
    }
  }
  addEventListener("hashchange", openTarget);
  openTarget();
})();
