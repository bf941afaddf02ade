// User events as messages: sent, told once whichever way they come, passed on, and kept for the next push/pull.
#include <doctest/doctest.h>

#include <algorithm>

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
using test::user;

Memory event(std::uint64_t ltime, std::string_view name, std::string_view payload = {}, bool cc = false) {
  return encoded(wire::UserEvent{ltime, name, as_bytes(payload), cc});
}
/// All event messages that wait to be told, each once, as hex.
Lines all_told(LoneNode& me) {
  Lines out;
  for (Lines told = me.told(); !told.empty(); told = me.told()) {
    for (std::string& line : only(told, "03")) {
      if (std::find(out.begin(), out.end(), line) == out.end()) out.push_back(std::move(line));
    }
  }
  return out;
}

/// A peer whose state can be taken from it.
NodeOptions peer_options() {
  NodeOptions out = LoneNode::options();
  out.swim.name = swim::NodeName("b");
  out.swim.advertise = peer(2);
  return out;
}
/// What it would answer to a push/pull, and what it would send in one of its own.
Memory state_of(LoneNode& other) { return other.exchange(test::push_pull({})); }

enum class Way { kJoin, kReplay, kIgnore, kSync, kAccepted };
void exchange_with(LoneNode& me, LoneNode& other, Way way) {
  const Memory theirs = state_of(other);
  if (way == Way::kAccepted) return void(me.exchange(theirs));
  me.connects.clear();
  me.command([&] {
    if (way == Way::kJoin) me.node.join(me.now, peer(2), me.out());
    if (way == Way::kReplay) me.node.join(me.now, peer(2), me.out(), OldEvents::kTold);
    if (way == Way::kIgnore) me.node.join(me.now, peer(2), me.out(), OldEvents::kIgnored);
    if (way == Way::kSync) me.node.push_pull(me.now, peer(2), me.out());
  });
  REQUIRE(me.connects.size() == 1);
  const swim::StreamId id = me.connects.begin()->first;
  me.command([&] { me.node.on_stream_connected(me.now, id, me.out()); });
  me.command([&] { me.node.on_stream_bytes(me.now, id, theirs, me.out()); });
}

// ---- Sending

TEST_CASE("our event goes out at the event time, which it advances, and reaches our own application once") {
  LoneNode me;
  me.hear(user(event(40, "other")));
  me.quiet();
  me.command([&] { CHECK(me.node.user_event(me.now, "deploy", as_bytes("v1"), true, me.out())); });
  CHECK(me.user_events == Lines{"41 deploy v1 coalesce"});
  CHECK(me.node.event_clock() == 42);
  CHECK(me.told() == Lines{test::to_hex(event(41, "deploy", "v1", true))});
  me.forget();
  me.command([&] { CHECK(me.node.user_event(me.now, "deploy", as_bytes("v1"), false, me.out())); });
  CHECK(me.user_events == Lines{"42 deploy v1"});  // The same again is another event.
}

TEST_CASE("our own event that comes back to us is not told again") {
  LoneNode me;
  me.command([&] { CHECK(me.node.user_event(me.now, "deploy", as_bytes("v1"), true, me.out())); });
  const Memory bytes = test::from_hex(me.told().at(0));
  me.forget();
  me.hear(user(bytes));
  CHECK(me.user_events.empty());
  CHECK(me.node.counters().events_repeated == 1);
}

TEST_CASE("an encoded event may have 512 bytes, and there has to be a name") {
  struct {
    std::size_t name, payload;
    bool sent;
  } const rows[] = {{1, 0, true},     {482, 0, true},    {483, 0, false}, {1, 481, true}, {1, 482, false},
                    {240, 240, true}, {256, 256, false}, {0, 0, false},   {0, 5, false},  {3, 9000, false}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    CAPTURE(row.payload);
    LoneNode me;
    const std::uint64_t before = me.node.event_clock();
    bool sent = false;
    me.command([&] {
      sent = me.node.user_event(me.now, std::string(row.name, 'n'), Memory(row.payload, 'p'), false, me.out());
    });
    CHECK(sent == row.sent);
    CHECK(me.node.event_clock() == before + (row.sent ? 1 : 0));
    CHECK(me.user_events.size() == (row.sent ? 1 : 0));
    CHECK(all_told(me).size() == (row.sent ? 1 : 0));  // The largest fits into a datagram.
  }
}

