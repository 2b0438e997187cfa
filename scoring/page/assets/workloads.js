// The workload table: time over budget, why there is none, how many studies reached the target.
(() => {
  const report = globalThis.report;
  const { h } = report;
  const DARKEST = 0.55; // Text keeps its contrast up to here, in light and dark.
  const { breakable } = report;
  const SIGNS = {
    target_not_reached: "missed",
    over_budget: "late",
    trial_failed: "failed",
    ended_early: "broke off",
    budget_before_evaluation: "no result",
    study_missing: "not all run",
    workload_missing: "not run",
    held_out_missing: "held out: not run",
    held_out_target_not_reached: "held out: missed",
    held_out_too_slow: "held out: slow",
    base_not_reached: "base missed",
    slower_than_r_max: "too slow",
  };

  /** What stands in a cell: share of the budget and reach counts, under the choice of the reader. */
  function cellOf(field, store, row, column) {
    const { document } = field;
    const cell = document.times[row.entry][column];
    const place = store.result.columns.indexOf(column);
    if (place < 0) return null;
    const now = row.cells[place];
    const isMoved = store.choice.share !== 0;
    const ratio = row.ratios[store.result.workloads.indexOf(column)];
    let share = cell.budget_share;
    if (isMoved)
      share =
        store.choice.axis === "submission_time" ? now.value / document.workloads[column].budget_sec : null;
    const isMiss = !Number.isFinite(now.value);
    const counts = ratio === undefined ? !isMiss : Number.isFinite(ratio);
    return { cell, now, share, isMiss, counts, ratio, isMoved };
  }

  function button(field, store, row, column) {
    const found = cellOf(field, store, row, column);
    if (!found) return h("span", {}, "");
    const { cell, now, share, isMiss, counts, isMoved } = found;
    const key = `${row.entry}\n${column}`;
    const partly = now.reached > 0 && now.reached < now.studies ? `${now.reached}/${now.studies}` : null;
    const heat = report.isNumber(share) && !isMiss ? DARKEST * Math.min(1, share) : 0;
    const why = isMoved ? (isMiss ? "missed" : null) : SIGNS[cell.miss?.reason];
    const shown = isMiss || !report.isNumber(share) ? (why ?? "–") : share.toFixed(3);
    const note = [isMiss || counts ? null : (why ?? "does not count"), partly && `${partly} reached`].filter(
      Boolean,
    );
    return h(
      "button",
      {
        type: "button",
        class: isMiss ? "is-miss" : null,
        style: heat > 0 ? `--share:${heat.toFixed(3)}` : null,
        "data-key": key,
        "aria-pressed": String(store.cell === key),
        title: cell.miss && !isMoved ? cell.miss.detail : report.duration(now.value),
        onclick: () => store.set({ cell: store.cell === key ? null : key }),
      },
      shown,
      note.map((words) => h("small", {}, words)),
    );
  }

  /** All that is known of one cell, with links to the records behind it. */
  function detail(field, store) {
    const box = h("div", { class: "detail", "aria-live": "polite" });
    if (!store.cell) {
      box.append(h("p", {}, "Choose a cell to see its studies, and the records that they came from."));
      return box;
    }
    const [entry, column] = store.cell.split("\n");
    const { document } = field;
    const cell = document.times[entry][column];
    const spec = document.workloads[column];
    box.append(
      h("p", {}, h("strong", {}, `${entry} on ${column}`)),
      h("p", {}, document.why[entry]?.[column] ?? cell.miss?.detail ?? ""),
      h(
        "p",
        {},
        `Target: ${spec.metric} ${spec.higher_is_better ? "≥" : "≤"} ${report.short(spec.validation_target)} within ${report.duration(spec.budget_sec)}.`,
      ),
    );
    const list = h("ul", {});
    for (const study of cell.studies) {
      const trial = field.trialAt(entry, column, study.study, study.trial);
      const others = field
        .trialsOf(entry, column)
        .filter((one) => one.study === study.study && one !== trial);
      list.append(
        h(
          "li",
          {},
          `study ${study.study}: `,
          trial
            ? report.recordLink(
                trial,
                `${report.short(trial.hit_time_sec)} s, ${report.short(trial.hit_step)} updates (trial ${trial.trial})`,
              )
            : (study.miss?.detail ?? "not reached"),
          others.length && !trial ? " · " : "",
          trial
            ? []
            : others.flatMap((one, place) => [
                place ? ", " : "",
                report.recordLink(one, `trial ${one.trial}`),
              ]),
        ),
      );
    }
    if (cell.studies.length) box.append(list);
    else if (cell.time_to_target !== null)
      box.append(h("p", {}, `Published as a median of ${report.duration(cell.time_to_target)}.`));
    return box;
  }

  function draw(field, store, body) {
    const lines = [...store.result.rows].sort((a, b) => a.rank - b.rank || (a.entry < b.entry ? -1 : 1));
    const { columns } = store.result;
    const heads = [
      "Entry",
      ...columns.map((name) =>
        breakable(field.document.workloads[name].guards ? `${name} (held out)` : name),
      ),
    ];
    const rows = lines
      .filter((line) => !store.hidden.has(line.entry))
      .map((line) => [
        h("span", { class: "entry" }, report.mark(field, line.entry), breakable(line.entry)),
        ...columns.map((column) => button(field, store, line, column)),
      ]);
    const drawn = report.table("Time to target as a share of the budget", heads, rows);
    drawn.classList.add("heat");
    body.replaceChildren(drawn, detail(field, store));
  }

  function rows(field, store) {
    const found = [
      [
        "submission",
        "workload",
        "time_to_target",
        "budget_share",
        "ratio",
        "studies_reached",
        "studies",
        "reason",
        "detail",
      ],
    ];
    for (const row of store.result.rows) {
      for (const column of store.result.columns) {
        const { cell, now, share, ratio, isMoved } = cellOf(field, store, row, column);
        const own = (value) => (report.isNumber(value) ? value : null);
        found.push([
          row.entry,
          column,
          own(now.value),
          own(share),
          own(ratio),
          now.reached,
          now.studies,
          isMoved ? null : cell.miss?.reason,
          isMoved ? null : cell.miss?.detail,
        ]);
      }
    }
    return found;
  }

  report.views.splice(1, 0, {
    id: "workloads",
    title: "Workloads",
    how:
      "Median time to the target as a share of the budget: 0.250 is a quarter of the time allowed, and darker is slower. " +
      "Where there is no number stands why (missed: the target was never reached; late: after the budget); small print says what does not count, or how many of the studies reached the target.",
    hasTable: true,
    depends: ["choice", "hidden", "cell"],
    isAbsent: (field) => field.order.length === 0,
    draw,
    rows,
  });
})();
