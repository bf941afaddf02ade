#include "admin/status.h"

#include <type_traits>

#include "base/json.h"

namespace shoal::admin {
namespace {

// One list of names for both ways: `v(name, field)` writes or reads.

template <typename V>
void visit(V& v, Health& x) {
  v("healthy", x.healthy);
  v("reason", x.reason);
}

template <typename V>
void visit(V& v, WorkerRow& x) {
  v("pid", x.pid);
  v("generation", x.generation);
  v("state", x.state);
  v("up_ms", x.up_ms);
}

template <typename V>
void visit(V& v, SidecarRow& x) {
  v("name", x.name);
  v("address", x.address);
  v("member", x.member);
  v("state", x.state);
  v("reason", x.reason);
  v("needs_a_fix", x.needs_a_fix);
  v("server", x.server);
  v("proxies_up", x.proxies_up);
  v("proxies_total", x.proxies_total);
  v("proxies_in_rotation", x.proxies_in_rotation);
  v("in_flight", x.in_flight);
  v("answered_ms", x.answered_ms);
  v("unanswered", x.unanswered);
}

template <typename V>
void visit(V& v, AcceptQueue& x) {
  v("depth", x.depth);
  v("limit", x.limit);
  v("highest", x.highest);
}

template <typename V>
void visit(V& v, TaskStatus& x) {
  v("state", x.state);
  v("workers", x.workers);
  v("restarts", x.restarts);
  v("listen", x.listen);
  v("port", x.port);
  v("pool", x.pool);
  v("weight", x.weight);
  v("wish", x.wish);
  v("accept_queue", x.accept_queue);
  v("drain", x.drain);
  v("proxies_in_rotation", x.proxies_in_rotation);
  v("sidecars", x.sidecars);
  v("sidecars_left_out", x.sidecars_left_out);
}

template <typename V>
void visit(V& v, ProxyRow& x) {
  v("socket", x.socket);
  v("connected", x.connected);
  v("reason", x.reason);
  v("version", x.version);
  v("pid", x.pid);
  v("method", x.method);
  v("in_rotation", x.in_rotation);
  v("out", x.out);
  v("claimed", x.claimed);
  v("missing", x.missing);
  v("by_hand", x.by_hand);
  v("compared_ms", x.compared_ms);
  v("commands", x.commands);
  v("refused", x.refused);
  v("reconnects", x.reconnects);
  v("replacements", x.replacements);
  v("old_processes", x.old_processes);
}

template <typename V>
void visit(V& v, HeldRow& x) {
  v("server", x.server);
  v("pool", x.pool);
  v("node", x.node);
  v("socket", x.socket);
}

template <typename V>
void visit(V& v, SidecarStatus& x) {
  v("dry_run", x.dry_run);
  v("supervises", x.supervises);
  v("tasks", x.tasks);
  v("proxies", x.proxies);
  v("held", x.held);
  v("held_left_out", x.held_left_out);
}

template <typename V>
void visit(V& v, Status& x) {
  v("name", x.name);
  v("role", x.role);
  v("version", x.version);
  v("pid", x.pid);
  v("uptime_ms", x.uptime_ms);
  v("address", x.address);
  v("members", x.members);
  v("alive", x.alive);
  v("leaving", x.leaving);
  v("left", x.left);
  v("failed", x.failed);
  v("health", x.health);
  v("ready", x.ready);
  v("task", x.task);
  v("sidecar", x.sidecar);
}

struct Writer {
  JsonWriter& w;

  template <typename T>
  void operator()(std::string_view name, std::optional<T>& x) {
    if (x) (*this)(name, *x);
  }
  template <typename T>
  void operator()(std::string_view name, T& x) {
    w.key(name);
    value(x);
  }

 private:
  void value(std::string& x) { w.text(x); }
  template <typename T>
  void value(std::vector<T>& rows) {
    w.begin_array();
    for (T& row : rows) value(row);
    w.end_array();
  }
  template <typename T>
  void value(T& x) {
    if constexpr (std::is_same_v<T, bool>) {
      w.boolean(x);
    } else if constexpr (std::is_integral_v<T>) {
      w.number(static_cast<std::int64_t>(x));
    } else {
      w.begin_object();
      visit(*this, x);
      w.end_object();
    }
  }
};

template <typename T>
void read_object(JsonReader& r, T& x);

/// Reads the value of the member `key` into the field of that name.
struct Reader {
  JsonReader& r;
  std::string_view key;
  bool taken = false;

  template <typename T>
  void operator()(std::string_view name, T& x) {
    if (taken || name != key) return;
    taken = true;
    value(x);
  }

 private:
  void value(std::string& x) { r.text(x); }
  template <typename T>
  void value(std::optional<T>& x) {
    value(x.emplace());
  }
  template <typename T>
  void value(std::vector<T>& rows) {
    rows.clear();  // A key that stands there twice.
    r.array([&] { value(rows.emplace_back()); });
  }
  template <typename T>
  void value(T& x) {
    if constexpr (std::is_same_v<T, bool>) {
      r.boolean(x);
    } else if constexpr (std::is_integral_v<T>) {
      r.number(x);
    } else {
      read_object(r, x);
    }
  }
};

template <typename T>
void read_object(JsonReader& r, T& x) {
  r.object([&](std::string_view key) {
    Reader reader{r, key};
    visit(reader, x);
    if (!reader.taken) r.skip();
  });
}

}  // namespace

std::string to_json(const Status& status) {
  std::string out;
  JsonWriter w(out);
  Status copy = status;  // The visitor takes both ways by reference.
  w.begin_object();
  Writer writer{w};
  visit(writer, copy);
  w.end_object();
  return out;
}

bool from_json(std::string_view text, Status& out) {
  JsonReader r(text);
  read_object(r, out);
  return r.at_end();
}

}  // namespace shoal::admin
