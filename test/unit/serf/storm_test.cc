// Everything at once, with small tables and the numbers at the ends of their ranges: whatever comes in whatever order,
// both layers agree about who is there.
#include <doctest/doctest.h>

#include "support/lone_node.h"

namespace shoal::serf {
namespace {

using test::encoded;
using test::LoneNode;
using test::Memory;
using test::peer;
using test::user_of;

class Storm {
 public:
  explicit Storm(std::uint64_t seed) : rng_(seed), me_(test::Tags{{"role", "task"}}, options()) {}

  void step() {
    switch (rng_.below(std::uint64_t{24})) {
      case 0:
      case 1:
      case 2:
      case 3: return me_.hear(test::alive({incarnation(), name(), place(), meta()}));
      case 4:
      case 5: return me_.hear(test::suspect(incarnation(), name(), name()));
      case 6: return me_.hear(test::dead(incarnation(), name(), name()));
      case 7: {
        const std::string who = name();
        return me_.hear(test::dead(incarnation(), who, who));
      }
      case 8: return me_.hear(user_of(wire::LeaveIntent{time(), name(), rng_.one_in(2)}));
      case 9: return me_.hear(user_of(wire::JoinIntent{time(), name()}));
      case 10: return me_.hear(user_of(wire::UserEvent{time(), "e" + name(), as_bytes("payload")}));
      case 11: return query();
      case 12: return push_pull();
      case 13: return join();
      case 14:
        return me_.command(
            [&] { static_cast<void>(me_.node.force_leave(me_.now, name(), rng_.one_in(2), me_.out())); });
      case 15:
        return me_.command([&] { me_.node.set_meta(me_.now, LoneNode::encode_tags({{"state", name()}}), me_.out()); });
      case 16: return me_.hear(encoded(wire::Ack{static_cast<std::uint32_t>(rng_.below(std::uint64_t{200})), {}}));
      case 17: return me_.hear(encoded(wire::Nack{static_cast<std::uint32_t>(rng_.below(std::uint64_t{200}))}));
      case 18: return me_.run_for(rng_.one_in(20) ? 11min : rng_.one_in(4) ? 40s : 3s);
      case 19: return answer_conflict();
      default: return me_.run_for(Duration(static_cast<std::int64_t>(rng_.below(std::uint64_t{600'000'000}))));
    }
  }

  void check() const {
    const Members& members = me_.node.members();
    const swim::Members& records = me_.node.swim().members();
    std::size_t here = 0;
    for (const Slot slot : members.slots()) {
      const Member& member = members[slot];
      const bool alive = member.status == Status::kAlive || member.status == Status::kLeaving;
      here += alive ? 1 : 0;
      const swim::Slot record = records.find(member.name.view());
      REQUIRE(alive == (record != swim::kNoSlot && !records[record].gone()));
      if (!alive) continue;
      REQUIRE(as_text(member.meta()) == as_text(records[record].meta()));
      REQUIRE(member.endpoint() == records[record].endpoint());
    }
    std::size_t known = 0;
    for (const swim::Slot slot : records.slots()) known += records[slot].gone() ? 0 : 1;
    REQUIRE(here == known);
    REQUIRE(me_.status(me_.node.name()) == "alive");
    REQUIRE(me_.node.swim().self().endpoint() == peer(1));
    REQUIRE(me_.node.counters().members_refused == 0);
    REQUIRE(me_.texts.size() <= swim::texts_max(options().swim.members_max));
  }

  void forget() {
    me_.forget();
    me_.streams.clear();
  }
  [[nodiscard]] std::size_t renames() const { return me_.renames.size(); }

