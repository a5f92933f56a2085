// The work list in the browser: what is selected survives a refresh, and rows do not move under a hand.
(function () {
  "use strict";
  var waiting = null;
  var leaving = 0;

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.barometer_alerts = {
    // A dialog's button opens it; its second one, "cancel", closes it.
    open: function () {
      var by = (dash_clientside.callback_context.triggered[0] || {}).prop_id || "";
      return [/-open\.n_clicks$/.test(by), ""];
    },
    hide_value: function (scope) { return scope === "series"; },
    silence_fields: function (scope, until) { return [scope !== "series", scope === "series", until !== "custom"]; },
    cleared: function (done) { return isGood(done) ? "" : dash_clientside.no_update; },
    unpick: function (done, _clicks) {
      var by = (dash_clientside.callback_context.triggered[0] || {}).prop_id || "";
      toast();
      if (by.indexOf("bulk-none") < 0 && !isGood(done)) return dash_clientside.no_update;
      boxes().forEach(function (box) { if (box.checked) box.click(); });
      return [];
    },
    bar: function (picked, label) {
      var n = (picked || []).length;
      document.body.classList.toggle("picking", n > 0);
      return [n === 0, (label || "").replace("{n}", n)];
    },
    list: function (fresh, picked) {
      if (!fresh) return;
      var shown = ids(document.getElementById(fresh.id));
      var coming = fresh.children ? rows(fresh.children, []) : [];
      var moved = shown.join() !== coming.join();
      var table = document.getElementById(fresh.id);
      var busy = (picked || []).length > 0 || (table && table.contains(document.activeElement));
      if (moved && busy) {
        waiting = fresh;
        held(true);
        return;
      }
      put(fresh, picked);
    },
    release: function (_clicks, picked) {
      if (waiting) put(waiting, picked);
      return dash_clientside.no_update;
    },
  };

  // What was done to several stands at the foot of the window for a while.
  function toast() {
    var box = document.getElementById("bulk-done");
    if (!box) return;
    box.classList.remove("gone");
    clearTimeout(leaving);
    leaving = setTimeout(function () { box.classList.add("gone"); }, 12000);
  }

  function isGood(done) {
    var parts = Array.isArray(done) ? done : [done];
    return parts.some(function (x) { return x && x.props && /good|warn/.test(x.props.className || ""); });
  }

  function boxes() {
    return Array.prototype.slice.call(document.querySelectorAll("tr[data-alert] input[type=checkbox]"));
  }

  function ids(root) {
    if (!root) return [];
    return Array.prototype.map.call(root.querySelectorAll("tr[data-alert]"), function (tr) { return tr.dataset.alert; });
  }

  function each(node, visit) {
    if (Array.isArray(node)) node.forEach(function (x) { each(x, visit); });
    else if (node && typeof node === "object" && node.props) {
      visit(node.props);
      each(node.props.children, visit);
    }
  }

  function rows(tree, found) {
    each(tree, function (props) { if (props["data-alert"]) found.push(String(props["data-alert"])); });
    return found;
  }

  function held(yes) {
    var button = document.getElementById("alerts-held");
    if (button) button.hidden = !yes;
  }

  function put(fresh, picked) {
    var there = rows(fresh.children, []);
    var kept = (picked || []).filter(function (id) { return there.indexOf(String(id)) >= 0; });
    each(fresh.children, function (props) {
      if (typeof props.id === "string" && props.id.indexOf("pick-") === 0 && props.id !== "pick-all") {
        props.checked = kept.indexOf(Number(props.id.slice(5))) >= 0;
      }
    });
    waiting = null;
    held(false);
    dash_clientside.barometer.morph(fresh);
    if (kept.length !== (picked || []).length) dash_clientside.set_props("alerts-picked", { data: kept });
  }

  document.addEventListener("change", function (event) {
    var box = event.target;
    if (!box.matches || !box.matches("#pick-all, tr[data-alert] input[type=checkbox]")) return;
    if (box.id === "pick-all") {
      boxes().forEach(function (other) { if (other.checked !== box.checked) other.click(); });
    }
    setTimeout(function () {
      var chosen = boxes().filter(function (x) { return x.checked; });
      dash_clientside.set_props("alerts-picked", {
        data: chosen.map(function (x) { return Number(x.closest("tr").dataset.alert); }),
      });
    }, 0);
  });
})();
