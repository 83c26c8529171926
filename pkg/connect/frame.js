"use strict";
// In a frame this tells the application's page what came of it. Only a page of an origin that the token names can hear it.
const told = JSON.parse(document.getElementById("told").textContent);
const framed = window.parent !== window;
function tell(message) {
  if (!framed) return;
  const above = location.ancestorOrigins;
  for (const origin of told.origins) {
    if (!above || above[0] === origin) window.parent.postMessage(message, origin);
  }
}
function success(account) {
  tell({ type: "success", authProvisionId: account });
  tell({ type: "close" });
}
const closer = document.getElementById("close");
if (closer && framed) {
  closer.hidden = false;
  closer.addEventListener("click", () => tell({ type: "close" }));
}
if (told.account) success(told.account);
if (told.error) tell({ type: "error", error: told.error });

const form = document.getElementById("form");
if (form && form.target === "_blank") {
  if (!framed) { // a link that was opened by itself: the consent may take its place
    form.target = "_self";
    form.elements.connectLink.value = "true";
  } else {
    form.addEventListener("submit", wait);
  }
}

// wait asks how far the consent is, which goes on in a window of its own that this page cannot see.
let failures = form ? Number(form.dataset.failures) : 0;
let asking = false;
function wait() {
  const said = document.getElementById("said");
  said.hidden = false;
  said.textContent = "Waiting for you to finish in the new window…";
  document.getElementById("go").textContent = "Open the window again";
  problem("");
  if (!asking) setTimeout(ask, 700);
  asking = true;
}
function problem(text) {
  const at = document.getElementById("problem");
  at.hidden = !text;
  at.textContent = text;
}
async function ask() {
  try {
    const answer = await fetch("/connect/status", { method: "POST", cache: "no-store", body: new URLSearchParams({ token: form.elements.token.value }) });
    const now = await answer.json();
    if (now.state === "used" && now.account) {
      document.querySelector("h1").textContent = "Connected";
      form.hidden = document.getElementById("what").hidden = document.getElementById("said").hidden = true;
      return success(now.account);
    }
    if (now.failures > failures) {
      failures = now.failures;
      document.getElementById("said").hidden = true;
      document.getElementById("go").textContent = "Try again";
      problem(now.failure);
      tell({ type: "error", error: now.failure });
    }
    if (now.state === "gone" || now.state === "used") {
      form.hidden = document.getElementById("said").hidden = true;
      return problem("This page has expired. Close it and start again.");
    }
  } catch {
    // the network is away for a moment: ask again
  }
  setTimeout(ask, 700);
}
