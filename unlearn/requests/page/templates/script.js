"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("scripts");

  // A filter that is chosen is applied.
  for (const select of all(".filter select")) select.addEventListener("change", () => select.form.requestSubmit());

  const dialog = document.getElementById("keys");
  document.getElementById("help")?.addEventListener("click", () => dialog.showModal());

  const step = (by) => {
    const rows = all("a.row"), now = rows.indexOf(document.activeElement);
    rows[now < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(now + by, 0), rows.length - 1)]?.focus();
  };
  const keys = {
    "/": () => document.getElementById("search")?.select(),
    j: () => step(1),
    k: () => step(-1),
    u: () => document.querySelector("[data-up]")?.click(),
    "?": () => dialog?.showModal(),
  };
  addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, dialog");
    if (event.key === "Escape" && typing?.id === "search") typing.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });

  // What is shown follows the ledger, while somebody looks and does nothing else with it.
  const refresh = document.getElementById("refresh");
  if (!document.getElementById("live")) return void refresh?.remove();
  const wanted = () => refresh.getAttribute("aria-pressed") === "true";
  if (localStorage.getItem("refresh") === "off") refresh.setAttribute("aria-pressed", "false");
  refresh.addEventListener("click", () => {
    refresh.setAttribute("aria-pressed", String(!wanted()));
    localStorage.setItem("refresh", wanted() ? "on" : "off");
  });
  const busy = (part) => part.querySelector("details[open]") !== null
    || (part.contains(document.activeElement) && !document.activeElement.matches("a.row"));
  const renew = async () => {
    if (!wanted() || document.hidden) return;
    const answer = await fetch(location.href);
    if (answer.redirected) return void location.reload();  // the session has ended
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const at = document.activeElement?.getAttribute("href");
    for (const part of all("#live, #rows")) {
      const fresh = next.getElementById(part.id);
      if (fresh && !busy(part) && fresh.innerHTML !== part.innerHTML) part.replaceWith(fresh);
    }
    if (document.activeElement === document.body) all("a.row").find((row) => row.getAttribute("href") === at)?.focus();
  };
  setInterval(() => renew().catch(() => undefined), 15000);  // where the network is away: the next time
})();
