// What an independent decoder read in a captured message (test/vectors/README.md), compared with what we read in it,
// field by field.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/endpoint.h"
#include "recode.h"
#include "support/hex.h"
#include "support/json.h"
#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {

using test::from_hex;
using test::Json;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

struct Counts {
  int datagrams = 0, streams = 0, labelled = 0, encrypted = 0, coordinates = 0, answers = 0;
  int messages = 0, nodes = 0, states = 0, crcs = 0;
};

std::string text_of(Bytes bytes) { return std::string(as_text(bytes)); }

// An address as the vectors have it: "127.0.1.2 (4 bytes)".
inline std::string described_address(Bytes raw) {
  const auto address = IpAddress::from_raw(raw);
  if (!address) return "no address";
  return std::string(to_text(*address).view()) + " (" + std::to_string(raw.size()) + " bytes)";
}

inline void check_address(const Json& expected, Bytes raw) {
  if (expected.null()) {
    CHECK(raw.empty());
  } else {
    CHECK(described_address(raw) == expected.text());
  }
}

// Null, {"bytes_hex"}, text, or a hint that it is shown decoded elsewhere, with the length.
inline void check_bytes(const Json& expected, Bytes bytes) {
  if (expected.null()) {
    CHECK(bytes.empty());
  } else if (expected.is_object()) {
    CHECK(to_hex(bytes) == expected["bytes_hex"].text());
  } else if (expected.text().starts_with("(see payload, ")) {
    CHECK(expected.text() == "(see payload, " + std::to_string(bytes.size()) + " bytes)");
  } else {
    CHECK(text_of(bytes) == expected.text());
  }
}

// A field that is left out in the vector was left out on the wire.
std::int64_t whole_or_zero(const Json& value) { return value.null() ? 0 : value.whole(); }
std::string text_or_empty(const Json& value) { return value.null() ? "" : value.text(); }

inline void check_vsn(const Json& expected, Bytes vsn) {
  REQUIRE(vsn.size() == expected.list().size());
  for (std::size_t i = 0; i < vsn.size(); ++i) CHECK(vsn[i] == expected.list()[i].whole());
}

inline void check_tags(const Json& expected, Bytes meta) {
  std::vector<std::pair<std::string, std::string>> tags;
  REQUIRE(for_each_tag(meta, [&](std::string_view key, std::string_view value) { tags.emplace_back(key, value); }));
  if (expected.null() || expected.has("legacy_role")) {
    REQUIRE(tags.size() == 1);
    CHECK(tags[0].first == "role");
    CHECK(tags[0].second == text_or_empty(expected["legacy_role"]));
    return;
  }
  CHECK(expected["magic"].whole() == 255);
  const Json& map = expected["tags"];
  REQUIRE(tags.size() == map.size());
  for (const auto& [key, value] : tags) {
    CHECK(map[key].text() == value);
    CHECK(tag_value(meta, key) == value);
  }
}

inline void check_filters(const Json& msg, const Query& query) {
  const Json& blobs = msg["body"]["Filters"];
  const std::size_t count = blobs.null() ? 0 : blobs.size();
  FilterReader filters(query.filters);
  for (std::size_t i = 0; i < count; ++i) {
    REQUIRE(filters.next());
    const Json& expected = msg["filters"].list()[i];
    if (expected["filter_type"].whole() == 1) {
      CHECK(filters.kind() == FilterReader::Kind::kTag);
      CHECK(filters.tag().tag == expected["value"]["Tag"].text());
      CHECK(filters.tag().expr == expected["value"]["Expr"].text());
    } else {
      CHECK(filters.kind() == FilterReader::Kind::kNodes);
      for (const Json& name : expected["value"].list()) CHECK(filters.names(name.text()));
      CHECK_FALSE(filters.names("somebody else"));
    }
    CHECK(to_hex(query.filters).find(blobs.list()[i]["bytes_hex"].text()) != std::string::npos);
  }
  CHECK_FALSE(filters.next());
  CHECK_FALSE(filters.malformed());
}

