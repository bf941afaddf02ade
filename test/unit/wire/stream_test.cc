#include "wire/stream.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "golden.h"
#include "support/hex.h"
#include "wire/compress.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

constexpr std::size_t kNodes = 1'000;

// A whole push/pull of so many nodes, `user_state` behind it.
Memory push_pull(std::size_t nodes, std::string_view user_state) {
  Memory memory(nodes * 200 + user_state.size() + 100);
  ByteWriter out(memory);
  encode(out, PushPullHeader{.join = true,
                             .nodes = static_cast<std::uint32_t>(nodes),
                             .user_state_len = static_cast<std::uint32_t>(user_state.size())});
  const Memory addr = from_hex("0a000001");
  const Memory meta = from_hex("ff81a4726f6c65a47461736b");
  const Memory vsn = from_hex("010502020504");
  for (std::size_t i = 0; i < nodes; ++i) {
    const std::string name = "node-" + std::to_string(i);
    encode(out, NodeState{.name = name,
                          .addr = addr,
                          .port = static_cast<std::uint16_t>(i),
                          .meta = meta,
                          .incarnation = static_cast<std::uint32_t>(i),
                          .state = static_cast<std::uint8_t>(i % 4),
                          .vsn = vsn});
  }
  out.put(user_state);
  REQUIRE(out.ok());
  memory.resize(out.size());
  return memory;
}

Memory sealed(Bytes message, bool compress) {
  Memory out(message.size() * 2 + 100);
  out.resize(seal_stream(message, compress, out));
  return out;
}

StreamStatus read(Bytes bytes, MutableBytes scratch = {}) {
  StreamReader reader(scratch);
  return reader.advance(bytes);
}

void check_nodes(const StreamReader& reader, std::size_t nodes) {
  std::size_t count = 0;
  reader.for_each_node([&](const NodeState& node) {
    CHECK(node.name == "node-" + std::to_string(count));
    CHECK(node.port == count);
    CHECK(node.state == count % 4);
    CHECK(node.vsn.size() == 6);
    ++count;
  });
  CHECK(count == nodes);
}

TEST_CASE("a state of 1,000 nodes that trickles in byte by byte is read, in time that grows with its size only") {
  const Memory message = push_pull(kNodes, "the user state");
  for (const bool compress : {false, true}) {
    CAPTURE(compress);
    const Memory bytes = sealed(message, compress);
    CHECK((bytes[0] == 9) == compress);
    Memory scratch(message.size());
    StreamReader reader(scratch);
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      if (reader.advance(Bytes(bytes).first(size)) != StreamStatus::kIncomplete) FAIL("too early at ", size);
    }
    REQUIRE(reader.advance(bytes) == StreamStatus::kComplete);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
    CHECK(reader.advance(bytes) == StreamStatus::kComplete);  // Asking again changes nothing.
    CHECK(reader.type() == MessageType::kPushPull);
    CHECK(reader.header().join);
    CHECK(reader.header().nodes == kNodes);
    CHECK(as_text(reader.user_state()) == "the user state");
    check_nodes(reader, kNodes);
  }
}

