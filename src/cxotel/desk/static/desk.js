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
  for (const element of root.querySelectorAll("[data-typed]")) element.textContent = "your time";
}

// A time is typed as the page shows it, in the reader's zone; the address says which that is, so that it can be sent.
function withZone(text) {
  const found = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?))?$/.exec(text.trim());
  const local = found && found[1] + "T" + (found[2] || "00:00");
  const ahead = found && -new Date(local).getTimezoneOffset();
  if (!found || Number.isNaN(ahead)) return text;
  const two = (number) => String(number).padStart(2, "0");
  return local + (ahead < 0 ? "-" : "+") + two(Math.floor(Math.abs(ahead) / 60)) + ":" + two(Math.abs(ahead) % 60);
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

function secondsOf(value) {
  if (value < 60) return Math.floor(value) + " s";
  const [h, m, s] = [Math.floor(value / 3600), Math.floor(value / 60) % 60, Math.floor(value) % 60];
  return [[h, "h"], [m, "min"], [s, "s"]].filter(([n]) => n).map(([n, unit]) => n + " " + unit).join(" ");
}

function tick() {
  for (const element of document.querySelectorAll("[data-since]")) {
    element.textContent = secondsOf(Math.max(0, Date.now() - Number(element.dataset.since)) / 1000);
  }
}

function replaceParts(fresh, ids) {
  const open = [...document.querySelectorAll("main details[open][id]")].map((one) => one.id);
  const focused = document.activeElement && document.activeElement.closest("[id]");
  const link = document.activeElement && document.activeElement.getAttribute("href");
  for (const id of ids) {
    const part = fresh.getElementById(id);
    const old = document.getElementById(id);
    if (!part || !old) continue;
    document.adoptNode(part);
    localise(part);
    offerOpenAll(part);
    old.replaceWith(part);
  }
  for (const id of open) {
    const one = document.getElementById(id);
    if (one) one.open = true;
  }
  const again = focused && focused.id && document.getElementById(focused.id);
  const back = again && ([...again.querySelectorAll("a")].find((one) => one.getAttribute("href") === link) || again);
  if (back && back !== document.activeElement) back.focus({ preventScroll: true });
}

// The list of calls changes under a reader's eyes only where nothing moves by it: known calls in their place, new
// ones at once if the list is in sight from its top and neither pointed at nor focused; else they wait for a click.
function mergeCalls(fresh) {
  const list = document.getElementById("calls");
  const next = fresh.getElementById("calls");
  const known = new Map([...list.querySelectorAll(".item")].map((one) => [one.id, one]));
  const items = [...next.querySelectorAll(".item")];
  const added = items.filter((one) => !known.has(one.id));
  const still = scrollY < 4 && !list.matches(":hover") && !list.contains(document.activeElement);
  const news = document.getElementById("news");
  if (still) {
    replaceParts(fresh, ["together", "calls"]);
    news.replaceChildren();
    return;
  }
  for (const item of items) {
    const old = known.get(item.id);
    if (!old || old.dataset.revision === item.dataset.revision) continue;
    const inside = old.contains(document.activeElement);
    const copy = document.importNode(item, true);
    localise(copy);
    old.replaceWith(copy);
    if (inside) copy.querySelector("a").focus({ preventScroll: true });
  }
  const oldest = items.length ? BigInt(items[items.length - 1].dataset.started) : 0n;
  for (const [id, one] of known) {
    const gone = BigInt(one.dataset.started) >= oldest && !items.some((item) => item.id === id);
    document.getElementById(id).classList.toggle("gone", gone);
  }
  replaceParts(fresh, ["together"]);
  if (!added.length) { news.replaceChildren(); return; }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = added.length === items.length ? "Many new calls" : added.length + (added.length === 1 ? " new call" : " new calls");
  button.addEventListener("click", () => {
    replaceParts(fresh, ["calls"]);
    news.replaceChildren();
    scrollTo({ top: 0, behavior: "instant" });
    const first = document.querySelector("#calls a");
    if (first) first.focus({ preventScroll: true });
  });
  if (news.textContent !== button.textContent) news.replaceChildren(button);
  else news.firstChild.replaceWith(button);
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (fresh.getElementById("trouble")) replaceParts(fresh, ["trouble"]);
  if (!answer.ok) return;
  const list = document.getElementById("calls");
  if (list && "live" in list.dataset && fresh.getElementById("calls")) {
    mergeCalls(fresh);
    replaceParts(fresh, ["foot"]);
  } else if (!document.activeElement || !document.activeElement.closest(".filters")) {
    replaceParts(fresh, ["main", "foot"]);
  }
  tick();
  document.title = fresh.title;
}

function offerThemes() {
  const button = document.querySelector("[data-theme-switch]");
  const names = { "": "System’s theme", light: "Light", dark: "Dark" };
  const order = ["", "light", "dark"];
  function show() {
    const now = document.documentElement.dataset.theme || "";
    button.querySelector("[data-theme-name]").textContent = names[now];
    button.title = "Theme: " + names[now];
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(document.documentElement.dataset.theme || "") + 1) % order.length];
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    try {
      if (next) localStorage.setItem("theme", next);
      else localStorage.removeItem("theme");
    } catch { /* not remembered, then */ }
    show();
  });
  show();
}

// One list of a filter is open at a time, and Escape or a click elsewhere closes it.
function closeDrops() {
  const open = () => [...document.querySelectorAll(".kind[open]")];
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const one of open()) {
      one.open = false;
      one.querySelector("summary").focus();
    }
  });
  addEventListener("click", (event) => {
    for (const one of open()) if (!one.contains(event.target)) one.open = false;
  });
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
  const said = document.querySelector(".live");
  const text = said && said.lastChild;
  const live = text && text.textContent;
  events.addEventListener("error", () => {
    lost = true;
    document.body.classList.add("away");
    if (text) text.textContent = "the desk does not answer: what is shown may be old";
  });
  events.addEventListener("open", () => {
    document.body.classList.remove("away");
    if (text) text.textContent = live;
    if (lost) { lost = false; changed(); }
  });
  addEventListener("pagehide", () => events.close());
  const again_after = Number(document.body.dataset.again || 0);
  if (again_after) setInterval(() => { if (!document.hidden) changed(); }, again_after * 1000);
}

addEventListener("beforeprint", () => {
  document.querySelectorAll("#spans > details").forEach((one) => { one.open = true; });
});
addEventListener("formdata", (event) => {
  for (const name of ["from", "to"]) {
    const text = event.formData.get(name);
    if (text) event.formData.set(name, withZone(text));
  }
});
addEventListener("hashchange", openTarget);
localise(document);
offerOpenAll(document);
offerThemes();
closeDrops();
openTarget();
listen();
if (document.querySelector("[data-since]") || document.body.dataset.again) {
  tick();
  setInterval(tick, 1000);
}
