// Gossip datagrams as lines of text and back, so that a test reads as a protocol story:
//
//   "ping 7 b to-answer 10.0.0.1:7946"   "alive 2 b 10.0.0.2:7946"   "suspect 5 b from x"   "ack 3"   "user 0082..."
//
// Encoding and decoding are the program's own (checked against golden bytes in test/unit/wire).
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/endpoint.h"
#include "support/hex.h"
#include "wire/messages.h"
#include "wire/packet.h"
#include "wire/stream.h"

namespace shoal::test {

using Memory = std::vector<std::uint8_t>;
using Lines = std::vector<std::string>;

inline constexpr std::uint8_t kVersionBytes[6] = {1, 5, 2, 2, 5, 5};

template <typename Message>
Memory encoded(const Message& message) {
  Memory memory(4096);
  ByteWriter writer(memory);
  wire::encode(writer, message);
  SHOAL_ASSERT(writer.ok());
  memory.resize(writer.size());
  return memory;
}

inline Memory joined(std::initializer_list<Bytes> pieces) {
  Memory out;
  for (const Bytes piece : pieces) out.insert(out.end(), piece.begin(), piece.end());
  return out;
}

/// An ML user message around a serf message that has its type byte.
inline Memory user(Bytes serf_message) {
  const std::uint8_t type = static_cast<std::uint8_t>(wire::MessageType::kUser);
  return joined({Bytes(&type, 1), serf_message});
}
template <typename SerfMessage>
Memory user_of(const SerfMessage& message) {
  return user(encoded(message));
}

/// Keys (as text of 16, 24 or 32 letters, the first encrypts), label and nonces of a peer. With neither keys nor label
/// what it makes is plain.
class Secrets {
 public:
  explicit Secrets(std::initializer_list<std::string_view> keys = {}, std::string_view label_text = {})
      : label(label_text), nonces_({7}) {
    for (const std::string_view key : keys) SHOAL_ASSERT(ring.add(as_bytes(key)) == wire::KeyResult::kOk);
  }
  [[nodiscard]] wire::Security security() { return {&ring, label, &nonces_}; }
  /// A datagram with this one message.
  [[nodiscard]] Memory packet(Bytes message, bool crc = false) {
    wire::PacketSealer sealer(false);
    sealer.begin(security());
    SHOAL_ASSERT(sealer.add(message));
    Memory out(message.size() + 512);
    out.resize(sealer.finish(crc, out));
    return out;
  }
  /// What is written on a stream for this one message.
  [[nodiscard]] Memory stream(Bytes message, wire::StreamSide writer = wire::StreamSide::kInitiator) {
    Memory out(message.size() + 512);
    out.resize(wire::seal_stream(message, false, out, security(), writer));
    return out;
  }

  wire::Keyring ring;
  std::string label;

