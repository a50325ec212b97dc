// What is quicker with JavaScript; every page works without. Copies values, and keeps parts of a page up to date.

"use strict";

// <button data-copy="id of the element whose text is copied" hidden>
function prepareCopying(within) {
  if (!navigator.clipboard) return;
  for (const button of within.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      await navigator.clipboard.writeText(source.textContent.trim());
      button.classList.add("done");
      say(button.dataset.copied);
      setTimeout(() => button.classList.remove("done"), 2000);
    });
  }
}

function say(sentence) {
  document.getElementById("said").textContent = sentence;
}

// <div id="…" data-refresh="seconds" data-from="address">: replaced by the part of the same id, as often as it says so.
function keepFresh(part, failures = 0) {
  const seconds = Number(part.dataset.refresh) * 2 ** Math.min(failures, 5);
  setTimeout(async () => {
    if (document.hidden) return keepFresh(part, failures);
    try {
      const answer = await fetch(part.dataset.from, { credentials: "same-origin" });
      if (!answer.ok) return answer.status < 500 ? undefined : keepFresh(part, failures + 1);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(part.id);
      if (!fresh) return;
      if (part.contains(document.activeElement) || fresh.innerHTML === part.innerHTML) return keepFresh(part);
      const put = document.importNode(fresh, true);
      part.replaceWith(put);
      prepareCopying(put);
      if (put.dataset.told && put.dataset.told !== part.dataset.told) say(put.dataset.told);
      if (put.dataset.refresh) keepFresh(put);
    } catch {
      keepFresh(part, failures + 1);
    }
  }, seconds * 1000);
}

prepareCopying(document);
for (const part of document.querySelectorAll("[data-refresh]")) keepFresh(part);
