// Keys: g and a letter goes to a page, j and k go through a list, / searches, ? explains. Nothing while somebody types.
(function () {
  "use strict";
  var KEPT = "barometer-single-keys";
  var ITEMS = "#main a.strip, #main .row-link, #main .watch-row .cover, #main .board .series-name, #main .text-card, #main .alert-item";
  var SEARCH = "#documents-q, #overview-find";
  var wentAt = 0;

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.barometer_keys = {
    open: function (clicks) { return clicks ? true : dash_clientside.no_update; },
    use: function (on) {
      try { localStorage.setItem(KEPT, on === false ? "no" : "yes"); } catch (e) { /* then they stay on */ }
    },
  };

  function used() {
    try { return localStorage.getItem(KEPT) !== "no"; } catch (e) { return true; }
  }
  function typing(target) {
    return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
  }
  function go(path) {
    window.history.pushState({}, "", window.barometer_at.to(path));
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  }
  // The next item after the one that has the focus, or the first that can be seen.
  function step(by) {
    var items = Array.prototype.filter.call(document.querySelectorAll(ITEMS), function (x) { return x.offsetParent; });
    if (!items.length) return;
    var at = items.findIndex(function (x) { return x === document.activeElement || x.contains(document.activeElement); });
    if (at < 0) at = by > 0 ? -1 : items.length;
    var next = items[Math.max(0, Math.min(items.length - 1, at + by))];
    if (next.tabIndex < 0) next.tabIndex = -1;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", function (event) {
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey || typing(event.target)) return;
    if (!used() || document.querySelector("[role=dialog]")) return;
    // Annotate has letters of its own.
    if (window.barometer_at.here() === "/annotate" && event.key !== "?") return;
    var key = event.key, after = Date.now() - wentAt < 1500;
    wentAt = 0;
    var pages = JSON.parse((document.getElementById("nav") || { dataset: {} }).dataset.keys || "{}");
    if (after && pages[key]) go(pages[key]);
    else if (key === "g") wentAt = Date.now();
    else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
    else if (key === "?") { var help = document.getElementById("keys-open"); if (help) help.click(); }
    else if (key === "/") {
      var box = document.querySelector(SEARCH);
      if (box) box.focus(); else go("/documents");
    } else return;
    event.preventDefault();
  });
})();
