// Where time went: ledger, seconds per update, share of evaluation.
(() => {
  const report = globalThis.report;
  const { h, svg } = report;
  const ROW = 26;
  const GROUPS = [
    ["data", ["data_selection"], "var(--e5)"],
    ["update", ["update", "prepare_for_eval"], "var(--e0)"],
    ["evaluation", ["eval_train", "eval_validation", "eval_test"], "var(--e1)"],
    ["set-up", ["set_up"], "var(--e2)"],
    ["other", ["logging", "checkpoint", "other"], "var(--soft)"],
  ];

  const { known: median } = report;

  /** Seconds by group, summed over the trials of an entry on some workloads; null without ledgers. */
  function ledger(field, entry, workloads) {
    const trials = workloads.flatMap((name) => field.trialsOf(entry, name)).filter((trial) => trial.ledger);
    if (trials.length === 0) return null;
    const seconds = GROUPS.map(([, buckets]) =>
      trials.reduce(
        (sum, trial) => sum + buckets.reduce((own, name) => own + (trial.ledger[name] ?? 0), 0),
        0,
      ),
    );
    return { seconds, total: seconds.reduce((sum, one) => sum + one, 0), trials: trials.length };
  }

  function chosenWorkloads(field, store) {
    return store.timeWorkload ? [store.timeWorkload] : field.workloads;
  }

  function bars(field, store, width) {
    const rows = [];
    for (const entry of report.shown(field, store)) {
      const found = ledger(field, entry, chosenWorkloads(field, store));
      if (!found) continue;
      let from = 0;
      GROUPS.forEach(([name], place) => {
        const share = found.seconds[place] / found.total;
        rows.push({ entry, name, from, to: from + share, share, seconds: found.seconds[place] });
        from += share;
      });
    }
    if (rows.length === 0) return null;
    const isNarrow = width < 600;
    const label = (entry) => report.cut(entry, isNarrow ? 14 : 30);
    const entries = [...new Set(rows.map((row) => row.entry))];
    return report.chart("Share of wall time by what it went into", {
      width,
      height: 62 + ROW * entries.length,
      marginBottom: 40,
      marginLeft: isNarrow ? 110 : 220,
      marginRight: 20,
      x: {
        label: "share of wall time",
        labelAnchor: "center",
        domain: [0, 1],
        tickFormat: (value) => `${Math.round(100 * value)} %`,
        ticks: 5,
        grid: true,
      },
      y: { label: null, domain: entries, tickFormat: label, tickSize: 0 },
      marks: [
        Plot.barX(rows, {
          y: "entry",
          x1: "from",
          x2: "to",
          fill: (row) => GROUPS.find(([name]) => name === row.name)[2],
          insetTop: 3,
          insetBottom: 3,
          insetRight: 1,
          title: (row) =>
            `${row.entry}: ${row.name} ${report.percent(row.share, 1)}, ${report.duration(row.seconds)}`,
        }),
        Plot.text(
          rows.filter((row) => row.share > 0.09),
          {
            y: "entry",
            x: (row) => (row.from + row.to) / 2,
            text: (row) => `${Math.round(100 * row.share)}`,
            fill: "var(--back)",
            fontSize: 11,
          },
        ),
      ],
      color: { type: "identity" },
    });
  }

  function swatches() {
    return h(
      "ul",
      { class: "swatches", "aria-label": "Colours, from left to right" },
      GROUPS.map(([name, , color]) =>
        h(
          "li",
          {},
          svg(
            "svg",
            { width: 14, height: 14, "aria-hidden": "true" },
            svg("rect", { width: 14, height: 14, fill: color }),
          ),
          name,
        ),
      ),
    );
  }

  /** Median seconds per update of an entry on a workload, its framework, and the median of that framework. */
  function stepTimes(field, workload) {
    const own = new Map();
    for (const entry of field.order) {
      const trials = field.trialsOf(entry, workload);
      const seconds = median(trials.map((trial) => trial.seconds_per_update));
      if (seconds !== null) own.set(entry, { seconds, framework: trials[0].framework });
    }
    for (const one of own.values()) {
      const peers = [...own.values()].filter((other) => other.framework === one.framework);
      one.usual = median(peers.map((other) => other.seconds));
      one.ratio = one.seconds / one.usual;
    }
    return own;
  }

  /** Digits after the point that give the smallest of some numbers three significant ones. */
  const digitsFor = (values) => Math.max(0, 2 - Math.floor(Math.log10(Math.min(...values))));

  function speeds(field, store) {
    const workloads = field.workloads;
    const all = workloads.map((name) => stepTimes(field, name));
    const digits = all.map((found) => digitsFor([1, ...[...found.values()].map((one) => one.seconds)]));
    const body = report.shown(field, store).map((entry) => [
      h("span", { class: "entry" }, report.mark(field, entry), report.breakable(entry)),
      ...all.map((found, place) => {
        const one = found.get(entry);
        if (!one) return "–";
        const words = `${report.short(one.seconds)} s; median of ${one.framework}: ${report.short(one.usual)} s`;
        return h(
          "span",
          {},
          report.cardLink(field, entry, one.seconds.toFixed(digits[place]), words),
          h("small", {}, `${one.ratio.toFixed(2)} × ${one.framework}`),
        );
      }),
    ]);
    const drawn = report.table(
      "Seconds per update",
      ["Entry", ...workloads.map(report.breakable)],
      body,
      `l${"n".repeat(workloads.length)}`,
    );
    drawn.classList.add("heat", "plain");
    return drawn;
  }

  function evaluations(field, store) {
    const workloads = field.workloads;
    const body = report.shown(field, store).map((entry) => [
      h("span", { class: "entry" }, report.mark(field, entry), report.breakable(entry)),
      ...workloads.map((name) => {
        const share = median(field.trialsOf(entry, name).map((trial) => trial.evaluation_share));
        return report.cardLink(field, entry, report.percent(share));
      }),
    ]);
    const drawn = report.table(
      "Share of evaluation",
      ["Entry", ...workloads.map(report.breakable)],
      body,
      `l${"n".repeat(workloads.length)}`,
    );
    drawn.classList.add("heat", "plain");
    return drawn;
  }

  function draw(field, store, body) {
    const list = [["", "all together"], ...field.workloads.map((name) => [name, name])];
    const place = h("div", {});
    body.replaceChildren(
      h(
        "div",
        { class: "controls" },
        report.select("Bars for", list, store.timeWorkload, (timeWorkload) => store.set({ timeWorkload })),
      ),
      place,
    );
    const drawn = bars(field, store, report.widthOf(place, 1000));
    if (drawn) place.append(swatches(), drawn);
    else place.append(h("p", {}, "No trial recorded a ledger of its wall time."));
    const known = (name) => field.trials.some((trial) => report.isNumber(trial[name]));
    if (known("seconds_per_update"))
      body.append(
        h("h3", {}, "Seconds per update, and times the median of the framework"),
        speeds(field, store),
      );
    if (known("evaluation_share"))
      body.append(
        h("h3", {}, "Evaluation as a share of submission and evaluation time"),
        evaluations(field, store),
      );
  }

  function rows(field) {
    const head = [
      "submission",
      "workload",
      "framework",
      "seconds_per_update",
      "framework_median_ratio",
      "evaluation_share",
      ...GROUPS.map(([name]) => `${name}_sec`),
    ];
    const found = [head];
    for (const workload of field.workloads) {
      const times = stepTimes(field, workload);
      for (const entry of field.order) {
        const one = times.get(entry);
        const share = median(field.trialsOf(entry, workload).map((trial) => trial.evaluation_share));
        const parts = ledger(field, entry, [workload])?.seconds ?? GROUPS.map(() => null);
        found.push([entry, workload, one?.framework, one?.seconds, one?.ratio, share, ...parts]);
      }
    }
    return found;
  }

  report.views.push({
    id: "time",
    title: "Time",
    how:
      "Bars: where the wall time of all trials went; only data and update are on the submission clock. " +
      "Below, seconds per update: 1.20 × says that an update takes a fifth longer than the median of the same framework, which is the method's overhead.",
    depends: ["hidden", "timeWorkload"],
    isAbsent: (field) => field.trials.length === 0,
    hasCharts: true,
    draw,
    rows,
  });
})();
