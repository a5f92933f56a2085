// Labelling by keyboard: what is chosen lives here and in a store; the server is asked only to save.
(function () {
  "use strict";
  var choice = { sentiment: null, topics: null };
  var touched = null; // the text that was in front of the user when something was chosen
  var busy = 0, next = null; // since when the server is asked; the key that was pressed meanwhile

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.barometer_annotate = {
    // The server has answered: a text has come up, with what stands chosen of it, or it was refused and all stays.
    // Somebody quick has chosen already when this is told; that is kept.
    paint: function (chosen, id) {
      var why = dash_clientside.callback_context.triggered;
      var came = why.length !== 1 || why[0].prop_id !== "annotate-done.children";
      if (came && touched !== String(id)) {
        choice = { sentiment: chosen ? chosen.sentiment : null, topics: chosen ? chosen.topics : null };
      }
      var waiting = next;
      busy = 0;
      next = null;
      if (waiting && (waiting !== "save" || touched === String(id))) act(waiting);
      paint();
      setTimeout(paint, 60); // when a page has just been made, its buttons come after its stores
      setTimeout(paint, 400);
      return Date.now();
    },
  };

  function form() { return document.getElementById("annotate-form"); }

  function paint() {
    var box = form();
    if (!box) return;
    box.querySelectorAll("[data-sentiment]").forEach(function (b) {
      press(b, choice.sentiment !== null && String(choice.sentiment) === b.dataset.sentiment);
    });
    box.querySelectorAll("[data-topic]").forEach(function (b) {
      var topics = choice.topics;
      press(b, b.dataset.topic === "" ? !!topics && topics.length === 0 : !!topics && topics.indexOf(b.dataset.topic) >= 0);
    });
  }

  function press(button, on) { button.setAttribute("aria-pressed", on ? "true" : "false"); }

  function inFront() {
    var card = document.querySelector("#annotate-card [data-text]");
    return card ? card.dataset.text : null;
  }

  function toggle(button) {
    touched = inFront();
    if ("sentiment" in button.dataset) {
      choice.sentiment = Number(button.dataset.sentiment);
    } else if (button.dataset.topic === "") {
      choice.topics = choice.topics && choice.topics.length === 0 ? null : [];
    } else {
      var topics = (choice.topics || []).slice();
      var at = topics.indexOf(button.dataset.topic);
      if (at >= 0) topics.splice(at, 1); else topics.push(button.dataset.topic);
      choice.topics = topics.length ? topics : null;
    }
    paint();
  }

  function act(what, key) {
    if (what === "back") { history.back(); return; }
    if (Date.now() - busy < 5000) { if (key) next = what; return; }
    if (what === "save" && choice.sentiment === null) {
      var done = document.getElementById("annotate-done");
      if (done) dash_clientside.set_props("annotate-done", { children: form().dataset.first });
      var first = form().querySelector("[data-sentiment]");
      if (first) first.focus();
      return;
    }
    busy = Date.now();
    touched = null;
    dash_clientside.set_props("annotate-act", {
      data: { act: what, sentiment: choice.sentiment, topics: choice.topics, at: busy },
    });
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("#annotate-form [data-sentiment], #annotate-form [data-topic], #annotate-form [data-act]");
    if (!button) return;
    if (button.dataset.act) act(button.dataset.act); else toggle(button);
  });

  document.addEventListener("keydown", function (event) {
    var box = form();
    if (!box || event.isComposing || event.altKey || event.metaKey || event.defaultPrevented) return;
    var on = document.activeElement, name = on ? on.tagName : "";
    var typing = name === "TEXTAREA" || name === "INPUT" || name === "SELECT" || (on && on.isContentEditable);
    if (typing) {
      // Out of the comment by Escape; saved from it by Ctrl+Enter.
      if (event.key === "Escape") on.blur();
      if (event.key === "Enter" && event.ctrlKey && on.id === "annotate-comment") { event.preventDefault(); act("save", true); }
      return;
    }
    if (event.ctrlKey) return;
    if (event.key === "Enter") {
      if (name === "A" || (name === "BUTTON" && !box.contains(on)) || (on && on.dataset && on.dataset.act)) return;
      event.preventDefault();
      if (!event.repeat) act("save", true);
      return;
    }
    var key = event.key.toUpperCase();
    if (key.length !== 1 || event.repeat) return;
    if (key === "S") act("skip", true);
    else if (key === "Z") { if (box.querySelector("[data-act=undo]")) act("undo", true); }
    else if (key === "C") { event.preventDefault(); document.getElementById("annotate-comment").focus(); }
    else {
      var button = box.querySelector('[aria-keyshortcuts="' + (key === '"' || key === "\\" ? "" : key) + '"]');
      if (button) toggle(button);
    }
  });
})();
