// Packets captured from real serf agents and the Go prototype, compared field by field with what an independent decoder
// read in them (test/vectors/README.md), and written again.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "security.h"
#include "vector_checks.h"
#include "wire/packet.h"
#include "wire/stream.h"

namespace shoal::wire {
namespace {

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

// ---- Encryption and label

// The ring of whoever reads a vector: a decoy is the primary, so that every key has to be found.
struct VectorSecurity : TestSecurity {
  explicit VectorSecurity(const Json& vector) : TestSecurity({}, text_or_empty(vector["label"])) {
    const Json& keys = vector["key"];
    if (keys.null()) return;
    add(std::string(64, 'd'));
    if (keys.is_text()) {
      add(keys.text());
      return;
    }
    for (const Json& key : keys.list()) add(key.text());
  }
};

// The datagram without label and encryption.
Memory stripped(const Json& decoded, const Memory& datagram, const Security& security) {
  std::size_t label_size = 0;
  REQUIRE(check_label(security, datagram, label_size) == LabelStatus::kOk);
  CHECK((label_size > 0) == decoded.has("label"));
  const Bytes rest = Bytes(datagram).subspan(label_size);
  if (!decoded.has("encryption")) return Memory(rest.begin(), rest.end());
  const Json& encryption = decoded["encryption"];
  CHECK(rest[0] == encryption["version"].whole());
  CHECK(to_hex(rest.subspan(1, kNonceBytes)) == encryption["nonce"].text());
  CHECK(to_hex(rest.last(kTagBytes)) == encryption["tag"].text());
  Memory plain(rest.size());
  std::size_t size = 0;
  REQUIRE(open_with_ring(*security.keyring, as_bytes(security.label), rest, plain, size) == OpenStatus::kOk);
  plain.resize(size);
  CHECK(static_cast<std::int64_t>(size) == encryption["plain_len"].whole());
  return plain;
}

// Without the key or the label nothing of it is let through.
void check_closed(const Memory& datagram, const Json& decoded) {
  PacketOpener opener;
  Sink sink;
  TestSecurity stranger({kKeyC.substr(0, 32)}, decoded.has("label") ? decoded["label"].text() : "");
  const PacketFault fault = opener.open(datagram, sink, stranger);
  const bool ping = !decoded.has("encryption") && !decoded.has("crc") && decoded["msg"]["type"].whole() == 0;
  CHECK(fault == (decoded.has("encryption") || ping ? PacketFault::kBadKey : PacketFault::kNotEncrypted));
  CHECK(sink.messages.empty());
  if (decoded.has("label")) {
    CHECK(opener.open(datagram, sink) == PacketFault::kBadLabel);
    CHECK(sink.messages.empty());
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
  VectorSecurity security(vector);
  PacketOpener opener;
  Sink sink;
  CHECK(opener.open(datagram, sink, security) == PacketFault::kNone);
  const Memory plain = stripped(decoded, datagram, security);
  counts.labelled += decoded.has("label") ? 1 : 0;
  counts.encrypted += decoded.has("encryption") ? 1 : 0;
  if (decoded.has("label") || decoded.has("encryption")) check_closed(datagram, decoded);
  ++counts.datagrams;
  if (decoded.has("crc")) {
    check_crc(decoded, plain);
    ++counts.crcs;
  }
  std::vector<const Json*> expected;
  collect(decoded["msg"], expected);
  REQUIRE(sink.messages.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Json& msg = *expected[i];
    CHECK(static_cast<std::int64_t>(sink.messages[i].size()) == msg["len"].whole());
    check_message(msg, msg["body"], sink.messages[i], counts);
    check_written_again(vector, msg["body"], sink.messages[i]);
    ++counts.messages;
  }
}

// Sealed again from its parts a datagram has the same bytes, but for the nonce and what follows from it.
void check_sealed_again(const Json& vector, const Memory& datagram) {
  const Json& decoded = vector["decoded"];
  const std::int64_t type = decoded["msg"]["type"].whole();
  PacketOpener opener;
  Sink sink;
  VectorSecurity security(vector);
  REQUIRE(opener.open(datagram, sink, security) == PacketFault::kNone);
  PacketSealer sealer(type == 9);
  sealer.begin(security);
  for (const Memory& message : sink.messages) REQUIRE(sealer.add(message));
  Memory out(datagram.size() + 100);
  out.resize(sealer.finish(decoded.has("crc"), out));
  if (!decoded.has("encryption")) {
    CHECK(to_hex(out) == to_hex(datagram));
    return;
  }
  if (decoded["encryption"]["version"].whole() == 1) CHECK(out.size() == datagram.size());
  Memory plain(out.size()), again(out.size());
  const std::size_t label_size = Security(security).label_header_bytes();
  const Bytes label = as_bytes(security.label);
  std::size_t size = 0;
  REQUIRE(open_with_ring(security.ring, label, Bytes(out).subspan(label_size), plain, size) == OpenStatus::kOk);
  CHECK(to_hex(Bytes(plain).first(size)) == to_hex(stripped(decoded, datagram, security)));
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
  const bool encrypted = decoded.has("encrypted");
  VectorSecurity keys(vector);
  Security security = keys;
  if (!encrypted) security.keyring = nullptr;  // A plain answer may come from a cluster with keys.
  // An answer has no label in front, but in what is authenticated.
  const StreamSide writer = decoded.has("label") ? StreamSide::kInitiator : StreamSide::kAcceptor;
  const std::size_t label_size = decoded.has("label") ? security.label_header_bytes() : 0;
  counts.labelled += decoded.has("label") ? 1 : 0;
  counts.encrypted += encrypted ? 1 : 0;
  ++counts.streams;

  Memory scratch(64 * 1024), received = bytes;
  StreamReader dribble(scratch, security, writer);
  for (std::size_t size = 0; size < received.size(); ++size) {
    REQUIRE(dribble.advance_in_place(MutableBytes(received).first(size)) == StreamStatus::kIncomplete);
  }
  REQUIRE(dribble.advance_in_place(received) == StreamStatus::kComplete);
  received = bytes;
  StreamReader reader(scratch, security, writer);
  REQUIRE(reader.advance_in_place(received) == StreamStatus::kComplete);
  CHECK(static_cast<std::int64_t>(reader.type()) == decoded["type"].whole());
  Memory copy = bytes;
  Security other = security;
  TestSecurity stranger({kKeyC});
  other.keyring = encrypted ? nullptr : &stranger.ring;
  StreamReader mismatch(scratch, other, writer);
  CHECK(mismatch.advance_in_place(copy) == (encrypted ? StreamStatus::kEncrypted : StreamStatus::kNotEncrypted));
  if (decoded.has("label")) {
    StreamReader unlabelled(scratch);
    CHECK(unlabelled.advance(bytes) == StreamStatus::kBadLabel);
  }
  const bool compressed = decoded.has("compressed");
  Bytes packed = Bytes(received).subspan(label_size);
  if (encrypted) {
    const auto size = static_cast<std::size_t>(decoded["encrypted"]["plain_len"].whole());
    packed = packed.subspan(kStreamFrameHeaderBytes + kSealFrontBytes, size);
    CHECK(packed.size() + kTagBytes == received.size() - label_size - kStreamFrameHeaderBytes - kSealFrontBytes);
  }
  const std::size_t plain_size =
      compressed ? static_cast<std::size_t>(decoded["compressed"]["plain_len"].whole()) : packed.size();
  reader = StreamReader(scratch);  // The one above has shared its scratch.
  Memory unpacked(packed.begin(), packed.end());
  REQUIRE(reader.advance(unpacked) == StreamStatus::kComplete);
  const Bytes plain = compressed ? Bytes(scratch).first(plain_size) : Bytes(unpacked);
  if (compressed) {
    CHECK(packed[0] == 9);
    Memory again(plain_size * 2 + 100);
    again.resize(seal_stream(plain, true, again));
    CHECK(to_hex(again) == to_hex(packed));
  }
  Memory sealed_again(plain_size * 2 + 400);
  sealed_again.resize(seal_stream(plain, compressed, sealed_again, security, writer));
  CHECK(sealed_again.size() == bytes.size());
  if (!encrypted) CHECK(to_hex(sealed_again) == to_hex(bytes));
  if (reader.type() == MessageType::kPushPull) return check_push_pull(vector, reader, plain, counts);
  if (reader.type() == MessageType::kUser) {
    CHECK(static_cast<std::int64_t>(reader.body().size()) == decoded["header"]["UserMsgLen"].whole());
    CHECK(to_hex(reader.body()) == decoded["user"].text());
    return;
  }
  check_message(decoded, decoded["header"], plain, counts);
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
        check_datagram(vector, bytes, counts);
        check_sealed_again(vector, bytes);
      } else {
        check_stream(vector, bytes, counts);
      }
    }
  }
  // All 171 vectors, each once; a vector that is dropped or misread as out of scope shows here.
  CHECK(counts.datagrams == 122);
  CHECK(counts.streams == 49);
  CHECK(counts.labelled == 8);
  CHECK(counts.encrypted == 43);
  CHECK(counts.messages == 230);
  CHECK(counts.nodes == 136);
  CHECK(counts.states == 33);
  CHECK(counts.crcs == 66);
  CHECK(counts.coordinates == 13);
  CHECK(counts.answers == 16);
}

}  // namespace
}  // namespace shoal::wire
