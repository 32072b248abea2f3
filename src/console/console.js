// Makes the pages live: everything here is on top of links and forms that work without it.
"use strict";
(() => {
  const root = document.documentElement, base = document.body.dataset.base || "";
  const $ = (what, within) => (within || document).querySelector(what);
  const all = (what) => [...document.querySelectorAll(what)];
  root.classList.add("js");

  // Finds an element again in what was drawn anew: in its row, by id, address, name, words, else place.
  const MARKS = ["id", "href", "name", "data-copy"].map((what) => (one) => one.getAttribute(what)).concat((one) => one.textContent, () => " ");
  const finder = (part, at) => {
    const holder = at.parentElement.closest("[id],[data-row]"), list = () => [...holderNow().querySelectorAll(at.tagName)];
    const rowed = (row) => all("[data-row]").find((one) => one.dataset.row === row && part.contains(one));
    const holderNow = () => (holder.id ? document.getElementById(holder.id) : rowed(holder.dataset.row)) || part;
    const kept = MARKS.map((mark) => { const own = mark(at), like = () => list().filter((one) => mark(one) === own); return own && { like, nth: like().indexOf(at) }; });
    return () => kept.reduce((found, one) => found || one && one.like()[one.nth], null);
  };
  // Parts in use stay: a field, selected text, the element under a pressed pointer.
  let down = null;
  addEventListener("pointerdown", (event) => down = event.target, true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => down = null, true);
  const isHeld = (part) => {
    const at = document.activeElement, chosen = getSelection();
    return part.contains(at) && /INPUT|TEXTAREA|SELECT/.test(at.tagName) || down && part.contains(down)
      || !chosen.isCollapsed && chosen.getRangeAt(0).intersectsNode(part);
  };
  // Swaps the parts that the server draws anew, by id; what has the focus, or is open, stays.
  const swap = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of all("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next || next.innerHTML === part.innerHTML || isHeld(part)) continue;
      const at = document.activeElement, again = part !== at && part.contains(at) && finder(part, at);
      const open = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
      const chosen = $(".sel", part), name = chosen && chosen.dataset.row;
      part.replaceChildren(...next.childNodes);
      for (const id of open) { const one = document.getElementById(id); if (one) one.open = true; }
      if (again) {
        const found = again() || part;
        // The focused element is gone: Tab goes on from here.
        if (found === part) part.tabIndex = -1;
        found.focus({ preventScroll: true });
      }
      if (name) [...part.querySelectorAll("[data-row]")].find((one) => one.dataset.row === name)?.classList.add("sel");
    }
    say(state);
  };
  const from = document.body.dataset.from ?? location.href;
  let looking = false;
  const isBusy = () => document.hidden || $("dialog[open]");
  const look = async () => {
    if (looking || isBusy()) return;
    looking = true;
    try {
      const answer = await fetch(from, { headers: { accept: "text/html" } });
      const text = await answer.text();
      // A dialog that was opened meanwhile gives the focus back to what stands here.
      if (answer.redirected) say(OUT);
      else if (answer.ok && !isBusy()) swap(text);
    } catch { /* the stream says that nobody is there */ }
    looking = false;
  };
  // The state's element may be new. A signed-out page stays signed out.
  const LIVE = "live", GONE = "no connection", OUT = "signed out";
  let state = LIVE;
  const say = (now) => {
    const shown = $(".live");
    if (state !== OUT) state = now;
    if (!shown) return;
    shown.classList.toggle("off", state === GONE || state === OUT);
    shown.replaceChildren(shown.firstChild, state);
    if (state !== OUT) return;
    const link = document.createElement("a");
    link.href = from.split("#")[0];
    link.textContent = "Sign in";
    shown.append(link);
  };
  // Opens a stream while the page is visible: a browser has six connections for a host. Refused, it does not ask again by itself.
  const follow = (path, heard) => {
    let stream, later;
    const open = () => {
      clearTimeout(later);
      stream?.close();
      if (document.hidden) return;
      stream = new EventSource(base + path);
      for (const [name, hear] of Object.entries(heard)) stream.addEventListener(name, hear);
      // Too many windows of one browser.
      stream.addEventListener("rest", ({ data }) => { stream.close(); say(data); later = setTimeout(back, 15e3); });
      stream.onopen = () => say(LIVE);
      stream.onerror = async () => {
        say(GONE);
        if (stream.readyState !== EventSource.CLOSED) return;
        try {
          const asking = new AbortController();
          const answer = await fetch(base + path, { redirect: "manual", signal: asking.signal });
          asking.abort();
          if (answer.status === 401 || answer.type === "opaqueredirect") return say(OUT);
        } catch { /* no answer */ }
        later = setTimeout(open, 5000);
      };
    };
    const back = () => { open(); look(); };
    open();
    document.addEventListener("visibilitychange", back);
  };
  const list = $("[data-stream]");
  if (!list && $("[data-live]")) follow("console/live", { look });

  // Requests as they happen, the newest above.
  if (list) {
    const pause = $("#pause"), waiting = [];
    let held = false, count = 0;
    // A row in use stays: new rows wait.
    const flow = () => {
      const waits = held || isHeld(list) || $("[open], .sel, :focus-visible", list);
      $("#waits").textContent = waits && count ? count + " new" + (held ? "" : ": leave the row to see them") : "";
      if (waits || !count) return;
      list.insertAdjacentHTML("afterbegin", waiting.splice(0).join(""));
      count = 0;
      $(".empty", list)?.remove();
      while (list.children.length > 200) list.lastElementChild.remove();
    };
    setInterval(flow, 200);
    follow(list.dataset.stream, {
      look,
      request: (event) => { count++; waiting.unshift(event.data); waiting.length = Math.min(waiting.length, 200); },
      left_out: (event) => { $("#left").textContent = JSON.parse(event.data).left_out + " more were not shown"; },
    });
    pause.hidden = false;
    pause.onclick = () => { held = !held; pause.textContent = held ? "Go on" : "Hold"; pause.setAttribute("aria-pressed", held); };
  }

  // Asked for when it is opened: the copy of a request.
  document.addEventListener("toggle", async (event) => {
    const part = event.target.open && $("[data-fill]:empty", event.target);
    if (!part) return;
    try {
      const answer = await fetch(base + part.dataset.fill, { headers: { accept: "text/html" } });
      if (answer.ok) part.innerHTML = await answer.text();
    } catch { /* opening it asks again */ }
  }, true);

  // An act that asks first opens above the page.
  const ask = async (url) => {
    let answer;
    try { answer = await fetch(url, { headers: { accept: "text/html" } }); } catch { location.href = url; return; }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html"), card = $("[data-ask]", fresh);
    if (!card) { location.href = url; return; }
    // Relative addresses of that page are relative to it.
    for (const form of card.querySelectorAll("form")) form.setAttribute("action", new URL(form.getAttribute("action"), answer.url).href);
    for (const link of card.querySelectorAll("a[href]")) link.href = new URL(link.getAttribute("href"), answer.url).href;
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-labelledby", "ask");
    dialog.append(card);
    for (const cancel of dialog.querySelectorAll("[data-cancel]")) cancel.onclick = (event) => { event.preventDefault(); dialog.close(); };
    dialog.onclose = () => dialog.remove();
    // A question by GET: its answer is the next question.
    dialog.addEventListener("submit", (event) => {
      const form = event.target;
      if (form.method !== "get") return;
      event.preventDefault();
      const next = form.action + "?" + new URLSearchParams(new FormData(form));
      dialog.close();
      ask(next);
    });
    document.body.append(dialog);
    dialog.showModal();
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]"), copy = event.target.closest("[data-copy]");
    if (link && !event.ctrlKey && !event.metaKey) { event.preventDefault(); ask(link.href); }
    if (copy) {
      const from = document.getElementById(copy.dataset.copy);
      navigator.clipboard.writeText(from.textContent).then(() => { copy.textContent = "Copied"; }, () => getSelection().selectAllChildren(from));
    }
  });

  // Keys.
  const rows = () => all("[data-row]");
  const step = (by) => {
    const list = rows(), at = list.findIndex((row) => row.classList.contains("sel"));
    const next = list[at < 0 ? 0 : Math.min(list.length - 1, Math.max(0, at + by))];
    if (!next) return;
    if (at >= 0) list[at].classList.remove("sel");
    next.classList.add("sel");
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]") || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) {
      if (event.key === "Escape" && event.target.type === "search") event.target.blur();
      return;
    }
    const search = $("input[type=search]");
    switch (event.key) {
      case "/": if (search) { event.preventDefault(); search.focus(); search.select(); } break;
      case "j": step(1); break;
      case "k": step(-1); break;
      case "?": $("#help")?.showModal(); break;
      case "Escape": for (const one of all(".sel")) one.classList.remove("sel"); break;
      case "Enter": {
        const chosen = $(".sel"), on = /^(A|BUTTON|SUMMARY)$/.test(event.target.tagName);
        if (chosen && !on) $("a.name, summary", chosen)?.click();
        break;
      }
    }
  });
})();
