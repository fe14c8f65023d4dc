// Small things the pages do better with a script: the reader's own time, changes without reloading, opening spans.
"use strict";

const forms = {
  both: { dateStyle: "medium", timeStyle: "medium" },
  time: { timeStyle: "medium" },
  day: { dateStyle: "medium" },
};
const formatters = new Map();

function inOwnTime(text, form) {
  if (!formatters.has(form)) {
    formatters.set(form, new Intl.DateTimeFormat(undefined, { ...forms[form], hourCycle: "h23" }));
  }
  return formatters.get(form).format(new Date(text));
}

function localise(root) {
  for (const element of root.querySelectorAll("time[data-form]")) {
    element.title = element.dateTime;
    element.textContent = inOwnTime(element.dateTime, element.dataset.form);
  }
  for (const element of root.querySelectorAll("text[data-at]")) {
    element.textContent = inOwnTime(element.dataset.at, "time");
  }
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const element of root.querySelectorAll("[data-zone]")) {
    element.textContent = "Times in " + (zone || "your time zone");
  }
}

function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView({ block: "center" });
    target.querySelector("summary").focus({ preventScroll: true });
  }
}

function offerOpenAll(root) {
  for (const button of root.querySelectorAll("[data-open-all]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const all = document.querySelectorAll(button.dataset.openAll + " details");
      const open = [...all].some((one) => !one.open);
      all.forEach((one) => { one.open = open; });
      button.textContent = open ? "Close all" : "Open all";
    });
  }
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const open = [...document.querySelectorAll("main details[open]")].map((one) => one.id);
  const focused = document.activeElement && document.activeElement.closest("[id]");
  const link = document.activeElement && document.activeElement.getAttribute("href");
  for (const id of ["main", "foot"]) {
    const part = document.adoptNode(fresh.getElementById(id));
    localise(part);
    offerOpenAll(part);
    document.getElementById(id).replaceWith(part);
  }
  for (const id of open) {
    const one = id && document.getElementById(id);
    if (one) one.open = true;
  }
  const again = focused && focused.id && document.getElementById(focused.id);
  const back = again && ([...again.querySelectorAll("a")].find((one) => one.getAttribute("href") === link) || again);
  if (back) back.focus({ preventScroll: true });
  document.title = fresh.title;
}

function listen() {
  const address = document.body.dataset.events;
  if (!address) return;
  let under_way = false;
  let again = false;
  async function changed() {
    if (under_way) { again = true; return; }
    under_way = true;
    try { await refresh(); } catch { /* the desk is away; the next event tries again */ }
    under_way = false;
    if (again) { again = false; changed(); }
  }
  const events = new EventSource(address);
  let lost = false;
  events.addEventListener("change", changed);
  events.addEventListener("error", () => { lost = true; document.body.classList.add("away"); });
  events.addEventListener("open", () => {
    document.body.classList.remove("away");
    if (lost) { lost = false; changed(); }
  });
  addEventListener("pagehide", () => events.close());
}

addEventListener("beforeprint", () => {
  document.querySelectorAll("#spans > details").forEach((one) => { one.open = true; });
});
addEventListener("hashchange", openTarget);
localise(document);
offerOpenAll(document);
openTarget();
listen();
