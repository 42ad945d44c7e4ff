// Live pages: server-sent fragments of HTML, each put in the place of the element with its id. UX "One stack".
// The element that carries data-stream names the stream, the one with data-live says whether it is connected.

const rules = { createHTML: (html) => html };
const policy = globalThis.trustedTypes?.createPolicy("portillon", rules) ?? rules;

function swap(html) {
  const shelf = document.createElement("template");
  shelf.innerHTML = policy.createHTML(html);
  for (const fresh of [...shelf.content.children]) {
    const old = document.getElementById(fresh.id);
    if (!old) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    for (const fact of facts(fresh)) {
      const before = document.getElementById(fact.id)?.dataset.fact;
      if (fact.dataset.fact && fact.dataset.fact !== before) fact.classList.add("fresh");
    }
    old.replaceWith(fresh);
    if (focused) document.getElementById(focused)?.focus();
  }
}

const facts = (part) => (part.dataset.fact === undefined ? part.querySelectorAll("[data-fact]") : [part]);

const say = (state) => document.querySelectorAll("[data-live]").forEach((mark) => { mark.dataset.live = state; });

for (const place of document.querySelectorAll("[data-stream]")) {
  const source = new EventSource(place.dataset.stream);
  source.addEventListener("fragment", (event) => swap(event.data));
  source.onopen = () => say("on");
  source.onerror = () => say("off");
}
