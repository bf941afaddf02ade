// What rides on acks for the layer above, and what a probe that only TCP answers tells it.
#include <doctest/doctest.h>

#include "support/lone_core.h"
#include "swim/core.h"

namespace shoal::swim {
namespace {

using test::encoded;
using test::Lines;
using test::LoneCore;
using test::Memory;
using test::only;
using test::peer;

/// b at host 2 is probed; the probe's number.
std::uint32_t probe_b(LoneCore& me) {
  me.know("b", 2);
  const test::SentPacket probe = me.run_until_sent("ping");
  me.news.clear();
  return test::number(probe.parts[0], 1);
}

TEST_CASE("an answered ping carries the layer above's payload of at most 256 bytes, or none") {
  struct {
    std::size_t size;
    bool sent;
  } const rows[] = {{0, false}, {1, true}, {256, true}, {257, false}};
  for (const auto& row : rows) {
    CAPTURE(row.size);
    LoneCore me;
    me.quiet();
    me.ping_payload = Memory(row.size, 7);
    me.hear(encoded(wire::Ping{5, "me"}));
    REQUIRE(me.sent.size() == 1);
    wire::Ack ack;
    REQUIRE(wire::decode(Bytes(me.sent[0].bytes).subspan(1), ack));
    CHECK(same_bytes(ack.payload, row.sent ? Bytes(me.ping_payload) : Bytes{}));
  }
}

TEST_CASE("a ping over TCP is answered without payload") {
  LoneCore me;
  me.ping_payload = Memory(5, 7);
  CHECK(me.exchange(encoded(wire::Ping{5, "me"})) == Lines{"ack 5"});
}

TEST_CASE("an ack within the ping's own time is told with the time it took and what rode on it") {
  LoneCore me;
  const std::uint32_t seq_no = probe_b(me);
  me.run_for(20ms);
  me.hear(encoded(wire::Ack{seq_no, as_bytes("c")}), peer(2));
  CHECK(me.news == Lines{"round-trip b 20ms 63"});
  me.hear(encoded(wire::Ack{seq_no, as_bytes("c")}), peer(2));  // Only once.
  CHECK(me.news.size() == 1);
}

TEST_CASE("an ack without payload is told as well, with none") {
  LoneCore me;
  const std::uint32_t seq_no = probe_b(me);
  me.hear(encoded(wire::Ack{seq_no, {}}), peer(2));
  CHECK(me.news == Lines{"round-trip b 0ms "});
}

TEST_CASE("once helpers were asked, no ack's time and payload say anything") {
  LoneCore me;
  const std::uint32_t seq_no = probe_b(me);
  me.run_for(500ms);
  me.hear(encoded(wire::Ack{seq_no, as_bytes("c")}), peer(2));
  CHECK(only(me.news, "round-trip").empty());
  CHECK(me.state("b") == "alive");
}

TEST_CASE("a helper's errand tells us nothing: the ack is another's") {
  LoneCore me;
  me.know("b", 2);
  const Endpoint target = peer(2);
  me.hear(encoded(wire::IndirectPing{5, target.addr.raw(), 7946, "b", true}), peer(3));
  const std::uint32_t seq_no = test::number(me.sent.back().parts[0], 1);
  me.news.clear();
  me.hear(encoded(wire::Ack{seq_no, as_bytes("c")}), peer(2));
  CHECK(me.news.empty());
  CHECK(me.sent.back().parts[0] == "ack 5");
}

/// The stream of the ping of last resort.
StreamId tcp_ping(LoneCore& me) {
  me.run_for(500ms);
  REQUIRE_FALSE(me.streams.empty());
  const StreamId id = me.streams.rbegin()->first;
  me.connected(id);
  return id;
}

TEST_CASE("a member that answers over TCP alone has its datagrams blocked: told at each such probe") {
  LoneCore me;
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t seq_no = probe_b(me);
    const StreamId id = tcp_ping(me);
    me.stream_in(id, encoded(wire::Ack{seq_no, {}}));
    CHECK(me.news.empty());  // An ack may still come.
    me.run_for(500ms);
    CHECK(me.news == Lines{"blocked b"});
    CHECK(me.state("b") == "alive");
  }
}

TEST_CASE("nothing is blocked when a datagram comes as well, or when neither comes") {
  for (const bool both : {true, false}) {
    CAPTURE(both);
    LoneCore me;
    const std::uint32_t seq_no = probe_b(me);
    const StreamId id = tcp_ping(me);
    if (both) {
      me.stream_in(id, encoded(wire::Ack{seq_no, {}}));
      me.hear(encoded(wire::Ack{seq_no, {}}), peer(2));
    }
    me.run_for(600ms);
    CHECK(only(me.news, "blocked").empty());
    CHECK(me.state("b") == (both ? "alive" : "suspect"));
  }
}

}  // namespace
}  // namespace shoal::swim
