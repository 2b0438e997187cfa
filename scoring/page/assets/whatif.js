// What if: targets, weights, r_max, entries and workloads changed, and the field scored again.
(() => {
  const report = globalThis.report;
  const { h, fixed } = report;
  const MOST_WEIGHT = 4;

  /** The changes in words. */
  function changes(field, choice) {
    const plain = report.defaults(field.document);
    const parts = [];
    const { share } = choice;
    if (share !== 0)
      parts.push(
        `targets ${share > 0 ? "relaxed" : "tightened"} by ${Math.abs(Math.round(1000 * share)) / 10} %`,
      );
    if (choice.rMax !== plain.rMax) parts.push(`r_max ${choice.rMax}`);
    const gone = [
      ...plain.entries.filter((name) => !choice.entries.includes(name)),
      ...plain.workloads.filter((name) => !choice.workloads.includes(name)),
    ];
    if (gone.length) parts.push(`without ${gone.join(", ")}`);
    const weighted = choice.workloads.filter((name) => choice.weights[name] !== 1);
    if (weighted.length)
      parts.push(`weights ${weighted.map((name) => `${name} ${choice.weights[name]}`).join(", ")}`);
    return parts.join("; ");
  }

  // The choice that the controls made last: they stay as they are while it is this one, or a slider would lose its hand.
  let own = null;

  function update(store, part) {
    own = { ...store.choice, ...part };
    store.set({ choice: own });
  }

  function slider(store, key, label, options, value, show, apply, kind = "") {
    const output = h("output", {}, show(value));
    const input = h("input", {
      type: "range",
      ...options,
      value,
      "data-key": key,
      "aria-label": label,
      "aria-valuetext": show(value),
      oninput: () => {
        const now = Number(input.value);
        output.textContent = show(now);
        input.setAttribute("aria-valuetext", show(now));
        update(store, apply(now));
      },
    });
    return h("div", { class: `slider ${kind}` }, h("span", {}, report.breakable(label)), input, output);
  }

  /** Boxes for the names that count: at least one of them does. */
  function checks(store, title, all, part) {
    const box = (name) =>
      h("input", {
        type: "checkbox",
        checked: store.choice[part].includes(name),
        "data-key": `${part}-${name}`,
        onchange: (event) => {
          const { checked } = event.target;
          const kept = all.filter((one) => (one === name ? checked : store.choice[part].includes(one)));
          if (kept.length === 0) event.target.checked = true;
          else update(store, { [part]: kept });
        },
      });
    return h(
      "fieldset",
      {},
      h("legend", {}, title),
      h(
        "div",
        { class: "checks" },
        all.map((name) => h("label", {}, box(name), ` ${name}`)),
      ),
    );
  }

  /** How a number changed, with a sign that does not need colour. */
  function change(now, before, digits, isRank) {
    const better = isRank ? before - now : now - before;
    if (!report.isNumber(better) || Math.abs(better) < 0.5 / 10 ** digits) return "";
    const text = fixed(Math.abs(better), digits);
    return h("span", { class: better > 0 ? "up" : "down" }, `${better > 0 ? "▲" : "▼"} ${text}`);
  }

  function results(field, store) {
    const { document } = field;
    const before = document.axes[store.choice.axis].submissions;
    const lines = [...store.result.rows].sort((a, b) => a.rank - b.rank || (a.entry < b.entry ? -1 : 1));
    const body = lines.map((line) => [
      h("span", { class: "entry" }, report.mark(field, line.entry), line.entry),
      String(line.rank),
      change(line.rank, before[line.entry].rank, 0, true),
      fixed(line.score, 4),
      change(line.score, before[line.entry].score, 4, false),
      `${line.reached}/${store.result.workloads.length}`,
    ]);
    const header = ["Entry", "Rank", "Change", "Score", "Change", "Reached"];
    return report.table("Ranks and scores after the changes", header, body, "lnnnmn");
  }

  function controls(field, store) {
    const { document } = field;
    const { choice } = store;
    const plain = report.defaults(document);
    const percent = (value) => `${value > 0 ? "+" : ""}${Math.round(1000 * value) / 10} %`.replace("-", "−");
    const canRelax = document.hits !== null;
    const furthest = canRelax ? document.hits.furthest : 0;
    const parts = [];
    if (canRelax) {
      parts.push(
        slider(
          store,
          "share",
          "Targets easier by",
          { min: -furthest, max: furthest, step: 0.005 },
          choice.share,
          percent,
          (share) => ({ share }),
          "large",
        ),
      );
    } else
      parts.push(
        h(
          "p",
          {},
          "Targets cannot be moved: of some entries only the times to the official targets are stored.",
        ),
      );
    parts.push(
      slider(
        store,
        "rMax",
        "r_max",
        { min: 1.5, max: 10, step: 0.5 },
        choice.rMax,
        (value) => value.toFixed(1),
        (rMax) => ({ rMax }),
        "large",
      ),
    );
    const weights = h(
      "fieldset",
      {},
      h("legend", {}, "Weight of each workload"),
      h(
        "div",
        { class: "sliders" },
        plain.workloads.map((name) =>
          slider(
            store,
            `weight-${name}`,
            name,
            { min: 0, max: MOST_WEIGHT, step: 0.25 },
            choice.weights[name],
            String,
            (weight) => ({ weights: { ...store.choice.weights, [name]: weight } }),
          ),
        ),
      ),
    );
    parts.push(
      weights,
      checks(store, "Workloads that count", plain.workloads, "workloads"),
      checks(store, "Entries that count", plain.entries, "entries"),
      h(
        "button",
        {
          type: "button",
          "data-key": "reset",
          onclick: () => store.set({ choice: { ...plain, axis: store.choice.axis } }),
        },
        "Back to the rules",
      ),
    );
    return parts;
  }

  /** Controls stay as they are while a slider moves; only what follows from them is drawn anew. */
  function draw(field, store, body) {
    if (!body.querySelector("[data-part=controls]") || store.choice !== own) {
      body.replaceChildren(
        h("div", { "data-part": "controls" }, controls(field, store)),
        h("div", { "data-part": "results" }),
      );
    }
    const { bounds } = store.result;
    const { share } = store.choice;
    const notes = [];
    if (share < 0 && bounds > 0) {
      notes.push(
        h(
          "p",
          { class: "banner" },
          `${bounds} study times are least ones: these runs ended when they had reached the target of the suite, before they reached this one.`,
        ),
      );
    }
    body.querySelector("[data-part=results]").replaceChildren(...notes, results(field, store));
  }

  function rows(field, store) {
    const before = field.document.axes[store.choice.axis].submissions;
    return [
      ["submission", "rank", "score", "rank_before", "score_before"],
      ...store.result.rows.map((one) => [
        one.entry,
        one.rank,
        one.score,
        before[one.entry].rank,
        before[one.entry].score,
      ]),
    ];
  }

  report.changes = changes;
  report.views.push({
    id: "whatif",
    title: "What if",
    how:
      "Would the ranking be the same under other rules? Every change scores the field again, here and in the board, table and profiles. " +
      "Targets move by a share of their distance to the end of their metric's range: an error of 0.20 that is relaxed by 5 % becomes 0.21.",
    hasTable: true,
    depends: ["choice"],
    isEager: true, // Keys reach its controls before they are in sight, and must find them as they are.
    isAbsent: (field) => field.order.length === 0,
    draw,
    rows,
  });
})();