// ---- Receiving

TEST_CASE("an event is told once, by however many datagrams and push/pulls it comes") {
  LoneNode me, other({}, peer_options());
  const Memory bytes = event(7, "deploy", "v1");
  for (std::uint8_t from = 2; from < 6; ++from) me.hear(user(bytes), peer(from));
  other.hear(user(bytes));
  exchange_with(me, other, Way::kAccepted);
  exchange_with(me, other, Way::kSync);
  CHECK(me.user_events == Lines{"7 deploy v1"});
  CHECK(me.node.counters().events_repeated == 5);
  CHECK(all_told(me) == Lines{test::to_hex(bytes)});
}

TEST_CASE("an event by push/pull is told to the application, not passed on, and not told again by datagram") {
  LoneNode me, other({}, peer_options());
  const Memory bytes = event(7, "deploy", "v1", true);
  other.hear(user(bytes));
  exchange_with(me, other, Way::kAccepted);
  CHECK(me.user_events == Lines{"7 deploy v1"});  // Whether it may be coalesced is not kept.
  CHECK(me.node.event_clock() == 8);
  me.hear(user(bytes));
  CHECK(me.user_events.size() == 1);
  CHECK(all_told(me).empty());
}

TEST_CASE("events of one time are several when name or payload differ") {
  LoneNode me;
  for (const auto& [name, payload] :
       std::vector<std::pair<std::string, std::string>>{{"a", "x"}, {"a", "y"}, {"b", "x"}, {"ax", ""}, {"a", "x"}}) {
    me.hear(user(event(7, name, payload)));
  }
  CHECK(me.user_events == Lines{"7 a x", "7 a y", "7 b x", "7 ax "});
}

TEST_CASE("an event more than 512 behind the clock is refused, counted, not told and not passed on") {
  LoneNode me;
  me.hear(user(event(1000, "new")));
  me.quiet();
  me.hear(user(event(488, "old")));
  CHECK(me.user_events.empty());
  CHECK(me.node.counters().events_refused == 1);
  CHECK(me.told() == Lines{});
  me.hear(user(event(489, "just in time")));
  CHECK(me.user_events == Lines{"489 just in time "});
}

TEST_CASE("an event with an absurd time is not taken, nor does it move the clock") {
  LoneNode me;
  me.hear(user(event(std::uint64_t{1} << 40, "far")));
  me.hear(user(event(~std::uint64_t{0}, "farther")));
  CHECK(me.user_events.empty());
  CHECK(me.node.counters().clock_jumps == 2);
  CHECK(me.node.event_clock() == 1);
}

TEST_CASE("a hundred events in one datagram: 64 told, the rest counted, all passed on") {
  LoneNode me;
  Memory datagram(64 * 1024);
  ByteWriter compound(datagram);
  compound.u8(7);
  compound.u8(100);
  std::vector<Memory> parts;
  while (parts.size() < 100) parts.push_back(user(event(1 + parts.size(), "e" + std::to_string(parts.size()))));
  for (const Memory& part : parts) compound.u16(static_cast<std::uint16_t>(part.size()));
  for (const Memory& part : parts) compound.put(part);
  me.hear(compound.written());
  CHECK(me.user_events.size() == Outbox::kUserEventsMax);
  CHECK(me.out().dropped == 36);
  CHECK(all_told(me).size() == 100);
}

