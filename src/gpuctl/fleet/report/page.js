"use strict";
// The page is whole without this: it adds the filter and a host's own card list. Text goes in as text, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("filter");
  const said = document.getElementById("said");
  const dialog = document.getElementById("host");
  const states = [...document.querySelectorAll(".states button")];
  const tiles = [...document.querySelectorAll(".tiles li")];
  const findings = [...document.querySelectorAll("#findings details")];
  const words = data.hosts.map((host) => [host.name, data.words[host.state], ...host.groups, host.kernel || "",
    ...new Set(host.cards.map((card) => data.models[card[1]])), ...new Set(host.said.map((one) => data.findings[one[0]].id)),
  ].join("\n").toLowerCase());

  const filter = () => {
    const wanted = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = states.filter((one) => one.getAttribute("aria-pressed") === "true").map((one) => one.dataset.state);
    const fits = data.hosts.map((host, number) =>
      (!pressed.length || pressed.includes(host.state)) && wanted.every((word) => words[number].includes(word)));
    for (const tile of tiles) tile.hidden = !fits[tile.firstElementChild.dataset.host];
    for (const rack of document.querySelectorAll(".rack")) rack.hidden = !rack.querySelector("li:not([hidden])");
    const concerned = new Set();
    data.hosts.forEach((host, number) => { if (fits[number]) for (const one of host.said) concerned.add(one[0]); });
    findings.forEach((item, number) => { item.hidden = !concerned.has(number); });
    const count = fits.filter(Boolean).length;
    said.textContent = wanted.length || pressed.length ? `${count} of ${data.hosts.length} hosts` : "";
  };

  const add = (parent, tag, text, name) => {
    const made = parent.appendChild(document.createElement(tag));
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };

  const show = (host) => {
    const body = document.getElementById("host-body");
    body.replaceChildren();
    document.getElementById("host-name").textContent = host.name;
    const groups = host.groups.filter((group) => group !== "all").join(", ");
    add(body, "p", [data.words[host.state], groups, host.kernel && `Linux ${host.kernel}`].filter(Boolean).join(" · "), "soft");
    for (const [number, subject, evidence] of host.said) {
      const about = data.findings[number];
      const one = add(body, "div", undefined, `said ${about.status}`);
      const head = add(one, "p");
      add(head, "span", `${data.marks[about.status]} ${about.id}`, "id");
      head.append(` ${subject === "host" || about.title.includes(subject) ? "" : `${subject}: `}${about.title}`);
      if (evidence) add(one, "p", `read: ${evidence}`, "soft");
      if (about.fix) add(one, "p", `do: ${about.fix}`);
    }
    if (!host.cards.length) { add(body, "p", "No card was read.", "soft"); }
    else {
      const table = add(body, "table", undefined, "wide");
      const head = add(add(table, "thead"), "tr");
      const titles = ["address", "model", "NUMA", "group", "driver", "ready"];
      for (const title of titles) add(head, "th", title).scope = "col";
      const rows = add(table, "tbody");
      const known = (value) => (value === null ? "unknown" : value);
      for (const [address, model, numa, group, driver, ready] of host.cards) {
        const row = add(rows, "tr");
        add(row, "th", address, "mono").scope = "row";
        const cells = [data.models[model], known(numa), known(group), driver === null ? "none seen" : data.drivers[driver],
          ready === null ? "not judged" : ready ? "yes" : "no"];
        cells.forEach((text, number) => { add(row, "td", text).dataset.of = titles[number + 1]; });
      }
    }
    dialog.showModal();
  };

  box.addEventListener("input", filter);
  for (const button of states) button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "true" ? "false" : "true");
    filter();
  });
  document.getElementById("hosts").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-host]");
    if (button) show(data.hosts[button.dataset.host]);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  addEventListener("beforeprint", () => { for (const item of findings) item.open = true; });
  document.querySelector(".find").hidden = false;
})();
