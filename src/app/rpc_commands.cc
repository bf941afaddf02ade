// What serf's clients ask of this node: the requests of rpc_server.h, over gossip's commands.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "app/rpc_server.h"
#include "base/base64.h"
#include "serf/tag_match.h"
#include "wire/messages.h"

namespace shoal::app {
namespace {

namespace msgpack = wire::msgpack;

constexpr std::size_t kResponseOverhead = 64;
constexpr Duration kQueryMost = 10min;

#if defined(__x86_64__)
constexpr std::string_view kArchitecture = "amd64";
#elif defined(__aarch64__)
constexpr std::string_view kArchitecture = "arm64";
#else
constexpr std::string_view kArchitecture = "unknown";
#endif

/// Serf's rule: each expression is put between ^ and $ as it stands.
serf::TagExpression whole(std::string_view expr) { return serf::TagExpression("^" + std::string(expr) + "$"); }

class MemberFilter {
 public:
  /// `wrong`: the first expression that is none.
  MemberFilter(const rpc::Request& request, std::string& wrong) {
    const auto add = [&](Kind kind, std::string_view tag, std::string_view expr) {
      rules_.push_back({kind, std::string(tag), whole(expr)});
      if (!rules_.back().expression.ok() && wrong.empty()) wrong = expr;
    };
    if (!request.name.empty()) add(Kind::kName, {}, request.name);
    if (!request.status.empty()) add(Kind::kStatus, {}, request.status);
    for (const auto& [tag, expr] : request.pairs) add(Kind::kTag, tag, expr);
  }

  [[nodiscard]] bool matches(const serf::Member& member) const {
    return std::all_of(rules_.begin(), rules_.end(), [&member](const Rule& rule) {
      switch (rule.kind) {
        case Kind::kName: return rule.expression.matches(member.name.view());
        case Kind::kStatus: return rule.expression.matches(serf::to_text(member.status));
        case Kind::kTag: return rule.expression.matches(wire::tag_value(member.meta(), rule.tag));
      }
      SHOAL_UNREACHABLE();
    });
  }

