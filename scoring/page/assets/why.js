// Why: one line in words for each entry and workload.
(() => {
  const report = globalThis.report;
  const { h } = report;

  function draw(field, store, body) {
    const { document } = field;
    const by = store.whyBy;
    const groups = by === "entry" ? report.shown(field, store) : field.workloads;
    const inside = by === "entry" ? field.workloads : report.shown(field, store);
    body.replaceChildren(
      h(
        "div",
        { class: "controls" },
        report.select(
          "By",
          [
            ["entry", "entry"],
            ["workload", "workload"],
          ],
          by,
          (whyBy) => store.set({ whyBy }),
        ),
      ),
      ...groups.map((group, place) =>
        h(
          "details",
          { class: "card why", open: place === 0, "data-key": group },
          h("summary", {}, by === "entry" ? [report.mark(field, group), " "] : [], group),
          h(
            "dl",
            { style: "display:block" },
            inside.flatMap((one) => {
              const [entry, workload] = by === "entry" ? [group, one] : [one, group];
              return [h("dt", {}, one), h("dd", {}, document.why[entry][workload] || "–")];
            }),
          ),
        ),
      ),
    );
  }

  report.views.push({
    id: "why",
    title: "Why",
    how: "What made each result: a miss and how close it was; against the fastest, how many more updates were needed and how much longer each took; and what was odd about the machine.",
    depends: ["hidden", "whyBy"],
    isAbsent: (field) => field.order.length === 0,
    draw,
    rows: (field) => [
      ["submission", "workload", "why"],
      ...field.order.flatMap((entry) =>
        field.workloads.map((workload) => [entry, workload, field.document.why[entry][workload]]),
      ),
    ],
  });
})();
