#include "serf/lamport.h"

#include <doctest/doctest.h>

#include "support/lone_node.h"

namespace shoal::serf {
namespace {

using test::LoneNode;
using test::Memory;
using test::user_of;

TEST_CASE("a clock starts at 1, and a time that it sees is behind it afterwards") {
  LamportClock clock;
  CHECK(clock.now() == 1);
  CHECK(clock.witness(0));
  CHECK(clock.now() == 1);
  CHECK(clock.witness(1));  // Equal counts.
  CHECK(clock.now() == 2);
  CHECK(clock.witness(100));
  CHECK(clock.now() == 101);
  CHECK(clock.witness(50));
  CHECK(clock.now() == 101);
  clock.increment();
  CHECK(clock.now() == 102);
}

TEST_CASE("an absurd jump is not taken from a message, and what is beyond all times from nobody") {
  LamportClock clock;
  CHECK(clock.witness(1 + LamportClock::kJumpMax));
  CHECK_FALSE(clock.witness(clock.now() + LamportClock::kJumpMax + 1));
  CHECK(clock.now() == 2 + LamportClock::kJumpMax);
  CHECK(clock.witness_state(LamportTime{1} << 40));
  CHECK(clock.now() == (LamportTime{1} << 40) + 1);
  for (const LamportTime absurd : {LamportClock::kTimeAbsurd, ~LamportTime{0}, ~LamportTime{0} - 1}) {
    CHECK_FALSE(clock.witness(absurd));
    CHECK_FALSE(clock.witness_state(absurd));
  }
  CHECK(clock.now() == (LamportTime{1} << 40) + 1);
}

TEST_CASE("each kind of message moves its own clock: intents, events and queries") {
  LoneNode me;
  CHECK(me.node.clock() == 1);
  CHECK(me.node.event_clock() == 1);
  CHECK(me.node.query_clock() == 1);
  me.hear(user_of(wire::UserEvent{100, "deploy"}));
  CHECK(me.node.event_clock() == 101);
  me.hear(user_of(wire::JoinIntent{20, "b"}));
  CHECK(me.node.clock() == 21);
  me.hear(user_of(wire::LeaveIntent{30, "b", false}));
  CHECK(me.node.clock() == 31);
  me.hear(test::user(test::query({.ltime = 40})));
  CHECK(me.node.query_clock() == 41);
  CHECK(me.node.clock() == 31);
  CHECK(me.node.event_clock() == 101);
}

/// A push/pull user state with these clocks and nothing else.
Memory state_of(std::uint64_t ltime, std::uint64_t event, std::uint64_t query) {
  Memory memory(256);
  ByteWriter writer(memory);
  wire::SerfStateWriter(writer, {ltime, event, query}, 0, 0);
  memory.resize(writer.size());
  return memory;
}

TEST_CASE("a push/pull's clocks are witnessed less one: we come to stand where the peer stands") {
  LoneNode me;
  me.exchange(test::push_pull({}, false, state_of(300, 200, 400)));
  CHECK(me.node.clock() == 300);
  CHECK(me.node.event_clock() == 200);
  CHECK(me.node.query_clock() == 400);
  me.exchange(test::push_pull({}, false, state_of(0, 0, 0)));
  CHECK(me.node.clock() == 300);
  CHECK(me.node.event_clock() == 200);
  CHECK(me.node.query_clock() == 400);
}

TEST_CASE("absurd times from the network are counted and move nothing") {
  LoneNode me;
  const std::uint64_t absurd = ~std::uint64_t{0};
  me.hear(user_of(wire::UserEvent{absurd, "x"}));
  me.hear(user_of(wire::JoinIntent{absurd, "b"}));
  me.hear(user_of(wire::LeaveIntent{absurd - 1, "b", false}));
  me.hear(test::user(test::query({.ltime = absurd})));
  me.exchange(test::push_pull({}, false, state_of(absurd, absurd, absurd)));
  CHECK(me.node.counters().clock_jumps == 7);
  CHECK(me.node.clock() == 1);
  CHECK(me.node.event_clock() == 1);
  CHECK(me.node.query_clock() == 1);
  CHECK(me.told().empty());
}

TEST_CASE(
    "whoever has been pushed to the end of the times that are taken is heard on, by newcomers and after a restart") {
  constexpr std::uint64_t kEnd = LamportClock::kTimeMax;
  LoneNode me;
  me.exchange(test::push_pull({}, false, state_of(kEnd, kEnd, kEnd)));
  CHECK(me.node.clock() == kEnd);
  me.know("b", 2);
  me.forget();
  // The cluster lives on: a leave, an event, a query, each with the time that now is.
  const auto talk_to = [](LoneNode& node, std::uint64_t time) {
    node.forget();
    node.hear(user_of(wire::LeaveIntent{time, "b", false}));
    node.hear(user_of(wire::UserEvent{time, "deploy" + std::to_string(time)}));
    node.hear(test::user(test::query({.ltime = time, .id = 7})));
    CHECK(node.status("b") == "leaving");
    CHECK(node.user_events.size() == 1);
    CHECK(node.queries.size() == 1);
    CHECK(node.node.clock() == time + 1);
    CHECK(node.node.event_clock() == time + 1);
    CHECK(node.node.query_clock() == time + 1);
  };
  talk_to(me, kEnd);
  talk_to(me, kEnd + 1000);
  // A newcomer that hears of it by push/pull, at once or in two steps.
  for (const std::uint64_t on : {kEnd + 1, kEnd + 5'000, kEnd + LamportClock::kJumpMax * 3}) {
    CAPTURE(on - kEnd);
    LoneNode newcomer;
    newcomer.know("b", 2);
    newcomer.exchange(test::push_pull({}, false, state_of(on, on, on)));
    newcomer.exchange(test::push_pull({}, false, state_of(on, on, on)));
    CHECK(newcomer.node.clock() == on);
    talk_to(newcomer, on);
  }
  // One that restarts with it in its snapshot.
  NodeOptions options = LoneNode::options();
  options.clock_seen = options.event_clock_seen = options.query_clock_seen = kEnd + 7;
  LoneNode restarted({}, options);
  restarted.know("b", 2);
  restarted.exchange(test::push_pull({}, false, state_of(kEnd + 8, kEnd + 8, kEnd + 8)));
  talk_to(restarted, kEnd + 8);
}

}  // namespace
}  // namespace shoal::serf
