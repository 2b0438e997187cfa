// Curves: the target metric against seconds, updates and examples.
(() => {
  const report = globalThis.report;
  const { h } = report;
  const POINTS = 80;
  const BEGUN = 0.2; // Of the longest run: what a curve was before would be most of the picture.
  const INSIDE = 0.1; // Of the curves may lie outside the picture.
  const HEIGHT = 230;
  const ROOM = 1.03; // For the marks at the ends of curves.

  /** The trial of a study that stands for it: the one that was selected, or the best. */
  function chosen(field, entry, workload, study) {
    const trials = field.trialsOf(entry, workload).filter((trial) => trial.study === study.study);
    const selected = trials.find((trial) => trial.trial === study.trial);
    if (selected) return selected;
    const sign = field.document.workloads[workload].higher_is_better ? 1 : -1;
    return trials
      .filter((trial) => trial.best !== null)
      .reduce((best, trial) => (best === null || sign * trial.best > sign * best.best ? trial : best), null);
  }

  /** Points [x, metric] of a trial on an axis. */
  function pointsOf(field, trial, axis) {
    const curve = field.curveOf(trial);
    if (!curve) return [];
    const x = axis === "submission_time" ? curve.time : curve.step;
    const scale = axis === "examples" ? trial.batch_size : 1;
    if (scale === null) return [];
    return x
      .map((at, place) => [at === null ? null : scale * at, curve.metric[place]])
      .filter(([at, value]) => at !== null && value !== null);
  }

  /** Metric at x between two evaluations. */
  function valueAt(points, x) {
    const right = d3.bisector((point) => point[0]).left(points, x);
    if (right === 0) return points[0][0] === x ? points[0][1] : null;
    if (right === points.length) return null;
    const [x0, y0] = points[right - 1];
    const [x1, y1] = points[right];
    return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
  }

  /** Median and range over the studies of an entry, for as long as most of them ran. */
  function band(runs) {
    if (runs.length === 0) return [];
    if (runs.length === 1) return runs[0].map(([x, y]) => ({ x, y, low: y, high: y }));
    const end = d3.max(runs, (points) => points.at(-1)[0]);
    const start = d3.max(runs, (points) => points[0][0]);
    const found = [];
    for (let number = 0; number <= POINTS; number += 1) {
      const x = start + ((end - start) * number) / POINTS;
      const values = runs.map((points) => valueAt(points, x)).filter((value) => value !== null);
      if (values.length * 2 > runs.length) {
        found.push({ x, y: d3.median(values), low: d3.min(values), high: d3.max(values) });
      }
    }
    return found;
  }

  /** The lines of a workload: for each entry its band, and where its studies reached the target. */
  function linesOf(field, store, workload) {
    const axis = store.curveAxis;
    return report.shown(field, store).map((entry) => {
      const studies = field.document.times[entry][workload].studies;
      const trials = studies.map((study) => chosen(field, entry, workload, study)).filter(Boolean);
      const runs = trials.map((trial) => pointsOf(field, trial, axis)).filter((points) => points.length > 1);
      const hits = trials
        .filter((trial) => trial.hit_time_sec !== null)
        .map((trial) => ({
          x:
            axis === "submission_time"
              ? trial.hit_time_sec
              : trial.hit_step * (axis === "examples" ? trial.batch_size : 1),
          trial,
        }));
      return { entry, line: band(runs), hits };
    });
  }

  /** What is drawn of the metric: the target, the best, and where most curves are after their first rush and at their ends. */
  function domain(lines, spec, target) {
    const points = lines.map((one) => one.line).filter((line) => line.length);
    const begun = BEGUN * d3.max(points, (line) => line.at(-1).x);
    const late = points.flatMap((line) => [
      (line.find((point) => point.x >= begun) ?? line.at(-1)).y,
      line.at(-1).y,
    ]);
    const values = [
      ...late,
      ...points.map((line) => (spec.higher_is_better ? d3.max : d3.min)(line, (point) => point.y)),
    ].sort(d3.ascending);
    if (values.length === 0) return [target - 1, target + 1];
    const low = spec.higher_is_better ? d3.quantile(values, INSIDE) : values[0];
    const high = spec.higher_is_better ? values.at(-1) : d3.quantile(values, 1 - INSIDE);
    const ends = [Math.min(low, target), Math.max(high, target)];
    const room = 0.05 * (ends[1] - ends[0] || 1);
    return [ends[0] - room, ends[1] + room];
  }

  /** Marks at the target: of each entry its median time, or where one workload fills the page each study. */
  function marksAt(field, store, workload, one, value) {
    if (store.curveWorkload) return one.hits.map((hit) => ({ ...hit, y: value }));
    if (field.document.times[one.entry][workload].time_to_target === null || one.hits.length === 0) return [];
    return [{ x: report.median(one.hits.map((hit) => hit.x)), y: value, trial: one.hits[0].trial }];
  }

  function drawOne(field, store, workload, width) {
    const spec = field.document.workloads[workload];
    const target = report.relaxed(spec, store.choice.share);
    const lines = linesOf(field, store, workload);
    const words = report.UNIT_WORDS[store.curveAxis];
    const marks = [Plot.ruleY([target], { stroke: "var(--soft)", strokeDasharray: "4 3" })];
    if (store.hasBands) {
      for (const one of lines) {
        const { color } = report.look(field, one.entry);
        marks.push(
          Plot.areaY(one.line, { x: "x", y1: "low", y2: "high", fill: color, fillOpacity: 0.15, clip: true }),
        );
      }
    }
    for (const one of lines) {
      const { color, symbol, dash } = report.look(field, one.entry);
      marks.push(
        Plot.line(one.line, {
          x: "x",
          y: "y",
          stroke: color,
          strokeDasharray: dash,
          strokeWidth: 1.6,
          clip: true,
        }),
      );
      const reached = marksAt(field, store, workload, one, spec.validation_target);
      const ends = reached.length ? reached : one.line.slice(-1);
      marks.push(
        Plot.dot(ends, {
          x: "x",
          y: "y",
          symbol,
          r: 4,
          clip: true,
          fill: reached.length ? color : "var(--back)",
          stroke: color,
          title: (hit) =>
            reached.length
              ? `${one.entry}: reached ${report.short(spec.validation_target)} at ${report.short(hit.x)} ${words}`
              : `${one.entry}: not reached`,
        }),
      );
    }
    return report.chart(`${workload}: ${spec.metric} against ${words}`, {
      width,
      height: HEIGHT,
      marginLeft: 52,
      marginRight: 14,
      marginBottom: 38,
      x: {
        label: words,
        labelAnchor: "center",
        grid: true,
        tickFormat: report.thousands,
        ticks: 5,
        domain: [0, ROOM * Math.max(1, d3.max(lines, (one) => d3.max(one.line, (point) => point.x)) ?? 1)],
      },
      y: {
        label: `${spec.higher_is_better ? "↑" : "↓"} ${spec.metric}`,
        grid: true,
        ticks: 5,
        domain: domain(lines, spec, target),
      },
      marks,
    });
  }

  function draw(field, store, body) {
    const axes = [
      ["submission_time", "seconds"],
      ["steps", "updates"],
    ];
    if (field.trials.length && field.trials.every((trial) => trial.batch_size !== null))
      axes.push(["examples", "examples"]);
    const list = [["", "all"], ...field.columns.map((name) => [name, name])];
    const names = store.curveWorkload ? [store.curveWorkload] : field.workloads;
    const bands = h(
      "label",
      { class: "control" },
      h("input", {
        type: "checkbox",
        checked: store.hasBands,
        onchange: (event) => store.set({ hasBands: event.target.checked }),
      }),
      " range over studies",
    );
    const grid = h("div", { class: "grid" });
    body.replaceChildren(
      h(
        "div",
        { class: "controls" },
        report.select("Workload", list, store.curveWorkload, (curveWorkload) => store.set({ curveWorkload })),
        report.select("Against", axes, store.curveAxis, (curveAxis) => store.set({ curveAxis })),
        bands,
      ),
      report.legend(field, store),
      grid,
    );
    if (names.length === 1) grid.style.gridTemplateColumns = "1fr";
    for (const name of names) {
      const place = h("div", {}, h("h3", {}, name));
      grid.append(place);
      if (!field.trials.some((trial) => trial.workload === name && field.document.curves[trial.place])) {
        place.append(h("p", {}, "No evaluations are stored."));
      } else
        place.append(drawOne(field, store, name, report.widthOf(place, names.length === 1 ? 1000 : 700)));
    }
  }

  function rows(field, store) {
    const found = [
      ["workload", "submission", report.UNIT_WORDS[store.curveAxis], "metric", "least", "largest"],
    ];
    for (const name of store.curveWorkload ? [store.curveWorkload] : field.workloads) {
      for (const one of linesOf(field, store, name)) {
        for (const point of one.line) found.push([name, one.entry, point.x, point.y, point.low, point.high]);
      }
    }
    return found;
  }

  report.views.push({
    id: "curves",
    title: "Curves",
    how:
      "Each line is the target metric of one entry, the median over its studies (of each the trial that counts), and the shade their range. " +
      "The dashed line is the target; a filled mark on it is the median time of an entry that reached it, a hollow one at the end of a line an entry that did not.",
    depends: ["hidden", "curveAxis", "curveWorkload", "hasBands", "choice"],
    hasCharts: true,
    draw,
    rows,
  });
})();
