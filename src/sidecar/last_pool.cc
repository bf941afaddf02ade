#include "sidecar/last_pool.h"

#include <charconv>

#include "base/json.h"

namespace shoal::sidecar {
namespace {

constexpr std::uint32_t kVersion = 1;

/// False when the object is none; `good` says whether it can be a server.
bool read_server(JsonReader& r, LastServer& out, bool& good) {
  std::string node, pool, addr, start;
  announce::Announcement& word = out.word;
  word.weight = 0;
  r.object([&](std::string_view key) {
    if (key == "node") {
      r.text(node);
    } else if (key == "pool") {
      r.text(pool);
    } else if (key == "addr") {
      r.text(addr);
    } else if (key == "port") {
      r.number(word.port);
    } else if (key == "weight") {
      r.number(word.weight);
    } else if (key == "start_id") {
      r.text(start);
    } else {
      r.skip();
    }
  });
  const auto parsed = IpAddress::parse(addr);
  if (parsed) out.addr = *parsed;
  const auto [end, error] = std::from_chars(start.data(), start.data() + start.size(), word.generation.start_id);
  const bool is_start = error == std::errc{} && end == start.data() + start.size();
  good = parsed && is_start && !node.empty() && out.node.assign(node) && !pool.empty() && word.pool.assign(pool) &&
         word.port != 0 && word.weight >= 1 && word.weight <= 256;
  return r.ok();
}

}  // namespace

std::string to_json(const LastPool& pool) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.number("version", kVersion);
  w.number("written_ms", pool.written_ms);
  w.key("servers");
  w.begin_array();
  for (const LastServer& server : pool.servers) {
    w.begin_object();
    w.text("node", server.node.view());
    w.text("pool", server.word.pool.view());
    w.text("start_id", std::to_string(server.word.generation.start_id));
    w.text("addr", to_text(server.addr).view());
    w.number("port", server.word.port);
    w.number("weight", server.word.weight);
    w.end_object();
  }
  w.end_array();
  w.end_object();
  out += '\n';
  return out;
}

std::optional<LastPool> last_pool_from_json(std::string_view text, std::size_t servers_max) {
  JsonReader r(text);
  LastPool out;
  std::uint32_t version = 0;
  r.object([&](std::string_view key) {
    if (key == "version") {
      r.number(version);
    } else if (key == "written_ms") {
      r.number(out.written_ms);
    } else if (key == "servers") {
      r.array([&] {
        LastServer server;
        bool good = false;
        if (read_server(r, server, good) && good && out.servers.size() < servers_max) out.servers.push_back(server);
      });
    } else {
      r.skip();
    }
  });
  if (!r.at_end() || version != kVersion) return std::nullopt;
  return out;
}

}  // namespace shoal::sidecar
