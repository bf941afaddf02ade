// The user state of a push/pull, as serf's layer writes and merges it.
#include <doctest/doctest.h>

#include "serf/node.h"
#include "support/lone_node.h"
#include "wire/msgpack.h"

namespace shoal::serf {
namespace {

using test::dead;
using test::Lines;
using test::LoneNode;
using test::Memory;
using test::peer;
using test::user_of;
namespace msgpack = wire::msgpack;

struct State {
  std::vector<std::pair<std::string, std::uint64_t>> statuses;
  std::vector<std::string> lefts = {};
  std::size_t event_slots = 0;  // 0 = nil.
  std::size_t used_slot = ~std::size_t{0};
  std::uint64_t clock = 1;
};

/// As Go writes it: keys sorted, the events a list with a slot each, nil where there is none.
Memory encode_state(const State& state) {
  Memory memory(64 * 1024);
  ByteWriter out(memory);
  out.u8(2);
  msgpack::put_map(out, 6);
  msgpack::put_uint(out, "EventLTime", state.clock);
  msgpack::put_text(out, "Events");
  if (state.event_slots == 0) msgpack::put_nil(out);
  if (state.event_slots > 0) msgpack::put_array(out, static_cast<std::uint32_t>(state.event_slots));
  for (std::size_t slot = 0; slot < state.event_slots; ++slot) {
    if (slot != state.used_slot) {
      msgpack::put_nil(out);
      continue;
    }
    msgpack::put_map(out, 2);
    msgpack::put_text(out, "Events");
    msgpack::put_array(out, 1);
    msgpack::put_map(out, 2);
    msgpack::put_text(out, "Name", "deploy");
    msgpack::put_bytes(out, "Payload", as_bytes("v1"));
    msgpack::put_uint(out, "LTime", 700);
  }
  msgpack::put_uint(out, "LTime", state.clock);
  msgpack::put_text(out, "LeftMembers");
  msgpack::put_array(out, static_cast<std::uint32_t>(state.lefts.size()));
  for (const std::string& name : state.lefts) msgpack::put_text(out, name);
  msgpack::put_uint(out, "QueryLTime", state.clock);
  msgpack::put_text(out, "StatusLTimes");
  msgpack::put_map(out, static_cast<std::uint32_t>(state.statuses.size()));
  for (const auto& [name, ltime] : state.statuses) msgpack::put_uint(out, name, ltime);
  REQUIRE(out.ok());
  memory.resize(out.size());
  return memory;
}

TEST_CASE("a peer's members are joined at their times and its departed leave one later") {
  LoneNode me;
  me.know("b", 2);
  me.know("c", 3);
  me.hear(dead(1, "c", "x"));  // Failed here: we have missed its intent.
  me.forget();
  me.exchange(test::push_pull({}, false, encode_state({{{"b", 7}, {"c", 8}, {"d", 9}}, {"c"}, 0})));
  CHECK(me.status_ltime("b") == 7);
  CHECK(me.status("b") == "alive");
  CHECK(me.status("c") == "left");
  CHECK(me.status_ltime("c") == 9);
  CHECK(me.events == Lines{"leave c"});
  // d was kept as an intent.
  me.know("d", 4);
  CHECK(me.status_ltime("d") == 9);
}

TEST_CASE("what a push/pull's state says is not told on") {
  LoneNode me;
  me.know("b", 2);
  me.exchange(test::push_pull({}, false, encode_state({{{"b", 7}, {"x", 8}}, {"x"}, 0})));
  CHECK(me.told() == Lines{});
}

TEST_CASE("a list of 512 events, nil but for one, and a list of one alone both merge") {
  for (const std::size_t slots : {512, 1}) {
    CAPTURE(slots);
    LoneNode me;
    me.know("b", 2);
    me.exchange(test::push_pull({{"n", peer(4)}}, true, encode_state({{{"b", 7}}, {}, slots, slots == 1 ? 0U : 188U})));
    CHECK(me.status("n") == "alive");
    CHECK(me.status_ltime("b") == 7);
    CHECK(me.node.event_clock() == 701);
    CHECK(me.node.counters().malformed == 0);
  }
}

TEST_CASE("a broken state is counted, and the nodes beside it are merged all the same") {
  const Memory bad[] = {test::from_hex("02c1"), test::from_hex("0382"), test::from_hex("02"), test::from_hex("0286a5")};
  for (const Memory& state : bad) {
    CAPTURE(test::to_hex(state));
    LoneNode me;
    me.exchange(test::push_pull({{"n", peer(4)}}, true, state));
    CHECK(me.status("n") == "alive");
    CHECK(me.node.counters().malformed == 1);
  }
}

TEST_CASE("our own state names every member with its time, the departed as such, and our clocks") {
  LoneNode me;
  me.know("b", 2);
  me.know("c", 3);
  me.hear(user_of(wire::JoinIntent{6, "b"}));
  me.hear(user_of(wire::LeaveIntent{7, "c", false}));
  me.hear(dead(1, "c", "c"));
  me.hear(user_of(wire::UserEvent{40, "x"}));
  const Memory answer = me.exchange(test::push_pull({}));
  Memory scratch(1024 * 1024);
  wire::StreamReader reader(scratch);
  REQUIRE(reader.advance(answer) == wire::StreamStatus::kComplete);
  struct Visitor final : wire::SerfStateVisitor {
    void on_clocks(const wire::SerfStateClocks& c) override {
      lines.push_back("clocks " + std::to_string(c.ltime) + " " + std::to_string(c.event_ltime) + " " +
                      std::to_string(c.query_ltime));
    }
    void on_status(std::string_view node, std::uint64_t ltime, bool left) override {
      lines.push_back(std::string(left ? "left " : "status ") + std::string(node) + " " + std::to_string(ltime));
    }
    void on_event(const wire::UserEvent&) override {}
    Lines lines;
  } visitor;
  REQUIRE(wire::read_serf_state(reader.user_state(), visitor));
  CHECK(visitor.lines[0] == "clocks 8 41 1");
  CHECK(test::only(visitor.lines, "left") == Lines{"left c 7"});
  CHECK(test::only(visitor.lines, "status b") == Lines{"status b 6"});
  CHECK(test::only(visitor.lines, "status me") == Lines{"status me 0"});
  CHECK(visitor.lines.size() == 4);
  // And a peer that had c as failed learns the truth by it.
  LoneNode other;
  other.know("c", 3);
  other.hear(dead(1, "c", "x"));
  other.exchange(test::push_pull({}, false, reader.user_state()));
  CHECK(other.status("c") == "left");
}

}  // namespace
}  // namespace shoal::serf
