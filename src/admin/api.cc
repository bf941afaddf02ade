#include "admin/api.h"

#include "base/base64.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/utf8.h"

namespace shoal::admin {
namespace {

void write_versions(JsonWriter& w, std::string_view key, const VersionRange& range) {
  w.key(key);
  w.begin_object();
  w.number("min", range.min);
  w.number("max", range.max);
  w.number("current", range.current);
  w.end_object();
}

void write_member(JsonWriter& w, const Member& member) {
  w.begin_object();
  w.text("name", member.name);
  w.text("addr", member.addr);
  w.number("port", member.port);
  w.text("status", member.status);
  w.key("tags");
  w.begin_object();
  for (const auto& [name, value] : member.tags) w.text(name, value);
  w.end_object();
  if (member.rtt_us) w.number("rtt_us", *member.rtt_us);
  w.key("versions");
  w.begin_object();
  write_versions(w, "protocol", member.protocol);
  write_versions(w, "delegate", member.delegate);
  w.end_object();
  w.end_object();
}

void read_versions(JsonReader& r, VersionRange& out) {
  r.object([&](std::string_view key) {
    if (key == "min") {
      r.number(out.min);
    } else if (key == "max") {
      r.number(out.max);
    } else if (key == "current") {
      r.number(out.current);
    } else {
      r.skip();
    }
  });
}

void read_member(JsonReader& r, Member& out) {
  r.object([&](std::string_view key) {
    if (key == "name") {
      r.text(out.name);
    } else if (key == "addr") {
      r.text(out.addr);
    } else if (key == "port") {
      r.number(out.port);
    } else if (key == "status") {
      r.text(out.status);
    } else if (key == "rtt_us") {
      std::uint32_t rtt_us = 0;
      r.number(rtt_us);
      out.rtt_us = rtt_us;
    } else if (key == "tags") {
      r.object([&](std::string_view name) { r.text(out.tags.emplace_back(std::string(name), std::string()).second); });
    } else if (key == "versions") {
      r.object([&](std::string_view kind) {
        if (kind == "protocol") {
          read_versions(r, out.protocol);
        } else if (kind == "delegate") {
          read_versions(r, out.delegate);
        } else {
          r.skip();
        }
      });
    } else {
      r.skip();
    }
  });
}

void read_key_use(JsonReader& r, KeyUse& out) {
  r.object([&](std::string_view key) {
    if (key == "key") {
      r.text(out.key);
    } else if (key == "nodes") {
      r.number(out.nodes);
    } else if (key == "primary_nodes") {
      r.number(out.primary_nodes);
    } else {
      r.skip();
    }
  });
}

void read_node_error(JsonReader& r, NodeError& out) {
  r.object([&](std::string_view key) {
    if (key == "node") {
      r.text(out.node);
    } else if (key == "message") {
      r.text(out.message);
    } else {
      r.skip();
    }
  });
}

/// What all requests share: one object, nothing behind it, and no member that the server does not know, since a
/// mistyped "prune" would otherwise do something else than was asked.
template <typename F>
std::string read_object(std::string_view text, F&& on_member) {
  JsonReader r(text);
  std::string unknown;
  const bool read = r.object([&](std::string_view key) {
    if (on_member(r, key)) return;
    unknown = key;
    r.fail();
  });
  if (!unknown.empty()) {
    std::string out = "the request has no member ";
    append_json_text(out, unknown);
    return out;
  }
  return read && r.at_end() ? std::string() : "the body is not the JSON object that this path wants";
}

bool decode(std::string_view base64, std::string& out) {
  out.resize(base64.size());
  const auto size = base64_decode(base64, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  out.resize(size.value_or(0));
  return size.has_value();
}

std::string encode(std::string_view bytes) {
  std::string out(base64_size(bytes.size()), '\0');
  ByteWriter w({reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  base64_encode(w, as_bytes(bytes));
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = utf8_size(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace

std::string to_json(const std::vector<Member>& members) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.key("members");
  w.begin_array();
  for (const Member& member : members) write_member(w, member);
  w.end_array();
  w.end_object();
  return out;
}

std::string to_json(const KeysAnswer& answer) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.key("keys");
  w.begin_array();
  for (const KeyUse& use : answer.keys) {
    w.begin_object();
    w.text("key", use.key);
    w.number("nodes", use.nodes);
    w.number("primary_nodes", use.primary_nodes);
    w.end_object();
  }
  w.end_array();
  w.number("nodes", answer.nodes);
  w.number("answered", answer.answered);
  w.key("errors");
  w.begin_array();
  for (const NodeError& error : answer.errors) {
    w.begin_object();
    w.text("node", error.node);
    w.text("message", error.message);
    w.end_object();
  }
  w.end_array();
  w.end_object();
  return out;
}

std::string to_json(const KeyRequest& request) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.text("key", request.key);
  w.end_object();
  return out;
}

std::string to_json(const ForceLeaveRequest& request) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.text("name", request.name);
  w.boolean("prune", request.prune);
  w.end_object();
  return out;
}

std::string to_json(const EventRequest& request) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.text("name", request.name);
  if (is_utf8(request.payload)) {
    w.text("payload", request.payload);
  } else {
    w.text("payload_base64", encode(request.payload));
  }
  w.boolean("coalesce", request.coalesce);
  w.end_object();
  return out;
}

std::string to_json(const SteerRequest& request) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.text("name", request.name);
  w.text("wish", request.wish);
  w.boolean("stop", request.stop);
  w.end_object();
  return out;
}

std::string error_json(std::string_view message) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.text("error", message);
  w.end_object();
  return out;
}