inline void check_member(const Json& expected, Bytes body) {
  ConflictResponse m;
  REQUIRE(decode(body, m));
  REQUIRE(m.member.has_value());
  CHECK(m.member->name == expected["Name"].text());
  check_address(expected["Addr"], m.member->addr);
  CHECK(m.member->port == expected["Port"].whole());
  CHECK(m.member->status == expected["Status"].whole());
  CHECK(m.member->protocol_min == expected["ProtocolMin"].whole());
  CHECK(m.member->protocol_max == expected["ProtocolMax"].whole());
  CHECK(m.member->protocol_cur == expected["ProtocolCur"].whole());
  CHECK(m.member->delegate_min == expected["DelegateMin"].whole());
  CHECK(m.member->delegate_max == expected["DelegateMax"].whole());
  CHECK(m.member->delegate_cur == expected["DelegateCur"].whole());
}

inline void check_key_response(const Json& expected, Bytes body) {
  KeyResponse m;
  REQUIRE(decode(body, m));
  CHECK(m.result == expected["Result"].boolean());
  CHECK(m.message == expected["Message"].text());
  CHECK(m.primary_key == expected["PrimaryKey"].text());
  std::vector<std::string> keys;
  for_each_key(m.keys, [&](std::string_view key) { keys.emplace_back(key); });
  REQUIRE(keys.size() == expected["Keys"].size());
  for (std::size_t i = 0; i < keys.size(); ++i) CHECK(keys[i] == expected["Keys"].list()[i].text());
}

// What a query or its response carries; written again it is the same.
inline void check_payload(const Json& msg, Bytes payload, Counts& counts) {
  if (!msg.has("payload") || !msg["payload"].has("serf_type")) return;
  const Json& expected = msg["payload"]["body"];
  REQUIRE(!payload.empty());
  CHECK(payload[0] == msg["payload"]["serf_type"].whole());
  const Bytes body = payload.subspan(1);
  bool empty_key = false;
  switch (static_cast<SerfType>(payload[0])) {
    case SerfType::kConflictResponse: check_member(expected, body); break;
    case SerfType::kKeyResponse: check_key_response(expected, body); break;
    case SerfType::kKeyRequest: {
      KeyRequest m;
      REQUIRE(decode(body, m));
      CHECK(to_hex(m.key) == expected["Key"].text());
      empty_key = m.key.empty();
      break;
    }
    case SerfType::kLeave:
    case SerfType::kJoin:
    case SerfType::kPushPull:
    case SerfType::kUserEvent:
    case SerfType::kQuery:
    case SerfType::kQueryResponse:
    case SerfType::kRelay: return;
  }
  const auto again = recode_serf(payload);
  REQUIRE(again.has_value());
  if (!empty_key) CHECK(to_hex(*again) == to_hex(payload));  // That we write as nil.
  ++counts.answers;
}

inline void check_coordinate(const Json& expected, Bytes payload) {
  Coordinate m;
  REQUIRE(decode_coordinate(payload, m) == CoordinateStatus::kOk);
  Memory memory(256);
  ByteWriter out(memory);
  encode_coordinate(out, m);
  CHECK(to_hex(out.written()) == to_hex(payload));
  CHECK(expected["Vec"].size() == m.vec.size());
}

