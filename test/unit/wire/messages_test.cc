#include "wire/messages.h"

#include <doctest/doctest.h>

#include <string>

#include "golden.h"
#include "recode.h"
#include "support/hex.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;

template <typename Message>
std::string encoded(const Message& message) {
  std::vector<std::uint8_t> memory(4096);
  ByteWriter out(memory);
  encode(out, message);
  return out.ok() ? to_hex(out.written()) : "does not fit";
}

const std::vector<std::uint8_t> kLocal = from_hex("7f000001");
const std::vector<std::uint8_t> kVsn = from_hex("010502020504");

TEST_CASE("every memberlist message is written as Go writes it") {
  CHECK(encoded(Ping{.seq_no = 1, .node = "b"}) == golden("G01"));
  const Ping ping{.seq_no = 300, .node = "node-b", .source_addr = kLocal, .source_port = 7946, .source_node = "node-a"};
  CHECK(encoded(ping) == golden("G02"));
  const std::vector<std::uint8_t> target = from_hex("0a000002");
  const IndirectPing indirect{.seq_no = 70'000,
                              .target = target,
                              .port = 7946,
                              .node = "node-b",
                              .nack = true,
                              .source_addr = kLocal,
                              .source_port = 7946,
                              .source_node = "node-a"};
  CHECK(encoded(indirect) == golden("G03"));
  CHECK(encoded(Nack{65'535}) == golden("G04"));
  CHECK(encoded(Ack{.seq_no = 1}) == golden("G05"));
  CHECK(encoded(Err{std::string(40, 'x')}) == golden("G08"));
  const std::vector<std::uint8_t> meta = from_hex("ff80");
  Alive alive{.incarnation = 1, .node = "node-b", .addr = kLocal, .port = 7946, .meta = meta, .vsn = kVsn};
  CHECK(encoded(alive) == golden("G09"));
  alive.meta = {};
  CHECK(encoded(alive) == golden("G10"));
  CHECK(encoded(Suspect{0xffffffff, "node-b", "node-a"}) == golden("G11"));
  CHECK(encoded(Dead{2, "node-b", "node-b"}) == golden("G12"));
  CHECK(encoded(PushPullHeader{.join = true, .nodes = 2, .user_state_len = 200}) == golden("G13a"));
  const NodeState node{.name = "n", .addr = kLocal, .port = 7946, .incarnation = 3, .state = 3, .vsn = kVsn};
  CHECK(encoded(node) == golden("G13c"));
  CHECK(encoded(UserHeader{130}) == golden("G21a"));
}

TEST_CASE("every memberlist message is read in all its fields") {
  const auto bytes = [](std::string_view id) { return from_hex(golden(id)); };
  const auto body = [](const std::vector<std::uint8_t>& m) { return Bytes(m).subspan(1); };

  auto m = bytes("G02");
  Ping ping;
  REQUIRE(decode(body(m), ping));
  CHECK(ping.seq_no == 300);
  CHECK(ping.node == "node-b");
  CHECK(to_hex(ping.source_addr) == "7f000001");
  CHECK(ping.source_port == 7946);
  CHECK(ping.source_node == "node-a");

  m = bytes("G03");
  IndirectPing indirect;
  REQUIRE(decode(body(m), indirect));
  CHECK(indirect.seq_no == 70'000);
  CHECK(indirect.nack);
  CHECK(indirect.node == "node-b");
  CHECK(indirect.port == 7946);
  CHECK(to_hex(indirect.target) == "0a000002");
  CHECK(to_hex(indirect.source_addr) == "7f000001");
  CHECK(indirect.source_node == "node-a");
  CHECK(indirect.source_port == 7946);

  m = bytes("G06");
  Ack ack;
  REQUIRE(decode(body(m), ack));
  CHECK(ack.seq_no == 1);
  CHECK(ack.payload.empty());

  m = bytes("G09");
  Alive alive;
  REQUIRE(decode(body(m), alive));
  CHECK(alive.incarnation == 1);
  CHECK(alive.node == "node-b");
  CHECK(to_hex(alive.addr) == "7f000001");
  CHECK(alive.port == 7946);
  CHECK(to_hex(alive.meta) == "ff80");
  CHECK(to_hex(alive.vsn) == "010502020504");

  m = bytes("G11");
  Suspect suspect;
  REQUIRE(decode(body(m), suspect));
  CHECK(suspect.incarnation == 0xffffffff);
  CHECK(suspect.node == "node-b");
  CHECK(suspect.from == "node-a");

  for (const char* id : {"G13a", "G13b"}) {
    m = bytes(id);
    PushPullHeader header;
    REQUIRE(decode(body(m), header));
    CHECK(header.join);
    CHECK(header.nodes == 2);
    CHECK(header.user_state_len == 200);
  }

  m = bytes("G13c");
  NodeState node;
  REQUIRE(decode(m, node));
  CHECK(node.name == "n");
  CHECK(to_hex(node.addr) == "7f000001");
  CHECK(node.port == 7946);
  CHECK(node.meta.empty());
  CHECK(node.incarnation == 3);
  CHECK(node.state == 3);
  CHECK(to_hex(node.vsn) == "010502020504");

  for (const char* id : {"G21a", "G21b"}) {
    m = bytes(id);
    UserHeader header;
    REQUIRE(decode(body(m), header));
    CHECK(header.user_msg_len == 130);
  }
}

TEST_CASE("a Vsn that would crash Go peers is not written") {
  for (const std::size_t size : {0U, 1U, 5U, 7U}) {
    const std::vector<std::uint8_t> vsn(size, 1);
    CHECK(encoded(Alive{.incarnation = 1, .node = "n", .addr = kLocal, .vsn = vsn}) == "does not fit");
    CHECK(encoded(NodeState{.name = "n", .addr = kLocal, .vsn = vsn}) == "does not fit");
  }
}

TEST_CASE("an encoder that runs out of room says so and stays inside") {
  const Ping ping{.seq_no = 300, .node = "node-b", .source_addr = kLocal, .source_port = 7946, .source_node = "node-a"};
  const std::size_t whole = golden("G02").size() / 2;
  for (std::size_t size = 0; size < whole; ++size) {
    std::vector<std::uint8_t> memory(size);  // On the heap, so that the sanitizer sees one byte too many.
    ByteWriter out(memory);
    encode(out, ping);
    CHECK_FALSE(out.ok());
  }
}

TEST_CASE("a state number that nobody knows does not spoil the entry") {
  NodeState node;
  CHECK(decode(from_hex("81a55374617465d1012c"), node));
  CHECK(node.state == 255);
  CHECK(decode(from_hex("81a55374617465ff"), node));
  CHECK(node.state == 255);
}

TEST_CASE("no truncation of a message decodes to it") {
  for (const Golden& vector : kGolden) {
    const std::vector<std::uint8_t> message = from_hex(vector.hex);
    if (vector.id < "G01" || vector.id > "G12") continue;
    CAPTURE(vector.id);
    REQUIRE(recode(message).has_value());
    for (std::size_t size = 0; size < message.size(); ++size) {
      const std::vector<std::uint8_t> cut(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK_FALSE(recode(cut).has_value());
    }
  }
}

}  // namespace
}  // namespace shoal::wire
