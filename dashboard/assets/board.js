// The cells of the overview's grid. Text is set as text; a row's values come from the server, never as markup.
(function () {
  "use strict";
  var cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  var STEPS = [10, 20, 35, 50]; // lower ends of the classes of grid.py, without the first
  var NARROW = 640, MIDDLE = 860, LABEL = 84; // widths in pixels

  function e() { return React.createElement.apply(React, arguments); }
  function fill(text, values) {
    return text.replace(/\{(\w+)\}/g, function (_, name) { return values[name]; });
  }
  function words(props) { return props.context || {}; }
  function shade(share) {
    var i = 0;
    while (i < STEPS.length && share >= STEPS[i]) i++;
    return i;
  }

  // Links of Dash: the address changes without loading the page anew, and a new tab still works.
  function follow(event) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    event.stopPropagation();
    window.history.pushState({}, "", event.currentTarget.getAttribute("href"));
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  }
  function address(row, at) {
    var query = row.link || "";
    if (at !== undefined) query += (query ? "&" : "?") + "at=" + at;
    return window.barometer_at.to("/series/") + encodeURIComponent(row.id).replace(/%3A/gi, ":") + query;
  }

  cells.BoardStar = function (props) {
    var row = props.data, state = React.useState(row.star), on = state[0];
    React.useEffect(function () { state[1](row.star); }, [row.star]);
    var label = fill(on ? words(props).unwatch : words(props).watch, { name: row.name });
    return e("button", {
      type: "button", className: on ? "star on" : "star", title: label, "aria-label": label, "aria-pressed": String(on),
      onClick: function (event) {
        event.stopPropagation();
        state[1](!on);
        props.setData({ name: row.id, on: !on });
      },
    }, on ? "★" : "☆");
  };

  cells.BoardName = function (props) {
    var row = props.data, parts = [e("a", { key: "a", href: address(row), className: "series-name", onClick: follow }, row.name)];
    if (row.alert) parts.push(e("span", { key: "b", className: "pill severity-" + row.severity }, e("span", { className: "dot" }), row.alert));
    if (row.trial) parts.push(e("span", { key: "c", className: "pill quiet", title: words(props).trialHint }, words(props).trial));
    // Shown where the other columns have no room.
    parts.push(e("small", { key: "d", className: "board-under num" }, row.share + " · ", e("span", { className: row.tone }, row.change)));
    return e("div", { className: "board-names" }, parts);
  };

  cells.BoardFigure = function (props) { return e("span", { className: "num" }, props.data[props.text]); };

  cells.BoardShare = function (props) {
    var row = props.data;
    return e("span", { className: "board-share" }, e("span", { className: "num" }, row.share),
      e("span", { className: "meter" }, e("i", { style: { width: (row.s || 0) + "%" } })));
  };

  cells.BoardChange = function (props) {
    var row = props.data;
    return e("span", { className: "board-change", title: row.hint || row.note },
      e("span", { className: "num " + row.tone }, row.change), props.short ? null : e("small", { className: "muted num" }, row.note));
  };

  function line(values, width, height, top) {
    var step = values.length > 1 ? width / (values.length - 1) : 0;
    return "M" + values.map(function (y, i) {
      return (i * step).toFixed(1) + "," + (height - 2 - (y / top) * (height - 4)).toFixed(1);
    }).join("L");
  }

  cells.BoardTrend = function (props) {
    var row = props.data, w = 240, h = 32;
    if (!row.n || !row.k) return e("span", { className: "muted" }, "–");
    var top = Math.max.apply(null, row.k.concat(row.x || [], [1])) * 1.08, path = line(row.k, w, h, top);
    return e("svg", { className: "trend", viewBox: "0 0 " + w + " " + h, preserveAspectRatio: "none", role: "img",
      "aria-label": fill(words(props).trend, { name: row.name }) },
      e("path", { className: "trend-area", d: path + "V" + h + "H0Z" }),
      row.x ? e("path", { className: "trend-usual", d: line(row.x, w, h, top) }) : null,
      e("path", { className: "trend-line", d: path }));
  };

  function said(props, i) {
    var row = props.data, share = row.h[i];
    return fill(words(props).cell, { time: words(props).times[i], share: share === null ? words(props).few : share + "%", n: row.t[i] });
  }

  cells.BoardHeat = function (props) {
    var row = props.data;
    if (!row.h) return null;
    var best = -1;
    row.h.forEach(function (x, i) { if (x !== null && (best < 0 || x > row.h[best])) best = i; });
    var label = best < 0 ? row.name : fill(words(props).heat, { name: row.name, share: row.h[best] + "%", time: words(props).times[best] });
    return e("div", { className: "heat", role: "group", "aria-label": label }, row.h.map(function (share, i) {
      var odd = row.o.indexOf(i) >= 0;
      return e("a", {
        key: i, href: address(row, words(props).starts[i]), tabIndex: -1, "aria-hidden": "true", onClick: follow, title: said(props, i),
        className: "shade " + (share === null ? "shade-few" : "shade-" + shade(share)),
      }, odd ? "▲" : null);
    }));
  };

  cells.BoardHeatHead = function (props) {
    var times = (props.context || {}).times || [], n = times.length, width = props.column.getActualWidth();
    // As many labels as have room beside each other.
    var every = Math.max(1, Math.ceil(n / Math.max(1, Math.min(6, Math.floor(width / LABEL)))));
    return e("div", { className: "heat-head" }, times.map(function (time, i) {
      return i % every ? null : e("span", { key: i, className: "num", style: { left: (i / n) * 100 + "%" } }, time);
    }));
  };

  // A narrow window keeps the star, the name with the figures under it, and the picture; a heat map has no room for the
  // star then.
  function arrange(api, box) {
    if (!box.isConnected || api.isDestroyed()) return;
    var width = box.clientWidth, state = width < NARROW ? "narrow" : width < MIDDLE ? "middle" : "wide";
    if (!width || box.dataset.width === state) return;
    box.dataset.width = state;
    api.setColumnsVisible(["n", "neg"], state === "wide");
    api.setColumnsVisible(["s", "p"], state !== "narrow");
    if (api.getColumn("heat")) api.setColumnsVisible(["star"], state !== "narrow");
    api.setGridOption("rowHeight", state === "narrow" ? 72 : 40);
    api.resetRowHeights();
    // What is wider than the window shows its end first: the latest hours.
    if (api.getColumn("heat")) api.ensureColumnVisible("heat", "end");
    var name = api.getColumn("name");
    if (name) api.applyColumnState({ state: [{ colId: "name", flex: state === "narrow" ? 3 : name.getColDef().flex || null }] });
  }
  // The element is made anew when the grid's own script has come, and with every filter.
  function fit() {
    var box = document.getElementById("board");
    if (!box || box.dataset.watched || !box.querySelector(".ag-root")) return;
    box.dataset.watched = "yes";
    dash_ag_grid.getApiAsync("board").then(function (api) {
      arrange(api, box);
      new ResizeObserver(function () { arrange(api, box); }).observe(box);
    });
  }
  new MutationObserver(fit).observe(document.documentElement, { childList: true, subtree: true });
})();
