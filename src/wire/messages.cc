// The memberlist messages. Field names stand in the order of Go's declarations (a struct may arrive as an array in that
// order); they are written in ascending order of their names.
#include "wire/messages.h"

#include <array>

#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

using msgpack::Reader;
using Name = std::string_view;

constexpr std::size_t kVsnBytes = 6;

void begin(ByteWriter& out, MessageType type, std::uint32_t fields) {
  out.u8(static_cast<std::uint8_t>(type));
  msgpack::put_map(out, fields);
}

void put_vsn(ByteWriter& out, Bytes vsn) {
  if (vsn.size() != kVsnBytes) return out.fail();
  msgpack::put_bytes(out, "Vsn", vsn);
}

template <typename Message>
std::uint32_t source_fields(const Message& m) {
  return (m.source_addr.empty() ? 0U : 1U) + (m.source_node.empty() ? 0U : 1U) + (m.source_port == 0 ? 0U : 1U);
}

template <typename Message>
void put_source(ByteWriter& out, const Message& m) {
  if (!m.source_addr.empty()) msgpack::put_bytes(out, "SourceAddr", m.source_addr);
  if (!m.source_node.empty()) msgpack::put_text(out, "SourceNode", m.source_node);
  if (m.source_port != 0) msgpack::put_uint(out, "SourcePort", m.source_port);
}

// An empty body is no object at all.
bool finished(const Reader& in, Bytes body) { return in.ok() && !body.empty(); }

template <typename Accusation>
void encode_accusation(ByteWriter& out, MessageType type, const Accusation& m) {
  begin(out, type, 3);
  msgpack::put_text(out, "From", m.from);
  msgpack::put_uint(out, "Incarnation", m.incarnation);
  msgpack::put_text(out, "Node", m.node);
}

template <typename Accusation>
bool decode_accusation(Bytes body, Accusation& out) {
  static constexpr std::array<Name, 3> kNames = {"Incarnation", "Node", "From"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.incarnation = in.read_uint<std::uint32_t>(); break;
      case 1: out.node = in.read_text(); break;
      case 2: out.from = in.read_text(); break;
    }
  });
  return finished(in, body);
}

// A Go int; only 0 to 3 mean something.
std::uint8_t read_state(Reader& in) {
  const std::int64_t value = in.read_int();
  return value < 0 || value > 0xff ? std::uint8_t{0xff} : static_cast<std::uint8_t>(value);
}

}  // namespace

void encode(ByteWriter& out, const Ping& m) {
  begin(out, MessageType::kPing, 2 + source_fields(m));
  msgpack::put_text(out, "Node", m.node);
  msgpack::put_uint(out, "SeqNo", m.seq_no);
  put_source(out, m);
}

void encode(ByteWriter& out, const IndirectPing& m) {
  begin(out, MessageType::kIndirectPing, 5 + source_fields(m));
  msgpack::put_bool(out, "Nack", m.nack);
  msgpack::put_text(out, "Node", m.node);
  msgpack::put_uint(out, "Port", m.port);
  msgpack::put_uint(out, "SeqNo", m.seq_no);
  put_source(out, m);
  msgpack::put_bytes(out, "Target", m.target);
}

void encode(ByteWriter& out, const Ack& m) {
  begin(out, MessageType::kAck, 2);
  msgpack::put_bytes(out, "Payload", m.payload);
  msgpack::put_uint(out, "SeqNo", m.seq_no);
}

void encode(ByteWriter& out, const Nack& m) {
  begin(out, MessageType::kNack, 1);
  msgpack::put_uint(out, "SeqNo", m.seq_no);
}

void encode(ByteWriter& out, const Err& m) {
  begin(out, MessageType::kErr, 1);
  msgpack::put_text(out, "Error", m.error);
}

void encode(ByteWriter& out, const Suspect& m) { encode_accusation(out, MessageType::kSuspect, m); }
void encode(ByteWriter& out, const Dead& m) { encode_accusation(out, MessageType::kDead, m); }

void encode(ByteWriter& out, const Alive& m) {
  begin(out, MessageType::kAlive, 6);
  msgpack::put_bytes(out, "Addr", m.addr);
  msgpack::put_uint(out, "Incarnation", m.incarnation);
  msgpack::put_bytes(out, "Meta", m.meta);
  msgpack::put_text(out, "Node", m.node);
  msgpack::put_uint(out, "Port", m.port);
  put_vsn(out, m.vsn);
}

void encode(ByteWriter& out, const PushPullHeader& m) {
  begin(out, MessageType::kPushPull, 3);
  msgpack::put_bool(out, "Join", m.join);
  msgpack::put_int(out, "Nodes", m.nodes);
  msgpack::put_int(out, "UserStateLen", m.user_state_len);
}