 private:
  static NodeOptions options() {
    NodeOptions out = LoneNode::options();
    out.swim.members_max = 5;
    return out;
  }
  std::string name() {
    const std::uint64_t i = rng_.below(std::uint64_t{9});
    return i == 0 ? std::string(me_.node.name()) : i == 1 ? "me" : std::string(1, static_cast<char>('a' + i));
  }
  Endpoint place() {
    return rng_.one_in(6) ? peer(1) : peer(static_cast<std::uint8_t>(2 + rng_.below(std::uint64_t{4})));
  }
  std::string meta() { return rng_.one_in(3) ? std::string(512, 'm') : rng_.one_in(2) ? "" : "x"; }
  std::uint32_t incarnation() {
    if (rng_.one_in(60)) return 0xffffffff - static_cast<std::uint32_t>(rng_.below(std::uint64_t{2}));
    return static_cast<std::uint32_t>(rng_.below(std::uint64_t{6})) +
           (rng_.one_in(3) ? me_.node.swim().self().incarnation : 0);
  }
  std::uint64_t time() {
    if (rng_.one_in(40)) return ~std::uint64_t{0} - rng_.below(std::uint64_t{2});
    if (rng_.one_in(40)) return LamportClock::kTimeMax - 1 + rng_.below(std::uint64_t{3});
    return me_.node.clock() + rng_.below(std::uint64_t{4}) - (me_.node.clock() > 3 ? 2 : 0);
  }
  void query() {
    me_.hear(test::user(test::query({.ltime = time(),
                                     .id = static_cast<std::uint32_t>(rng_.below(std::uint64_t{4})),
                                     .reply_to = place(),
                                     .flags = static_cast<std::uint32_t>(rng_.below(std::uint64_t{4})),
                                     .relay_factor = static_cast<std::uint8_t>(rng_.next()),
                                     .name = rng_.one_in(2) ? "_serf_conflict" : "solicit",
                                     .payload = name()})));
  }
  Memory state() {
    Memory memory(4096);
    ByteWriter out(memory);
    const auto statuses = static_cast<std::uint32_t>(rng_.below(std::uint64_t{6}));
    const auto lefts = static_cast<std::uint32_t>(rng_.below(std::uint64_t{3}));
    wire::SerfStateWriter writer(out, {time(), time(), time()}, statuses, lefts);
    for (std::uint32_t i = 0; i < statuses; ++i) writer.status(name(), time());
    for (std::uint32_t i = 0; i < lefts; ++i) writer.left(name());
    memory.resize(out.size());
    std::vector<test::StateEntry> entries;
    for (std::uint64_t i = rng_.below(std::uint64_t{8}); i > 0; --i) {
      entries.push_back({name(), place(), static_cast<std::uint8_t>(rng_.below(std::uint64_t{5})), incarnation()});
    }
    return test::push_pull(entries, rng_.one_in(2), memory);
  }
  void push_pull() { me_.exchange(state()); }
  void join() {
    me_.connects.clear();
    me_.command([&] {
      if (rng_.one_in(2)) {
        me_.node.join(me_.now, place(), me_.out());
      } else {
        me_.node.rejoin(me_.now, place(), me_.out());
      }
    });
    if (me_.connects.empty()) return;
    const swim::StreamId id = me_.connects.begin()->first;
    if (rng_.one_in(4)) return me_.command([&] { me_.node.on_stream_closed(me_.now, id, me_.out()); });
    me_.command([&] { me_.node.on_stream_connected(me_.now, id, me_.out()); });
    if (rng_.one_in(4)) return;
    const Memory answer = state();
    me_.command([&] { me_.node.on_stream_bytes(me_.now, id, answer, me_.out()); });
  }
  void answer_conflict() { me_.run_for(4s); }

  Rng rng_;
  LoneNode me_;
};

TEST_CASE("whatever comes in whatever order, serf and swim agree about who is there, and we are among them") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Storm storm(seed);
    for (int i = 0; i < 400; ++i) {
      CAPTURE(i);
      storm.step();
      storm.check();
      if (i % 50 == 0) storm.forget();
    }
  }
}

}  // namespace
}  // namespace shoal::serf
