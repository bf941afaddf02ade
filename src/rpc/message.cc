#include "rpc/message.h"

#include <algorithm>
#include <array>

#include "wire/messages.h"

namespace shoal::rpc {
namespace {

namespace msgpack = wire::msgpack;

struct Name {
  std::string_view text;
  Command command;
  bool has_body;
};

constexpr std::array kCommands = {
    Name{"handshake", Command::kHandshake, true},
    Name{"auth", Command::kAuth, true},
    Name{"event", Command::kEvent, true},
    Name{"force-leave", Command::kForceLeave, true},
    Name{"join", Command::kJoin, true},
    Name{"members", Command::kMembers, false},
    Name{"members-filtered", Command::kMembersFiltered, true},
    Name{"tags", Command::kTags, true},
    Name{"stream", Command::kStream, true},
    Name{"monitor", Command::kMonitor, true},
    Name{"stop", Command::kStop, true},
    Name{"leave", Command::kLeave, false},
    Name{"query", Command::kQuery, true},
    Name{"respond", Command::kRespond, true},
    Name{"install-key", Command::kInstallKey, true},
    Name{"use-key", Command::kUseKey, true},
    Name{"remove-key", Command::kRemoveKey, true},
    Name{"list-keys", Command::kListKeys, false},
    Name{"stats", Command::kStats, false},
    Name{"get-coordinate", Command::kGetCoordinate, true},
};

ReadStatus scan(Bytes input, std::size_t limit, std::size_t& size) {
  msgpack::ObjectScanner scanner;
  switch (scanner.advance(input, limit)) {
    case msgpack::ScanStatus::kIncomplete: return ReadStatus::kIncomplete;
    case msgpack::ScanStatus::kComplete: size = scanner.size(); return ReadStatus::kComplete;
    case msgpack::ScanStatus::kMalformed:
    case msgpack::ScanStatus::kTooLarge: break;
  }
  return ReadStatus::kMalformed;
}

void read_list(msgpack::Reader& in, std::vector<std::string_view>& out) {
  out.clear();
  const std::uint32_t count = in.read_array();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) out.push_back(in.read_text());
}

void read_pairs(msgpack::Reader& in, std::vector<std::pair<std::string_view, std::string_view>>& out) {
  out.clear();
  const std::uint32_t count = in.read_map();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    const std::string_view key = in.read_key();
    out.emplace_back(key, in.read_text());
  }
}

/// Reads a map whose fields are told to `f` by name; it reads the value, or gives false.
template <typename F>
bool read_fields(Bytes body, F&& f) {
  msgpack::Reader in(body);
  const std::uint32_t count = in.read_map();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    const std::string_view key = in.read_key();
    if (in.ok() && !f(key, in)) in.skip();
  }
  return in.ok();
}

bool read_body(Bytes body, Request& out) {
  return read_fields(body, [&out](std::string_view key, msgpack::Reader& in) {
    const auto is = [&](Command command, std::string_view name) { return out.command == command && key == name; };
    const bool names_key =
        out.command == Command::kInstallKey || out.command == Command::kUseKey || out.command == Command::kRemoveKey;
    if (is(Command::kHandshake, "Version")) return out.version = in.read_int(), true;
    if (is(Command::kAuth, "AuthKey")) return out.auth_key = in.read_text(), true;
    if (is(Command::kEvent, "Name") || is(Command::kQuery, "Name") || is(Command::kMembersFiltered, "Name")) {
      return out.name = in.read_text(), true;
    }
    if (is(Command::kEvent, "Payload") || is(Command::kQuery, "Payload") || is(Command::kRespond, "Payload")) {
      return out.payload = in.read_bytes(), true;
    }
    if (is(Command::kEvent, "Coalesce")) return out.coalesce = in.read_bool(), true;
    if (is(Command::kForceLeave, "Node") || is(Command::kGetCoordinate, "Node")) {
      return out.node = in.read_text(), true;
    }
    if (is(Command::kForceLeave, "Prune")) return out.prune = in.read_bool(), true;
    if (is(Command::kJoin, "Existing") || is(Command::kTags, "DeleteTags") || is(Command::kQuery, "FilterNodes")) {
      return read_list(in, out.names), true;
    }
    if (is(Command::kJoin, "Replay")) return out.replay = in.read_bool(), true;
    if (is(Command::kMembersFiltered, "Tags") || is(Command::kTags, "Tags") || is(Command::kQuery, "FilterTags")) {
      return read_pairs(in, out.pairs), true;
    }
    if (is(Command::kMembersFiltered, "Status")) return out.status = in.read_text(), true;
    if (is(Command::kStream, "Type") || is(Command::kMonitor, "LogLevel")) return out.text = in.read_text(), true;
    if (is(Command::kStop, "Stop") || is(Command::kRespond, "ID")) return out.id = in.read_uint<std::uint64_t>(), true;
    if (is(Command::kQuery, "RequestAck")) return out.ack = in.read_bool(), true;
    if (is(Command::kQuery, "RelayFactor")) return out.relay_factor = in.read_uint<std::uint8_t>(), true;
    if (is(Command::kQuery, "Timeout")) return out.timeout_ns = in.read_int(), true;
    if (names_key && key == "Key") return out.key = in.read_text(), true;
    return false;
  });
}

}  // namespace