TEST_CASE("a hundred events in one push/pull: 64 told, the rest by the next one") {
  LoneNode me, other({}, peer_options());
  for (std::uint64_t i = 1; i <= 100; ++i) other.hear(user(event(i, "e" + std::to_string(i))));
  exchange_with(me, other, Way::kAccepted);
  CHECK(me.user_events.size() == 64);
  exchange_with(me, other, Way::kAccepted);
  CHECK(me.user_events.size() == 100);
  exchange_with(me, other, Way::kAccepted);
  CHECK(me.user_events.size() == 100);
}

TEST_CASE("one event larger than any datagram, from a push/pull, is refused and counted") {
  LoneNode me;
  Memory memory(8192);
  ByteWriter out(memory);
  wire::SerfStateWriter state(out, {1, 9, 1}, 0, 0, 1);
  state.events_at(7, 2);
  state.event("big", Memory(1400, 1));
  state.event("good", {});
  REQUIRE(out.ok());
  me.exchange(test::push_pull({}, false, out.written()));
  CHECK(me.user_events == Lines{"7 good "});
  CHECK(me.node.counters().events_refused == 1);
}

// ---- Old ones

TEST_CASE("our first join ignores what was told before it; what comes after it is told") {
  LoneNode me, other({}, peer_options());
  other.hear(user(event(7, "before")));
  exchange_with(me, other, Way::kJoin);
  CHECK(me.user_events.empty());
  CHECK(me.node.event_clock() == other.node.event_clock());
  me.hear(user(event(7, "before")));  // It may still be on its way in gossip.
  CHECK(me.user_events.empty());
  me.hear(user(event(8, "after")));
  CHECK(me.user_events == Lines{"8 after "});
}

TEST_CASE("a join tells or ignores what was told before it as it is told to, be it the first or not") {
  for (const bool is_first : {true, false}) {
    CAPTURE(is_first);
    LoneNode me, other({}, peer_options()), third({}, peer_options());
    if (!is_first) exchange_with(me, third, Way::kJoin);
    other.hear(user(event(7, "wanted")));
    exchange_with(me, other, Way::kReplay);
    CHECK(me.user_events == Lines{"7 wanted "});
    other.hear(user(event(20, "unwanted")));
    exchange_with(me, other, Way::kIgnore);
    CHECK(me.user_events == Lines{"7 wanted "});
    other.hear(user(event(30, "missed")));
    exchange_with(me, other, Way::kJoin);  // As ever again.
    CHECK(me.user_events == Lines{"7 wanted ", "30 missed "});
  }
}

TEST_CASE("a later join does not: what was told while we were cut off is told now") {
  LoneNode me, other({}, peer_options());
  exchange_with(me, other, Way::kJoin);
  other.hear(user(event(7, "missed")));
  exchange_with(me, other, Way::kJoin);
  CHECK(me.user_events == Lines{"7 missed "});
}

TEST_CASE(
    "neither another's join to us nor anti-entropy ignores anything, and our first join is then still the first") {
  for (const Way way : {Way::kAccepted, Way::kSync}) {
    LoneNode me, other({}, peer_options());
    other.hear(user(event(7, "told")));
    exchange_with(me, other, way);
    CHECK(me.user_events == Lines{"7 told "});
    other.hear(user(event(9, "before the join")));
    exchange_with(me, other, Way::kJoin);
    CHECK(me.user_events.size() == 1);
  }
}

TEST_CASE("a join that failed was not the first") {
  LoneNode me, other({}, peer_options());
  me.command([&] { me.node.join(me.now, peer(2), me.out()); });
  me.command([&] { me.node.on_stream_closed(me.now, me.connects.begin()->first, me.out()); });
  other.hear(user(event(7, "before")));
  exchange_with(me, other, Way::kJoin);
  CHECK(me.user_events.empty());
}

