// Packets captured from real serf agents and the Go prototype, compared field by field with what an independent decoder
// read in them (test/vectors/README.md), and written again.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/endpoint.h"
#include "recode.h"
#include "support/hex.h"
#include "support/json.h"
#include "wire/crc32.h"
#include "wire/msgpack.h"
#include "wire/packet.h"
#include "wire/stream.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::Json;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

struct Counts {
  int datagrams = 0, streams = 0, labelled = 0, encrypted = 0;
  int messages = 0, nodes = 0, states = 0, crcs = 0;
};

std::string text_of(Bytes bytes) { return std::string(as_text(bytes)); }

// An address as the vectors have it: "127.0.1.2 (4 bytes)".
std::string described_address(Bytes raw) {
  const auto address = IpAddress::from_raw(raw);
  if (!address) return "no address";
  return std::string(to_text(*address).view()) + " (" + std::to_string(raw.size()) + " bytes)";
}

void check_address(const Json& expected, Bytes raw) {
  if (expected.null()) {
    CHECK(raw.empty());
  } else {
    CHECK(described_address(raw) == expected.text());
  }
}

// Null, {"bytes_hex"}, text, or a hint that it is shown decoded elsewhere, with the length.
void check_bytes(const Json& expected, Bytes bytes) {
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

void check_vsn(const Json& expected, Bytes vsn) {
  REQUIRE(vsn.size() == expected.list().size());
  for (std::size_t i = 0; i < vsn.size(); ++i) CHECK(vsn[i] == expected.list()[i].whole());
}

void check_tags(const Json& expected, Bytes meta) {
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

void check_filters(const Json& msg, const Query& query) {
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

void check_serf(const Json& msg, Bytes message) {
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
      if (msg["payload"].has("serf_type")) CHECK(m.payload[0] == msg["payload"]["serf_type"].whole());
      break;
    }
    case SerfType::kRelay: {
      Relay m;
      REQUIRE(decode(body, m));
      check_address(msg["header"]["DestAddr"]["IP"], m.dest_ip);
      CHECK(m.dest_port == msg["header"]["DestAddr"]["Port"].whole());
      CHECK(m.dest_name == msg["header"]["DestName"].text());
      check_serf(msg["inner"], m.message);
      break;
    }
    case SerfType::kPushPull:
    case SerfType::kConflictResponse:
    case SerfType::kKeyRequest:
    case SerfType::kKeyResponse: FAIL("no such message is among the vectors");
  }
}

template <typename Message>
void check_source(const Json& expected, const Message& m) {
  check_address(expected["SourceAddr"], m.source_addr);
  CHECK(m.source_port == whole_or_zero(expected["SourcePort"]));
  CHECK(m.source_node == text_or_empty(expected["SourceNode"]));
}

template <typename Accusation>
void check_accusation(const Json& expected, Bytes body) {
  Accusation m;
  REQUIRE(decode(body, m));
  CHECK(m.incarnation == expected["Incarnation"].whole());
  CHECK(m.node == expected["Node"].text());
  CHECK(m.from == expected["From"].text());
}

// `fields` is the vector's "body" (datagram) or "header" (stream).
void check_message(const Json& msg, const Json& fields, Bytes message) {
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
      if (msg.has("payload")) CHECK(m.payload[0] == msg["payload"]["ping_version"].whole());
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
    case MessageType::kUser: check_serf(msg, body); break;
    case MessageType::kPushPull:
    case MessageType::kCompound:
    case MessageType::kCompress:
    case MessageType::kEncrypt:
    case MessageType::kHasCrc:
    case MessageType::kHasLabel: FAIL("no plain message");
  }
}

// ---- Written again, the bytes are the same but for what codecs differ in; that is put the other side's way first.

void replace_all(std::string& hex, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = hex.find(from, at)) != std::string::npos; at += to.size()) {
    hex.replace(at, from.size(), to);
  }
}

std::string hex_of(const std::string& key) { return to_hex(as_bytes(key)); }

