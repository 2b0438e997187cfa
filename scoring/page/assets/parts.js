// What all views are made of: elements, the looks of entries, links to records, choices that views share.
(() => {
  const report = globalThis.report;
  const COLORS = 8;
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "wye", "cross"];
  const DASHES = [null, "6 3", "2 2", "8 3 2 3"];

  /** An element; text goes in as text, never as HTML, because names come from whoever submits. */
  function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
  }

  /** Colour, symbol and dash of an entry: no two of a field have all three in common. */
  function look(field, entry) {
    const number = field.order.indexOf(entry);
    return {
      color: `var(--e${number % COLORS})`,
      symbol: SYMBOLS[number % SYMBOLS.length],
      dash: DASHES[Math.floor(number / COLORS) % DASHES.length],
    };
  }

  const SVG = "http://www.w3.org/2000/svg";

  function svg(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  /** The mark of an entry as it stands in charts: its line and its symbol. */
  function mark(field, entry) {
    const { color, symbol, dash } = look(field, entry);
    const type = d3[`symbol${symbol[0].toUpperCase()}${symbol.slice(1)}`];
    return svg(
      "svg",
      { width: 26, height: 12, viewBox: "-13 -6 26 12", "aria-hidden": "true", class: "mark" },
      svg("path", { d: "M-13 0H13", stroke: color, "stroke-width": 2, "stroke-dasharray": dash }),
      svg("path", { d: d3.symbol(type, 42)(), fill: color }),
    );
  }

  /** The address of a record relative to the page; null for what lies in an archive or is published. */
  function address(record) {
    if (!record || record.archive) return null;
    const parts = record.path.split("/").map((part) => encodeURIComponent(part));
    const path = parts.join("/");
    // Without this a folder called "javascript:" would be a scheme.
    return path.startsWith("/") || path.startsWith(".") ? path : `./${path}`;
  }

  /** A link to the record of a trial, or where it lies in words. */
  function recordLink(trial, text) {
    const record = trial?.record;
    if (!record) return h("span", { title: "Published: its records are not here." }, text);
    const href = address(record);
    if (href) return h("a", { href: `${href}/` }, text);
    return h("span", { title: `${record.archive}: ${record.path}` }, text);
  }

  /** A number as a link to the card of its entry, where the trials behind it and their records are. */
  function cardLink(field, entry, text, title = "The trials behind this number") {
    return h("a", { href: `#entry-${field.order.indexOf(entry)}`, title, class: "quiet" }, text);
  }

  /** The choices that views share; whoever watches is told which of them has changed. */
  function makeStore(initial) {
    const watchers = [];
    const store = {
      ...initial,
      set(changes) {
        Object.assign(store, changes);
        for (const watcher of watchers) watcher(Object.keys(changes));
      },
      watch(watcher) {
        watchers.push(watcher);
      },
    };
    return store;
  }

  /** A labelled choice among (value, text) pairs. */
  function select(label, options, value, onchange) {
    const element = h(
      "select",
      { "data-key": `select-${label}`, onchange: () => onchange(element.value) },
      options.map(([own, text]) => h("option", { value: own, selected: own === value }, text)),
    );
    return h("label", { class: "control" }, `${label} `, element);
  }

  /** A name that may break after its underscores and slashes. */
  function breakable(name) {
    return name.split(/(?<=[_/])/).flatMap((part, place) => (place ? [h("wbr"), part] : [part]));
  }

  /** A table; `align` has "l", "n" (numbers) or "m" (numbers, left out on a phone) for each column. */
  function table(caption, header, body, align = "") {
    const kind = (place) => ({ n: "number", m: "number middle" })[align[place]] ?? null;
    return h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      h(
        "table",
        {},
        h("caption", { class: "hidden" }, caption),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            header.map((cell, place) => h("th", { scope: "col", class: kind(place) }, cell)),
          ),
        ),
        h(
          "tbody",
          {},
          body.map((row) =>
            h(
              "tr",
              {},
              row.map((cell, place) =>
                place === 0 ? h("th", { scope: "row" }, cell) : h("td", { class: kind(place) }, cell),
              ),
            ),
          ),
        ),
      ),
    );
  }

  /** A chart of Plot with a name for who cannot see it, in a figure that scrolls by itself where it is too wide. */
  function chart(label, options) {
    const drawn = Plot.plot({
      style: { background: "none", color: "inherit", fontSize: "12px" },
      ...options,
    });
    const picture = drawn.tagName.toLowerCase() === "svg" ? drawn : drawn.querySelector("svg:last-of-type");
    picture.setAttribute("role", "img");
    // What Plot calls its marks is for programmers; the chart is one picture with one name.
    for (const part of picture.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
    picture.setAttribute("aria-label", label);
    return h("div", { class: "chart" }, drawn);
  }

  /** Entries that are shown, as marks and names; a click hides one or brings it back. */
  function legend(field, store) {
    const list = h("ul", { class: "legend", "aria-label": "Entries" });
    for (const entry of field.order) {
      const isShown = !store.hidden.has(entry);
      list.append(
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              "data-key": `legend-${entry}`,
              "aria-pressed": String(isShown),
              title: isShown ? "Hide this entry" : "Show this entry",
              onclick: () => toggle(store, entry),
            },
            mark(field, entry),
            h("span", { class: "name" }, entry),
          ),
        ),
      );
    }
    return list;
  }

  function toggle(store, entry) {
    const hidden = new Set(store.hidden);
    if (!hidden.delete(entry)) hidden.add(entry);
    store.set({ hidden });
  }

  const shown = (field, store) => field.order.filter((entry) => !store.hidden.has(entry));

  /** Width that a chart has here, in pixels. */
  const widthOf = (element, most) => Math.max(260, Math.min(most, element.clientWidth || most));

  const UNIT_WORDS = { submission_time: "seconds", steps: "updates", examples: "examples" };

  Object.assign(report, {
    h,
    svg,
    look,
    mark,
    breakable,
    address,
    recordLink,
    cardLink,
    makeStore,
    select,
    table,
    chart,
    legend,
    toggle,
    shown,
    widthOf,
    UNIT_WORDS,
  });
})();
