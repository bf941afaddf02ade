// What a fuzz input makes of gossip: whole messages from a few of its bytes, so that mutations change fields rather
// than framing; and what must hold of everything that a node sends.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "input.h"
#include "support/gossip_trace.h"
#include "swim/outbox.h"
#include "wire/messages.h"
#include "wire/packet.h"
#include "wire/stream.h"

namespace shoal::fuzz {

using test::encoded;
using test::Memory;
using test::peer;

inline Memory memory(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

/// One of a few names, the node's own among them.
inline std::string_view name(std::uint8_t number) {
  static constexpr std::array<std::string_view, 16> kNames = {"me", "a", "b", "c", "d", "e", "f", "g",
                                                              "h",  "i", "j", "k", "l", "m", "n", ""};
  return kNames[number % kNames.size()];
}

/// Tags as a node has them: none, a few, or as many as may be.
inline Memory meta(std::uint8_t kind) {
  Memory out(512);
  ByteWriter writer(out);
  if (kind % 3 == 1) {
    wire::encode_tags_header(writer, 2);
    wire::encode_tag(writer, "role", (kind & 4) != 0 ? "sidecar" : "task");
    wire::encode_tag(writer, "zone", std::string(kind / 8, 'z'));
  } else if (kind % 3 == 2) {
    wire::encode_tags_header(writer, 1);
    wire::encode_tag(writer, "role", std::string(500, 'r'));
  }
  SHOAL_ASSERT(writer.ok());
  out.resize(writer.size());
  return out;
}

inline Memory versions(Input& in) {
  const std::uint8_t kind = in.u8();
  if (kind < 200) return Memory(test::kVersionBytes, test::kVersionBytes + 6);
  return memory(in.take(kind % 9));
}

// Arguments of one call are read in no particular order, members in braces from left to right: an input has to mean the
// same with both compilers.

inline test::AliveText alive_text(Input& in) {
  test::AliveText out;
  out.incarnation = static_cast<std::uint32_t>(in.number());
  out.node = in.u8() < 240 ? std::string(name(in.u8())) : std::string(in.short_text());
  out.at = peer(in.u8());
  if (in.flag()) out.at.port = in.u16();
  const Memory tags = in.u8() < 200 ? meta(in.u8()) : memory(in.take(600));
  out.meta = std::string(as_text(tags));
  out.vsn = versions(in);
  return out;
}

inline Memory query(Input& in) {
  wire::Query message;
  const Memory filters = in.flag() ? Memory{} : memory(in.short_bytes());
  const Endpoint reply_to = peer(in.u8());
  const std::string text(in.short_text());
  message.ltime = in.number();
  message.id = in.u32();
  message.addr = reply_to.addr.raw();
  message.port = reply_to.port;
  message.source_node = name(in.u8());
  message.filters = filters;
  message.flags = in.u8() % 4;
  message.relay_factor = in.u8() % 6;
  message.timeout_ns = static_cast<std::int64_t>(in.number() * 100'000'000U);
  message.name = text;
  message.payload = as_bytes(text);
  const std::uint8_t kind = in.u8();
  const Memory key(16 + 8 * (kind >> 4 & 1), static_cast<std::uint8_t>(kind >> 5));
  const Memory key_request = encoded(wire::KeyRequest{key});
  static constexpr std::array<std::string_view, 7> kNames = {"announce",          "_serf_conflict", "_serf_list-keys",
                                                             "_serf_install-key", "_serf_use-key",  "_serf_remove-key",
                                                             "_serf_ping"};
  if (kind % 8 < kNames.size()) message.name = kNames[kind % 8];
  if (kind % 8 == 1) message.payload = as_bytes(name(in.u8()));
  if (kind % 8 > 1 && kind % 8 < 6) message.payload = key_request;
  return encoded(message);
}

/// A serf message, type byte in front.
inline Memory serf_message(Input& in) {
  const std::uint8_t kind = in.u8() % 8;
  switch (kind) {
    case 0: return encoded(wire::LeaveIntent{in.number(), name(in.u8()), in.flag()});
    case 1: return encoded(wire::JoinIntent{in.number(), name(in.u8())});
    case 2: {
      const std::uint64_t ltime = in.number();
      const std::string_view event = name(in.u8());
      return encoded(wire::UserEvent{ltime, event, in.short_bytes(), in.flag()});
    }
    case 3:
    case 4: return query(in);
    case 5: {
      wire::QueryResponse message;
      message.ltime = in.number();
      message.id = in.u32();
      message.from = name(in.u8());
      message.flags = in.u8() % 2;
      message.payload = in.short_bytes();
      return encoded(message);
    }
    case 6: {
      const Endpoint to = peer(in.u8());
      const std::string_view node = name(in.u8());
      return encoded(wire::Relay{to.addr.raw(), to.port, node, in.short_bytes()});
    }
    default: return memory(in.short_bytes());
  }
}

/// A memberlist message, type byte in front.
inline Memory message(Input& in) {
  switch (in.u8() % 10) {
    case 0: {
      const Endpoint source = peer(in.u8());
      const std::uint32_t seq_no = in.u32();
      const std::string_view node = name(in.u8());
      return encoded(wire::Ping{seq_no, node, source.addr.raw(), source.port, name(in.u8())});
    }
    case 1: {
      wire::IndirectPing ping;
      const Endpoint target = peer(in.u8());
      ping.seq_no = in.u32();
      ping.target = target.addr.raw();
      ping.port = in.flag() ? target.port : std::uint16_t{0};
      ping.node = name(in.u8());
      ping.nack = in.flag();
      return encoded(ping);
    }
    case 2: return encoded(wire::Ack{in.u8(), in.short_bytes()});
    case 3: return encoded(wire::Nack{in.u8()});
    case 4: return encoded(wire::Suspect{static_cast<std::uint32_t>(in.number()), name(in.u8()), name(in.u8())});
    case 5: return encoded(wire::Dead{static_cast<std::uint32_t>(in.number()), name(in.u8()), name(in.u8())});
    case 6:
    case 7: return test::alive(alive_text(in));
    case 8: return test::user(serf_message(in));
    default: return memory(in.short_bytes());
  }
}

/// One datagram of these; what does not fit stays out.
inline Memory sealed(const std::vector<Memory>& messages, bool compress, bool with_crc,
                     const wire::Security& security) {
  wire::PacketSealer sealer(compress);
  sealer.begin(security);
  for (const Memory& one : messages) {
    if (!one.empty()) (void)sealer.add(one);
  }
  Memory out(swim::Outbox::kPacketBytesMax);
  out.resize(sealer.finish(with_crc, out));
  return out;
}

inline Memory packet(Input& in, const wire::Security& security) {
  const std::uint8_t kind = in.u8();
  std::vector<Memory> messages;
  for (int i = 0; i <= kind % 4; ++i) messages.push_back(message(in));
  return sealed(messages, (kind & 0x10) != 0, (kind & 0x20) != 0, security);
}

/// A user state of serf.
inline Memory serf_state(Input& in) {
  Memory out(4096);
  ByteWriter writer(out);
  const std::uint32_t members = in.u8() % 6;
  const std::uint32_t lefts = std::min<std::uint32_t>(members, in.u8() % 3);
  const wire::SerfStateClocks clocks{in.number(), in.number(), in.number()};
  wire::SerfStateWriter state(writer, clocks, members, lefts);
  const std::uint8_t first = in.u8();
  for (std::uint32_t i = 0; i < members; ++i) state.status(name(static_cast<std::uint8_t>(first + i)), in.number());
  for (std::uint32_t i = 0; i < lefts; ++i) state.left(name(static_cast<std::uint8_t>(first + i)));
  SHOAL_ASSERT(writer.ok());
  out.resize(writer.size());
  return out;
}

/// What a peer may say on a stream, whole.
inline Memory stream_message(Input& in, const wire::Security& security, wire::StreamSide writer) {
  const std::uint8_t kind = in.u8();
  Memory plain;
  switch (kind % 6) {
    case 0:
    case 1: {
      std::vector<test::StateEntry> entries;
      for (std::uint8_t left = in.u8() % 8; left > 0; --left) {
        test::StateEntry entry;
        entry.name = std::string(name(in.u8()));
        entry.at = peer(in.u8());
        entry.state = in.u8() % 5;
        entry.incarnation = static_cast<std::uint32_t>(in.number());
        entry.vsn = versions(in);
        entries.push_back(std::move(entry));
      }
      const bool join = in.flag();
      plain = test::push_pull(entries, join, in.flag() ? serf_state(in) : memory(in.short_bytes()));
      break;
    }
    case 2: plain = encoded(wire::Ping{in.u8(), name(in.u8())}); break;
    case 3: plain = encoded(wire::Ack{in.u8()}); break;
    case 4: plain = encoded(wire::Err{in.short_text()}); break;
    default: {
      const Memory payload = serf_message(in);
      plain = test::joined({encoded(wire::UserHeader{static_cast<std::uint32_t>(payload.size())}), payload});
    }
  }
  Memory out(2 * plain.size() + 512);
  out.resize(wire::seal_stream(plain, (kind & 0x40) != 0, out, security, writer));
  return out;
}

/// A query of the node's own, so that answers can be made to it.
struct Asked {
  std::uint64_t ltime = 0;
  std::uint32_t id = 0;
};

inline Memory reply(Input& in, const Asked& asked, const wire::Security& security) {
  wire::QueryResponse message;
  message.ltime = asked.ltime;
  message.id = asked.id;
  message.from = name(in.u8());
  message.flags = in.u8() % 2;
  wire::ConflictResponse known;
  const Endpoint at = peer(in.u8());
  known.member.emplace().name = name(in.u8());
  known.member->addr = at.addr.raw();
  known.member->port = at.port;
  const Memory conflict = encoded(known);
  message.payload = in.flag() ? Bytes(conflict) : in.short_bytes();
  return sealed({test::user_of(message)}, false, false, security);
}

// ---- What a node sends

template <typename Message>
bool decodes(Bytes body) {
  Message message;
  return wire::decode(body, message);
}

inline bool whole_serf_message(Bytes payload) {
  if (payload.empty()) return false;
  const Bytes body = payload.subspan(1);
  switch (static_cast<wire::SerfType>(payload[0])) {
    case wire::SerfType::kLeave: return decodes<wire::LeaveIntent>(body);
    case wire::SerfType::kJoin: return decodes<wire::JoinIntent>(body);
    case wire::SerfType::kUserEvent: return decodes<wire::UserEvent>(body);
    case wire::SerfType::kQuery: return decodes<wire::Query>(body);
    case wire::SerfType::kQueryResponse: return decodes<wire::QueryResponse>(body);
    case wire::SerfType::kRelay: return decodes<wire::Relay>(body);
    case wire::SerfType::kPushPull:
    case wire::SerfType::kConflictResponse:
    case wire::SerfType::kKeyRequest:
    case wire::SerfType::kKeyResponse: return false;
  }
  return false;
}

/// A message that a peer can read to its end.
inline bool whole_message(wire::MessageType type, Bytes body) {
  using wire::MessageType;
  switch (type) {
    case MessageType::kPing: return decodes<wire::Ping>(body);
    case MessageType::kIndirectPing: return decodes<wire::IndirectPing>(body);
    case MessageType::kAck: return decodes<wire::Ack>(body);
    case MessageType::kNack: return decodes<wire::Nack>(body);
    case MessageType::kSuspect: return decodes<wire::Suspect>(body);
    case MessageType::kDead: return decodes<wire::Dead>(body);
    case MessageType::kUser: return whole_serf_message(body);
    case MessageType::kAlive: {
      wire::Alive message;
      return wire::decode(body, message) && message.vsn.size() == 6 && !message.node.empty();
    }
    case MessageType::kPushPull:
    case MessageType::kCompound:
    case MessageType::kCompress:
    case MessageType::kEncrypt:
    case MessageType::kHasCrc:
    case MessageType::kErr:
    case MessageType::kHasLabel: return false;
  }
  return false;
}

/// What a node has written on a stream so far is one whole message with whole nodes in it. By value: it is decrypted.
inline void check_stream(Memory said, const wire::Security& security, wire::StreamSide writer) {
  static Memory scratch(256 * 1024);
  wire::StreamReader reader(scratch, security, writer);
  SHOAL_ASSERT(reader.advance_in_place(said) == wire::StreamStatus::kComplete);
  if (reader.type() != wire::MessageType::kPushPull) return;
  std::size_t nodes = 0;
  reader.for_each_node([&](const wire::NodeState& node) {
    SHOAL_ASSERT(node.vsn.size() == 6 && !node.name.empty());
    ++nodes;
  });
  SHOAL_ASSERT(nodes == reader.header().nodes);
}

/// Looks at all that a node sends, and keeps its last ping and query, so that they can be answered.
struct Listener final : wire::MessageSink {
  void on_message(wire::MessageType type, Bytes body) override {
    ++messages;
    SHOAL_ASSERT(whole_message(type, body));
    wire::Ping p;
    if (type == wire::MessageType::kPing && wire::decode(body, p)) ping = p.seq_no;
    wire::Query q;
    const bool is_query =
        type == wire::MessageType::kUser && body[0] == static_cast<std::uint8_t>(wire::SerfType::kQuery);
    if (is_query && wire::decode(body.subspan(1), q)) query = {q.ltime, q.id};
  }
  std::size_t messages = 0;
  std::uint32_t ping = 0;
  Asked query;
};

}  // namespace shoal::fuzz