TEST_CASE("ping, ack, error and user messages are read, plain and compressed") {
  struct Row {
    std::string hex;
    MessageType type;
    std::string body;
  };
  const Row rows[] = {
      {std::string(golden("G02")), MessageType::kPing, std::string(golden("G02").substr(2))},
      {std::string(golden("G05")), MessageType::kAck, std::string(golden("G05").substr(2))},
      {std::string(golden("G08")), MessageType::kErr, std::string(golden("G08").substr(2))},
      {"0881aa557365724d73674c656e03616263", MessageType::kUser, "616263"},
      {"0881aa557365724d73674c656e00", MessageType::kUser, ""},
      {std::string(golden("G21a")) + std::string(260, '7'), MessageType::kUser, std::string(260, '7')},
      {std::string(golden("G21b")) + std::string(260, '7'), MessageType::kUser, std::string(260, '7')},
  };
  for (const Row& row : rows) {
    CAPTURE(row.hex);
    for (const bool compress : {false, true}) {
      Memory bytes = sealed(from_hex(row.hex), compress);
      Memory scratch(1'000);
      StreamReader reader(scratch);
      for (std::size_t size = 0; size < bytes.size(); ++size) {
        REQUIRE(reader.advance(Bytes(bytes).first(size)) == StreamStatus::kIncomplete);
      }
      REQUIRE(reader.advance(bytes) == StreamStatus::kComplete);
      CHECK(reader.type() == row.type);
      CHECK(to_hex(reader.body()) == row.body);
      bytes.push_back(0xc1);  // What follows is not looked at.
      CHECK(read(bytes, scratch) == StreamStatus::kComplete);
    }
  }
}

TEST_CASE("G13 and G19 are read from a stream") {
  for (const char* id : {"G13a", "G13b"}) {
    Memory bytes = from_hex(std::string(golden(id)) + std::string(golden("G13c")) + std::string(golden("G13c")));
    CHECK(read(bytes) == StreamStatus::kIncomplete);  // 200 bytes of user state to come.
    bytes.resize(bytes.size() + 200);
    StreamReader reader({});
    REQUIRE(reader.advance(bytes) == StreamStatus::kComplete);
    CHECK(reader.user_state().size() == 200);
    int nodes = 0;
    reader.for_each_node([&](const NodeState& node) { nodes += node.name == "n" && node.state == 3 ? 1 : 100; });
    CHECK(nodes == 2);
  }
  CHECK(to_hex(sealed(from_hex(golden("G02")), true)) == golden("G19"));
  Memory scratch(golden("G02").size() / 2);
  const Memory packed = from_hex(golden("G19"));
  CHECK(read(packed, scratch) == StreamStatus::kComplete);
  Memory tight(scratch.size() - 1);
  CHECK(read(packed, tight) == StreamStatus::kTooLarge);
}

TEST_CASE("an encrypted stream is recognised by its first byte") {
  CHECK(read(from_hex("0a")) == StreamStatus::kEncrypted);
  CHECK(read(from_hex("0a0000002d01")) == StreamStatus::kEncrypted);
}

TEST_CASE("what may not stand on a stream is malformed at once") {
  for (const char* hex : {"01", "03", "04", "05", "07", "0b", "0c", "0e", "47455420"}) {
    CAPTURE(hex);
    CHECK(read(from_hex(hex)) == StreamStatus::kMalformed);
  }
  CHECK(read(from_hex("f4")) == StreamStatus::kBadLabel);
  Memory scratch(1'000);
  for (const char* hex : {"0b80", "0a00", "07", "0080ff"}) {
    CAPTURE(hex);
    const bool ping = std::string_view(hex).starts_with("00");
    CHECK(read(sealed(from_hex(hex), true), scratch) == (ping ? StreamStatus::kComplete : StreamStatus::kMalformed));
  }
  // Compressed twice, compressed and cut short, compressed nothing, broken, unknown algorithm.
  CHECK(read(sealed(sealed(from_hex("0080"), true), true), scratch) == StreamStatus::kMalformed);
  CHECK(read(sealed(from_hex("0083"), true), scratch) == StreamStatus::kMalformed);
  CHECK(read(from_hex("0982a4416c676f00a3427566a3000302"), scratch) == StreamStatus::kMalformed);
  CHECK(read(from_hex("0982a4416c676f00a3427566a300c304"), scratch) == StreamStatus::kBadCompress);
  CHECK(read(from_hex("0982a4416c676f01a3427566a400c30404"), scratch) == StreamStatus::kBadCompress);
  // A header, then a node, of the wrong kind; a negative count.
  CHECK(read(from_hex("0601")) == StreamStatus::kMalformed);
  CHECK(read(from_hex("0681a54e6f64657301a0")) == StreamStatus::kMalformed);
  CHECK(read(from_hex("0681a54e6f646573ff")) == StreamStatus::kMalformed);
  CHECK(read(from_hex("06c1")) == StreamStatus::kMalformed);
}

TEST_CASE("more than our limits is too large as soon as that can be seen") {
  CHECK(read(from_hex("0681a54e6f646573ce00100000")) == StreamStatus::kIncomplete);
  CHECK(read(from_hex("0681a54e6f646573ce00100001")) == StreamStatus::kTooLarge);
  CHECK(read(from_hex("0681ac5573657253746174654c656ece01400000")) == StreamStatus::kIncomplete);
  CHECK(read(from_hex("0681ac5573657253746174654c656ece01400001")) == StreamStatus::kTooLarge);
  CHECK(read(from_hex("0881aa557365724d73674c656ece01400000")) == StreamStatus::kIncomplete);
  CHECK(read(from_hex("0881aa557365724d73674c656ece01400001")) == StreamStatus::kTooLarge);
  CHECK(read(from_hex("0081a16edb00100000")) == StreamStatus::kTooLarge);
  CHECK(read(from_hex("0081a16edd00100000")) == StreamStatus::kTooLarge);
  Memory scratch(1'000);
  CHECK(read(from_hex("0982a4416c676f00a3427566db00100000"), scratch) == StreamStatus::kTooLarge);
}

TEST_CASE("no truncation and no flipped bit of a stream does harm") {
  const Memory message = push_pull(5, "state");
  for (const bool compress : {false, true}) {
    const Memory bytes = sealed(message, compress);
    Memory scratch(message.size());
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      Memory damaged = bytes;
      damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ 1U << bit % 8);
      StreamReader reader(scratch);
      if (reader.advance(damaged) != StreamStatus::kComplete) continue;
      std::size_t nodes = 0;
      reader.for_each_node([&](const NodeState&) { ++nodes; });
      CHECK(nodes == (reader.type() == MessageType::kPushPull ? reader.header().nodes : 0));
    }
  }
}

TEST_CASE("a message that does not fit is not sealed") {
  const Memory message = push_pull(3, "state");
  for (const bool compress : {false, true}) {
    const std::size_t size = sealed(message, compress).size();
    Memory tight(size - 1);
    CHECK(seal_stream(message, compress, tight) == 0);
  }
}

}  // namespace
}  // namespace shoal::wire