// Signed fields behind `key` in the unsigned form, as codec 0.5.5 writes them.
void make_unsigned(std::string& hex, const std::string& key) {
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

void check_written_again(const Json& vector, const Json& fields, Bytes message) {
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

// ---- Datagrams

class Sink final : public MessageSink {
 public:
  void on_message(MessageType type, Bytes body) override {
    Memory message{static_cast<std::uint8_t>(type)};
    message.insert(message.end(), body.begin(), body.end());
    messages.push_back(std::move(message));
  }
  std::vector<Memory> messages;
};

// The plain messages of a vector, in order, out of compounds and compression.
void collect(const Json& msg, std::vector<const Json*>& out) {
  const std::int64_t type = msg["type"].whole();
  if (type == 7) {
    for (const Json& part : msg["parts"].list()) collect(part, out);
  } else if (type == 9) {
    CHECK(msg["inner"]["len"].whole() == msg["plain_len"].whole());
    collect(msg["inner"], out);
  } else {
    out.push_back(&msg);
  }
}

void check_crc(const Json& decoded, const Memory& datagram) {
  CHECK(decoded["crc"]["ok"].boolean());
  CHECK(datagram[0] == 12);
  CHECK(to_hex(Bytes(datagram).subspan(1, 4)) == decoded["crc"]["value"].text());
  Memory damaged = datagram;
  damaged.back() ^= 1;
  PacketOpener opener;
  Sink sink;
  CHECK(opener.open(damaged, sink) == PacketFault::kBadCrc);
  CHECK(sink.messages.empty());
}

void check_datagram(const Json& vector, const Memory& datagram, Counts& counts) {
  const Json& decoded = vector["decoded"];
  PacketOpener opener;
  Sink sink;
  const PacketFault fault = opener.open(datagram, sink);
  if (decoded.has("label")) {
    CHECK(fault == PacketFault::kUnsupported);
    CHECK(sink.messages.empty());
    ++counts.labelled;
    return;
  }
  if (decoded.has("encryption")) {
    // Its version byte looks like the type of a ping or indirect ping. The noise behind it decodes to nothing, or by
    // chance (a nonce that begins like an empty object) to a message that names nobody.
    CHECK(fault == PacketFault::kNone);
    REQUIRE(sink.messages.size() == 1);
    CHECK(sink.messages[0][0] == decoded["encryption"]["version"].whole());
    Ping ping;
    IndirectPing indirect;
    const Bytes body = Bytes(sink.messages[0]).subspan(1);
    CHECK((!decode(body, ping) || ping.source_addr.empty()));
    CHECK((!decode(body, indirect) || indirect.target.empty()));
    ++counts.encrypted;
    return;
  }
  ++counts.datagrams;
  CHECK(fault == PacketFault::kNone);
  if (decoded.has("crc")) {
    check_crc(decoded, datagram);
    ++counts.crcs;
  }
  std::vector<const Json*> expected;
  collect(decoded["msg"], expected);
  REQUIRE(sink.messages.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Json& msg = *expected[i];
    CHECK(static_cast<std::int64_t>(sink.messages[i].size()) == msg["len"].whole());
    check_message(msg, msg["body"], sink.messages[i]);
    check_written_again(vector, msg["body"], sink.messages[i]);
    ++counts.messages;
  }
}

// Sealed again from its parts a plain datagram has the same bytes.
void check_sealed_again(const Json& vector, const Memory& datagram) {
  const Json& decoded = vector["decoded"];
  const std::int64_t type = decoded["msg"]["type"].whole();
  PacketOpener opener;
  Sink sink;
  REQUIRE(opener.open(datagram, sink) == PacketFault::kNone);
  PacketSealer sealer(type == 9);
  sealer.begin();
  for (const Memory& message : sink.messages) REQUIRE(sealer.add(message));
  Memory out(datagram.size() + 100);
  out.resize(sealer.finish(decoded.has("crc"), out));
  CHECK(to_hex(out) == to_hex(datagram));
}

// ---- Streams

class StateListener final : public SerfStateVisitor {
 public:
  void on_clocks(const SerfStateClocks& clocks) override { clocks_ = clocks; }
  void on_status(std::string_view node, std::uint64_t ltime, bool left) override {
    statuses_.emplace_back(std::string(node), ltime);
    if (left) lefts_.emplace_back(node);
  }
  void on_event(const UserEvent& event) override {
    events_.push_back(std::to_string(event.ltime) + " " + std::string(event.name) + " " + text_of(event.payload));
  }

  void check(const Json& body) {
    CHECK(static_cast<std::int64_t>(clocks_.ltime) == body["LTime"].whole());
    CHECK(static_cast<std::int64_t>(clocks_.event_ltime) == body["EventLTime"].whole());
    CHECK(static_cast<std::int64_t>(clocks_.query_ltime) == body["QueryLTime"].whole());
    CHECK(statuses_.size() == body["StatusLTimes"].size());
    for (const auto& [node, ltime] : statuses_) {
      CHECK(body["StatusLTimes"][node].whole() == static_cast<std::int64_t>(ltime));
    }
    CHECK(lefts_.size() == body["LeftMembers"].size());
    for (const Json& node : body["LeftMembers"].list()) {
      CHECK(std::find(lefts_.begin(), lefts_.end(), node.text()) != lefts_.end());
    }
    std::vector<std::string> expected;
    for (const std::string& slot : body["Events"]["non_nil"].keys()) {
      const Json& at = body["Events"]["non_nil"][slot];
      for (const Json& event : at["Events"].list()) {
        expected.push_back(std::to_string(at["LTime"].whole()) + " " + event["Name"].text() + " " +
                           text_or_empty(event["Payload"]));
      }
    }
    CHECK(events_ == expected);
  }

 private:
  SerfStateClocks clocks_;
  std::vector<std::pair<std::string, std::uint64_t>> statuses_;
  std::vector<std::string> lefts_, events_;
};

void check_push_pull(const Json& vector, const StreamReader& reader, Bytes plain, Counts& counts) {
  const Json& decoded = vector["decoded"];
  CHECK(reader.header().join == decoded["header"]["Join"].boolean());
  CHECK(reader.header().nodes == decoded["header"]["Nodes"].whole());
  CHECK(reader.header().user_state_len == decoded["header"]["UserStateLen"].whole());

  Memory memory(plain.size() + 100);
  ByteWriter out(memory);
  encode(out, reader.header());
  std::size_t i = 0;
  reader.for_each_node([&](const NodeState& node) {
    const Json& expected = decoded["nodes"].list()[i++];
    CHECK(node.name == expected["Name"].text());
    check_address(expected["Addr"], node.addr);
    CHECK(node.port == expected["Port"].whole());
    check_bytes(expected["Meta"], node.meta);
    check_tags(expected["tags"], node.meta);
    CHECK(node.incarnation == expected["Incarnation"].whole());
    CHECK(node.state == expected["State"].whole());
    check_vsn(expected["Vsn"], node.vsn);
    encode(out, node);
    ++counts.nodes;
  });
  CHECK(i == decoded["nodes"].size());
  REQUIRE(out.ok());
  std::string hex = to_hex(out.written());
  if (old_codec(vector)) make_unsigned(hex, "UserStateLen");
  CHECK(hex + to_hex(reader.user_state()) == to_hex(plain));

  StateListener listener;
  const Json& state = decoded["user_state"];
  if (state.has("opaque")) {  // A node of bare memberlist, with a state of its own.
    CHECK(text_of(reader.user_state()) == state["opaque"].text());
    CHECK_FALSE(read_serf_state(reader.user_state(), listener));
    return;
  }
  REQUIRE(read_serf_state(reader.user_state(), listener));
  listener.check(state["body"]);
  ++counts.states;
}

void check_stream(const Json& vector, const Memory& bytes, Counts& counts) {
  const Json& decoded = vector["decoded"];
  Memory scratch(64 * 1024);
  StreamReader reader(scratch);
  const StreamStatus status = reader.advance(bytes);
  if (decoded.has("label")) {
    CHECK(status == StreamStatus::kMalformed);
    ++counts.labelled;
    return;
  }
  if (decoded.has("encrypted")) {
    CHECK(status == StreamStatus::kEncrypted);
    ++counts.encrypted;
    return;
  }
  ++counts.streams;
  REQUIRE(status == StreamStatus::kComplete);
  CHECK(static_cast<std::int64_t>(reader.type()) == decoded["type"].whole());
  StreamReader dribble(scratch);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    REQUIRE(dribble.advance(Bytes(bytes).first(size)) == StreamStatus::kIncomplete);
  }
  const bool compressed = decoded.has("compressed");
  const std::size_t plain_size =
      compressed ? static_cast<std::size_t>(decoded["compressed"]["plain_len"].whole()) : bytes.size();
  const Bytes plain = compressed ? Bytes(scratch).first(plain_size) : Bytes(bytes);
  if (compressed) {
    CHECK(bytes[0] == 9);
    Memory again(plain_size * 2 + 100);
    again.resize(seal_stream(plain, true, again));
    CHECK(to_hex(again) == to_hex(bytes));
  }
  if (reader.type() == MessageType::kPushPull) return check_push_pull(vector, reader, plain, counts);
  if (reader.type() == MessageType::kUser) {
    CHECK(static_cast<std::int64_t>(reader.body().size()) == decoded["header"]["UserMsgLen"].whole());
    CHECK(to_hex(reader.body()) == decoded["user"].text());
    return;
  }
  check_message(decoded, decoded["header"], plain);
  check_written_again(vector, decoded["header"], plain);
  ++counts.messages;
}

TEST_CASE("every captured packet reads as the independent decoder reads it, and is written again as it was") {
  Counts counts;
  for (const char* file : {"udp-plain", "udp-odd", "udp-compressed", "udp-encrypted", "udp-label", "tcp-pushpull",
                           "tcp-other", "shoal-go"}) {
    const Json vectors = Json::load(std::string(SHOAL_VECTORS) + "/" + file + ".json");
    for (const Json& vector : vectors.list()) {
      CAPTURE(vector["name"].text());
      const Memory bytes = from_hex(vector["hex"].text());
      REQUIRE(static_cast<std::int64_t>(bytes.size()) == vector["length"].whole());
      if (vector["transport"].text() == "udp") {
        const int before = counts.datagrams;
        check_datagram(vector, bytes, counts);
        if (counts.datagrams > before) check_sealed_again(vector, bytes);
      } else {
        check_stream(vector, bytes, counts);
      }
    }
  }
  // All 171 vectors, each once; a vector that is dropped or misread as out of scope shows here.
  CHECK(counts.datagrams == 91);
  CHECK(counts.streams == 33);
  CHECK(counts.labelled == 8);
  CHECK(counts.encrypted == 39);
  CHECK(counts.messages == 179);
  CHECK(counts.nodes == 98);
  CHECK(counts.states == 23);
  CHECK(counts.crcs == 53);
}

}  // namespace
}  // namespace shoal::wire