 private:
  enum class Kind : std::uint8_t { kName, kStatus, kTag };
  struct Rule {
    Kind kind;
    std::string tag;
    serf::TagExpression expression;
  };
  std::vector<Rule> rules_;
};

/// A map of texts in a map.
using Sections = std::vector<std::pair<std::string_view, std::vector<std::pair<std::string, std::string>>>>;

void write_sections(std::vector<std::uint8_t>& out, const Sections& sections) {
  std::size_t most = 16;
  for (const auto& [title, rows] : sections) {
    most += 16 + title.size();
    for (const auto& [key, value] : rows) most += 16 + key.size() + value.size();
  }
  rpc::append(out, most, [&](ByteWriter& writer) {
    msgpack::put_map(writer, static_cast<std::uint32_t>(sections.size()));
    for (const auto& [title, rows] : sections) {
      msgpack::put_text(writer, title);
      msgpack::put_map(writer, static_cast<std::uint32_t>(rows.size()));
      for (const auto& [key, value] : rows) msgpack::put_text(writer, key, value);
    }
  });
}

/// Where Go's decoder would stop reading this as base64.
std::size_t base64_fault(std::string_view text) {
  const auto is_digit = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  const auto* first = std::find_if_not(text.begin(), text.end(), is_digit);
  return static_cast<std::size_t>(first - text.begin()) / 4 * 4;
}

void write_keys(std::vector<std::uint8_t>& out, const serf::KeyTally* tally) {
  const std::size_t rows = tally == nullptr ? 0 : tally->keys().size() + tally->messages().size();
  rpc::append(out, 128 + rows * 512, [&](ByteWriter& writer) {
    msgpack::put_map(writer, 5);
    msgpack::put_text(writer, "Keys");
    const bool lists = tally != nullptr && tally->operation() == serf::KeyOperation::kList;
    msgpack::put_map(writer, lists ? static_cast<std::uint32_t>(tally->keys().size()) : 0);
    if (lists) {
      for (const serf::KeyCount& key : tally->keys()) msgpack::put_uint(writer, key.key.view(), key.nodes);
    }
    msgpack::put_text(writer, "Messages");
    msgpack::put_map(writer, tally == nullptr ? 0 : static_cast<std::uint32_t>(tally->messages().size()));
    if (tally != nullptr) {
      for (const serf::KeyMessage& said : tally->messages())
        msgpack::put_text(writer, said.node.view(), said.text.view());
    }
    msgpack::put_uint(writer, "NumErr", tally == nullptr ? 0 : tally->errors());
    msgpack::put_uint(writer, "NumNodes", tally == nullptr ? 0 : tally->nodes());
    msgpack::put_uint(writer, "NumResp", tally == nullptr ? 0 : tally->answered());
  });
}

/// As serf says it; empty when everybody has done it.
std::string failure_of(const serf::KeyTally& tally) {
  const std::string of = "/" + std::to_string(tally.nodes()) + " nodes reported ";
  if (tally.errors() != 0) return std::to_string(tally.errors()) + of + "failure";
  return tally.ok() ? std::string() : std::to_string(tally.answered()) + of + "success";
}

}  // namespace

rpc::Member rpc_member(std::string_view name, const serf::Member* member) {
  rpc::Member out;
  out.name = name;
  out.status = serf::to_text(member == nullptr ? serf::Status::kNone : member->status);
  if (member == nullptr) return out;
  const Endpoint where = member->endpoint();
  out.address = where.addr;
  out.port = where.port;
  out.meta = member->meta();
  const swim::Versions versions = member->versions();
  std::copy(versions.begin(), versions.end(), std::begin(out.versions));
  return out;
}

void RpcServer::serve(Client& client, const rpc::Request& request) {
  switch (request.command) {
    case rpc::Command::kEvent: return event(client, request);
    case rpc::Command::kForceLeave: return force_leave(client, request);
    case rpc::Command::kJoin: return join(client, request);
    case rpc::Command::kMembers:
    case rpc::Command::kMembersFiltered: return members(client, request);
    case rpc::Command::kTags: return tags(client, request);
    case rpc::Command::kLeave: return leave(client);
    case rpc::Command::kQuery: return query(client, request);
    case rpc::Command::kRespond: return respond(client, request);
    case rpc::Command::kInstallKey:
    case rpc::Command::kUseKey:
    case rpc::Command::kRemoveKey:
    case rpc::Command::kListKeys: return change_keys(client, request);
    case rpc::Command::kStats: return stats(client);
    case rpc::Command::kGetCoordinate: return get_coordinate(client, request);
    case rpc::Command::kHandshake:
    case rpc::Command::kAuth:
    case rpc::Command::kStream:
    case rpc::Command::kMonitor:
    case rpc::Command::kStop: break;  // The session's own.
  }
  SHOAL_UNREACHABLE();
}

void RpcServer::event(Client& client, const rpc::Request& request) {
  const std::string limit = std::to_string(serf::kUserEventLimit) + " bytes ";
  if (request.name.empty()) return client.session.answer("an event needs a name");
  if (request.name.size() + request.payload.size() > serf::kUserEventLimit) {
    return client.session.answer("user event exceeds configured limit of " + limit + "before encoding");
  }
  const bool told = gossip_.user_event(request.name, request.payload, request.coalesce);
  client.session.answer(told ? "" : "encoded user event exceeds configured limit of " + limit + "after encoding");
}

void RpcServer::force_leave(Client& client, const rpc::Request& request) {
  const bool told = gossip_.force_leave(request.node, request.prune);
  client.session.answer(told ? "" : "this is no other member's name; a node itself is stopped with `serf leave`");
}

void RpcServer::join(Client& client, const rpc::Request& request) {
  const auto body = [](std::uint32_t joined) {
    return [joined](std::vector<std::uint8_t>& out) {
      rpc::append(out, 16, [joined](ByteWriter& writer) {
        msgpack::put_map(writer, 1);
        msgpack::put_uint(writer, "Num", joined);
      });
    };
  };
  if (join_.busy()) {
    return client.session.answer("another join is under way; try again in some seconds", body(0));
  }
  if (request.names.size() > OperatorJoin::kAddressesMax) {
    return client.session.answer("at most " + std::to_string(OperatorJoin::kAddressesMax) + " addresses at once",
                                 body(0));
  }
  const std::uint64_t connection = client.connection;
  join_.begin(request.names, request.replay, [this, connection, body](std::uint32_t joined, const std::string& error) {
    Client* const asker = client_of(connection);
    if (asker == nullptr) return;
    asker->session.answer(error, body(joined));
    proceed(*asker);
  });
}

void RpcServer::members(Client& client, const rpc::Request& request) {
  std::string wrong;
  const MemberFilter filter(request, wrong);
  const serf::Members& all = gossip_.node().members();
  std::vector<Slot> shown;
  for (const Slot slot : all.slots()) {
    if (wrong.empty() && filter.matches(all[slot])) shown.push_back(slot);
  }
  const std::string error = wrong.empty() ? std::string() : "this is no regular expression: " + wrong;
  client.session.answer(error, [&](std::vector<std::uint8_t>& out) {
    rpc::append(out, 32, [&](ByteWriter& writer) {
      msgpack::put_map(writer, 1);
      msgpack::put_text(writer, "Members");
      msgpack::put_array(writer, static_cast<std::uint32_t>(shown.size()));
    });
    for (const Slot slot : shown) {
      rpc::write_member(out, rpc_member(all[slot].name.view(), &all[slot]));
    }
  });
}

void RpcServer::tags(Client& client, const rpc::Request& request) {
  const auto changed = gossip_.change_tags(request.names, request.pairs);
  if (!changed.ok()) return client.session.answer(changed.error().message);
  log_.info("tags changed over serf's RPC", {{"tags", gossip_.operator_tags().size()}});
  role_.tags_changed();
  client.session.answer("");
}

void RpcServer::leave(Client& client) {
  const std::string wrong = role_.stop();
  if (!wrong.empty()) return client.session.answer(wrong);
  log_.info("serf's RPC asks for the leave");
  client.leaves = true;
}

void RpcServer::query(Client& client, const rpc::Request& request) {
  const bool is_ping = request.name == "_serf_ping" && request.payload.empty();
  if (request.name.starts_with("_serf_") && !is_ping) {
    return client.session.answer("Queries cannot contain the '_serf_' prefix");
  }
  std::vector<wire::TagFilter> tags;
  for (const auto& [tag, expr] : request.pairs) tags.push_back({tag, expr});
  serf::QueryParams params;
  params.name = request.name;
  params.payload = request.payload;
  const Duration asked = std::chrono::nanoseconds(std::max<std::int64_t>(request.timeout_ns, 0));
  params.timeout = asked > Duration{} ? std::min(asked, kQueryMost) : gossip_.node().default_query_timeout();
  params.tags = tags;
  params.nodes = request.names;
  params.ack = request.ack;
  params.relay_factor = request.relay_factor;
  const serf::QueryToken token = gossip_.query(params);
  if (token == 0) return client.session.answer("query exceeds limit of 1024 bytes");
  client.session.answer_query(token, loop_.now() + params.timeout);
}

void RpcServer::respond(Client& client, const rpc::Request& request) {
  const std::uint64_t ref = client.session.find_query(loop_.now(), request.id);
  if (ref == 0) return client.session.answer("No pending queries matching ID");
  if (gossip_.answer(ref, request.payload)) return client.session.answer("");
  const std::size_t size = request.payload.size() + gossip_.node().name().size() + kResponseOverhead;
  client.session.answer(size > serf::kQueryBytesMax
                            ? "failed to respond to key query: response exceeds limit of 1024 bytes"
                            : "failed to respond to key query: response already sent");
}

void RpcServer::change_keys(Client& client, const rpc::Request& request) {
  const auto refuse = [&client](std::string_view why) {
    client.session.answer(why, [](std::vector<std::uint8_t>& out) { write_keys(out, nullptr); });
  };
  serf::KeyOperation operation = serf::KeyOperation::kList;
  if (request.command == rpc::Command::kInstallKey) operation = serf::KeyOperation::kInstall;
  if (request.command == rpc::Command::kUseKey) operation = serf::KeyOperation::kUse;
  if (request.command == rpc::Command::kRemoveKey) operation = serf::KeyOperation::kRemove;
  std::array<std::uint8_t, wire::kAeadKeyBytesMax + 1> key;
  std::size_t size = 0;
  if (operation != serf::KeyOperation::kList) {
    const auto decoded = base64_decode(request.key, key);
    if (!decoded && request.key.size() <= base64_size(key.size())) {
      return refuse("illegal base64 data at input byte " + std::to_string(base64_fault(request.key)));
    }
    size = decoded.value_or(0);
    if (size != 16 && size != 24 && size != 32) return refuse("key size must be 16, 24 or 32 bytes");
  }
  const std::uint64_t connection = client.connection;
  const bool begun =
      gossip_.key_operation(operation, Bytes(key).first(size), [this, connection](const serf::KeyTally& tally) {
        Client* const asker = client_of(connection);
        if (asker == nullptr) return;
        asker->session.answer(failure_of(tally), [&tally](std::vector<std::uint8_t>& out) { write_keys(out, &tally); });
        proceed(*asker);
      });
  wire::wipe(key);
  if (!begun) refuse("another key operation is under way; try again in some seconds");
}

void RpcServer::stats(Client& client) {
  const serf::Node& node = gossip_.node();
  const serf::Members& members = node.members();
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  const std::string cpus = number(static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))));
  Sections out;
  out.push_back({"agent", {{"name", std::string(node.name())}}});
  out.push_back({"runtime",
                 {{"os", "linux"},
                  {"arch", std::string(kArchitecture)},
                  {"version", std::string("shoal ") + SHOAL_VERSION},
                  {"max_procs", "1"},
                  {"goroutines", "1"},
                  {"cpu_count", cpus}}});
  out.push_back({"serf",
                 {{"members", number(members.size())},
                  {"failed", number(members.count(serf::Status::kFailed))},
                  {"left", number(members.count(serf::Status::kLeft))},
                  {"health_score", number(node.swim().health_score())},
                  {"member_time", number(node.clock())},
                  {"event_time", number(node.event_clock())},
                  {"query_time", number(node.query_clock())},
                  {"intent_queue", number(node.queued_intents())},
                  {"event_queue", number(node.queued_events())},
                  {"query_queue", number(node.queued_queries())},
                  {"encrypted", node.keyring().empty() ? "false" : "true"},
                  {"coordinate_resets", number(node.coordinates().resets())}}});
  out.push_back({"tags", {}});
  if (const serf::Member* self = members.get(node.name())) {
    static_cast<void>(wire::for_each_tag(self->meta(), [&out](std::string_view name, std::string_view value) {
      out.back().second.emplace_back(name, value);
    }));
  }
  out.push_back({"event_handlers", {}});
  client.session.answer("", [&out](std::vector<std::uint8_t>& body) { write_sections(body, out); });
}

