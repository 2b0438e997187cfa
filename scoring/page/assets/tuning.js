// Tuning: chance to hit, and expected time, over the number of trials.
(() => {
  const report = globalThis.report;
  const { h } = report;
  const HEIGHT = 300;

  /** Mean over the workloads of an entry, for as many trials as all of them have. */
  function mean(curves, name) {
    const most = Math.min(...curves.map((curve) => curve.trials.length));
    return [...Array(most).keys()].map((place) => ({
      x: place + 1,
      y: curves.reduce((sum, curve) => sum + curve[name][place], 0) / curves.length,
    }));
  }

  function lines(field, store, name) {
    const found = [];
    for (const entry of report.shown(field, store)) {
      const own = field.document.tuning[entry] ?? {};
      const chosen = store.tuningWorkload ? [own[store.tuningWorkload]] : Object.values(own);
      const curves = chosen.filter(Boolean);
      if (curves.length) found.push({ entry, points: mean(curves, name) });
    }
    return found;
  }

  function one(field, store, name, label, place) {
    const found = lines(field, store, name);
    const most = Math.max(2, ...found.map((line) => line.points.length));
    return report.chart(label, {
      width: report.widthOf(place, 560),
      height: HEIGHT,
      marginLeft: 48,
      marginBottom: 40,
      x: {
        label: "trials",
        labelAnchor: "center",
        domain: [1, most],
        ticks: Math.min(most, 8),
        tickFormat: "d",
        grid: true,
      },
      y: {
        label: `↑ ${label}`,
        domain: [0, 1.02],
        grid: true,
        ticks: 5,
        tickFormat: (value) => value.toFixed(1),
      },
      marks: found.flatMap(({ entry, points }, number) => {
        const { color, symbol, dash } = report.look(field, entry);
        const every = Math.max(1, Math.round(points.length / 4));
        const some = points.filter((_, at) => at === points.length - 1 || at % every === number % every);
        return [
          Plot.line(points, { x: "x", y: "y", stroke: color, strokeDasharray: dash, strokeWidth: 1.8 }),
          Plot.dot(some, {
            x: "x",
            y: "y",
            symbol,
            fill: color,
            r: 4,
            title: (point) => `${entry}: ${point.y.toFixed(3)} with ${point.x} trials`,
          }),
        ];
      }),
    });
  }

  const CHANCE = "chance to reach the target";
  const EXPECTED = "expected time over budget";

  function draw(field, store, body) {
    const list = [["", "mean over all"], ...field.workloads.map((name) => [name, name])];
    const left = h("div", {}, h("h3", {}, "Chance"));
    const right = h("div", {}, h("h3", {}, "Time"));
    const grid = h("div", { class: "grid" }, left, right);
    body.replaceChildren(
      h(
        "div",
        { class: "controls" },
        report.select("Workload", list, store.tuningWorkload, (tuningWorkload) =>
          store.set({ tuningWorkload }),
        ),
      ),
      report.legend(field, store),
      grid,
    );
    left.append(one(field, store, "chance", CHANCE, left));
    right.append(one(field, store, "expected_budget_share", EXPECTED, right));
  }

  function rows(field) {
    const found = [["submission", "workload", "trials", "chance", "expected_budget_share"]];
    for (const [entry, own] of Object.entries(field.document.tuning)) {
      for (const [workload, curve] of Object.entries(own)) {
        curve.trials.forEach((trials, place) => {
          found.push([entry, workload, trials, curve.chance[place], curve.expected_budget_share[place]]);
        });
      }
    }
    return found;
  }

  report.views.push({
    id: "tuning",
    title: "Tuning",
    how:
      "What the best of n trials achieves, each another point of the search space: the chance that it reaches the target within the budget, " +
      "and how long that takes on average, a miss counting as the whole budget. python -m scoring.tuning adds intervals.",
    depends: ["hidden", "tuningWorkload"],
    isAbsent: (field) => !field.document.tuning || Object.keys(field.document.tuning).length === 0,
    hasCharts: true,
    draw,
    rows,
  });
})();
