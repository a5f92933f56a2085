// The Documents page: what is typed and chosen goes into the address.
(function () {
  "use strict";
  var FIELDS = ["series", "lang", "source", "confidence", "flag", "from", "to"]; // BOXES of document_filters.py
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.barometer_documents = {
    ask: function (q, _clicks) {
      var values = Array.prototype.slice.call(arguments, 2, 2 + FIELDS.length);
      var before = arguments[arguments.length - 2] || {};
      var days = arguments[arguments.length - 1] || {}; // a field that shows the day of a time has not been touched
      var now = Object.assign({}, before, { q: (q || "").trim() || null, before: null });
      FIELDS.forEach(function (name, i) { 
        var value = (values[i] || "").trim() || null;
        now[name] = name in days && value === (days[name] || null) ? before[name] || null : value;
      });
      if (now.q !== (before.q || null)) now.copies = null;
      if ((now.from || now.to) && (now.from !== before.from || now.to !== before.to)) now.range = null;
      var changed = ["q"].concat(FIELDS).some(function (name) { return (now[name] || null) !== (before[name] || null); });
      if (!changed) return dash_clientside.no_update;
      var query = new URLSearchParams();
      Object.keys(now).forEach(function (name) { if (now[name]) query.set(name, now[name]); });
      var text = query.toString();
      return text ? "?" + text : "?";
    },
  };
})();