TEST_CASE("an absurd event time in the answer to the first join does not make us deaf") {
  for (const std::uint64_t absurd : {std::uint64_t{1} << 57, ~std::uint64_t{0}}) {
    LoneNode me;
    me.command([&] { me.node.join(me.now, peer(2), me.out()); });
    const swim::StreamId id = me.connects.begin()->first;
    me.command([&] { me.node.on_stream_connected(me.now, id, me.out()); });
    Memory memory(1024);
    ByteWriter out(memory);
    const wire::SerfStateWriter state(out, {1, absurd, 1}, 0, 0);
    me.command([&] { me.node.on_stream_bytes(me.now, id, test::push_pull({}, false, out.written()), me.out()); });
    CHECK(me.node.counters().clock_jumps == 1);
    me.command([&] { CHECK(me.node.user_event(me.now, "own", {}, false, me.out())); });
    me.hear(user(event(5, "another's")));
    CHECK(me.user_events == Lines{"1 own ", "5 another's "});
  }
}

// ---- Kept for others

TEST_CASE("the latest events of up to 512 times are in our push/pull, each with its time") {
  LoneNode me, other({}, peer_options());
  for (std::uint64_t i = 1; i <= 600; ++i) me.hear(user(event(i, "e", std::to_string(i))));
  me.hear(user(event(600, "e", "another of the same time")));
  for (int i = 0; i < 12; ++i) exchange_with(other, me, Way::kAccepted);
  CHECK(other.user_events.size() == 513);
  CHECK(only(other.user_events, "88 e").empty());
  CHECK(only(other.user_events, "89 e") == Lines{"89 e 89"});
  CHECK(only(other.user_events, "600 e") == Lines{"600 e 600", "600 e another of the same time"});
}

TEST_CASE("with all the events that are kept, compressible or not, our state can still be sent, and read") {
  for (const bool compress : {false, true}) {
    for (const std::size_t size : {64, 250}) {
      CAPTURE(compress);
      CAPTURE(size);
      NodeOptions options = LoneNode::options();
      options.swim.members_max = 16;  // The fewest that may be set.
      options.swim.compress = compress;
      LoneNode me({}, options);
      NodeOptions others = options;
      others.swim.name = swim::NodeName("b");
      others.swim.advertise = peer(2);
      LoneNode other({}, others);
      Rng rng(3);
      for (std::uint64_t i = 0; i < 2048; ++i) {
        std::string payload(size - 1, ' ');
        for (char& c : payload) c = static_cast<char>(rng.next());
        me.hear(user(event(1 + i / 4, "e", payload)));
        me.user_events.clear();
      }
      const Memory state = me.exchange(test::push_pull({}));
      CHECK_FALSE(state.empty());
      other.exchange(state);
      CHECK(other.user_events.size() == Outbox::kUserEventsMax);
    }
  }
}

// ---- An earlier life

TEST_CASE("times from a snapshot: what was told in an earlier life is not told again, and our own times go on") {
  NodeOptions options = LoneNode::options();
  options.clock_seen = 20;
  options.event_clock_seen = 40;
  options.query_clock_seen = 60;
  LoneNode me({}, options);
  CHECK(me.node.clock() == 21);
  CHECK(me.node.event_clock() == 41);
  CHECK(me.node.query_clock() == 61);
  me.hear(user(event(40, "told before")));
  CHECK(me.user_events.empty());
  CHECK(me.node.counters().events_refused == 1);
  me.hear(user(event(41, "new")));
  CHECK(me.user_events == Lines{"41 new "});
  me.hear(user(test::query({.ltime = 60, .id = 1})));
  CHECK(me.queries.empty());
  CHECK(me.node.counters().queries_old == 1);
  me.hear(user(test::query({.ltime = 61, .id = 2})));
  CHECK(me.queries.size() == 1);
  // A direct one is judged by nobody's clock.
  me.hear(user(test::query({.ltime = 3, .id = 3, .flags = wire::kQueryFlagNoBroadcast})));
  CHECK(me.queries.size() == 2);
}

TEST_CASE("without a snapshot the first events and queries of all are told") {
  LoneNode me;
  me.hear(user(event(0, "zero")));
  me.hear(user(test::query({.ltime = 0, .id = 1})));
  CHECK(me.user_events.size() == 1);
  CHECK(me.queries.size() == 1);
}

}  // namespace
}  // namespace shoal::serf