 private:
  wire::NonceSource nonces_;
};

inline Endpoint peer(std::uint8_t last_byte, std::uint16_t port = 7946) {
  return {IpAddress::v4(10, 0, 0, last_byte), port};
}

struct AliveText {
  std::uint32_t incarnation = 1;
  std::string node;
  Endpoint at;
  std::string meta = {};
  Memory vsn = Memory(kVersionBytes, kVersionBytes + 6);
};
/// Unlike wire::encode this writes any version list, as a broken peer might.
inline Memory alive(const AliveText& a) {
  wire::Alive message{a.incarnation, a.node, a.at.addr.raw(), a.at.port, as_bytes(a.meta), a.vsn};
  if (a.vsn.size() == 6) return encoded(message);
  message.vsn = Bytes(kVersionBytes);
  Memory out = encoded(message);
  // The version list is the last field: one byte of raw header and six of numbers.
  out.resize(out.size() - 7);
  out.push_back(static_cast<std::uint8_t>(0xa0 + a.vsn.size()));
  out.insert(out.end(), a.vsn.begin(), a.vsn.end());
  return out;
}
inline Memory suspect(std::uint32_t incarnation, std::string_view node, std::string_view from) {
  return encoded(wire::Suspect{incarnation, node, from});
}
inline Memory dead(std::uint32_t incarnation, std::string_view node, std::string_view from) {
  return encoded(wire::Dead{incarnation, node, from});
}

inline std::string text_of(Bytes addr, std::uint16_t port) {
  const auto ip = IpAddress::from_raw(addr);
  if (!ip) return "-";
  return std::string(to_text(Endpoint{*ip, port}).view()) + (addr.size() == 16 ? "/16" : "");
}

/// One message as one line.
inline std::string line_of(wire::MessageType type, Bytes body) {
  using wire::MessageType;
  const auto number = [](auto n) { return std::to_string(n); };
  if (type == MessageType::kPing) {
    wire::Ping m;
    SHOAL_ASSERT(wire::decode(body, m));
    return "ping " + number(m.seq_no) + " " + std::string(m.node) + " to-answer " +
           text_of(m.source_addr, m.source_port);
  }
  if (type == MessageType::kIndirectPing) {
    wire::IndirectPing m;
    SHOAL_ASSERT(wire::decode(body, m));
    return "indirect " + number(m.seq_no) + " " + std::string(m.node) + " at " + text_of(m.target, m.port) +
           (m.nack ? " nack" : "") + " to-answer " + text_of(m.source_addr, m.source_port);
  }
  if (type == MessageType::kAck) {
    wire::Ack m;
    SHOAL_ASSERT(wire::decode(body, m));
    return "ack " + number(m.seq_no) + (m.payload.empty() ? "" : " with payload");
  }
  if (type == MessageType::kNack) {
    wire::Nack m;
    SHOAL_ASSERT(wire::decode(body, m));
    return "nack " + number(m.seq_no);
  }
  if (type == MessageType::kSuspect || type == MessageType::kDead) {
    wire::Suspect m;
    SHOAL_ASSERT(wire::decode(body, m));
    return (type == MessageType::kDead ? "dead " : "suspect ") + number(m.incarnation) + " " + std::string(m.node) +
           " from " + std::string(m.from);
  }
  if (type == MessageType::kAlive) {
    wire::Alive m;
    SHOAL_ASSERT(wire::decode(body, m));
    SHOAL_ASSERT(m.vsn.size() == 6);  // Anything else crashes Go peers.
    return "alive " + number(m.incarnation) + " " + std::string(m.node) + " " + text_of(m.addr, m.port) +
           (m.meta.empty() ? "" : " meta " + to_hex(m.meta));
  }
  if (type == MessageType::kUser) return "user " + to_hex(body);
  return "type " + number(static_cast<int>(type));
}

struct Opened {
  Lines parts;
  std::size_t smallest = ~std::size_t{0};  // Part, in bytes.
  wire::PacketFault fault = wire::PacketFault::kNone;
};

inline Opened opened(Bytes datagram, const wire::Security& security = {}) {
  struct Sink final : wire::MessageSink {
    void on_message(wire::MessageType type, Bytes body) override {
      out.parts.push_back(line_of(type, body));
      out.smallest = std::min(out.smallest, body.size() + 1);
    }
    Opened out;
  };
  static wire::PacketOpener opener;
  Sink sink;
  sink.out.fault = opener.open(datagram, sink, security);
  return sink.out;
}

[[nodiscard]] inline bool has_crc(Bytes datagram) { return !datagram.empty() && datagram[0] == 12; }

/// The lines that begin with `word`.
[[nodiscard]] inline Lines only(const Lines& lines, std::string_view word) {
  Lines out;
  for (const std::string& line : lines) {
    if (line.starts_with(word)) out.push_back(line);
  }
  return out;
}

/// Word `index` of a line; "" when there are fewer.
[[nodiscard]] inline std::string word(const std::string& line, std::size_t index) {
  std::size_t begin = 0;
  for (; index > 0; --index) {
    begin = line.find(' ', begin);
    if (begin == std::string::npos) return {};
    ++begin;
  }
  return line.substr(begin, line.find(' ', begin) - begin);
}
[[nodiscard]] inline std::uint32_t number(const std::string& line, std::size_t index) {
  return static_cast<std::uint32_t>(std::stoul(word(line, index)));
}

/// A table in a string: lines of words; empty lines, and all behind '#', are skipped.
[[nodiscard]] inline std::vector<Lines> table(std::string_view text) {
  std::vector<Lines> rows;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    Lines row;
    while (!line.empty()) {
      const std::size_t stop = std::min(line.find(' '), line.size());
      if (stop > 0) row.emplace_back(line.substr(0, stop));
      line.remove_prefix(std::min(stop + 1, line.size()));
    }
    if (!row.empty()) rows.push_back(std::move(row));
  }
  return rows;
}