void encode(ByteWriter& out, const NodeState& m) {
  msgpack::put_map(out, 7);
  msgpack::put_bytes(out, "Addr", m.addr);
  msgpack::put_uint(out, "Incarnation", m.incarnation);
  msgpack::put_bytes(out, "Meta", m.meta);
  msgpack::put_text(out, "Name", m.name);
  msgpack::put_uint(out, "Port", m.port);
  msgpack::put_int(out, "State", m.state);
  put_vsn(out, m.vsn);
}

void encode(ByteWriter& out, const UserHeader& m) {
  begin(out, MessageType::kUser, 1);
  msgpack::put_int(out, "UserMsgLen", m.user_msg_len);
}

bool decode(Bytes body, Ping& out) {
  static constexpr std::array<Name, 5> kNames = {"SeqNo", "Node", "SourceAddr", "SourcePort", "SourceNode"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.seq_no = in.read_uint<std::uint32_t>(); break;
      case 1: out.node = in.read_text(); break;
      case 2: out.source_addr = in.read_bytes(); break;
      case 3: out.source_port = in.read_uint<std::uint16_t>(); break;
      case 4: out.source_node = in.read_text(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, IndirectPing& out) {
  static constexpr std::array<Name, 8> kNames = {"SeqNo", "Target",     "Port",       "Node",
                                                 "Nack",  "SourceAddr", "SourcePort", "SourceNode"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.seq_no = in.read_uint<std::uint32_t>(); break;
      case 1: out.target = in.read_bytes(); break;
      case 2: out.port = in.read_uint<std::uint16_t>(); break;
      case 3: out.node = in.read_text(); break;
      case 4: out.nack = in.read_bool(); break;
      case 5: out.source_addr = in.read_bytes(); break;
      case 6: out.source_port = in.read_uint<std::uint16_t>(); break;
      case 7: out.source_node = in.read_text(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, Ack& out) {
  static constexpr std::array<Name, 2> kNames = {"SeqNo", "Payload"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.seq_no = in.read_uint<std::uint32_t>(); break;
      case 1: out.payload = in.read_bytes(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, Nack& out) {
  static constexpr std::array<Name, 1> kNames = {"SeqNo"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t) { out.seq_no = in.read_uint<std::uint32_t>(); });
  return finished(in, body);
}

bool decode(Bytes body, Err& out) {
  static constexpr std::array<Name, 1> kNames = {"Error"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t) { out.error = in.read_text(); });
  return finished(in, body);
}

bool decode(Bytes body, Suspect& out) { return decode_accusation(body, out); }
bool decode(Bytes body, Dead& out) { return decode_accusation(body, out); }

bool decode(Bytes body, Alive& out) {
  static constexpr std::array<Name, 6> kNames = {"Incarnation", "Node", "Addr", "Port", "Meta", "Vsn"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.incarnation = in.read_uint<std::uint32_t>(); break;
      case 1: out.node = in.read_text(); break;
      case 2: out.addr = in.read_bytes(); break;
      case 3: out.port = in.read_uint<std::uint16_t>(); break;
      case 4: out.meta = in.read_bytes(); break;
      case 5: out.vsn = in.read_bytes(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, PushPullHeader& out) {
  static constexpr std::array<Name, 3> kNames = {"Nodes", "UserStateLen", "Join"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.nodes = in.read_uint<std::uint32_t>(); break;
      case 1: out.user_state_len = in.read_uint<std::uint32_t>(); break;
      case 2: out.join = in.read_bool(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, NodeState& out) {
  static constexpr std::array<Name, 7> kNames = {"Name", "Addr", "Port", "Meta", "Incarnation", "State", "Vsn"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) {
    switch (field) {
      case 0: out.name = in.read_text(); break;
      case 1: out.addr = in.read_bytes(); break;
      case 2: out.port = in.read_uint<std::uint16_t>(); break;
      case 3: out.meta = in.read_bytes(); break;
      case 4: out.incarnation = in.read_uint<std::uint32_t>(); break;
      case 5: out.state = read_state(in); break;
      case 6: out.vsn = in.read_bytes(); break;
    }
  });
  return finished(in, body);
}

bool decode(Bytes body, UserHeader& out) {
  static constexpr std::array<Name, 1> kNames = {"UserMsgLen"};
  Reader in(body);
  out = {};
  msgpack::read_struct(in, kNames, [&](std::uint32_t) { out.user_msg_len = in.read_uint<std::uint32_t>(); });
  return finished(in, body);
}

}  // namespace shoal::wire
