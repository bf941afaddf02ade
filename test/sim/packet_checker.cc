// What leaves a node, opened again. The decoders are the program's own; test/unit/wire holds them against golden bytes
// of real agents.
#include <algorithm>

#include "sim/checkers.h"

namespace shoal::test {
namespace {

using wire::MessageType;

// memberlist counts neither the CRC header nor, beside a message with a ride-along, the length of its first part
// (gossip-protocol facts 1.9).
constexpr std::size_t kWithCrcMax = wire::kPacketBudget + wire::kCrcHeaderBytes;
constexpr std::size_t kWithoutCrcMax = wire::kPacketBudget + wire::kCompoundPartBytes;

bool sound(Bytes vsn) {
  swim::Versions versions{};
  if (vsn.size() != versions.size()) return false;
  std::copy(vsn.begin(), vsn.end(), versions.begin());
  return swim::compatible(versions);
}

/// What is wrong with a serf message; nullptr = nothing.
const char* wrong_serf_message(Bytes payload) {
  if (payload.empty()) return "an empty user message";
  const Bytes body = payload.subspan(1);
  switch (static_cast<wire::SerfType>(payload[0])) {
    case wire::SerfType::kLeave: {
      wire::LeaveIntent m;
      return wire::decode(body, m) && !m.node.empty() ? nullptr : "a bad leave intent";
    }
    case wire::SerfType::kJoin: {
      wire::JoinIntent m;
      return wire::decode(body, m) && !m.node.empty() ? nullptr : "a bad join intent";
    }
    case wire::SerfType::kQuery: {
      wire::Query m;
      if (!wire::decode(body, m)) return "a bad query";
      if (payload.size() > 1024) return "a query over 1024 bytes";
      wire::FilterReader filters(m.filters);
      while (!m.filters.empty() && filters.next()) {
        if (filters.kind() == wire::FilterReader::Kind::kUnknown) return "a filter that is empty or unknown";
      }
      return filters.malformed() && !m.filters.empty() ? "bad filters" : nullptr;
    }
    case wire::SerfType::kQueryResponse: {
      wire::QueryResponse m;
      return wire::decode(body, m) && payload.size() <= 1024 ? nullptr : "a bad query response";
    }
    case wire::SerfType::kUserEvent: {
      wire::UserEvent m;
      return wire::decode(body, m) ? nullptr : "a bad user event";
    }
    case wire::SerfType::kPushPull:
    case wire::SerfType::kConflictResponse:
    case wire::SerfType::kKeyRequest:
    case wire::SerfType::kKeyResponse:
    case wire::SerfType::kRelay: return nullptr;
  }
  return "a serf message of no known type";
}

struct Sink final : wire::MessageSink {
  void on_message(MessageType type, Bytes body) override {
    ++parts;
    const char* found = nullptr;
    if (type == MessageType::kAlive) {
      wire::Alive m;
      if (!wire::decode(body, m) || m.node.empty() || m.incarnation == 0) {
        found = "a bad alive";
      } else if (!sound(m.vsn)) {
        found = "an alive whose versions are not six sound numbers";
      }
    } else if (type == MessageType::kSuspect || type == MessageType::kDead) {
      wire::Suspect m;
      if (!wire::decode(body, m) || m.node.empty() || m.from.empty()) found = "a bad suspect or dead";
    } else if (type == MessageType::kPing) {
      wire::Ping m;
      if (!wire::decode(body, m)) found = "a bad ping";
    } else if (type == MessageType::kIndirectPing) {
      wire::IndirectPing m;
      if (!wire::decode(body, m) || m.target.empty()) found = "a bad indirect ping";
    } else if (type == MessageType::kUser) {
      found = wrong_serf_message(body);
    }
    if (wrong == nullptr) wrong = found;
  }
  std::size_t parts = 0;
  const char* wrong = nullptr;
};

struct NoVisitor final : wire::SerfStateVisitor {
  void on_clocks(const wire::SerfStateClocks&) override {}
  void on_status(std::string_view, std::uint64_t, bool) override {}
  void on_event(const wire::UserEvent&) override {}
};

}  // namespace

void PacketChecker::on_datagram(Cluster& cluster, std::size_t from, const Endpoint&, Bytes datagram) {
  const auto fail = [&](std::string_view what) {
    cluster.fail(cluster.life(from).name + " sends " + std::string(what) + " (" + std::to_string(datagram.size()) +
                 " bytes)");
  };
  const bool crc = !datagram.empty() && datagram[0] == static_cast<std::uint8_t>(MessageType::kHasCrc);
  if (datagram.empty()) return fail("an empty datagram");
  if (datagram.size() > (crc ? kWithCrcMax : kWithoutCrcMax)) return fail("a datagram over the limit");
  if (++seen_ % one_in_ != 0) return;
  Sink sink;
  const wire::PacketFault fault = opener_.open(datagram, sink);
  if (fault != wire::PacketFault::kNone) return fail("a datagram with " + std::string(to_text(fault)));
  if (sink.parts == 0) return fail("a datagram of nothing");
  if (sink.parts > wire::kCompoundPartsMax) return fail("a compound of more than 127 parts");
  if (sink.wrong != nullptr) fail(sink.wrong);
}

void PacketChecker::on_stream_write(Cluster& cluster, std::size_t from, Bytes bytes) {
  const auto fail = [&](std::string_view what) {
    cluster.fail(cluster.life(from).name + " writes " + std::string(what) + " (" + std::to_string(bytes.size()) +
                 " bytes)");
  };
  if (bytes.empty()) return fail("nothing into a stream");
  if (++seen_ % one_in_ != 0) return;
  if (scratch_.empty()) scratch_.resize(swim::stream_bytes_max(cluster.options().members_max));
  wire::StreamReader reader(scratch_);
  if (reader.advance(bytes) != wire::StreamStatus::kComplete) return fail("a stream message that is not whole");
  if (reader.type() != MessageType::kPushPull) return;
  bool all_sound = true;
  reader.for_each_node([&all_sound](const wire::NodeState& node) {
    all_sound = all_sound && sound(node.vsn) && !node.name.empty() && node.state <= 3;
  });
  if (!all_sound) return fail("a push/pull entry that poisons Go peers");
  NoVisitor visitor;
  if (!wire::read_serf_state(reader.user_state(), visitor)) fail("a user state that does not decode");
}

}  // namespace shoal::test