// ---- Streams

struct StateEntry {
  std::string name;
  Endpoint at;
  std::uint8_t state = 0;
  std::uint32_t incarnation = 1;
  Memory vsn = Memory(kVersionBytes, kVersionBytes + 6);
};

/// A push/pull as it stands on a plain stream.
inline Memory push_pull(const std::vector<StateEntry>& entries, bool join = true, Bytes user_state = {}) {
  Memory out = encoded(wire::PushPullHeader{join, static_cast<std::uint32_t>(entries.size()),
                                            static_cast<std::uint32_t>(user_state.size())});
  for (const StateEntry& entry : entries) {
    Memory node = encoded(wire::NodeState{
        entry.name, entry.at.addr.raw(), entry.at.port, {}, entry.incarnation, entry.state, Bytes(kVersionBytes)});
    if (entry.vsn.size() != 6 || entry.vsn != Memory(kVersionBytes, kVersionBytes + 6)) {
      node.resize(node.size() - 7);  // Vsn is the last field.
      node.push_back(static_cast<std::uint8_t>(0xa0 + entry.vsn.size()));
      node.insert(node.end(), entry.vsn.begin(), entry.vsn.end());
    }
    out.insert(out.end(), node.begin(), node.end());
  }
  out.insert(out.end(), user_state.begin(), user_state.end());
  return out;
}

/// What was said on a stream, as lines: "push-pull join? nodes N state N", then "node NAME STATE INC ADDR" each;
/// "ack 5"; "err TEXT"; "incomplete", "malformed".
inline Lines stream_lines(Bytes bytes, const wire::Security& security = {},
                          wire::StreamSide writer = wire::StreamSide::kAcceptor) {
  static Memory scratch(4 * 1024 * 1024);
  Memory received(bytes.begin(), bytes.end());
  wire::StreamReader reader(scratch, security, writer);
  const wire::StreamStatus status = reader.advance_in_place(received);
  if (status == wire::StreamStatus::kIncomplete) return {"incomplete"};
  if (status != wire::StreamStatus::kComplete) return {std::string(to_text(status))};
  if (reader.type() == wire::MessageType::kErr) {
    wire::Err err;
    SHOAL_ASSERT(wire::decode(reader.body(), err));
    return {"err " + std::string(err.error)};
  }
  if (reader.type() != wire::MessageType::kPushPull) return {line_of(reader.type(), reader.body())};
  Lines out = {std::string("push-pull ") + (reader.header().join ? "join" : "sync") + " nodes " +
               std::to_string(reader.header().nodes) + " state " + std::to_string(reader.user_state().size())};
  reader.for_each_node([&out](const wire::NodeState& node) {
    SHOAL_ASSERT(node.vsn.size() == 6);  // Anything else crashes or poisons Go peers.
    out.push_back("node " + std::string(node.name) + " " + std::to_string(node.state) + " " +
                  std::to_string(node.incarnation) + " " + text_of(node.addr, node.port));
  });
  return out;
}

}  // namespace shoal::test
