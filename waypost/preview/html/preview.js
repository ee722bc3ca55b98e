// Asks for what the page shows: at once after a choice, and twice in a second whether a file has changed.
const LOOKS_EVERY = 500, STOPPED_EVERY = 2000, TYPED_AFTER = 300; // milliseconds
const at = (id) => document.getElementById(id);
const names = new Intl.DisplayNames(["en"], { type: "language" });
const drafts = new Map(); // by type, the facts that the reader has written
let state = ""; // of the files, as they are shown
let shown = false; // whether a mail was shown, which stays while there is a fault
let asking = null; // the request on its way
let next = 0; // the timer of the next look

const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;

async function look() {
  clearTimeout(next);
  asking?.abort();
  const mine = (asking = new AbortController());
  const type = at("type").value;
  const question = {
    type, locale: at("locale").value, brand: at("brand").value, scheme: chosen("scheme"),
    facts: drafts.has(type) ? drafts.get(type) : null, state,
  };
  let pause = LOOKS_EVERY;
  try {
    const answer = await fetch("/shown", {
      method: "POST", body: JSON.stringify(question), signal: mine.signal,
      headers: { "Content-Type": "application/json" },
    });
    at("stopped").hidden = true;
    if (answer.status !== 204) show(await answer.json());
  } catch (error) {
    if (error.name === "AbortError") return;
    at("stopped").hidden = false;
    state = "";
    pause = STOPPED_EVERY;
  }
  if (mine === asking) next = setTimeout(look, pause);
}

function again() {
  state = "";
  look();
}

function tell(id, words) {
  at(id).hidden = !words;
  at(id).textContent = words || "";
}

function show(found) {
  state = found.state || "";
  const type = at("type").value;
  document.title = `${type} – Preview`;
  at("sample-file").textContent = `templates/${type}/sample.json`;
  const changed = found.changed || [];
  tell("changed", changed.length && `${changed.join(" and ")} changed after this preview began. Start it again to see the change.`);
  tell("fault", found.fault);
  tell("facts-fault", found.facts_fault);
  showLocales(found.languages || []);
  at("brand").options[0].textContent = `of the type (${found.brand || "default"})`;
  at("reset").hidden = !drafts.has(type);
  if (!drafts.has(type) && at("facts").value !== found.sample) at("facts").value = found.sample || "";
  showFindings(found.findings || []);
  const old = !("subject" in found); // what was shown before the fault stays, faded
  for (const id of ["stage", "subject", "preheader", "size", "short", "text", "headers"]) at(id).classList.toggle("old", old);
  for (const card of document.querySelectorAll(".of-mail")) card.hidden = old && !shown;
  if (!old) showMessages(found);
}

function showMessages(found) {
  shown = true;
  at("subject").textContent = found.subject;
  at("preheader").textContent = found.preheader || "no preheader";
  at("frame").hidden = !found.html;
  at("no-html").hidden = !!found.html;
  at("no-html").textContent = found.text ? "This mail has no HTML part." : "The route of the type has no mail.";
  at("frame").style.colorScheme = chosen("scheme");
  if (at("frame").srcdoc !== found.html) at("frame").srcdoc = found.html;
  at("text").textContent = found.text;
  at("short").textContent = found.short ?? "This type sends no short message.";
  at("short-size").textContent = found.short_size;
  at("headers").replaceChildren(...found.headers.flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
  const files = found.files.length ? `, files: ${found.files.join(", ")}` : "";
  const cut = found.too_large ? "; Gmail cuts a mail off after 102 kB" : "";
  const remote = /\ssrc\s*=\s*["']?\s*https?:/i.test(found.html) ? ". Images on other servers are not loaded here" : "";
  const version = found.version ? `, templates ${found.version}` : "";
  at("size").textContent = `${(found.size / 1000).toFixed(1)} kB of HTML${cut}${version}${files}${remote}`;
}

function showLocales(languages) {
  const list = at("locale"), now = list.value;
  const all = [...new Set([...languages, now])].sort();
  if (list.dataset.shown === all.join()) return;
  list.dataset.shown = all.join();
  list.replaceChildren(...all.map((one) => new Option(named(one), one, false, one === now)));
}

function named(locale) {
  try {
    return `${names.of(locale)} (${locale})`;
  } catch {
    return locale;
  }
}

function showFindings(findings) {
  at("findings-card").hidden = !findings.length;
  at("findings-count").textContent = findings.length === 1 ? "1 finding" : `${findings.length} findings`;
  at("findings").replaceChildren(...findings.map((one) => made("li", one)));
}

function made(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

// The frame is as wide as the device, and as high as the mail in it.
function fit() {
  const frame = at("frame"), page = frame.contentDocument?.documentElement;
  if (!page) return;
  frame.style.width = `${chosen("width")}px`;
  const before = frame.style.height;
  frame.style.height = "0";
  frame.style.height = page.scrollHeight ? `${page.scrollHeight}px` : before;
}

function remember() {
  const asked = new URLSearchParams({ type: at("type").value, locale: at("locale").value });
  if (at("brand").value) asked.set("brand", at("brand").value);
  history.replaceState(null, "", `?${asked}`);
}

at("frame").addEventListener("load", fit);
at("choice").addEventListener("change", (event) => {
  if (event.target.name === "width") return fit();
  if (event.target.id === "type") at("facts").value = drafts.get(at("type").value) ?? "";
  remember();
  again();
});
at("choice").addEventListener("submit", (event) => event.preventDefault());
at("facts").addEventListener("input", () => {
  drafts.set(at("type").value, at("facts").value);
  clearTimeout(next);
  next = setTimeout(again, TYPED_AFTER);
});
at("reset").addEventListener("click", () => {
  drafts.delete(at("type").value);
  at("facts").focus();
  again();
});
document.addEventListener("visibilitychange", () => document.hidden || look());
if (innerWidth < 768) document.querySelector("input[value='375']").checked = true;
look();