ReadStatus read_request(Bytes input, std::size_t limit, Request& out, std::size_t& size) {
  out = {};
  std::size_t header_size = 0;
  if (const ReadStatus status = scan(input, limit, header_size); status != ReadStatus::kComplete) return status;
  std::string_view name;
  const bool header_ok = read_fields(input.first(header_size), [&](std::string_view key, msgpack::Reader& in) {
    if (key == "Command") return name = in.read_text(), true;
    if (key == "Seq") return out.seq = in.read_uint<std::uint64_t>(), true;
    return false;
  });
  if (!header_ok) return ReadStatus::kMalformed;
  const auto* found = std::find_if(kCommands.begin(), kCommands.end(), [&](const Name& n) { return n.text == name; });
  if (found == kCommands.end()) return ReadStatus::kUnknown;
  out.command = found->command;
  if (!found->has_body) {
    size = header_size;
    return ReadStatus::kComplete;
  }
  std::size_t body_size = 0;
  const Bytes rest = input.subspan(header_size);
  if (const ReadStatus status = scan(rest, limit - header_size, body_size); status != ReadStatus::kComplete) {
    return status;
  }
  if (!read_body(rest.first(body_size), out)) return ReadStatus::kMalformed;
  size = header_size + body_size;
  return ReadStatus::kComplete;
}

void put_bin(ByteWriter& out, std::string_view key, Bytes bytes) {
  msgpack::put_text(out, key);
  if (bytes.empty()) return msgpack::put_nil(out);
  out.u8(0xc5);
  out.u16(static_cast<std::uint16_t>(bytes.size()));
  if (bytes.size() > 0xffff) return out.fail();
  out.put(bytes);
}

void write_header(std::vector<std::uint8_t>& out, std::uint64_t seq, std::string_view error) {
  append(out, 32 + error.size(), [&](ByteWriter& writer) {
    msgpack::put_map(writer, 2);
    msgpack::put_text(writer, "Error", error);
    msgpack::put_uint(writer, "Seq", seq);
  });
}

void write_member(std::vector<std::uint8_t>& out, const Member& member) {
  append(out, 384 + member.name.size() + 8 * member.meta.size(), [&](ByteWriter& writer) {
    // Somebody else's bytes: half a map would put all that follows out of step.
    const bool is_whole = wire::for_each_tag(member.meta, [](std::string_view, std::string_view) {});
    msgpack::put_map(writer, 11);
    put_bin(writer, "Addr", member.address.raw());
    msgpack::put_uint(writer, "DelegateCur", member.versions[5]);
    msgpack::put_uint(writer, "DelegateMax", member.versions[4]);
    msgpack::put_uint(writer, "DelegateMin", member.versions[3]);
    msgpack::put_text(writer, "Name", member.name);
    msgpack::put_uint(writer, "Port", member.port);
    msgpack::put_uint(writer, "ProtocolCur", member.versions[2]);
    msgpack::put_uint(writer, "ProtocolMax", member.versions[1]);
    msgpack::put_uint(writer, "ProtocolMin", member.versions[0]);
    msgpack::put_text(writer, "Status", member.status);
    msgpack::put_text(writer, "Tags");
    if (!is_whole || !wire::encode_member_tags(writer, member.meta)) msgpack::put_map(writer, 0);
  });
}

}  // namespace shoal::rpc
