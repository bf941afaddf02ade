// What no datagram may be: larger than 1405 bytes, with more than 127 parts, or with an empty one.
#include <doctest/doctest.h>

#include "support/lone_core.h"
#include "swim/core.h"

namespace shoal::swim {
namespace {

using test::Lines;
using test::LoneCore;
using test::Memory;
using test::peer;

Options large() {
  Options options = LoneCore::options();
  options.members_max = 512;
  return options;
}

void check_all(const LoneCore& me) {
  for (const test::SentPacket& packet : me.sent) {
    CHECK(packet.bytes.size() <= 1405);
    if (!test::has_crc(packet.bytes)) CHECK(packet.bytes.size() <= 1402);
    CHECK(packet.parts.size() <= 127);
    const test::Opened opened = test::opened(packet.bytes);
    CHECK(opened.fault == wire::PacketFault::kNone);
    CHECK(opened.smallest > 0);
  }
}

TEST_CASE("with hundreds of messages waiting every datagram keeps to its size, and fills it") {
  for (const bool compress : {false, true}) {
    Options options = large();
    options.compress = compress;
    LoneCore me(options);
    for (int i = 0; i < 300; ++i) {
      me.hear(test::alive({1, "n" + std::to_string(i), peer(static_cast<std::uint8_t>(i % 250 + 2))}));
    }
    me.run_for(5s);
    me.ask();
    check_all(me);
    std::size_t most = 0, with_crc = 0;
    for (const test::SentPacket& packet : me.sent) {
      most = std::max(most, packet.bytes.size());
      with_crc += test::has_crc(packet.bytes) ? 1 : 0;
    }
    CHECK(with_crc > 10);
    if (!compress) CHECK(most > 1300);
    if (compress) CHECK(most < 1300);
  }
}

TEST_CASE("messages of every size up to the largest are told, and the sizes of the datagrams hold") {
  LoneCore me(large());
  me.know("c", 3);
  for (std::size_t meta = 0; meta <= 512; meta += 8) {
    me.hear(test::alive({static_cast<std::uint32_t>(meta + 2), "c", peer(3), std::string(meta, 'm')}));
    me.hear(test::alive({1, "x" + std::to_string(meta), peer(5), std::string(512 - meta, 'm')}));
    me.ask();
  }
  me.run_for(3s);
  check_all(me);
}

TEST_CASE("the upper layer is offered what is left, at one byte more a message than our own") {
  LoneCore me;
  me.know("b", 2);
  me.budgets.clear();
  me.ask();
  const std::size_t ack = test::encoded(wire::Ack{77, {}}).size();
  REQUIRE(me.budgets.size() == 1);
  CHECK(me.budgets[0].first == 1400 - ack - 2);
  CHECK(me.budgets[0].second == 3);
  me.budgets.clear();
  me.hear(test::suspect(1, "b", "x"));
  const std::size_t waiting = test::suspect(1, "b", "x").size();
  me.ask();
  REQUIRE(me.budgets.size() == 1);
  CHECK(me.budgets[0].first == 1400 - ack - 2 - waiting - 2);
  me.budgets.clear();
  me.run_for(200ms);  // Gossip: the whole packet but the compound's head.
  REQUIRE_FALSE(me.budgets.empty());
  CHECK(me.budgets[0].first == 1398 - waiting - 2);
}

TEST_CASE("the largest message of the upper layer fits with the acknowledgement and with nothing else") {
  LoneCore me;
  me.know("b", 2);
  const std::size_t ack = test::encoded(wire::Ack{77, {}}).size();
  me.ride_along = Memory(1400 - ack - 2 - 2, 8);
  CHECK(me.ask().size() == 1);
  CHECK(me.sent.back().bytes.size() == 1402);
}

TEST_CASE("a gossip batch of one message goes bare, of several as a compound, each with CRC for those who read it") {
  LoneCore me;
  me.know("b", 2);
  me.hear(test::suspect(1, "b", "x"));
  me.run_for(200ms);
  REQUIRE(me.sent.size() >= 1);
  CHECK(test::has_crc(me.sent[0].bytes));
  CHECK(me.sent[0].bytes[5] == 3);
  me.hear(test::alive({1, "c", peer(3)}));
  me.sent.clear();
  me.run_for(200ms);
  REQUIRE(me.sent.size() >= 1);
  CHECK(me.sent[0].bytes[5] == 7);
}

TEST_CASE("each piece of news is told exactly as often as the limit says, gossip and answers together") {
  LoneCore me;
  for (const std::uint8_t host : std::initializer_list<std::uint8_t>{2, 3})
    me.know(std::string(1, static_cast<char>('a' + host - 1)), host);
  me.hear(test::suspect(1, "b", "x"));
  int count = 0;
  count += static_cast<int>(me.ask().size());
  me.sent.clear();
  me.run_for(900ms);
  for (const test::SentPacket& packet : me.sent)
    count += static_cast<int>(test::only(packet.parts, "suspect 1 b from x").size());
  CHECK(count == 4);  // Three members: 4 x 1.
}

TEST_CASE("the departed and those long dead hear no gossip, the lately dead do") {
  LoneCore me;
  me.know("left", 2);
  me.know("dead", 3);
  me.hear(test::dead(1, "left", "left"));
  me.hear(test::dead(1, "dead", "x"));
  me.run_for(1s);
  bool to_dead = false;
  for (const test::SentPacket& packet : me.sent) {
    CHECK(packet.to != peer(2));
    to_dead = to_dead || packet.to == peer(3);
  }
  CHECK(to_dead);
  me.quiet();
  me.run_for(31s);
  me.sent.clear();
  me.hear(test::alive({1, "new", peer(4)}));
  me.run_for(1s);
  for (const test::SentPacket& packet : me.sent) CHECK(packet.to != peer(3));
}

TEST_CASE("one datagram is answered by four at most, whatever it asks for and whomever it names") {
  const Endpoint victim = peer(200);
  for (const Memory& part :
       {test::encoded(wire::Ping{1, "me"}), test::encoded(wire::Ping{1, "", victim.addr.raw(), 80}),
        test::encoded(wire::IndirectPing{1, victim.addr.raw(), 80, "x"}), test::suspect(0, "me", "x")}) {
    Memory datagram{7, 255};
    for (int i = 0; i < 255; ++i) datagram.insert(datagram.end(), {0, static_cast<std::uint8_t>(part.size())});
    for (int i = 0; i < 255; ++i) datagram.insert(datagram.end(), part.begin(), part.end());
    LoneCore me;
    me.know("b", 2);
    me.hear(test::suspect(1, "b", "x"));
    me.sent.clear();
    for (int round = 1; round <= 2; ++round) {
      me.hear(datagram);
      CHECK(me.sent.size() == static_cast<std::size_t>(4 * round));
    }
    CHECK(me.core.counters().refused[static_cast<std::size_t>(Refusal::kTooManyProbes)] == 2 * 251);
  }
}

TEST_CASE("no datagram, whatever is in it, does more than be counted") {
  LoneCore me;
  me.know("b", 2);
  Rng rng(11);
  const Memory seeds[] = {test::alive({9, "b", peer(2), "meta"}), test::suspect(9, "b", "x"),
                          test::encoded(wire::Ping{1, "me"}), test::from_hex("0702000300050001020301020304")};
  for (int i = 0; i < 20'000; ++i) {
    Memory bytes = seeds[rng.below(std::uint64_t{4})];
    for (std::uint64_t n = 1 + rng.below(std::uint64_t{4}); n > 0; --n) {
      bytes[rng.below(bytes.size())] = static_cast<std::uint8_t>(rng.next());
    }
    if (rng.one_in(3)) bytes.resize(rng.below(bytes.size() + 1));
    me.hear(bytes);
    if (i % 1000 == 0) me.run_for(1s);
    me.sent.clear();
    me.news.clear();
  }
  CHECK(me.state("me") == "alive");
  CHECK(me.core.members().size() <= 64);
}

}  // namespace
}  // namespace shoal::swim