bool from_json(std::string_view text, std::vector<Member>& out) {
  JsonReader r(text);
  bool found = false;
  r.object([&](std::string_view key) {
    if (key != "members") {
      r.skip();
      return;
    }
    found = true;
    r.array([&] { read_member(r, out.emplace_back()); });
  });
  return r.at_end() && found;
}

bool from_json(std::string_view text, KeysAnswer& out) {
  JsonReader r(text);
  bool counted = false;
  r.object([&](std::string_view key) {
    if (key == "keys") {
      r.array([&] { read_key_use(r, out.keys.emplace_back()); });
    } else if (key == "nodes") {
      counted = r.number(out.nodes);
    } else if (key == "answered") {
      r.number(out.answered);
    } else if (key == "errors") {
      r.array([&] { read_node_error(r, out.errors.emplace_back()); });
    } else {
      r.skip();
    }
  });
  return r.at_end() && counted;
}

std::optional<std::string> error_from_json(std::string_view text) {
  JsonReader r(text);
  std::optional<std::string> out;
  r.object([&](std::string_view key) {
    if (key == "error") {
      r.text(out.emplace());
    } else {
      r.skip();
    }
  });
  return r.at_end() ? out : std::nullopt;
}

std::string read_request(std::string_view text, KeyRequest& out) {
  const std::string wrong = read_object(text, [&](JsonReader& r, std::string_view key) {
    if (key != "key") return false;
    r.text(out.key);
    return true;
  });
  if (!wrong.empty()) return wrong;
  return out.key.empty() ? "the request names no key" : "";
}

std::string read_request(std::string_view text, ForceLeaveRequest& out) {
  const std::string wrong = read_object(text, [&](JsonReader& r, std::string_view key) {
    if (key == "name") {
      r.text(out.name);
    } else if (key == "prune") {
      r.boolean(out.prune);
    } else {
      return false;
    }
    return true;
  });
  if (!wrong.empty()) return wrong;
  return out.name.empty() ? "the request names no member" : "";
}

std::string read_request(std::string_view text, EventRequest& out) {
  bool bad_base64 = false;
  const std::string wrong = read_object(text, [&](JsonReader& r, std::string_view key) {
    if (key == "name") {
      r.text(out.name);
    } else if (key == "payload") {
      r.text(out.payload);
    } else if (key == "payload_base64") {
      std::string base64;
      if (r.text(base64)) bad_base64 = !decode(base64, out.payload);
    } else if (key == "coalesce") {
      r.boolean(out.coalesce);
    } else {
      return false;
    }
    return true;
  });
  if (!wrong.empty()) return wrong;
  if (bad_base64) return "payload_base64 is no base64";
  return out.name.empty() ? "the request names no event" : "";
}

std::string read_request(std::string_view text, SteerRequest& out) {
  const std::string wrong = read_object(text, [&](JsonReader& r, std::string_view key) {
    if (key == "name") {
      r.text(out.name);
    } else if (key == "wish") {
      r.text(out.wish);
    } else if (key == "stop") {
      r.boolean(out.stop);
    } else {
      return false;
    }
    return true;
  });
  if (!wrong.empty()) return wrong;
  if (out.wish != "drain" && out.wish != "maint" && out.wish != "ready") return "the wish is drain, maint or ready";
  if (out.stop && out.wish == "ready") return "what is to stop cannot be wanted ready";
  return out.name.empty() ? "the request names no node" : "";
}

}  // namespace shoal::admin