inline void check_serf(const Json& msg, Bytes message, Counts& counts) {
  REQUIRE(!message.empty());
  CHECK(message[0] == msg["serf_type"].whole());
  const Bytes body = message.subspan(1);
  const Json& expected = msg["body"];
  switch (static_cast<SerfType>(message[0])) {
    case SerfType::kLeave: {
      LeaveIntent m;
      REQUIRE(decode(body, m));
      CHECK(static_cast<std::int64_t>(m.ltime) == expected["LTime"].whole());
      CHECK(m.node == expected["Node"].text());
      CHECK(m.prune == expected["Prune"].boolean());
      break;
    }
    case SerfType::kJoin: {
      JoinIntent m;
      REQUIRE(decode(body, m));
      CHECK(static_cast<std::int64_t>(m.ltime) == expected["LTime"].whole());
      CHECK(m.node == expected["Node"].text());
      break;
    }
    case SerfType::kUserEvent: {
      UserEvent m;
      REQUIRE(decode(body, m));
      CHECK(static_cast<std::int64_t>(m.ltime) == expected["LTime"].whole());
      CHECK(m.name == expected["Name"].text());
      CHECK(m.cc == expected["CC"].boolean());
      check_bytes(expected["Payload"], m.payload);
      break;
    }
    case SerfType::kQuery: {
      Query m;
      REQUIRE(decode(body, m));
      CHECK(static_cast<std::int64_t>(m.ltime) == expected["LTime"].whole());
      CHECK(m.id == expected["ID"].whole());
      check_address(expected["Addr"], m.addr);
      CHECK(m.port == expected["Port"].whole());
      CHECK(m.source_node == expected["SourceNode"].text());
      CHECK(m.flags == expected["Flags"].whole());
      CHECK(m.relay_factor == expected["RelayFactor"].whole());
      CHECK(m.timeout_ns == expected["Timeout"].whole());
      CHECK(m.name == expected["Name"].text());
      check_bytes(expected["Payload"], m.payload);
      check_filters(msg, m);
      check_payload(msg, m.payload, counts);
      break;
    }
    case SerfType::kQueryResponse: {
      QueryResponse m;
      REQUIRE(decode(body, m));
      CHECK(static_cast<std::int64_t>(m.ltime) == expected["LTime"].whole());
      CHECK(m.id == expected["ID"].whole());
      CHECK(m.from == expected["From"].text());
      CHECK(m.flags == expected["Flags"].whole());
      check_bytes(expected["Payload"], m.payload);
      check_payload(msg, m.payload, counts);
      break;
    }
    case SerfType::kRelay: {
      Relay m;
      REQUIRE(decode(body, m));
      check_address(msg["header"]["DestAddr"]["IP"], m.dest_ip);
      CHECK(m.dest_port == msg["header"]["DestAddr"]["Port"].whole());
      CHECK(m.dest_name == msg["header"]["DestName"].text());
      check_serf(msg["inner"], m.message, counts);
      break;
    }
    case SerfType::kPushPull:
    case SerfType::kConflictResponse:
    case SerfType::kKeyRequest:
    case SerfType::kKeyResponse: FAIL("no such message is among the vectors");
  }
}

template <typename Message>
inline void check_source(const Json& expected, const Message& m) {
  check_address(expected["SourceAddr"], m.source_addr);
  CHECK(m.source_port == whole_or_zero(expected["SourcePort"]));
  CHECK(m.source_node == text_or_empty(expected["SourceNode"]));
}

template <typename Accusation>
inline void check_accusation(const Json& expected, Bytes body) {
  Accusation m;
  REQUIRE(decode(body, m));
  CHECK(m.incarnation == expected["Incarnation"].whole());
  CHECK(m.node == expected["Node"].text());
  CHECK(m.from == expected["From"].text());
}

