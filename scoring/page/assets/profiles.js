// Performance profile, data profile, and who is faster than whom.
(() => {
  const report = globalThis.report;
  const { h } = report;
  const HEIGHT = 380;
  const DARKEST = 0.55; // Text keeps its contrast up to here, in light and dark.

  /** Steps of the share of workloads (weighted) at or below x, from `from` to `to`. */
  function steps(values, weights, from, to) {
    const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
    const order = values
      .map((value, place) => [value, weights[place]])
      .filter(([value]) => value <= to)
      .sort((a, b) => a[0] - b[0]);
    const points = [];
    let share = 0;
    for (const [value, weight] of order) {
      share += weight / total;
      const at = Math.max(from, value);
      if (points.length && points.at(-1).x === at) points.at(-1).y = share;
      else points.push({ x: at, y: share });
    }
    if (points[0]?.x !== from) points.unshift({ x: from, y: 0 });
    points.push({ x: to, y: points.at(-1).y });
    return points;
  }

  function marks(field, lines) {
    return lines.flatMap(({ entry, points }, number) => {
      const { color, symbol, dash } = report.look(field, entry);
      // Symbols stand apart along the lines, so that those of equal lines do not hide each other.
      const inner = points.filter((_, place) => place % 2 === number % 2 || points.length < 4);
      return [
        Plot.line(points, {
          x: "x",
          y: "y",
          curve: "step-after",
          stroke: color,
          strokeDasharray: dash,
          strokeWidth: 1.8,
        }),
        Plot.dot(inner, {
          x: "x",
          y: "y",
          symbol,
          fill: color,
          r: 4,
          title: (point) => `${entry}: ${report.percent(point.y)} at ${report.short(point.x)}`,
        }),
      ];
    });
  }

  function profileLines(_field, store) {
    const { choice, result } = store;
    const weights = result.workloads.map((name) => choice.weights[name]);
    return result.rows
      .filter((row) => !store.hidden.has(row.entry))
      .sort((a, b) => a.rank - b.rank)
      .map((row) => ({ entry: row.entry, points: steps(row.ratios, weights, 1, choice.rMax) }));
  }

  function dataLines(field, store) {
    const { document } = field;
    const { choice, result } = store;
    const weights = result.workloads.map((name) => choice.weights[name]);
    return result.rows
      .filter((row) => !store.hidden.has(row.entry))
      .sort((a, b) => a.rank - b.rank)
      .map((row) => {
        const values = result.workloads.map((name, place) => {
          const share =
            choice.share === 0
              ? document.times[row.entry][name].budget_share
              : row.cells[place].value / document.workloads[name].budget_sec;
          return report.isNumber(share) ? share : Number.POSITIVE_INFINITY;
        });
        return { entry: row.entry, points: steps(values, weights, 0, 1) };
      });
  }

  function drawProfile(label, x, lines) {
    return (field, store, body) => {
      const place = h("div", {});
      body.replaceChildren(report.legend(field, store), place);
      place.append(
        report.chart(label, {
          width: report.widthOf(place, 900),
          height: HEIGHT,
          marginLeft: 48,
          marginBottom: 40,
          x: { ...x(store), grid: true, labelAnchor: "center" },
          y: {
            label: "↑ share of workloads",
            domain: [0, 1.02],
            grid: true,
            tickFormat: (value) => value.toFixed(1),
            ticks: 6,
          },
          marks: [Plot.frame({ stroke: "var(--line)" }), ...marks(field, lines(field, store))],
        }),
      );
    };
  }

  const lineRows = (lines, name) => (field, store) => [
    ["submission", name, "share_of_workloads"],
    ...lines(field, store).flatMap((line) => line.points.map((point) => [line.entry, point.x, point.y])),
  ];

  const words = (store) => report.UNIT_WORDS[store.choice.axis];
  report.views.push(
    {
      id: "profile",
      title: "Performance profile",
      how:
        "How to read it: a line at height 0.5 above 2 says that the entry solved half of the workloads within 2 times the fastest one's time. " +
        "Higher is better; the area below a line is the entry's score.",
      depends: ["choice", "hidden"],
      isAbsent: (field) => field.order.length === 0,
      hasCharts: true,
      draw: drawProfile(
        "Performance profile",
        (store) => ({
          label: `${words(store)} to target over the fastest entry's`,
          domain: [1, store.choice.rMax],
          ticks: 7,
        }),
        profileLines,
      ),
      rows: lineRows(profileLines, "ratio"),
    },
    {
      id: "data-profile",
      title: "Data profile",
      how:
        "How to read it: a line at height 0.5 above 0.25 says that the entry solved half of the workloads within a quarter of their budgets. " +
        "It does not depend on who else takes part, and knows no held-out rule.",
      depends: ["choice", "hidden"],
      isAbsent: (field) => field.order.length === 0,
      hasCharts: true,
      draw: drawProfile(
        "Data profile",
        () => ({ label: "time to target over the budget", domain: [0, 1], ticks: 6 }),
        dataLines,
      ),
      rows: lineRows(dataLines, "budget_share"),
    },
  );

  /** (better, worse) -> chance that the first is truly above the second. */
  function chances(field) {
    const found = new Map();
    for (const pair of field.document.uncertainty.pairs) {
      found.set(`${pair.above}\n${pair.below}`, {
        chance: pair.probability,
        isClear: pair.is_clear,
        studies: pair.studies_to_tell,
      });
      found.set(`${pair.below}\n${pair.above}`, {
        chance: 1 - pair.probability,
        isClear: pair.is_clear,
        studies: pair.studies_to_tell,
      });
    }
    return found;
  }

  function drawPairs(field, store, body) {
    const found = chances(field);
    const shown = report.shown(field, store);
    const number = (entry) => field.order.indexOf(entry) + 1;
    const grid = h(
      "div",
      { class: "scroll pairs", tabindex: "0", role: "region", "aria-label": "Pairs of entries" },
      h(
        "table",
        {},
        h(
          "caption",
          { class: "hidden" },
          "Chance that the entry of a row has the higher true score than that of a column",
        ),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "% above …"),
            shown.map((entry) =>
              h(
                "th",
                { scope: "col", class: "number", title: entry, "aria-label": entry },
                String(number(entry)),
              ),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          shown.map((row) =>
            h(
              "tr",
              {},
              h("th", { scope: "row", class: "entry" }, `${number(row)} `, report.mark(field, row), row),
              shown.map((column) => {
                const one = found.get(`${row}\n${column}`);
                if (!one) return h("td", { class: "number" }, row === column ? "·" : "–");
                const share = DARKEST * Math.max(0, 2 * one.chance - 1);
                const kind = one.isClear ? "number is-clear" : "number";
                const told = one.isClear ? "told apart" : `not told apart; ${one.studies} studies would tell`;
                return h(
                  "td",
                  {
                    class: kind,
                    style: `--share:${share.toFixed(3)}`,
                    title: `${row} above ${column}: ${told}`,
                  },
                  String(Math.round(100 * one.chance)),
                );
              }),
            ),
          ),
        ),
      ),
    );
    body.replaceChildren(grid);
  }

  report.views.push({
    id: "pairs",
    title: "Pairs",
    how:
      "The chance in percent that the entry of a row has a higher true score than that of a column, by the luck of seeds and tuning that the studies show. " +
      "Bold pairs are told apart with 95 % for all of them at once.",
    hasTable: true,
    depends: ["hidden"],
    isAbsent: (field) => !field.document.uncertainty?.pairs.length,
    draw: drawPairs,
    rows: (field) => [
      ["above", "below", "probability", "is_clear", "studies_to_tell"],
      ...field.document.uncertainty.pairs.map((one) => [
        one.above,
        one.below,
        one.probability,
        one.is_clear,
        one.studies_to_tell,
      ]),
    ],
  });
})();
