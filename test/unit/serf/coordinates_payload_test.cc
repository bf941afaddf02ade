// Coordinates in the acks: what we send, what we take, and from whom.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "serf/node.h"
#include "support/lone_node.h"

namespace shoal::serf {
namespace {

using test::encoded;
using test::Lines;
using test::LoneNode;
using test::Memory;
using test::only;
using test::peer;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

wire::Coordinate somewhere(double x = 0.02) {
  wire::Coordinate out;
  out.vec[0] = x;
  out.error = 0.5;
  out.height = 1e-5;
  return out;
}
Memory payload_of(const wire::Coordinate& at) {
  Memory memory(512);
  ByteWriter out(memory);
  wire::encode_coordinate(out, at);
  memory.resize(out.size());
  return memory;
}
/// The payload of our own acks.
Memory own_payload(LoneNode& me) {
  me.hear(encoded(wire::Ping{5, "me"}));
  wire::Ack ack;
  // Alone in its datagram: the cluster is quiet.
  REQUIRE(me.sent.back().bytes[0] == 2);
  REQUIRE(wire::decode(Bytes(me.sent.back().bytes).subspan(1), ack));
  return Memory(ack.payload.begin(), ack.payload.end());
}
/// Runs to the next probe of b at host 2; its number.
std::uint32_t next_probe(LoneNode& me) {
  me.forget();
  for (int i = 0; i < 500; ++i) {
    me.run_for(10ms);
    for (const LoneNode::Sent& packet : me.sent) {
      if (packet.to == peer(2) && packet.parts[0].starts_with("ping")) {
        me.now = packet.at;
        return test::number(packet.parts[0], 1);
      }
    }
  }
  FAIL("no probe");
  return 0;
}
void ack(LoneNode& me, std::uint32_t seq_no, Bytes payload, Duration after = 20ms) {
  me.run_for(after);
  me.hear(encoded(wire::Ack{seq_no, payload}), peer(2));
}

TEST_CASE("our acks carry our coordinate, at the start the origin as serf writes it") {
  LoneNode me;
  CHECK(test::to_hex(own_payload(me)) ==
        "0184aa41646a7573746d656e74cb0000000000000000a54572726f72cb3ff8000000000000a6486569676874cb3ee4f8b588e368f1"
        "a356656398cb0000000000000000cb0000000000000000cb0000000000000000cb0000000000000000cb0000000000000000"
        "cb0000000000000000cb0000000000000000cb0000000000000000");
}

TEST_CASE("a direct ack's coordinate moves ours and tells how far its sender is") {
  LoneNode me;
  me.know("b", 2);
  CHECK_FALSE(me.node.round_trip("b").has_value());
  ack(me, next_probe(me), payload_of(somewhere()));
  const PeerCoordinate* b = me.node.members().coordinate(*me.node.members().get("b"));
  REQUIRE(b != nullptr);
  CHECK(b->known);
  CHECK(b->at.vec[0] == 0.02);
  REQUIRE(me.node.round_trip("b").has_value());
  CHECK(*me.node.round_trip("b") > Duration{});
  CHECK(me.node.coordinates().own().vec != Coordinate{}.vec);
  me.quiet();
  wire::Coordinate told;
  REQUIRE(wire::decode_coordinate(own_payload(me), told) == wire::CoordinateStatus::kOk);
  CHECK(told.vec == me.node.coordinates().own().vec);
  CHECK(told.error == me.node.coordinates().own().error);
  CHECK(told.height == me.node.coordinates().own().height);
  CHECK(told.adjustment == me.node.coordinates().own().adjustment);
  CHECK(me.node.counters().coordinates_refused == 0);
}

TEST_CASE("many round trips of 20 ms make an estimate of about 20 ms") {
  LoneNode me;
  me.know("b", 2);
  for (int i = 0; i < 60; ++i) ack(me, next_probe(me), payload_of(somewhere(0)));
  REQUIRE(me.node.round_trip("b").has_value());
  CHECK(to_ms(*me.node.round_trip("b")) >= 15);
  CHECK(to_ms(*me.node.round_trip("b")) <= 25);
}

TEST_CASE("payloads that say nothing are no fault, those that no honest node sends are counted; neither moves us") {
  const auto with = [](auto&& change) {
    wire::Coordinate at = somewhere();
    change(at);
    return payload_of(at);
  };
  Memory other_version = payload_of(somewhere());
  other_version[0] = 2;
  Memory cut = payload_of(somewhere());
  cut.pop_back();
  struct {
    const char* what;
    Memory payload;
    bool refused;
  } const rows[] = {
      {"none", {}, false},
      {"another version", other_version, false},
      {"a version alone", {1}, true},
      {"cut off", cut, true},
      {"no map", {1, 0x93}, true},
      {"seven dimensions",
       test::from_hex("0181a356656397cb0000000000000000cb0000000000000000cb0000000000000000cb0000000000000000"
                      "cb0000000000000000cb0000000000000000cb0000000000000000"),
       true},
      {"no number in a dimension", with([](auto& c) { c.vec[7] = kNan; }), true},
      {"an infinity in a dimension", with([](auto& c) { c.vec[0] = -kInf; }), true},
      {"no number as the error", with([](auto& c) { c.error = kNan; }), true},
      {"no number as the height", with([](auto& c) { c.height = kNan; }), true},
      {"no number as the adjustment", with([](auto& c) { c.adjustment = kNan; }), true},
      {"an infinite height", with([](auto& c) { c.height = kInf; }), true},
      {"a negative error", with([](auto& c) { c.error = -1; }), true},
      {"beyond the moon", with([](auto& c) { c.vec[0] = 1e9; }), true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    LoneNode me;
    me.know("b", 2);
    ack(me, next_probe(me), row.payload);
    CHECK(me.node.counters().coordinates_refused == (row.refused ? 1 : 0));
    CHECK(me.node.coordinates().own() == Coordinate{});
    CHECK(me.node.members().coordinate(*me.node.members().get("b")) == nullptr);
    CHECK(me.status("b") == "alive");
    me.run_for(600ms);
    CHECK(me.node.swim().health_score() == 0);  // It has answered, whatever it said.
  }
}

TEST_CASE("only an ack to our own ping counts: not by way of a helper, not late, not one nobody asked for") {
  {
    LoneNode me;
    me.know("b", 2);
    me.know("c", 3);
    ack(me, next_probe(me), payload_of(somewhere()), 600ms);
    CHECK(me.node.coordinates().own() == Coordinate{});
    CHECK(me.status("b") == "alive");
  }
  {
    LoneNode me;
    me.know("b", 2);
    ack(me, next_probe(me) + 1, payload_of(somewhere()));
    CHECK(me.node.coordinates().own() == Coordinate{});
  }
  LoneNode me;
  me.know("b", 2);
  const Endpoint target = peer(2);
  me.hear(encoded(wire::IndirectPing{5, target.addr.raw(), 7946, "b", true}), peer(3));
  ack(me, test::number(me.sent.back().parts[0], 1), payload_of(somewhere()), 1ms);
  CHECK(me.sent.back().parts[0] == "ack 5");  // Passed on without what it carried.
  CHECK(me.node.coordinates().own() == Coordinate{});
}

TEST_CASE("to ourselves it is no way at all, to strangers and the forgotten there is no estimate") {
  NodeOptions options = LoneNode::options();
  options.reap_after = 1min;
  LoneNode me({}, options);
  me.know("b", 2);
  ack(me, next_probe(me), payload_of(somewhere()));
  CHECK(me.node.round_trip("me") == Duration{});
  CHECK_FALSE(me.node.round_trip("x").has_value());
  CHECK(me.node.round_trip("b").has_value());
  me.hear(test::dead(1, "b", "x"));
  CHECK(me.node.round_trip("b").has_value());  // Still a member, though a failed one.
  me.run_for(80s);
  REQUIRE(me.status("b") == "unknown");
  CHECK_FALSE(me.node.round_trip("b").has_value());
  me.hear(test::alive({5, "b", peer(2)}));
  CHECK_FALSE(me.node.round_trip("b").has_value());  // A new member.
}

TEST_CASE("a member that only TCP reaches is told to the application, with its address") {
  LoneNode me;
  me.know("b", 2);
  const std::uint32_t seq_no = next_probe(me);
  me.run_for(500ms);
  REQUIRE(me.connects.size() == 1);
  const swim::StreamId id = me.connects.begin()->first;
  me.command([&] { me.node.on_stream_connected(me.now, id, me.out()); });
  me.command([&] { me.node.on_stream_bytes(me.now, id, encoded(wire::Ack{seq_no, {}}), me.out()); });
  me.run_for(500ms);
  CHECK(me.blocked == Lines{"b"});
  CHECK(me.status("b") == "alive");
  CHECK(me.node.coordinates().own() == Coordinate{});
}

}  // namespace
}  // namespace shoal::serf