// `fields` is the vector's "body" (datagram) or "header" (stream).
inline void check_message(const Json& msg, const Json& fields, Bytes message, Counts& counts) {
  CHECK(message[0] == msg["type"].whole());
  const Bytes body = message.subspan(1);
  switch (static_cast<MessageType>(message[0])) {
    case MessageType::kPing: {
      Ping m;
      REQUIRE(decode(body, m));
      CHECK(m.seq_no == fields["SeqNo"].whole());
      CHECK(m.node == fields["Node"].text());
      check_source(fields, m);
      break;
    }
    case MessageType::kIndirectPing: {
      IndirectPing m;
      REQUIRE(decode(body, m));
      CHECK(m.seq_no == fields["SeqNo"].whole());
      CHECK(m.node == fields["Node"].text());
      CHECK(m.port == fields["Port"].whole());
      CHECK(m.nack == fields["Nack"].boolean());
      check_address(fields["Target"], m.target);
      check_source(fields, m);
      break;
    }
    case MessageType::kAck: {
      Ack m;
      REQUIRE(decode(body, m));
      CHECK(m.seq_no == fields["SeqNo"].whole());
      check_bytes(fields["Payload"], m.payload);
      if (msg.has("payload")) {
        CHECK(m.payload[0] == msg["payload"]["ping_version"].whole());
        check_coordinate(msg["payload"]["coordinate"], m.payload);
        ++counts.coordinates;
      }
      break;
    }
    case MessageType::kNack: {
      Nack m;
      REQUIRE(decode(body, m));
      CHECK(m.seq_no == fields["SeqNo"].whole());
      break;
    }
    case MessageType::kErr: {
      Err m;
      REQUIRE(decode(body, m));
      CHECK(m.error == fields["Error"].text());
      break;
    }
    case MessageType::kSuspect: check_accusation<Suspect>(fields, body); break;
    case MessageType::kDead: check_accusation<Dead>(fields, body); break;
    case MessageType::kAlive: {
      Alive m;
      REQUIRE(decode(body, m));
      CHECK(m.incarnation == fields["Incarnation"].whole());
      CHECK(m.node == fields["Node"].text());
      check_address(fields["Addr"], m.addr);
      CHECK(m.port == fields["Port"].whole());
      check_bytes(fields["Meta"], m.meta);
      check_tags(msg["tags"], m.meta);
      check_vsn(fields["Vsn"], m.vsn);
      break;
    }
    case MessageType::kUser: check_serf(msg, body, counts); break;
    case MessageType::kPushPull:
    case MessageType::kCompound:
    case MessageType::kCompress:
    case MessageType::kEncrypt:
    case MessageType::kHasCrc:
    case MessageType::kHasLabel: FAIL("no plain message");
  }
}

// ---- Written again, the bytes are the same but for what codecs differ in; that is put the other side's way first.

inline void replace_all(std::string& hex, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = hex.find(from, at)) != std::string::npos; at += to.size()) {
    hex.replace(at, from.size(), to);
  }
}

std::string hex_of(const std::string& key) { return to_hex(as_bytes(key)); }

// Signed fields behind `key` in the unsigned form, as codec 0.5.5 writes them.
inline void make_unsigned(std::string& hex, const std::string& key) {
  const std::string mark = hex_of(key);
  for (std::size_t at = 0; (at = hex.find(mark, at)) != std::string::npos;) {
    at += mark.size();
    const Memory rest = from_hex(std::string_view(hex).substr(at));
    if (rest.empty() || rest[0] < 0xd1 || rest[0] > 0xd3) continue;
    msgpack::Reader in(rest);
    const auto value = static_cast<std::uint64_t>(in.read_int());
    Memory memory(16);
    ByteWriter out(memory);
    msgpack::put_uint(out, value);
    hex.replace(at, (rest.size() - in.left()) * 2, to_hex(out.written()));
  }
}

bool old_codec(const Json& vector) { return vector["source"].text().find("0.9.4") != std::string::npos; }

inline void check_written_again(const Json& vector, const Json& fields, Bytes message) {
  const auto again = recode(message);
  REQUIRE(again.has_value());
  std::string hex = to_hex(*again);
  if (old_codec(vector)) {
    make_unsigned(hex, "Timeout");
    if (message[0] == 8 && message[1] == 9) make_unsigned(hex, "Port");
  }
  for (const char* key : {"Payload", "Meta"}) {  // Empty, but not nil.
    if (fields[key].is_text() && fields[key].text().empty()) replace_all(hex, hex_of(key) + "c0", hex_of(key) + "a0");
  }
  CHECK(hex == to_hex(message));
}

}  // namespace shoal::wire
