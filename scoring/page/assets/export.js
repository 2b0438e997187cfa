// What is shown as a file: tables as CSV, charts as SVG and PNG.
(() => {
  const report = globalThis.report;
  const { h } = report;
  const KEPT = [
    ...["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "fill-opacity", "opacity"],
    ...["font-size", "font-family", "font-weight", "text-anchor", "color"],
  ];
  const SHARPNESS = 2;
  const BETWEEN = 12;

  /** Rows as CSV; a cell that a spreadsheet would run as a formula becomes text. */
  function csv(rows) {
    const cell = (value) => {
      const raw = value === null || value === undefined ? "" : String(value);
      const text = typeof value === "string" && /^[=+\-@\t\r]/.test(raw) ? `'${raw}` : raw;
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return `${rows.map((row) => row.map(cell).join(",")).join("\n")}\n`;
  }

  /** The charts of a view as one picture, with the colours that they have on this page. */
  function picture(section) {
    const charts = [...section.querySelectorAll("svg[role=img]")].filter(
      (one) => one.getClientRects().length,
    );
    const width = Math.max(...charts.map((one) => one.clientWidth));
    const whole = report.svg("svg", { xmlns: "http://www.w3.org/2000/svg" });
    let top = 0;
    whole.append(
      report.svg("rect", {
        width: "100%",
        height: "100%",
        fill: getComputedStyle(document.body).backgroundColor,
      }),
    );
    for (const chart of charts) {
      const copy = chart.cloneNode(true);
      const pairs = [[chart, copy], ...pairsBelow(chart, copy)];
      for (const [original, own] of pairs) {
        const style = getComputedStyle(original);
        for (const name of KEPT) own.style.setProperty(name, style.getPropertyValue(name));
      }
      const title = report.svg("text", { x: 4, y: top + 14, "font-size": 13, "font-family": "sans-serif" });
      title.textContent = chart.getAttribute("aria-label");
      title.setAttribute("fill", getComputedStyle(document.body).color);
      top += 20;
      copy.setAttribute("y", top);
      top += chart.clientHeight + BETWEEN;
      whole.append(title, copy);
    }
    whole.setAttribute("width", width);
    whole.setAttribute("height", top);
    whole.setAttribute("viewBox", `0 0 ${width} ${top}`);
    return { text: new XMLSerializer().serializeToString(whole), width, height: top };
  }

  /** The table of a view as a picture: its HTML with the styles of this page, within an SVG. */
  function tablePicture(section) {
    const table = section.querySelector(".scroll table");
    const copy = table.cloneNode(true);
    for (const box of copy.querySelectorAll("input")) box.remove();
    const rules = [...document.styleSheets[0].cssRules].filter((rule) => rule instanceof CSSStyleRule);
    const root = getComputedStyle(document.documentElement);
    const names = [...root].filter((name) => name.startsWith("--"));
    const values = names.map((name) => `${name}:${root.getPropertyValue(name)}`);
    const body = getComputedStyle(document.body);
    const look = `font:${body.font};color:${body.color};background:${body.backgroundColor}`;
    const kind = [...section.querySelector(".scroll").classList].join(" ");
    // Its rules come in as text, so that > in a selector is escaped as XML wants it.
    const inside = h("div", { class: kind, style: `${values.join(";")};${look};overflow:hidden` });
    inside.append(h("style", {}, rules.map((rule) => rule.cssText).join("\n")), copy);
    const width = table.offsetWidth + BETWEEN;
    const height = table.offsetHeight + 2 * BETWEEN;
    const whole = report.svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    whole.append(report.svg("foreignObject", { width, height }, inside));
    return { text: new XMLSerializer().serializeToString(whole), width, height };
  }

  function pairsBelow(original, copy) {
    const below = original.querySelectorAll("*");
    return [...copy.querySelectorAll("*")].map((own, place) => [below[place], own]);
  }

  async function png({ text, width, height }) {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const canvas = h("canvas", { width: SHARPNESS * width, height: SHARPNESS * height });
    const context = canvas.getContext("2d");
    context.scale(SHARPNESS, SHARPNESS);
    context.drawImage(image, 0, 0, width, height);
    return new Promise((resolve) => {
      canvas.toBlob(resolve, "image/png");
    });
  }

  function save(name, blob) {
    const link = h("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  /** Buttons that save a view. */
  function buttons(view, section) {
    const button = (kind, make) =>
      h(
        "button",
        {
          type: "button",
          "aria-label": `Save ${view.title} as ${kind}`,
          onclick: async () => save(`${view.id}.${kind.toLowerCase()}`, await make()),
        },
        kind,
      );
    const found = [];
    if (view.rows) found.push(button("CSV", () => new Blob([csv(view.rows())], { type: "text/csv" })));
    const draw = view.hasCharts ? picture : tablePicture;
    if (view.hasCharts || view.hasTable) {
      found.push(button("SVG", () => new Blob([draw(section).text], { type: "image/svg+xml" })));
      found.push(button("PNG", () => png(draw(section))));
    }
    return h("div", { class: "export", role: "group", "aria-label": `Save ${view.title}` }, found);
  }

  Object.assign(report, { csv, picture, exportButtons: buttons });
})();
