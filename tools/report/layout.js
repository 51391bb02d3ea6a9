// The checks that tools/report/check.py runs inside of a page. Each returns a list of sentences.
"use strict";
window.reportChecks = (() => {
  // Text boxes may touch; rounding and line heights make up this many pixels.
  const TOLERANCE = 1.5;
  const CONTRAST = 4.5;

  const quote = (text) => JSON.stringify(text.trim().replace(/\s+/g, " ").slice(0, 60));
  const nameOf = (element) => {
    const label = element.getAttribute("aria-label") || element.textContent || "";
    return `${element.localName} ${quote(label)}`;
  };

  const isHidden = (element) =>
    !element.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true, contentVisibilityAuto: true }) ||
    element.closest(".hidden, .skip") !== null;

  const scroller = (element) => {
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (/auto|scroll|hidden|clip/.test(style.overflowX + style.overflowY)) return at;
    }
    return null;
  };

  // The visible pieces of text: one for each line of each text node.
  const texts = () => {
    const pieces = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      const element = node.parentElement;
      // A text without an element of its own in closed details.
      if (element.localName === "details" && !element.open) continue;
      if (!node.data.trim() || /^(script|style|title)$/.test(element.localName) || isHidden(element)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const box of range.getClientRects()) {
        if (box.width < 1 || box.height < 1) continue;
        pieces.push({ element, node, box, scroller: scroller(element) });
      }
    }
    return pieces;
  };

  // The height of a line box exceeds that of its letters; the letters are what may not overlap.
  const letters = ({ box, element }) => {
    const size = parseFloat(getComputedStyle(element).fontSize) * (element.ownerSVGElement ? scaleOf(element) : 1);
    const excess = Math.max(0, (box.height - size) / 2);
    return { left: box.left, right: box.right, top: box.top + excess, bottom: box.bottom - excess };
  };
  const scaleOf = (element) => Math.abs(element.getScreenCTM().d);

  const overlaps = (pieces) => {
    const faults = [];
    const sorted = pieces.map((piece) => ({ ...piece, area: letters(piece) })).sort((a, b) => a.area.top - b.area.top);
    for (let i = 0; i < sorted.length; i++) {
      const a = sorted[i];
      for (let j = i + 1; j < sorted.length && sorted[j].area.top < a.area.bottom - TOLERANCE; j++) {
        const b = sorted[j];
        // Sticky parts of a container and its scrolled text lie over each other on purpose.
        if (a.node === b.node || a.scroller !== b.scroller) continue;
        const width = Math.min(a.area.right, b.area.right) - Math.max(a.area.left, b.area.left);
        if (width > TOLERANCE) faults.push(`the texts ${quote(a.node.data)} and ${quote(b.node.data)} overlap`);
      }
    }
    return faults;
  };

  const outside = (pieces) => {
    const faults = [];
    const width = document.documentElement.clientWidth;
    for (const { box, node, scroller, element } of pieces) {
      if (!scroller && (box.left < -TOLERANCE || box.right > width + TOLERANCE)) {
        faults.push(`the text ${quote(node.data)} leaves the viewport`);
      }
      const drawing = element.ownerSVGElement;
      if (!drawing) continue;
      const frame = drawing.getBoundingClientRect();
      const leaves = box.left < frame.left - TOLERANCE || box.right > frame.right + TOLERANCE;
      if (leaves) faults.push(`the text ${quote(node.data)} leaves its drawing`);
    }
    return faults;
  };

  const channels = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const luminance = (colour) => {
    const linear = channels(colour).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05;
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const alpha = channels(colour)[3];
      if (alpha === undefined || alpha === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };

  const contrasts = (pieces) => {
    const faults = [];
    for (const { element, node } of pieces) {
      const style = getComputedStyle(element);
      const [a, b] = [luminance(element.ownerSVGElement ? style.fill : style.color), luminance(background(element))];
      const ratio = Math.max(a, b) / Math.min(a, b);
      if (ratio < CONTRAST) faults.push(`the contrast of ${quote(node.data)} is ${ratio.toFixed(2)}`);
    }
    return faults;
  };

  const layout = () => {
    window.scrollTo(0, 0);
    const page = document.documentElement;
    const pieces = texts();
    const faults = [...overlaps(pieces), ...outside(pieces), ...contrasts(pieces)];
    if (pieces.length === 0) faults.push("the page has no text");
    if (page.scrollWidth > page.clientWidth) {
      faults.push(`the page is ${page.scrollWidth} pixels wide in a window of ${page.clientWidth}`);
    }
    return faults;
  };

  const structure = () => {
    const faults = [];
    let before = 0;
    for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
      const level = Number(heading.localName[1]);
      if (level > before + 1) faults.push(`${nameOf(heading)} follows a heading of level ${before}`);
      before = level;
    }
    for (const [selector, count] of [["h1", 1], ["main", 1], ["header", 1], ["footer", 1], ["html[lang]", 1]]) {
      const found = document.querySelectorAll(selector).length;
      if (found !== count) faults.push(`there are ${found} elements ${selector}, not ${count}`);
    }
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    const repeated = ids.filter((id, index) => ids.indexOf(id) !== index);
    repeated.forEach((id) => faults.push(`the identifier ${quote(id)} is not unique`));
    for (const link of document.querySelectorAll("a[href^='#']")) {
      const id = decodeURIComponent(link.getAttribute("href").slice(1));
      if (id && !document.getElementById(id)) faults.push(`${nameOf(link)} leads to no element`);
    }
    for (const table of document.querySelectorAll("table")) {
      if (!table.caption && !table.getAttribute("aria-label")) faults.push("a table has no caption");
      for (const heading of table.querySelectorAll("th")) {
        if (!heading.scope) faults.push(`${nameOf(heading)} has no scope`);
      }
    }
    for (const drawing of document.querySelectorAll("svg:not([aria-hidden=true])")) {
      if (!drawing.closest("[aria-hidden=true]") && !drawing.getAttribute("aria-label")) {
        faults.push("a drawing has no text alternative");
      }
    }
    for (const region of document.querySelectorAll("[role=region], nav, button, select, input")) {
      const labels = region.labels ? region.labels.length : 0;
      const label = region.getAttribute("aria-label") || region.getAttribute("aria-labelledby") || region.textContent;
      if (!labels && !(label || "").trim()) faults.push(`${nameOf(region)} has no label`);
    }
    for (const element of document.querySelectorAll("body *")) {
      const style = getComputedStyle(element);
      const scrolls = /auto|scroll/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1;
      // The arrow keys move the focus over the whole grid, which scrolls its container.
      const takesFocus = element.tabIndex >= 0 || element.querySelector("[role=grid]");
      if (scrolls && !takesFocus && !isHidden(element)) faults.push(`${nameOf(element)} scrolls without focus`);
    }
    return faults;
  };

  // The elements that the Tab key has to reach. `focusable` finds them and returns their number.
  let reachable = [];
  const focusable = () => {
    const selector = "a[href], summary, button, select, input, [tabindex='0']";
    const isReachable = (element) =>
      !element.disabled && element.tabIndex >= 0 && (element.matches(".skip") || !isHidden(element));
    // Of a group of radio buttons, Tab reaches one.
    reachable = [...document.querySelectorAll(selector)].filter((element) => element.type !== "radio" && isReachable(element));
    return reachable.length;
  };

  const focus = () => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    const visible = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    const index = reachable.indexOf(element);
    return { index: index < 0 ? `other ${nameOf(element)}` : index, name: nameOf(element), visible };
  };

  const names = (indices) => indices.map((index) => nameOf(reachable[index]));

  // Uses the documents as a reader does: a link, a fact, the grid of pairs.
  const behaviour = async () => {
    const faults = [];
    const expect = (holds, fault) => {
      if (!holds) faults.push(fault);
    };
    const last = [...document.querySelectorAll("details.doc")].at(-1);
    if (!last) return faults;
    last.open = false;
    const target = last.querySelector(".doc-body");
    location.hash = target.id;
    await new Promise((done) => setTimeout(done, 200));
    const { top } = target.getBoundingClientRect();
    expect(last.open, `the link #${target.id} does not open its document`);
    expect(top > -2 && top < innerHeight, `the link #${target.id} does not lead to its document`);

    const fact = last.querySelector("button.doc-fact");
    const chosen = last.querySelector(".doc-chosen");
    if (fact) {
      fact.click();
      expect(fact.getAttribute("aria-pressed") === "true", "a click does not choose a fact");
      expect(chosen.textContent.startsWith("Chosen: "), "a chosen fact is not named");
      expect(last.querySelector(".doc-m.is-head") && last.querySelector(".doc-m.is-tail"), "a chosen fact has no marked mentions");
      fact.click();
      expect(fact.getAttribute("aria-pressed") === "false" && chosen.textContent === "", "a second click keeps the fact");
    }

    const grid = last.querySelector(".doc-grid");
    if (grid) {
      const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      const cells = [...grid.querySelectorAll("td")];
      const first = grid.querySelector("td[tabindex='0']");
      first.focus();
      press("Home");
      press("ArrowRight");
      expect(cells.length < 4 || document.activeElement.cellIndex === 2, "the arrow keys do not move in the grid");
      const other = cells.find((cell) => cell.matches(".is-stored:not(.is-pair)"));
      if (other) {
        other.click();
        press("Enter");
        expect(other.matches(".is-pair"), "a click or Enter does not choose a pair of the grid");
      }
      expect(grid.querySelectorAll(".is-pair").length === 1, "not one pair of the grid is chosen");
      const weights = [...grid.querySelectorAll(".has-weight")];
      expect(weights.some((cell) => parseFloat(cell.style.getPropertyValue("--weight")) === 1), "no weight of the grid is the highest");
    }
    return faults;
  };

  return { layout, structure, focusable, focus, names, behaviour };
})();