void RpcServer::get_coordinate(Client& client, const rpc::Request& request) {
  const serf::Node& node = gossip_.node();
  const serf::Coordinate* found = nullptr;
  if (request.node == node.name()) {
    found = &node.coordinates().own();
  } else if (const serf::Member* member = node.members().get(request.node)) {
    const serf::PeerCoordinate* peer = node.members().coordinate(*member);
    if (peer != nullptr && peer->known) found = &peer->at;
  }
  client.session.answer("", [found](std::vector<std::uint8_t>& out) {
    rpc::append(out, 512, [found](ByteWriter& writer) {
      const serf::Coordinate none{{}, 0, 0, 0};
      const serf::Coordinate& shown = found == nullptr ? none : *found;
      msgpack::put_map(writer, 2);
      msgpack::put_text(writer, "Coord");
      msgpack::put_map(writer, 4);
      msgpack::put_float(writer, "Adjustment", shown.adjustment);
      msgpack::put_float(writer, "Error", shown.error);
      msgpack::put_float(writer, "Height", shown.height);
      msgpack::put_text(writer, "Vec");
      if (found == nullptr) {
        msgpack::put_nil(writer);
      } else {
        msgpack::put_array(writer, static_cast<std::uint32_t>(shown.vec.size()));
        for (const double at : shown.vec) msgpack::put_float(writer, at);
      }
      msgpack::put_bool(writer, "Ok", found != nullptr);
    });
  });
}

}  // namespace shoal::app
