// Two figures of each entry against each other: scores by seconds and by updates, time and memory.
(() => {
  const report = globalThis.report;
  const { h, known: median } = report;
  const LETTER = 6.6; // Pixels of a letter, for the room that a label needs.

  /** Labels that overlap neither each other nor a mark; what finds no room is left to the legend. */
  function labels(points, x, y, width) {
    const marks = points.map((point) => ({
      left: x(point) - 7,
      right: x(point) + 7,
      top: y(point) - 7,
      bottom: y(point) + 7,
    }));
    const taken = [...marks];
    const isFree = (box, own) =>
      box.left > 0 &&
      box.right < width &&
      taken.every(
        (other) =>
          other === own ||
          box.left >= other.right ||
          box.right <= other.left ||
          box.top >= other.bottom ||
          box.bottom <= other.top,
      );
    const placed = [];
    points.forEach((point, number) => {
      const text = report.cut(point.entry, 24);
      const long = LETTER * text.length;
      const places = [
        ["start", 10, 0],
        ["end", -10, 0],
        ["middle", 0, -14],
        ["middle", 0, 14],
      ];
      for (const [anchor, dx, dy] of places) {
        const left = x(point) + dx - { start: 0, middle: long / 2, end: long }[anchor];
        const box = { left, right: left + long, top: y(point) + dy - 7, bottom: y(point) + dy + 7 };
        if (!isFree(box, marks[number])) continue;
        taken.push(box);
        placed.push({ point, text, anchor, dx, dy });
        break;
      }
    });
    return placed;
  }

  function scatter(field, label, points, options) {
    const { width } = options;
    const height = Math.min(460, Math.max(300, width * 0.6));
    const isNarrow = width < 600;
    const scale = (type, domain, range) =>
      type === "log" ? d3.scaleLog(domain, range) : d3.scaleLinear(domain, range);
    const inner = { left: 56, right: isNarrow ? 16 : 150, top: 20, bottom: 42 };
    const xs = scale(options.x.type, options.x.domain, [inner.left, width - inner.right]);
    const ys = scale(options.y.type, options.y.domain, [height - inner.bottom, inner.top]);
    const placed = labels(
      points,
      (one) => xs(one.x),
      (one) => ys(one.y),
      width,
    );
    return report.chart(label, {
      width,
      height,
      marginLeft: inner.left,
      marginRight: inner.right,
      marginTop: inner.top,
      marginBottom: inner.bottom,
      x: { grid: true, labelAnchor: "center", ...options.x },
      y: { grid: true, ...options.y },
      marks: [
        Plot.frame({ stroke: "var(--line)" }),
        ...options.marks,
        ...points.map((one) => {
          const { color, symbol } = report.look(field, one.entry);
          return Plot.dot([one], {
            x: "x",
            y: "y",
            symbol,
            r: 5.5,
            fill: color,
            stroke: one.isRinged ? "var(--front)" : color,
            strokeWidth: one.isRinged ? 2 : 1,
            title: () => `${one.entry}: ${one.text}`,
          });
        }),
        ...placed.map(({ point, text, anchor, dx, dy }) =>
          Plot.text([point], {
            x: "x",
            y: "y",
            dx,
            dy,
            text: () => text,
            textAnchor: anchor,
            fill: "var(--front)",
          }),
        ),
      ],
    });
  }

  function stepPoints(field, store) {
    const { axes } = field.document;
    return report.shown(field, store).map((entry) => {
      const x = axes.steps.submissions[entry].score;
      const y = axes.submission_time.submissions[entry].score;
      return { entry, x, y, text: `${report.fixed(y, 3)} by seconds, ${report.fixed(x, 3)} by updates` };
    });
  }

  function drawSteps(field, store, body) {
    const place = h("div", {});
    body.replaceChildren(report.legend(field, store), place);
    const points = stepPoints(field, store);
    const most = Math.min(1, 1.06 * Math.max(0.1, ...points.flatMap((one) => [one.x, one.y])));
    place.append(
      scatter(field, "Score by seconds against score by updates", points, {
        width: report.widthOf(place, 900),
        x: { label: "score by updates", domain: [0, most] },
        y: { label: "↑ score by seconds", domain: [0, most] },
        marks: [
          Plot.line(
            [
              [0, 0],
              [most, most],
            ],
            { stroke: "var(--soft)", strokeDasharray: "4 3" },
          ),
        ],
      }),
    );
  }

  report.views.push({
    id: "steps",
    title: "Seconds and updates",
    how: "Entries above the dashed line gain by the speed of their updates; entries below it need few updates, and pay for each with time.",
    depends: ["hidden"],
    isAbsent: (field) =>
      !(field.document.axes.steps && field.document.axes.submission_time) || field.order.length === 0,
    hasCharts: true,
    draw: drawSteps,
    rows: (field, store) => [
      ["submission", "score_by_updates", "score_by_seconds"],
      ...stepPoints(field, store).map((one) => [one.entry, one.x, one.y]),
    ],
  });

  /** Median time to target and peak memory of each entry on a workload; those that no other beats in both. */
  function memoryPoints(field, store, workload) {
    const points = [];
    for (const entry of report.shown(field, store)) {
      const trials = field.trialsOf(entry, workload);
      const seconds = field.document.times[entry][workload].time_to_target;
      const bytes =
        median(trials.map((trial) => trial.device_bytes)) ?? median(trials.map((trial) => trial.host_bytes));
      if (report.isNumber(seconds) && bytes) {
        points.push({
          entry,
          x: bytes / 2 ** 30,
          y: seconds,
          text: `${report.duration(seconds)}, ${report.bytes(bytes)}`,
        });
      }
    }
    for (const one of points) {
      one.isRinged = !points.some(
        (other) =>
          other !== one && other.x <= one.x && other.y <= one.y && (other.x < one.x || other.y < one.y),
      );
    }
    return points;
  }

  const memoryWorkloads = (field, store) =>
    field.workloads.filter(
      (name) => memoryPoints(field, { hidden: store?.hidden ?? new Set() }, name).length,
    );

  function drawMemory(field, store, body) {
    const names = memoryWorkloads(field, store);
    if (names.length === 0) {
      body.replaceChildren(
        report.legend(field, store),
        h("p", {}, "None of these entries reached a target."),
      );
      return;
    }
    const workload = names.includes(store.memoryWorkload) ? store.memoryWorkload : names[0];
    const place = h("div", {});
    const choose = (memoryWorkload) => store.set({ memoryWorkload });
    body.replaceChildren(
      h(
        "div",
        { class: "controls" },
        report.select(
          "Workload",
          names.map((name) => [name, name]),
          workload,
          choose,
        ),
      ),
      report.legend(field, store),
      place,
    );
    const points = memoryPoints(field, store, workload);
    const front = points.filter((one) => one.isRinged).sort((a, b) => a.x - b.x);
    const room = (values, by) => [Math.min(...values) / by, Math.max(...values) * by];
    const unit = report.UNIT_WORDS[field.document.settings.axis];
    const axis = (values) => {
      const domain = room(values, 1.15);
      return { type: "log", domain, ticks: d3.ticks(...domain, 5), tickFormat: report.short };
    };
    place.append(
      scatter(field, `${workload}: ${unit} to target against peak memory`, points, {
        width: report.widthOf(place, 900),
        x: { label: "peak memory in GiB", ...axis(points.map((one) => one.x)) },
        y: { label: `↑ ${unit} to target`, ...axis(points.map((one) => one.y)) },
        marks: [
          Plot.line(front, {
            x: "x",
            y: "y",
            stroke: "var(--soft)",
            strokeDasharray: "4 3",
            curve: "step-after",
          }),
        ],
      }),
    );
  }

  report.views.push({
    id: "memory",
    title: "Time and memory",
    how: "Low and left is better. A ring marks entries that no other one beats in both time and memory. Memory is the devices' peak where it was recorded, the process's otherwise.",
    depends: ["hidden", "memoryWorkload"],
    isAbsent: (field) => memoryWorkloads(field).length === 0,
    hasCharts: true,
    draw: drawMemory,
    rows: (field, store) => [
      ["workload", "submission", "memory_gib", "time_to_target", "is_not_dominated"],
      ...field.workloads.flatMap((name) =>
        memoryPoints(field, store, name).map((one) => [name, one.entry, one.x, one.y, one.isRinged]),
      ),
    ],
  });
})();
